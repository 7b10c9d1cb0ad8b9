"""Powder diffraction: where a crystal's peaks are, and how strong.

Kinematic: I = m |F|^2 L P with F = sum_j f_j exp(-B_j s^2) exp(2 pi i h.x_j), s = sin(theta) / wavelength and the Lorentz factor
1 / (sin^2 theta cos theta). Without absorption, extinction or anomalous dispersion.

Sources: De Graef and McHenry, Structure of Materials, chapters 11 and 12 (doi:10.1017/CBO9781139051637); texture: Dollase
1986, doi:10.1107/S0021889886089458.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import asin, degrees, isfinite, radians, sin
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, element
from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.radiation import Radiation, XRays
from euhedral.representations.spectra.scattering import ScatteringTable
from euhedral.representations.spectra.thermal import Thermal, b_of_atoms

# Degrees: reflections closer than this are one peak. Percent of the strongest: weaker ones are rounding of extinct ones.
_SAME_PEAK: Final = 1e-5
_FAINTEST: Final = 1e-3
# Reflections held at once, about 0.5 GB; and what one crystal may have.
_CHUNK: Final = 2_000_000
_MOST: Final = 50_000_000
_NO_AXIS: Final = np.array([0, 0, 1])


@dataclass(frozen=True)
class Texture:
    """Grains that lie rather one way than another (March and Dollase).

    Args:
        axis: Miller indices of the planes that lie along the surface.
        march: below 1 for plates, above 1 for needles, 1 for none.
    """

    axis: tuple[int, int, int]
    march: float

    def __post_init__(self) -> None:
        if not any(self.axis) or not (isfinite(self.march) and self.march > 0.0):
            raise InvalidRequestError(
                f"texture needs an axis other than (0, 0, 0) and a positive March parameter, got {self.axis} and {self.march}"
            )


@dataclass(frozen=True, eq=False)
class PowderPattern:
    """P peaks by rising angle.

    Args:
        two_theta: (P,) degrees.
        intensity: (P,) percent of the strongest.
        spacing: (P,) Angstrom between lattice planes.
        hkl: (P, 3) Miller indices of one of the reflections that fall together.
        multiplicity: (P,) how many do.
        wavelength: (P,) Angstrom, of the line that makes the peak.
        strength: of the strongest peak, for one amu of the crystal: m |F|^2 L P / (V M), which weighs phases of a mixture.
        id: the crystal's.
    """

    two_theta: NDArray[np.float64]
    intensity: NDArray[np.float64]
    spacing: NDArray[np.float64]
    hkl: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    wavelength: NDArray[np.float64]
    strength: float
    id: str = ""

    def __len__(self) -> int:
        return int(self.two_theta.size)


def powder_pattern(
    crystal: Crystal, *, radiation: Radiation | None = None, two_theta: tuple[float, float] | None = None,
    thermal: Thermal = 0.0, texture: Texture | None = None,
) -> PowderPattern:  # fmt: skip
    """Compute the peaks of a powder.

    Args:
        crystal: one crystal.
        radiation: X-rays of a copper tube when not given.
        two_theta: degrees, from and to; what is usual for the radiation when not given.
        thermal: isotropic B in Angstrom^2, of all atoms or by symbol; "site" takes each atom's from `crystal.site["b_iso"]`.
        texture: preferred orientation.

    Raises:
        InvalidRequestError: an element has no tabulated scattering factor or no B, or the range is impossible.
    """
    return next(_patterns([crystal], radiation, two_theta, thermal, texture))


def powder_patterns(
    crystals: Sequence[Crystal], *, radiation: Radiation | None = None, two_theta: tuple[float, float] | None = None,
    thermal: Thermal = 0.0, texture: Texture | None = None,
) -> list[PowderPattern]:  # fmt: skip
    """Compute the peaks of many powders at once.

    Args:
        crystals: any number of crystals.
        radiation: as for `powder_pattern`.
        two_theta: as for `powder_pattern`.
        thermal: as for `powder_pattern`.
        texture: of all of them.

    Raises:
        InvalidRequestError: as `powder_pattern`, for the first crystal that it is true of.
    """
    return list(_patterns(crystals, radiation, two_theta, thermal, texture))


def mixture(patterns: Sequence[PowderPattern], *, weights: Sequence[float]) -> PowderPattern:
    """Mix phases: a phase's intensity goes as W / (Z M V), by its weight W and the mass Z M and volume V of its cell.

    Args:
        patterns: of each phase, for one radiation and range.
        weights: of each phase, in any common unit.

    Raises:
        InvalidRequestError: not one weight for each phase, or weights that are negative or all zero.

    Source: Hill and Howard 1987, doi:10.1107/S0021889887086199.
    """
    shares = np.asarray(weights, dtype=np.float64)
    if shares.shape != (len(patterns),) or not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise InvalidRequestError(
            f"a mixture of {len(patterns)} phases needs as many weights, none negative, not all zero, got {list(weights)}"
        )
    shares = shares / shares.sum()
    heights = np.concatenate(
        [w * p.strength * p.intensity / 100.0 for w, p in zip(shares, patterns, strict=True)] or [np.zeros(0)]
    )
    angles = np.concatenate([pattern.two_theta for pattern in patterns])
    order = np.argsort(angles, kind="stable")
    order = order[heights[order] > 0.0]
    strongest = float(heights.max(initial=0.0))
    return PowderPattern(
        two_theta=angles[order],
        intensity=100.0 * heights[order] / strongest if strongest > 0.0 else heights[order],
        spacing=np.concatenate([pattern.spacing for pattern in patterns])[order],
        hkl=np.concatenate([pattern.hkl for pattern in patterns])[order],
        multiplicity=np.concatenate([pattern.multiplicity for pattern in patterns])[order],
        wavelength=np.concatenate([pattern.wavelength for pattern in patterns])[order],
        strength=strongest,
        id=" + ".join(pattern.id for pattern, share in zip(patterns, shares, strict=True) if share > 0.0),
    )


def _patterns(
    crystals: Sequence[Crystal], radiation: Radiation | None, two_theta: tuple[float, float] | None,
    thermal: Thermal, texture: Texture | None,
) -> Iterator[PowderPattern]:  # fmt: skip
    from euhedral.representations.spectra.diffraction_kernels import powder
    from euhedral.representations.spectra.reflection_kernels import count_reflections

    if not crystals:
        return
    radiation = XRays() if radiation is None else radiation
    table, masses = radiation.table(), _masses()
    lines = np.array([(line.wavelength, line.weight) for line in radiation.lines])
    low, high = radiation.usual_range if two_theta is None else two_theta
    longest = _longest(radiation, low, high, table=table, name=crystals[0].id)
    sines = np.array([sin(radians(low / 2.0)), sin(radians(high / 2.0))])
    offsets = np.array([0, *accumulate(len(crystal) for crystal in crystals)])
    cells = np.array([crystal.cell for crystal in crystals])
    frac = np.concatenate([crystal.frac for crystal in crystals])
    numbers = np.concatenate([crystal.numbers for crystal in crystals])
    table.require(crystals, numbers=numbers)
    damping = b_of_atoms(crystals, thermal=thermal, numbers=numbers)
    axis, march = (_NO_AXIS, 1.0) if texture is None else (np.array(texture.axis), float(texture.march))
    n_rows, n_reflections = np.empty((2, len(crystals)), np.int64)
    count_reflections(cells, longest, _MOST, n_rows, n_reflections)
    sizes = n_reflections.tolist()
    if max(sizes) > _MOST:
        b = sizes.index(max(sizes))
        raise InvalidRequestError(
            f"powder pattern of {crystals[b].id!r}: about {sizes[b]:.0e} reflections lie below {high:g} degrees; "
            f"choose a smaller angle or a longer wavelength"
        )
    for first, stop in _chunks(sizes):
        part = slice(first, stop)
        room = sum(sizes[part]) * len(lines)
        angles, percent, spacing = np.empty((3, room))
        hkl, (multiplicity, of_line) = np.empty((room, 3), np.int64), np.empty((2, room), np.int64)
        n_peaks, brightness = np.empty(stop - first, np.int64), np.empty(stop - first)
        powder(
            cells[part], frac, numbers, damping, offsets[first : stop + 1], n_rows[part], n_reflections[part], lines,
            sines, table.samples, table.imaginary, table.step, radiation.polarized, axis, march, radians(_SAME_PEAK),
            _FAINTEST, masses, angles, percent, spacing, hkl, multiplicity, of_line, n_peaks, brightness,
        )  # fmt: skip
        counts = n_peaks.tolist()
        total = sum(counts)
        # copies, so that a pattern that is kept does not hold the room of all
        angles, percent, spacing = angles[:total].copy(), percent[:total].copy(), spacing[:total].copy()
        hkl, multiplicity, wavelength = hkl[:total].copy(), multiplicity[:total].copy(), lines[of_line[:total], 0]
        start = 0
        for crystal, count, bright in zip(crystals[part], counts, brightness.tolist(), strict=True):
            own = slice(start, start + count)
            yield PowderPattern(
                angles[own],
                percent[own],
                spacing[own],
                hkl[own],
                multiplicity[own],
                wavelength[own],
                bright,
                crystal.id,
            )
            start += count


def _chunks(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cut crystals into parts that fit into memory together."""
    first, held = 0, 0
    for at, size in enumerate(sizes):
        if held and held + size > _CHUNK:
            yield first, at
            first, held = at, 0
        held += size
    yield first, len(sizes)


def _longest(radiation: Radiation, low: float, high: float, *, table: ScatteringTable, name: str) -> float:
    """1/Angstrom: the longest reciprocal vector that reflects inside the range, for any of the lines."""
    if not 0.0 <= low < high <= 180.0:
        raise InvalidRequestError(
            f"powder pattern of {name!r}: expected angles 0 <= from < to <= 180 degrees, got {low} to {high}"
        )
    shortest = min(line.wavelength for line in radiation.lines)
    longest = 2.0 * sin(radians(high / 2.0)) / shortest
    if longest > 2.0 * table.largest_s:
        largest = 2.0 * degrees(asin(table.largest_s * shortest))
        raise InvalidRequestError(
            f"powder pattern of {name!r}: {table.kind} scattering factors are tabulated to sin(theta)/wavelength = "
            f"{table.largest_s:g} / Angstrom, which {shortest:g} Angstrom reaches at {largest:.2f} degrees; {high:g} were asked for"
        )
    return longest


@cache
def _masses() -> NDArray[np.float64]:
    """(119,) amu by atomic number."""
    return np.array([0.0, *[element(number).mass for number in range(1, len(SYMBOLS))]])
