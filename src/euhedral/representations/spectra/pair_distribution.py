"""Pair distribution functions: how much is found at which distance from an atom.

    G(r) = 1 / (N <b>^2 r) sum_ij b_i b_j Gauss(r - r_ij; sigma_ij) - 4 pi r rho,  g(r) = 1 + G(r) / (4 pi r rho),
    R(r) = 4 pi r^2 rho g(r),  sigma_ij^2 = (U_i + U_j) (1 - delta1 / r_ij - delta2 / r_ij^2 + Q_broad^2 r_ij^2),  U = B / 8 pi^2

b is the neutron scattering length, or the factor at s = 0 of X-rays (the number of electrons) and electrons: the decay with
the angle is taken as common to all elements, as is usual.

Sources: Egami and Billinge, Underneath the Bragg Peaks (2012), chapters 3 and 5; Farrow et al. 2007 (PDFgui),
doi:10.1088/0953-8984/19/33/335219.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.neighbours import neighbours_within
from euhedral.representations.spectra.radiation import Radiation, XRays
from euhedral.representations.spectra.spectrum import Spectrum
from euhedral.representations.spectra.thermal import Thermal, b_of_atoms

# Full width at half maximum of a Gaussian over its standard deviation.
_FULL_WIDTH: Final = 2.3548200450309493
# Pairs this many standard deviations beyond the grid still reach into it.
_REACH: Final = 6.0
# Angstrom between points of the inner grid on which termination is computed, and how many ripples it reaches beyond the end.
_FINE: Final = 0.01
_RIPPLES: Final = 20.0


@dataclass(frozen=True)
class Blur:
    """What widens, damps and cuts a measured distribution.

    Args:
        q_damp: 1/Angstrom; resolution damps G by exp(-(q_damp r)^2 / 2).
        q_broad: 1/Angstrom; resolution widens far peaks.
        delta1: Angstrom; near pairs move together, linear term.
        delta2: Angstrom^2; the quadratic term.
        q_max: 1/Angstrom; where the measurement ends, which makes ripples. None for no end.
    """

    q_damp: float = 0.0
    q_broad: float = 0.0
    delta1: float = 0.0
    delta2: float = 0.0
    q_max: float | None = None

    def __post_init__(self) -> None:
        values = (self.q_damp, self.q_broad, self.delta1, self.delta2)
        if not all(isfinite(v) and v >= 0.0 for v in values) or (self.q_max is not None and not self.q_max > 0.0):
            raise InvalidRequestError(
                f"damping, broadening and correlations are not negative and q_max is positive, got {values} and {self.q_max}"
            )


@dataclass(frozen=True, eq=False)
class PairDistribution:
    """G(r) of a crystal, and what follows from it.

    Args:
        r: (R,) Angstrom.
        reduced: (R,) G(r), Angstrom^-2.
        density: atoms per Angstrom^3.
        id: the crystal's.
    """

    r: NDArray[np.float64]
    reduced: NDArray[np.float64]
    density: float
    id: str = ""

    @property
    def relative(self) -> NDArray[np.float64]:
        """(R,) g(r): density at r over the mean."""
        return 1.0 + self.reduced / (4.0 * np.pi * self.r * self.density)

    @property
    def radial(self) -> NDArray[np.float64]:
        """(R,) R(r), 1/Angstrom: its area over a shell is the (weighted) number of neighbours there."""
        return self.r * self.reduced + 4.0 * np.pi * self.r**2 * self.density

    def spectrum(self) -> Spectrum:
        """G(r) as a spectrum."""
        return Spectrum(
            self.r, self.reduced, kind="pair distribution", x_unit="Angstrom", y_unit="1/Angstrom^2", id=self.id
        )


def pair_distribution(
    crystal: Crystal, *, r: ArrayLike, radiation: Radiation | None = None, thermal: Thermal = 0.5, blur: Blur | None = None,
) -> PairDistribution:  # fmt: skip
    """Compute the pair distribution of a crystal.

    Args:
        crystal: one crystal.
        r: (R,) Angstrom, positive and rising.
        radiation: weighs the elements; X-rays when not given.
        thermal: isotropic B in Angstrom^2, as for `powder_pattern`; positive, since it gives pairs their width.
        blur: of the measurement.

    Raises:
        InvalidRequestError: distances that are not positive and rising, no thermal motion, an element without a scattering
            factor, or a mean scattering length of zero.
    """
    from euhedral.representations.spectra.profile_kernels import add_pseudo_voigts

    radiation, blur = radiation or XRays(), blur or Blur()
    grid = np.array(r, dtype=np.float64)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or grid[0] <= 0.0 or (np.diff(grid) <= 0).any():
        raise InvalidRequestError(
            f"pair distribution of {crystal.id!r}: distances must be positive and rise, got {grid.ravel()[:3]} ..."
        )
    table = radiation.table()
    table.require([crystal], numbers=crystal.numbers)
    squares = b_of_atoms([crystal], thermal=thermal, numbers=crystal.numbers) / (8.0 * np.pi**2)
    if not (squares > 0.0).all():
        raise InvalidRequestError(
            f"pair distribution of {crystal.id!r}: without thermal motion pairs have no width; B of 0.3 to 1 Angstrom^2 is usual"
        )
    lengths = table.forward[crystal.numbers]
    mean = abs(lengths.mean()) ** 2
    if not mean > 1e-12 * (np.abs(lengths) ** 2).mean():
        raise InvalidRequestError(
            f"pair distribution of {crystal.id!r}: its mean {table.kind} scattering length is zero; G(r) is not defined"
        )
    density = len(crystal) / crystal.volume
    inner: NDArray[np.float64] = grid
    if blur.q_max is not None:
        end = grid[-1] + _RIPPLES * 2.0 * np.pi / blur.q_max
        inner = _FINE * np.arange(1, int(np.ceil(end / _FINE)) + 1, dtype=np.float64)
    widest = float(np.sqrt(2.0 * squares.max()))
    reach = inner[-1] + _REACH * widest * np.sqrt(1.0 + (blur.q_broad * inner[-1]) ** 2)
    pairs = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=float(reach))
    distance = pairs.distance
    factor = 1.0 - blur.delta1 / distance - blur.delta2 / distance**2 + (blur.q_broad * distance) ** 2
    if factor.size and factor.min() <= 0.0:
        raise InvalidRequestError(
            f"pair distribution of {crystal.id!r}: delta1 and delta2 leave pairs at {distance[factor.argmin()]:.2f} Angstrom no "
            f"width; choose smaller ones"
        )
    sigma = np.sqrt((squares[pairs.source] + squares[pairs.target]) * factor)
    weights = (lengths[pairs.source] * lengths[pairs.target].conj()).real / (len(crystal) * mean)
    curve = np.zeros_like(inner)
    add_pseudo_voigts(inner, distance, weights, _FULL_WIDTH * sigma, np.zeros_like(sigma), curve)
    reduced = curve / inner - 4.0 * np.pi * inner * density
    if blur.q_damp > 0.0:
        reduced *= np.exp(-0.5 * (blur.q_damp * inner) ** 2)
    if blur.q_max is not None:
        reduced = np.interp(grid, inner, _terminated(inner, reduced, q_max=blur.q_max))
    return PairDistribution(grid, reduced, density, crystal.id)


def _terminated(r: NDArray[np.float64], reduced: NDArray[np.float64], *, q_max: float) -> NDArray[np.float64]:
    """Leave out all waves beyond Q_max: G * sin(Q_max r) / (pi r), with G continued as an odd function.

    r is n times a step, n = 1, 2, ...; what lies beyond its end is taken as zero.
    """
    from scipy.signal import fftconvolve

    step = r[0]
    odd = np.concatenate([-reduced[::-1], [0.0], reduced])
    window = np.sinc(q_max * step * np.arange(-len(odd) + 1, len(odd)) / np.pi) * q_max / np.pi
    return fftconvolve(odd, window, mode="valid" if len(window) < len(odd) else "same")[-len(r) :] * step
