"""How a measurement shows peaks: their width and shape, shifts of angle, background and counting noise.

Sources: Thompson, Cox and Hastings 1987, doi:10.1107/S0021889887087090 (pseudo-Voigt of a Gaussian and a Lorentzian width);
Caglioti, Paoletti and Ricci 1958, doi:10.1016/0369-643X(58)90029-X (Gaussian width of the instrument).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.diffraction import PowderPattern
from euhedral.representations.spectra.spectrum import Spectrum

# Coefficients of the width of a Voigt function, and of its Lorentzian share (Thompson, Cox and Hastings, equation 3).
_WIDTH: Final = (1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0)
_SHARE: Final = (1.36603, -0.47719, 0.11116)


class PeakShape(Protocol):
    """Gives each peak its width and its share of Lorentzian."""

    def widths(self, pattern: PowderPattern) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(P,) full widths at half maximum in degrees, (P,) shares of the Lorentzian."""
        ...


@dataclass(frozen=True)
class ConstantShape:
    """All peaks alike.

    Args:
        width: full width at half maximum, degrees.
        mixing: share of the Lorentzian; the rest is Gaussian.
    """

    width: float = 0.15
    mixing: float = 0.5

    def __post_init__(self) -> None:
        if not (isfinite(self.width) and self.width > 0.0 and 0.0 <= self.mixing <= 1.0):
            raise InvalidRequestError(
                f"a peak needs a positive width in degrees and a mixing of 0 to 1, got {self.width} and {self.mixing}"
            )

    def widths(self, pattern: PowderPattern) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for each."""
        return np.full(len(pattern), self.width), np.full(len(pattern), self.mixing)


@dataclass(frozen=True)
class InstrumentShape:
    """Peaks as an instrument and the grains of a sample make them.

    The instrument is Gaussian, FWHM^2 = u tan^2(theta) + v tan(theta) + w. Grains of one size add a Lorentzian of
    K wavelength / (size cos(theta)), varying strain one of 4 strain tan(theta). Both together are a pseudo-Voigt.

    Args:
        u: degrees^2.
        v: degrees^2.
        w: degrees^2.
        size: Angstrom, volume-weighted; None for grains too large to matter.
        strain: relative, maximal (Stokes and Wilson).
        scherrer: the constant K.
    """

    u: float = 0.0
    v: float = 0.0
    w: float = 0.01
    size: float | None = None
    strain: float = 0.0
    scherrer: float = 0.9

    def __post_init__(self) -> None:
        if (self.size is not None and not self.size > 0.0) or not self.strain >= 0.0 or not self.scherrer > 0.0:
            raise InvalidRequestError(
                f"a peak shape needs a positive grain size in Angstrom and a strain that is not negative, got {self.size} and {self.strain}"
            )

    def widths(self, pattern: PowderPattern) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By the angle.

        Raises:
            InvalidRequestError: u, v and w give no width at some angle.
        """
        theta = np.radians(pattern.two_theta / 2.0)
        tangent = np.tan(theta)
        squared = self.u * tangent**2 + self.v * tangent + self.w
        lorentzian = np.degrees(4.0 * self.strain * tangent)
        if self.size is not None:
            lorentzian = lorentzian + np.degrees(self.scherrer * pattern.wavelength / (self.size * np.cos(theta)))
        bad = (squared < 0.0) | ((squared == 0.0) & (lorentzian <= 0.0)) | ~np.isfinite(squared)
        if bad.any():
            raise InvalidRequestError(
                f"u = {self.u:g}, v = {self.v:g}, w = {self.w:g} degrees^2 give no width at {pattern.two_theta[bad][0]:.2f} degrees"
            )
        gaussian = np.sqrt(squared)
        width = sum(c * gaussian ** (5 - k) * lorentzian**k for k, c in enumerate(_WIDTH)) ** 0.2
        ratio = lorentzian / width
        share = sum(c * ratio ** (k + 1) for k, c in enumerate(_SHARE))
        return width, np.clip(share, 0.0, 1.0)


