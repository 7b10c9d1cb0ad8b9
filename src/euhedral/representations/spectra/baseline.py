"""What lies under the peaks: background estimated from a spectrum alone."""

from __future__ import annotations

from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.spectrum import KINDS, Spectrum

# Rounds of reweighting after which asymmetric least squares is stopped; a dozen is usual.
_ROUNDS: Final = 100


def asymmetric_least_squares(
    spectrum: Spectrum, *, smoothness: float = 1e5, asymmetry: float = 0.01
) -> NDArray[np.float64]:
    """Fit a smooth curve that is pulled up little by points above it and much by points below.

    Minimizes sum_i w_i (y_i - z_i)^2 + smoothness sum_i (z_(i-1) - 2 z_i + z_(i+1))^2 with w_i = asymmetry above z and
    1 - asymmetry below, reweighted until no point changes sides.

    Args:
        spectrum: with evenly spaced points, at least three; the smoothness counts in points.
        smoothness: 1e2 to 1e9; a background that bends over n points needs about n^4.
        asymmetry: share of the pull that peaks have; 0.001 to 0.1.

    Returns:
        (N,) in the unit of y.

    Raises:
        InvalidRequestError: fewer than three points, or parameters that are impossible.

    Source: Eilers and Boelens 2005, Baseline Correction with Asymmetric Least Squares Smoothing.
    """
    from scipy.linalg import solveh_banded

    if len(spectrum) < 3 or not (isfinite(smoothness) and smoothness > 0.0 and 0.0 < asymmetry < 1.0):
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r}: a baseline needs three points, a positive smoothness and an asymmetry between 0 and 1, "
            f"got {len(spectrum)}, {smoothness} and {asymmetry}"
        )
    y, n = spectrum.y, len(spectrum)
    # the matrix D'D of second differences, by its diagonals
    bands = np.zeros((3, n))
    for offset, coefficient in enumerate((1.0, -2.0, 1.0)):
        for other in range(offset, 3):
            bands[2 - (other - offset), other : n - 2 + other] += coefficient * (1.0, -2.0, 1.0)[other]
    bands *= smoothness
    below = np.zeros(n, dtype=bool)
    curve = y
    for _ in range(_ROUNDS):
        weights = np.where(below, 1.0 - asymmetry, asymmetry)
        system = bands.copy()
        system[2] += weights
        curve = np.asarray(solveh_banded(system, weights * y))
        now_below = y < curve
        if (now_below == below).all():
            break
        below = now_below
    return curve


def snip(spectrum: Spectrum, *, half_window: int = 40) -> NDArray[np.float64]:
    """Clip peaks: each point becomes at most the mean of those at both sides, for ever smaller distances.

    Works on log(log(sqrt(y + 1) + 1) + 1), which brings strong and weak peaks to one scale; meant for counts.

    Args:
        spectrum: without negative values.
        half_window: points; wider than half of the widest peak.

    Returns:
        (N,) in the unit of y.

    Raises:
        InvalidRequestError: negative values, or a window that is no positive number.

    Source: Ryan et al. 1988, doi:10.1016/0168-583X(88)90063-8; falling window: Morhac et al. 1997,
    doi:10.1016/S0168-9002(97)01023-1.
    """
    if half_window < 1:
        raise InvalidRequestError(f"the window of a baseline is at least one point, got {half_window}")
    if spectrum.y.min() < 0.0:
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r}: clipping needs values that are not negative, got {spectrum.y.min():g}; use "
            f"asymmetric_least_squares"
        )
    level = np.log(np.log(np.sqrt(spectrum.y + 1.0) + 1.0) + 1.0)
    for distance in range(min(half_window, (len(level) - 1) // 2), 0, -1):
        mean = (level[: -2 * distance] + level[2 * distance :]) / 2.0
        level[distance:-distance] = np.minimum(level[distance:-distance], mean)
    return np.square(np.expm1(np.expm1(level))) - 1.0


def subtract(spectrum: Spectrum, *, baseline: NDArray[np.float64]) -> Spectrum:
    """Take a baseline off; where the kind has no negative values, what falls below zero becomes zero.

    Raises:
        InvalidRequestError: the baseline has another number of points.
    """
    if baseline.shape != spectrum.y.shape:
        raise InvalidRequestError(
            f"spectrum {spectrum.id!r} has {len(spectrum)} points, but the baseline has shape {baseline.shape}"
        )
    y = spectrum.y - baseline
    return spectrum.replace(y=y if KINDS[spectrum.kind] else np.maximum(y, 0.0))
