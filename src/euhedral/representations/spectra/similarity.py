"""How alike two spectra are, point by point on the stretch that both cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.spectrum import Spectrum


def cosine(first: Spectrum, second: Spectrum) -> float:
    """Cosine of the angle between both as vectors: 1 for equal shapes, 0 for nothing in common.

    Raises:
        InvalidRequestError: their units differ, they share no stretch, or one of them is zero there.
    """
    a, b = on_common_grid(first, second)
    return _cosine(a, b, first, second)


def pearson(first: Spectrum, second: Spectrum) -> float:
    """Correlation of both, from -1 to 1; a constant background in either changes nothing.

    Raises:
        InvalidRequestError: their units differ, they share no stretch, or one of them is constant there.
    """
    a, b = on_common_grid(first, second)
    return _cosine(a - a.mean(), b - b.mean(), first, second)


def on_common_grid(first: Spectrum, second: Spectrum) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read both on one even grid over what both cover, as fine as the finer of them.

    Returns:
        (G,), (G,) values.

    Raises:
        InvalidRequestError: their units differ, or they share no stretch.
    """
    if first.x_unit and second.x_unit and first.x_unit != second.x_unit:
        raise InvalidRequestError(
            f"spectra {first.id!r} and {second.id!r} cannot be compared: their axes are in {first.x_unit} and {second.x_unit}"
        )
    low, high = max(first.x[0], second.x[0]), min(first.x[-1], second.x[-1])
    if not high > low:
        raise InvalidRequestError(
            f"spectra {first.id!r} ({first.x[0]:g} to {first.x[-1]:g}) and {second.id!r} ({second.x[0]:g} to {second.x[-1]:g}) "
            f"share no stretch"
        )
    step = min(float(np.median(np.diff(s.x))) for s in (first, second))
    grid = np.linspace(low, high, max(2, round(float(high - low) / step) + 1))
    return np.interp(grid, first.x, first.y), np.interp(grid, second.x, second.y)


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64], first: Spectrum, second: Spectrum) -> float:
    lengths = [float(np.linalg.norm(values)) for values in (a, b)]
    for spectrum, length, values in ((first, lengths[0], a), (second, lengths[1], b)):
        if not length > 1e-12 * max(1e-300, float(np.abs(spectrum.y).max())) * np.sqrt(values.size):
            raise InvalidRequestError(
                f"spectrum {spectrum.id!r} has nothing to compare on the stretch that both cover: it is zero or constant there"
            )
    return float(np.clip(a @ b / (lengths[0] * lengths[1]), -1.0, 1.0))