@dataclass(frozen=True)
class Shift:
    """Where a measurement sees an angle: zero error of the circle, and a sample off its centre.

    Args:
        zero: degrees, added to 2 theta.
        displacement: of the sample away from the source, over the radius of the goniometer; moves 2 theta by
            -2 displacement cos(theta) radians.
    """

    zero: float = 0.0
    displacement: float = 0.0

    def apply(self, two_theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P,) degrees as they are seen, of (P,) true ones."""
        return two_theta + self.zero - np.degrees(2.0 * self.displacement * np.cos(np.radians(two_theta / 2.0)))


@dataclass(frozen=True)
class Phase:
    """A part of a sample.

    Args:
        pattern: its peaks.
        weight: its share of the weight, in any common unit.
        shape: its peaks' shape, which knows the size and strain of its grains.
    """

    pattern: PowderPattern
    weight: float = 1.0
    shape: PeakShape = ConstantShape()


def profile(
    pattern: PowderPattern, *, grid: ArrayLike, shape: PeakShape | None = None, shift: Shift | None = None
) -> NDArray[np.float64]:
    """Draw peaks as a measured pattern would show them; the area of a line is its intensity.

    Args:
        pattern: peaks.
        grid: (G,) degrees, rising.
        shape: widths and mixing of the lines; `ConstantShape()` when not given.
        shift: of the angles.

    Returns:
        (G,) percent of the highest point of the grid.

    Raises:
        InvalidRequestError: the grid does not rise.
    """
    curve = _curve([Phase(pattern, shape=shape or ConstantShape())], grid=_rising(grid), shift=shift or Shift())
    highest = curve.max(initial=0.0)
    return 100.0 * curve / highest if highest > 0.0 else curve


def measured(
    phases: Sequence[Phase], *, grid: ArrayLike, shift: Shift | None = None, background: Sequence[float] = (),
    counts: float = 1e4, rng: np.random.Generator | None = None, id: str = "",  # noqa: A002
) -> Spectrum:  # fmt: skip
    """Compute what a detector would count: peaks of all phases by weight, background, and noise.

    Args:
        phases: the sample; impurities are phases of small weight.
        grid: (G,) degrees, rising.
        shift: of the angles, of all phases alike.
        background: coefficients of Chebyshev polynomials over the grid's range, counts.
        counts: at the highest point of the peaks, above the background.
        rng: draws each count from a Poisson distribution; without it the means are returned.
        id: a name.

    Raises:
        InvalidRequestError: no phase, weights that are negative or all zero, a grid that does not rise, a background that is
            below zero somewhere, or counts that are not positive.
    """
    angles = _rising(grid)
    weights = np.array([phase.weight for phase in phases], dtype=np.float64)
    if not (weights.size and np.isfinite(weights).all() and (weights >= 0.0).all() and weights.sum() > 0.0):
        raise InvalidRequestError(
            f"a sample needs phases with weights, none negative, not all zero, got {weights.tolist()}"
        )
    if not (isfinite(counts) and counts > 0.0):
        raise InvalidRequestError(f"the counts of the highest point must be positive, got {counts}")
    curve = _curve(phases, grid=angles, shift=shift or Shift())
    highest = curve.max(initial=0.0)
    mean = counts * curve / highest if highest > 0.0 else curve
    if len(background):
        span = angles[-1] - angles[0]
        unit = 2.0 * (angles - angles[0]) / span - 1.0 if span > 0.0 else np.zeros_like(angles)
        level = np.polynomial.chebyshev.chebval(unit, np.asarray(background, dtype=np.float64))
        if not (np.isfinite(level).all() and level.min() >= 0.0):
            raise InvalidRequestError(
                f"the background {list(background)} falls to {level.min():g} counts at {angles[level.argmin()]:.2f} degrees; "
                f"counts are not negative"
            )
        mean = mean + level
    y = mean if rng is None else rng.poisson(mean).astype(np.float64)
    return Spectrum(x=angles, y=y, kind="powder pattern", x_unit="degree", y_unit="counts", id=id)


def _curve(phases: Sequence[Phase], *, grid: NDArray[np.float64], shift: Shift) -> NDArray[np.float64]:
    from euhedral.representations.spectra.profile_kernels import add_pseudo_voigts

    curve = np.zeros_like(grid)
    for phase in phases:
        pattern = phase.pattern
        widths, mixings = phase.shape.widths(pattern)
        # relative to the brightest phase's scale; the sum is scaled afterwards
        areas = phase.weight * pattern.strength * pattern.intensity
        add_pseudo_voigts(grid, shift.apply(pattern.two_theta), areas, widths, mixings, curve)
    return curve


def _rising(grid: ArrayLike) -> NDArray[np.float64]:
    angles = np.ascontiguousarray(grid, dtype=np.float64)
    if angles.ndim != 1 or not angles.size or not np.isfinite(angles).all() or (np.diff(angles) <= 0.0).any():
        raise InvalidRequestError(
            f"a grid is a list of rising angles, got shape {angles.shape} with {int((np.diff(angles, axis=-1) <= 0.0).sum())} steps back"
        )
    return angles
