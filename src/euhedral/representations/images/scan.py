"""The scan: where on the specimen each pixel of a scanning microscope is really taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.images.image import checked_size


@dataclass(frozen=True)
class Scan:
    """Lines of pixels from the top left, the middle of the image on the specimen's origin.

    The specimen stands still during a line; between lines it drifts and wanders, and each line starts off by its jitter.

    Args:
        size: pixels, one number or height and width.
        pixel_size: Angstrom.
        drift: Angstrom to the right and upwards that the beam has moved over the specimen at the end of the frame.
        wander: Angstrom, standard deviation of the step of a random walk from line to line, in both directions.
        jitter: Angstrom, standard deviation of each line's start along the line.

    Raises:
        InvalidRequestError: no pixels, a size that is not positive, or a negative or infinite motion.
    """

    size: int | Sequence[int] = 256
    pixel_size: float = 0.1
    drift: tuple[float, float] = (0.0, 0.0)
    wander: float = 0.0
    jitter: float = 0.0
    height: float = field(init=False)
    width: float = field(init=False)

    def __post_init__(self) -> None:
        rows, columns = checked_size(self.size)
        if not (np.isfinite(self.pixel_size) and self.pixel_size > 0.0):
            raise InvalidRequestError(f"the pixels of a scan must have a positive size in Å, got {self.pixel_size}")
        if not (
            np.isfinite([*self.drift, self.wander, self.jitter]).all() and self.wander >= 0.0 and self.jitter >= 0.0
        ):
            raise InvalidRequestError(
                f"a scan needs a finite drift and wander and jitter of 0 Å or more, got {self.drift}, {self.wander} and {self.jitter}"
            )
        object.__setattr__(self, "size", (rows, columns))
        object.__setattr__(self, "height", rows * self.pixel_size)
        object.__setattr__(self, "width", columns * self.pixel_size)

    def shifts(self, *, rng: np.random.Generator | None) -> NDArray[np.float64]:
        """Draw how far each line is taken beside its place.

        Args:
            rng: where the randomness comes from; may be None where there is neither wander nor jitter.

        Returns:
            (H, 2) Angstrom, to the right and upwards.

        Raises:
            InvalidRequestError: wander or jitter without a generator.
        """
        rows, _ = checked_size(self.size)
        moved = np.outer(np.arange(rows) / rows, self.drift)
        if self.wander == 0.0 and self.jitter == 0.0:
            return moved
        if rng is None:
            raise InvalidRequestError("a scan with wander or jitter needs a random generator; pass rng")
        steps = rng.normal(0.0, self.wander, (rows, 2))
        steps[0] = 0.0  # the walk begins where the frame does
        moved += np.cumsum(steps, axis=0)
        moved[:, 0] += rng.normal(0.0, self.jitter, rows)
        return moved
