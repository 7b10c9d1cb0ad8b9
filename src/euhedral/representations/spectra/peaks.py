"""Peaks of a spectrum: found, and fitted by pseudo-Voigt lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import DivergedError, InvalidRequestError
from euhedral.representations.spectra.spectrum import Spectrum

# Half of a fitted stretch, in widths of the peak.
_STRETCH: Final = 3.0
_LOG2: Final = float(np.log(2.0))


@dataclass(frozen=True, eq=False)
class Peaks:
    """P maxima by rising x.

    Args:
        x: (P,) in the unit of x; between points, by a parabola through the three highest.
        height: (P,) value there.
        prominence: (P,) how far one must descend to reach a higher one.
        width: (P,) at half of the prominence, in the unit of x.
    """

    x: NDArray[np.float64]
    height: NDArray[np.float64]
    prominence: NDArray[np.float64]
    width: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.x.size)


@dataclass(frozen=True, eq=False)
class FittedPeaks:
    """P lines fitted to a spectrum, by rising centre.

    Args:
        centre: (P,) in the unit of x.
        area: (P,).
        width: (P,) full width at half maximum.
        mixing: (P,) share of the Lorentzian.
        centre_error: (P,) standard deviation of the centre, from the residuals.
        residual: root mean square of what is left, over the stretches that were fitted, relative to the highest point.
    """

    centre: NDArray[np.float64]
    area: NDArray[np.float64]
    width: NDArray[np.float64]
    mixing: NDArray[np.float64]
    centre_error: NDArray[np.float64]
    residual: float

    def __len__(self) -> int:
        return int(self.centre.size)


def find_peaks(
    spectrum: Spectrum, *, prominence: float = 0.02, min_distance: float = 0.0, min_width: float = 0.0
) -> Peaks:
    """Find maxima that stand out.

    Args:
        spectrum: any; noise and background are better taken off first.
        prominence: as a share of the span between the lowest and the highest value.
        min_distance: between peaks, in the unit of x; of nearer ones the higher is kept.
        min_width: in the unit of x.

    Raises:
        InvalidRequestError: a prominence outside 0 to 1.
    """
    from scipy.signal import find_peaks as search
    from scipy.signal import peak_widths

    if not 0.0 <= prominence <= 1.0:
        raise InvalidRequestError(f"the prominence of a peak is a share from 0 to 1, got {prominence}")
    x, y = spectrum.x, spectrum.y
    step = float(np.median(np.diff(x))) if len(x) > 1 else 1.0
    span = float(y.max() - y.min())
    at, properties = search(y, prominence=max(prominence * span, 1e-300), distance=max(1.0, min_distance / step))
    left, right = peak_widths(y, at, rel_height=0.5)[2:]
    points = np.arange(len(x))
    width = np.interp(right, points, x) - np.interp(left, points, x)
    kept = width >= min_width
    at, width = at[kept], width[kept]
    before, top, after = y[at - 1], y[at], y[at + 1]
    bend = before - 2.0 * top + after
    offset = np.divide(0.5 * (before - after), bend, out=np.zeros_like(top), where=bend < 0.0)
    return Peaks(
        x=np.interp(at + offset, points, x),
        height=top - 0.25 * (before - after) * offset,
        prominence=properties["prominences"][kept],
        width=width,
    )


def fit_peaks(spectrum: Spectrum, *, at: ArrayLike, width: float) -> FittedPeaks:
    """Fit pseudo-Voigt lines on a sloping background; lines whose stretches overlap are fitted together.

    Args:
        spectrum: any.
        at: (P,) centres to begin with, in the unit of x.
        width: full width at half maximum to begin with; a stretch reaches three of them to both sides.

    Raises:
        InvalidRequestError: no centre, a centre outside the spectrum, a width that is not positive, or too few points to fit.
        DivergedError: a fit found no minimum.
    """
    from scipy.optimize import least_squares

    centres = np.sort(np.asarray(at, dtype=np.float64).ravel())
    x, y = spectrum.x, spectrum.y
    if not centres.size or not width > 0.0 or not (centres[0] >= x[0] and centres[-1] <= x[-1]):
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r}: a fit needs centres within {x[0]:g} to {x[-1]:g} and a positive width, got "
            f"{centres[:3].tolist()} and {width}"
        )
    rows, errors, squares, n_points = [], [], 0.0, 0
    for group in _groups(centres, reach=2.0 * _STRETCH * width):
        inside = (x >= group[0] - _STRETCH * width) & (x <= group[-1] + _STRETCH * width)
        xs, ys = x[inside], y[inside]
        n_parameters = 4 * len(group) + 2
        if xs.size <= n_parameters:
            raise InvalidRequestError(
                f"spectrum {spectrum.id!r}: {xs.size} points around {group[0]:g} are too few for {n_parameters} parameters; "
                f"give a larger width or fewer peaks"
            )
        scale = float(ys.max() - ys.min()) or 1.0
        height = np.maximum(np.interp(group, xs, ys) - ys.min(), 0.05 * scale) / scale
        # centre in widths from its start, log of height and of width, mixing
        start = np.concatenate(
            [np.stack([np.zeros_like(group), np.log(height), np.zeros_like(group), np.full_like(group, 0.5)], 1).ravel(),
             [ys.min() / scale, 0.0]]
        )  # fmt: skip
        low = np.concatenate([np.tile([-2.0, -12.0, -4.0, 0.0], len(group)), [-np.inf, -np.inf]])
        high = np.concatenate([np.tile([2.0, 6.0, 2.5, 1.0], len(group)), [np.inf, np.inf]])

        def residuals(
            p: NDArray, xs: NDArray = xs, ys: NDArray = ys, group: NDArray = group, scale: float = scale
        ) -> NDArray:
            away = (xs - xs.mean()) / width
            return p[-2] + p[-1] * away + _lines(xs, p[:-2].reshape(-1, 4), group, width) - ys / scale

        solved = least_squares(residuals, start, bounds=(low, high), x_scale="jac", max_nfev=2000)
        if solved.status <= 0:
            raise DivergedError(
                f"spectrum {spectrum.id!r}: the fit around {group[0]:g} found no minimum; give better centres or another width"
            )
        fitted = solved.x[:-2].reshape(-1, 4)
        variance = 2.0 * solved.cost / (xs.size - n_parameters)
        covariance = np.linalg.pinv(solved.jac.T @ solved.jac) * variance
        full, mixing = width * np.exp(fitted[:, 2]), fitted[:, 3]
        tops = scale * np.exp(fitted[:, 1])
        area = tops * full * (mixing * np.pi / 2.0 + (1.0 - mixing) * np.sqrt(np.pi / _LOG2) / 2.0)
        rows.append(np.stack([group + width * fitted[:, 0], area, full, mixing]))
        errors.append(width * np.sqrt(np.diag(covariance)[:-2:4]))
        squares, n_points = squares + 2.0 * solved.cost * scale**2, n_points + xs.size
    columns, deviations = np.concatenate(rows, axis=1), np.concatenate(errors)
    order = np.argsort(columns[0])
    centre, area, full, mixing = columns[:, order]
    highest = float(np.abs(y).max()) or 1.0
    return FittedPeaks(centre, area, full, mixing, deviations[order], float(np.sqrt(squares / n_points) / highest))


def _lines(x: NDArray, parameters: NDArray, group: NDArray, width: float) -> NDArray:
    """Sum of pseudo-Voigt lines of unit scale."""
    total = np.zeros_like(x)
    for (shift, log_height, log_width, mixing), start in zip(parameters, group, strict=True):
        away = 2.0 * (x - start - width * shift) / (width * np.exp(log_width))
        total += np.exp(log_height) * (mixing / (1.0 + away**2) + (1.0 - mixing) * np.exp(-_LOG2 * away**2))
    return total


def _groups(centres: NDArray[np.float64], *, reach: float) -> Iterator[NDArray[np.float64]]:
    """Cut a rising list where neighbours are farther apart than the reach."""
    yield from np.split(centres, np.flatnonzero(np.diff(centres) > reach) + 1)
