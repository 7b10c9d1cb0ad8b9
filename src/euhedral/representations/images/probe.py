"""The electron probe of a scanning microscope: how its intensity is spread about its middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.radiation import Electrons

_FWHM: Final = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))  # full width at half maximum of a normal distribution, in sigmas


class Probe(Protocol):
    """What an image is blurred by."""

    @property
    def reach(self) -> float:
        """Angstrom from the middle beyond which the intensity is left out."""
        ...

    def profile(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        """Intensity at distances from the middle, 1/Angstrom^2; over the plane it adds up to 1."""
        ...


@dataclass(frozen=True)
class GaussianProbe:
    """A probe of the shape of a normal distribution, as source size and residual aberrations leave it.

    Args:
        fwhm: full width at half maximum, Angstrom.

    Raises:
        InvalidRequestError: a width that is not positive.
    """

    fwhm: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fwhm) and self.fwhm > 0.0):
            raise InvalidRequestError(f"the width of a probe must be a positive number of Å, got {self.fwhm}")

    @property
    def reach(self) -> float:
        """Five standard deviations: 4e-6 of the intensity lies beyond."""
        return 5.0 * self.fwhm / _FWHM

    def profile(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        """exp(-r^2 / 2 sigma^2) / (2 pi sigma^2)."""
        sigma = self.fwhm / _FWHM
        return np.exp(-(radius**2) / (2.0 * sigma**2)) / (2.0 * np.pi * sigma**2)


@dataclass(frozen=True)
class AberrationFreeProbe:
    """The probe of a perfect lens: an Airy pattern, blurred by the size of the source.

    Its transform is that of two overlapping discs, (2 / pi) (arccos u - u sqrt(1 - u^2)) with u = q lambda / (2 alpha), times
    exp(-2 pi^2 sigma^2 q^2) for the source. Without a source the full width at half maximum is 0.51 lambda / alpha.

    Args:
        convergence: half angle alpha, mrad.
        kilovolts: the accelerating voltage.
        source_fwhm: Angstrom, image of the source on the specimen.
        reach: Angstrom. Airy rings fall off slowly: 2 / (pi x) of the intensity lies beyond x = 2 pi alpha r / lambda.

    Raises:
        InvalidRequestError: an angle, voltage or reach that is not positive, or a negative source.

    Source: Kirkland, Advanced Computing in Electron Microscopy, chapter 3 (doi:10.1007/978-1-4419-6533-2).
    """

    convergence: float = 30.0
    kilovolts: float = 200.0
    source_fwhm: float = 0.0
    reach: float = 8.0

    def __post_init__(self) -> None:
        if not (self.convergence > 0.0 and self.reach > 0.0 and self.source_fwhm >= 0.0):
            raise InvalidRequestError(
                f"a probe needs a positive angle and reach and a source of 0 Å or more, got {self.convergence} mrad, "
                f"{self.reach} Å and {self.source_fwhm} Å"
            )
        Electrons(self.kilovolts)

    def profile(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        """2 pi times the integral of q transform(q) J_0(2 pi q r), by Gauss and Legendre."""
        from scipy.special import j0

        limit = 2.0e-3 * self.convergence / Electrons(self.kilovolts).wavelength
        # a node for each half turn of the fastest wave, and some for the transform's own shape
        count = 64 + int(2.0 * limit * np.max(radius, initial=0.0))
        nodes, weights = np.polynomial.legendre.leggauss(count)
        u = (nodes + 1.0) / 2.0
        q = u * limit
        sigma = self.source_fwhm / _FWHM
        transform = 2.0 / np.pi * (np.arccos(u) - u * np.sqrt(1.0 - u**2)) * np.exp(-2.0 * (np.pi * sigma * q) ** 2)
        rings = j0(2.0 * np.pi * np.multiply.outer(np.asarray(radius, dtype=np.float64), q))
        return np.maximum(rings @ (weights * limit / 2.0 * 2.0 * np.pi * q * transform), 0.0)
