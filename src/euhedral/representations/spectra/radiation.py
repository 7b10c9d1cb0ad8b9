"""What a crystal is lit with: X-rays of a tube, neutrons, electrons."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, isfinite, radians, sqrt
from typing import Final, Protocol

from euhedral.errors import InvalidRequestError, unknown_name
from euhedral.representations.spectra.scattering import (
    ScatteringTable,
    electron_table,
    neutron_table,
    xray_table,
)

#: Angstrom: K alpha 1, K alpha 2 of the usual anodes (Bearden 1967, doi:10.1103/RevModPhys.39.78, on the 1973 scale).
TUBES: Final = {
    "Cr": (2.28970, 2.293606), "Fe": (1.936042, 1.939980), "Co": (1.788965, 1.792850), "Cu": (1.540562, 1.544390),
    "Mo": (0.709300, 0.713590), "Ag": (0.5594075, 0.563798),
}  # fmt: skip
#: Angstrom; K alpha is the mean of its two lines, weighted 2:1.
WAVELENGTHS: Final = {
    "CuKa": 1.54184, "CuKa1": 1.54056, "CuKa2": 1.54439, "MoKa": 0.71073, "CoKa": 1.79026, "CrKa": 2.29100,
    "FeKa": 1.93735, "AgKa": 0.560885,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One wavelength of a source.

    Args:
        wavelength: Angstrom.
        weight: its share of the intensity, relative to the other lines.
    """

    wavelength: float
    weight: float = 1.0


class Radiation(Protocol):
    """What powder patterns are computed for."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """The wavelengths, the strongest first."""
        ...

    @property
    def usual_range(self) -> tuple[float, float]:
        """Degrees of 2 theta that a usual measurement covers."""
        ...

    def table(self) -> ScatteringTable:
        """How strongly each element scatters."""
        ...

    @property
    def polarized(self) -> float:
        """How much of cos^2(2 theta) is in the polarization factor 1 + polarized cos^2(2 theta)."""
        ...


@dataclass(frozen=True)
class XRays:
    """X-rays, unpolarized when they leave the tube.

    With a monochromator the polarization factor is 1 + cos^2(2 alpha) cos^2(2 theta) (Azaroff 1955,
    doi:10.1107/S0365110X55002156, ideally mosaic).

    Args:
        lines: the wavelengths, the strongest first.
        monochromator: its diffraction angle 2 alpha, degrees; None for none.
    """

    lines: tuple[Line, ...] = (Line(WAVELENGTHS["CuKa"]),)
    monochromator: float | None = None
    usual_range: tuple[float, float] = (5.0, 90.0)

    def __post_init__(self) -> None:
        _check_lines(self.lines, what="X-rays")
        if self.monochromator is not None and not 0.0 <= self.monochromator <= 180.0:
            raise InvalidRequestError(
                f"the angle 2 alpha of a monochromator lies in 0 to 180 degrees, got {self.monochromator}"
            )

    @classmethod
    def of(cls, wavelength: float | str, *, monochromator: float | None = None) -> XRays:
        """Light with one line.

        Args:
            wavelength: Angstrom, or a name in `WAVELENGTHS`.
            monochromator: its diffraction angle 2 alpha, degrees.

        Raises:
            UnknownNameError: no line has this name.
            InvalidRequestError: the wavelength is not a positive number.
        """
        if isinstance(wavelength, str):
            if wavelength not in WAVELENGTHS:
                raise unknown_name("X-ray line", wavelength, WAVELENGTHS, where="radiation.WAVELENGTHS")
            wavelength = WAVELENGTHS[wavelength]
        return cls((Line(wavelength),), monochromator)

    @classmethod
    def doublet(cls, anode: str, *, ratio: float = 0.5, monochromator: float | None = None) -> XRays:
        """Light with K alpha 1 and K alpha 2, each of which makes its own peaks.

        Args:
            anode: a symbol in `TUBES`.
            ratio: intensity of K alpha 2 to that of K alpha 1.
            monochromator: its diffraction angle 2 alpha, degrees.

        Raises:
            UnknownNameError: no tube has this anode.
            InvalidRequestError: the ratio is not positive.
        """
        if anode not in TUBES:
            raise unknown_name("X-ray anode", anode, TUBES, where="radiation.TUBES")
        first, second = TUBES[anode]
        return cls((Line(first), Line(second, ratio)), monochromator)

    def table(self) -> ScatteringTable:
        """Scattering factors in electrons."""
        return xray_table()

    @property
    def polarized(self) -> float:
        """cos^2 of the monochromator's angle, or one."""
        return 1.0 if self.monochromator is None else cos(radians(self.monochromator)) ** 2


@dataclass(frozen=True)
class Neutrons:
    """Neutrons of one wavelength, scattered by nuclei alone.

    Args:
        wavelength: Angstrom.
    """

    wavelength: float = 1.54
    usual_range: tuple[float, float] = (5.0, 160.0)

    def __post_init__(self) -> None:
        _check_lines(self.lines, what="neutrons")

    @property
    def lines(self) -> tuple[Line, ...]:
        """The one wavelength."""
        return (Line(self.wavelength),)

    def table(self) -> ScatteringTable:
        """Scattering lengths in fm."""
        return neutron_table()

    @property
    def polarized(self) -> float:
        """Nothing: nuclei scatter alike in all directions."""
        return 0.0


@dataclass(frozen=True)
class Electrons:
    """Fast electrons, scattered once.

    Args:
        kilovolts: the accelerating voltage.
    """

    kilovolts: float = 200.0
    usual_range: tuple[float, float] = (0.2, 3.0)

    def __post_init__(self) -> None:
        if not (isfinite(self.kilovolts) and self.kilovolts > 0.0):
            raise InvalidRequestError(f"electrons need a positive voltage in kV, got {self.kilovolts}")

    @property
    def wavelength(self) -> float:
        """Relativistic de Broglie wavelength h / sqrt(2 m e V (1 + e V / 2 m c^2)), Angstrom."""
        volts = 1e3 * self.kilovolts
        # 12.264 Angstrom sqrt(V), and twice the rest energy of 510.999 keV
        return 12.26426 / sqrt(volts * (1.0 + volts / (2.0 * 510998.95)))

    @property
    def lines(self) -> tuple[Line, ...]:
        """The one wavelength."""
        return (Line(self.wavelength),)

    def table(self) -> ScatteringTable:
        """Scattering factors in Angstrom."""
        return electron_table()

    @property
    def polarized(self) -> float:
        """Nothing: electrons are no transverse waves."""
        return 0.0


def _check_lines(lines: tuple[Line, ...], *, what: str) -> None:
    if not lines or not all(
        isfinite(line.wavelength) and line.wavelength > 0.0 and line.weight > 0.0 for line in lines
    ):
        raise InvalidRequestError(
            f"{what} need wavelengths that are positive Angstrom, with positive weights, got "
            f"{[(line.wavelength, line.weight) for line in lines]}"
        )
