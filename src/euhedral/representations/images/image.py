"""The picture: its pixels, their size, and the truth about what they show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from euhedral.core.writing import write_atomically
from euhedral.errors import FileFormatError, InvalidRequestError
from euhedral.representations.images.png import write_mask_png, write_png


@dataclass(frozen=True, eq=False)
class Image:
    """One picture and its ground truth; immutable.

    Row 0 is the top and column 0 the left; a position (r, c) of whole numbers is the middle of that pixel.

    Args:
        pixels: (H, W) or (C, H, W) float32.
        pixel_size: length of a pixel's edge in `unit`.
        unit: "Å", "1/Å" or "nm".
        mask: (H, W) int32, for each pixel an index into `classes`; None where pixels have no classes.
        classes: names by number.
        positions: (m, 2) row and column of each spot, atom column or object; not rounded.
        labels: (m,) index into `classes` of each position.
        label: class of the whole picture; empty where it has none.

    Raises:
        InvalidRequestError: no pixels, a value that is not finite, a pixel size that is not positive, shapes that do
            not fit, or a class number without a name.
    """

    pixels: NDArray[np.float32]
    pixel_size: float
    unit: str
    mask: NDArray[np.int32] | None = None
    classes: tuple[str, ...] = ()
    positions: NDArray[np.float64] | None = None
    labels: NDArray[np.int64] | None = None
    label: str = ""

    def __post_init__(self) -> None:
        pixels = np.array(self.pixels, dtype=np.float32)
        if pixels.ndim not in (2, 3) or not pixels.size:
            raise InvalidRequestError(f"an image has pixels (H, W) or (C, H, W), got an array {pixels.shape}")
        if not np.isfinite(pixels).all():
            raise InvalidRequestError("a pixel of the image is NaN or infinite")
        if not (np.isfinite(self.pixel_size) and self.pixel_size > 0.0):
            raise InvalidRequestError(f"the size of a pixel must be positive, got {self.pixel_size}")
        positions = np.zeros((0, 2)) if self.positions is None else np.array(self.positions, dtype=np.float64)
        labels = np.zeros(len(positions), np.int64) if self.labels is None else np.array(self.labels, dtype=np.int64)
        if positions.ndim != 2 or positions.shape[1] != 2 or labels.shape != (len(positions),):
            raise InvalidRequestError(
                f"an image has positions (m, 2) and labels (m,), got {positions.shape} and {labels.shape}"
            )
        mask = None if self.mask is None else np.array(self.mask, dtype=np.int32)
        if mask is not None and mask.shape != pixels.shape[-2:]:
            raise InvalidRequestError(f"the mask {mask.shape} must have the height and width of {pixels.shape}")
        for numbers in (mask, labels if self.labels is not None else None):
            if numbers is not None and numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self.classes):
                raise InvalidRequestError(
                    f"class numbers {numbers.min()} to {numbers.max()} need as many names, got {len(self.classes)}"
                )
        for array in (pixels, positions, labels, mask):
            if array is not None:
                array.setflags(write=False)
        object.__setattr__(self, "pixels", pixels)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "classes", tuple(self.classes))

    def __repr__(self) -> str:
        shape = "x".join(str(n) for n in self.pixels.shape)
        return f"<Image {shape}, {self.pixel_size:g} {self.unit} a pixel, {len(self.classes)} classes>"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


def write_image(path: str | Path, *, image: Image, gamma: float = 1.0) -> list[Path]:
    """Write a picture for the eye and the arrays for the machine: NAME.npz, NAME.png and, with a mask, NAME.mask.png.

    Args:
        path: folder and NAME; an ending .png or .npz is taken off.
        image: the picture; with channels other than 1 or 3 each goes to its own NAME.0.png, NAME.1.png, ...
        gamma: see `write_png`; the arrays are not touched by it.

    Returns:
        The files written.

    Raises:
        RunFolderError: a file cannot be written.
    """
    path = Path(path)
    base = path.with_suffix("") if path.suffix in (".png", ".npz") else path
    facts = {"pixel_size": image.pixel_size, "unit": image.unit, "classes": image.classes, "label": image.label}
    mask = np.zeros((0, 0), np.int32) if image.mask is None else image.mask
    positions, labels = np.asarray(image.positions), np.asarray(image.labels)
    buffer = BytesIO()
    np.savez_compressed(
        buffer, facts=np.array(json.dumps(facts)), pixels=image.pixels, mask=mask, positions=positions, labels=labels
    )
    written = [write_atomically(_ending(base, ".npz"), content=buffer.getvalue())]
    if image.pixels.ndim == 2 or image.pixels.shape[0] in (1, 3):
        written.append(write_png(_ending(base, ".png"), pixels=image.pixels, gamma=gamma))
    else:
        written += [
            write_png(_ending(base, f".{channel}.png"), pixels=pixels, gamma=gamma)
            for channel, pixels in enumerate(image.pixels)
        ]
    if image.mask is not None:
        written.append(write_mask_png(_ending(base, ".mask.png"), mask=image.mask))
    return written


def read_image(path: str | Path) -> Image:
    """Read what `write_image` wrote, from its .npz file.

    Raises:
        FileFormatError: the file is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            facts = json.loads(str(arrays["facts"]))
            mask = arrays["mask"]
            return Image(
                pixels=arrays["pixels"],
                pixel_size=float(facts["pixel_size"]),
                unit=str(facts["unit"]),
                mask=mask if mask.size else None,
                classes=tuple(facts["classes"]),
                positions=arrays["positions"],
                labels=arrays["labels"] if facts["classes"] else None,
                label=str(facts["label"]),
            )
    except (OSError, BadZipFile, KeyError, ValueError, TypeError) as error:
        raise FileFormatError(f"{path}: not an image written by euhedral ({error}); expected the .npz file") from error


def checked_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width from one number or two.

    Raises:
        InvalidRequestError: not one or two positive whole numbers.
    """
    numbers = (size, size) if isinstance(size, int) else tuple(size)
    if len(numbers) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in numbers):
        raise InvalidRequestError(f"the size of an image is one or two positive numbers of pixels, got {size!r}")
    return int(numbers[0]), int(numbers[1])


def _ending(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)
