"""Raman spectra: from computed lines to what a spectrometer shows, and back to what does not depend on it.

Stokes scattering by a mode of wavenumber v and activity S has the intensity

    I = S (v_0 - v)^4 / v / (1 - exp(-h c v / k T))

for a laser of wavenumber v_0 (Porezag and Pederson 1996, doi:10.1103/PhysRevB.54.7830, equation 2; Long, The Raman Effect, 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.spectrum import Spectrum

# h c / k in K cm.
_SECOND_RADIATION: Final = 1.438776877


@dataclass(frozen=True)
class RamanConditions:
    """How a spectrum is measured.

    Args:
        laser: wavelength in nm.
        temperature: K.
    """

    laser: float = 532.0
    temperature: float = 298.15

    def __post_init__(self) -> None:
        if not (isfinite(self.laser) and self.laser > 0.0 and isfinite(self.temperature) and self.temperature > 0.0):
            raise InvalidRequestError(
                f"a laser has a positive wavelength in nm and a sample a positive temperature in K, got {self.laser} and "
                f"{self.temperature}"
            )

    def factor(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        """(L,) intensity over activity at (L,) 1/cm, relative to that of a shift of 1000 / cm.

        Raises:
            InvalidRequestError: a shift is not positive, or is beyond the laser's energy.
        """
        if shift.size and not (shift.min() > 0.0 and shift.max() < 1e7 / self.laser):
            raise InvalidRequestError(
                f"Raman shifts lie between 0 and the {1e7 / self.laser:.0f} / cm of the laser, got {shift.min():g} to {shift.max():g}"
            )
        return self._factor(shift) / self._factor(np.array([1000.0]))

    def _factor(self, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        return (1e7 / self.laser - shift) ** 4 / shift / -np.expm1(-_SECOND_RADIATION * shift / self.temperature)


@dataclass(frozen=True, eq=False)
class RamanLines:
    """Computed modes.

    Args:
        shift: (L,) 1/cm.
        activity: (L,) Angstrom^4/amu or any common unit.
        symmetry: (L,) irreducible representations; empty where not known.
        id: a name.

    Raises:
        InvalidRequestError: lists of other lengths, shifts that are not positive, or activities that are negative.
    """

    shift: NDArray[np.float64]
    activity: NDArray[np.float64]
    symmetry: tuple[str, ...] = ()
    id: str = ""

    def __post_init__(self) -> None:
        shift, activity = (np.array(v, dtype=np.float64) for v in (self.shift, self.activity))
        name = f"Raman lines {self.id!r}"
        if shift.ndim != 1 or shift.shape != activity.shape or len(self.symmetry) not in {0, shift.size}:
            raise InvalidRequestError(
                f"{name}: expected as many activities (and symmetries, if any) as shifts, got {shift.shape}, {activity.shape} and {len(self.symmetry)}"
            )
        if not (np.isfinite(shift).all() and (shift > 0.0).all()):
            raise InvalidRequestError(
                f"{name}: shifts are positive; leave out acoustic and imaginary modes (got {shift.min():g} / cm)"
            )
        if not (np.isfinite(activity).all() and (activity >= 0.0).all()):
            raise InvalidRequestError(f"{name}: activities are not negative, got {activity.min():g}")
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "activity", activity)

    def __len__(self) -> int:
        return int(self.shift.size)


def raman_spectrum(
    lines: RamanLines, *, grid: ArrayLike, width: float = 8.0, conditions: RamanConditions | None = None
) -> Spectrum:
    """Draw lines as Lorentzians whose area is their intensity.

    Args:
        lines: computed modes.
        grid: (G,) 1/cm, rising.
        width: full width at half maximum, 1/cm.
        conditions: of the measurement; without them the area of a line is its activity.

    Raises:
        InvalidRequestError: a width that is not positive, or a grid that does not rise.
    """
    from euhedral.representations.spectra.profile_kernels import add_pseudo_voigts

    if not (isfinite(width) and width > 0.0):
        raise InvalidRequestError(f"the width of Raman lines must be positive, got {width} / cm")
    x = np.array(grid, dtype=np.float64)
    y = np.zeros_like(x)
    area = lines.activity if conditions is None else lines.activity * conditions.factor(lines.shift)
    widths = np.full(len(lines), float(width))
    if x.ndim == 1:  # any other shape is refused by the spectrum
        add_pseudo_voigts(x, lines.shift, area, widths, np.ones(len(lines)), y)
    return Spectrum(x, y, kind="raman", x_unit="1/cm", id=lines.id)


def reduce_raman(spectrum: Spectrum, *, conditions: RamanConditions) -> Spectrum:
    """Divide a measured spectrum by what laser and temperature do to it, so that activities are left.

    Args:
        spectrum: of shifts in 1/cm, all positive.
        conditions: of the measurement.

    Raises:
        InvalidRequestError: a shift is not positive.
    """
    return spectrum.replace(y=spectrum.y / conditions.factor(spectrum.x))
