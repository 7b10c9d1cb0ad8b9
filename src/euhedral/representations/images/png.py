"""Writing PNG files: grey, colour and indexed pictures need nothing beyond the standard library.

Source: Portable Network Graphics (PNG) specification, third edition, W3C 2025, sections 5 and 11.
"""

from __future__ import annotations

import colorsys
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.writing import write_atomically
from euhedral.errors import InvalidRequestError

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR, _INDEXED = 0, 2, 3
# Turning the hue by the golden angle keeps any number of classes apart.
_GOLDEN: Final = 0.6180339887498949


def write_png(path: str | Path, *, pixels: ArrayLike, gamma: float = 1.0) -> Path:
    """Write a picture as 8-bit PNG, its darkest value black and its brightest white.

    Args:
        path: where the file shall be.
        pixels: (H, W) grey, or (C, H, W) with C 1 or 3.
        gamma: grey = value ** gamma on the scale from 0 to 1; below 1 faint spots show beside strong ones.

    Raises:
        InvalidRequestError: another number of channels, no pixels, a value that is not finite, or gamma not positive.
        RunFolderError: the file cannot be written.
    """
    values = np.asarray(pixels, dtype=np.float64)
    if values.ndim == 3 and values.shape[0] in (1, 3):
        values = values[0] if values.shape[0] == 1 else np.moveaxis(values, 0, -1)
    elif values.ndim != 2:
        raise InvalidRequestError(
            f"{path}: a PNG has 1 or 3 channels, got an array {np.shape(pixels)}; write each alone"
        )
    if not values.size or not np.isfinite(values).all():
        raise InvalidRequestError(
            f"{path}: expected pixels that are finite, got an array {np.shape(pixels)} that is not"
        )
    if not gamma > 0.0:
        raise InvalidRequestError(f"{path}: gamma must be positive, got {gamma}")
    low, high = float(values.min()), float(values.max())
    scaled = ((values - low) / (high - low)) ** gamma if high > low else np.zeros_like(values)
    grey = np.round(255.0 * scaled).astype(np.uint8)
    return write_atomically(path, content=_encoded(grey, kind=_GREY if grey.ndim == 2 else _COLOUR))


def write_mask_png(path: str | Path, *, mask: ArrayLike) -> Path:
    """Write a mask as indexed PNG: the stored values are the class numbers, shown in colours, 0 in black.

    Args:
        path: where the file shall be.
        mask: (H, W) whole numbers from 0 to 255.

    Raises:
        InvalidRequestError: not two-dimensional, empty, or a number outside 0 to 255.
        RunFolderError: the file cannot be written.
    """
    values = np.asarray(mask)
    if values.ndim != 2 or not values.size or values.min() < 0 or values.max() > 255:
        raise InvalidRequestError(f"{path}: expected a mask (H, W) of classes 0 to 255, got an array {values.shape}")
    hues = [colorsys.hsv_to_rgb(k * _GOLDEN % 1.0, 0.75, 0.95) for k in range(int(values.max()))]
    palette = np.round(255.0 * np.array([(0.0, 0.0, 0.0), *hues])).astype(np.uint8)
    content = _encoded(values.astype(np.uint8), kind=_INDEXED, palette=palette)
    return write_atomically(path, content=content)


def _encoded(values: NDArray[np.uint8], *, kind: int, palette: NDArray[np.uint8] | None = None) -> bytes:
    height, width = values.shape[:2]
    # each row begins with its filter; 0 is none
    rows = np.concatenate([np.zeros((height, 1), np.uint8), values.reshape(height, -1)], axis=1)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        chunks.append((b"PLTE", palette.tobytes()))
    chunks += [(b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
