"""Powder X-ray diffraction: where a crystal's peaks are, and how strong.

Kinematic intensities with tabulated scattering factors of neutral atoms and the Lorentz-polarization factor; without
thermal motion, absorption, anomalous dispersion or texture.

Source: De Graef and McHenry, Structure of Materials, chapters 11 and 12 (doi:10.1017/CBO9781139051637).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError

#: Angstrom; K alpha is the mean of its two lines, weighted 2:1.
WAVELENGTHS: Final = {
    "CuKa": 1.54184, "CuKa1": 1.54056, "CuKa2": 1.54439, "MoKa": 0.71073, "CoKa": 1.79026, "CrKa": 2.29100,
    "FeKa": 1.93735, "AgKa": 0.560885,
}  # fmt: skip

# Degrees: reflections closer than this are one peak. Percent of the strongest: weaker ones are rounding of extinct ones.
_SAME_PEAK = 1e-5
_FAINTEST = 1e-3
# Complex numbers held at once, about 64 MB.
_CHUNK = 4_000_000
# The constant of the Mott-Bethe relation, 1 / (8 pi^2 a_0) scaled to the table's units.
_MOTT_BETHE = 41.78214


@dataclass(frozen=True, eq=False)
class PowderPattern:
    """P peaks by rising angle.

    Args:
        two_theta: (P,) degrees.
        intensity: (P,) percent of the strongest.
        spacing: (P,) Angstrom between lattice planes.
        hkl: (P, 3) Miller indices of one of the reflections that fall together.
        multiplicity: (P,) how many do.
        wavelength: Angstrom.
    """

    two_theta: NDArray[np.float64]
    intensity: NDArray[np.float64]
    spacing: NDArray[np.float64]
    hkl: NDArray[np.int64]
    multiplicity: NDArray[np.int64]
    wavelength: float

    def __len__(self) -> int:
        return int(self.two_theta.size)


def powder_pattern(
    crystal: Crystal, *, wavelength: float = WAVELENGTHS["CuKa"], two_theta: tuple[float, float] = (5.0, 90.0)
) -> PowderPattern:
    """Compute the peaks of a powder.

    Args:
        crystal: one crystal.
        wavelength: Angstrom; `WAVELENGTHS` has the usual ones.
        two_theta: degrees, from and to.

    Raises:
        InvalidRequestError: an element has no tabulated scattering factor, or the range or wavelength is impossible.
    """
    low, high = two_theta
    if not (wavelength > 0.0 and 0.0 <= low < high <= 180.0):
        raise InvalidRequestError(
            f"powder pattern of {crystal.id!r}: expected a positive wavelength and angles 0 <= from < to <= 180 degrees, "
            f"got {wavelength} and {low} to {high}"
        )
    shortest, longest = (2.0 * np.sin(np.radians(angle / 2.0)) / wavelength for angle in two_theta)
    hkl, g = _reflections(crystal.cell, shortest=shortest, longest=longest)
    if not len(hkl):
        empty = np.zeros(0)
        return PowderPattern(empty, empty, empty, np.zeros((0, 3), np.int64), np.zeros(0, np.int64), wavelength)
    theta = np.arcsin(np.clip(wavelength * g / 2.0, 0.0, 1.0))
    factors = _structure_factors(crystal, hkl=hkl, g=g)
    with np.errstate(divide="ignore"):  # at 180 degrees the cosine vanishes
        lorentz = (1.0 + np.cos(2.0 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    strengths = 2.0 * np.abs(factors) ** 2 * lorentz  # by Friedel's law the other half is as strong
    angles = np.degrees(2.0 * theta)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(angles) > _SAME_PEAK) + 1])
    totals = np.add.reduceat(strengths, starts)
    members = np.diff(np.concatenate([starts, [len(g)]]))
    strongest = totals.max()
    percent = 100.0 * totals / strongest if strongest > 0.0 else totals
    kept = percent > _FAINTEST
    first = starts[kept]
    return PowderPattern(
        two_theta=angles[first],
        intensity=percent[kept],
        spacing=1.0 / g[first],
        hkl=hkl[first],
        multiplicity=2 * members[kept],
        wavelength=wavelength,
    )


def profile(
    pattern: PowderPattern, *, grid: ArrayLike, width: float = 0.15, mixing: float = 0.5
) -> NDArray[np.float64]:
    """Draw peaks as a measured pattern would show them: pseudo-Voigt lines of equal width.

    Args:
        pattern: peaks.
        grid: (G,) degrees.
        width: full width at half maximum, degrees.
        mixing: share of the Lorentzian; the rest is Gaussian.

    Returns:
        (G,) percent of the highest point of the grid.
    """
    away = np.asarray(grid, dtype=np.float64)[:, None] - pattern.two_theta
    lorentzian = 1.0 / (1.0 + (2.0 * away / width) ** 2)
    gaussian = np.exp(-4.0 * np.log(2.0) * (away / width) ** 2)
    curve = (mixing * lorentzian + (1.0 - mixing) * gaussian) @ pattern.intensity
    highest = curve.max(initial=0.0)
    return 100.0 * curve / highest if highest > 0.0 else curve


def _reflections(
    cell: NDArray[np.float64], *, shortest: float, longest: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Lattice points of reciprocal space in a shell, one of each Friedel pair, by length.

    The indices of a vector g are its products with a, b and c, so that |h| is at most |g| |a|.
    """
    limits = np.floor(longest * np.linalg.norm(cell, axis=1) + 1e-9).astype(int)
    h = np.arange(limits[0] + 1)
    k = np.arange(-limits[1], limits[1] + 1)
    l_ = np.arange(-limits[2], limits[2] + 1)
    reciprocal = np.linalg.inv(cell).T
    in_plane = np.stack(np.meshgrid(h, k, indexing="ij"), -1).reshape(-1, 2)
    # of a Friedel pair the one whose first index that is not zero is positive
    in_plane = in_plane[(in_plane[:, 0] > 0) | (in_plane[:, 1] >= 0)]
    base = in_plane @ reciprocal[:2]
    found, lengths = [], []
    rows = max(1, _CHUNK // (3 * len(l_)))
    for start in range(0, len(base), rows):
        vectors = base[start : start + rows, None, :] + l_[None, :, None] * reciprocal[2]
        squares = np.einsum("plx,plx->pl", vectors, vectors)
        inside = (squares <= longest**2 * (1.0 + 1e-12)) & (squares >= shortest**2) & (squares > 0.0)
        plane, line = np.nonzero(inside)
        indices = np.column_stack([in_plane[start + plane], l_[line]])
        kept = (indices[:, 0] > 0) | (indices[:, 1] > 0) | (indices[:, 2] > 0)
        found.append(indices[kept])
        lengths.append(np.sqrt(squares[plane, line])[kept])
    hkl, g = np.concatenate(found), np.concatenate(lengths)
    # of reflections that fall together the one with the largest indices first, so that it names the peak: (111), not (-1-1-1)
    order = np.lexsort((-hkl[:, 2], -hkl[:, 1], -hkl[:, 0], np.round(g, 9)))
    return hkl[order], g[order]


def _structure_factors(crystal: Crystal, *, hkl: NDArray[np.int64], g: NDArray[np.float64]) -> NDArray[np.complex128]:
    table = _scattering_table()
    squares = (g / 2.0) ** 2
    factors = np.zeros(len(g), dtype=np.complex128)
    for number in np.unique(crystal.numbers).tolist():
        if number not in table:
            raise InvalidRequestError(
                f"crystal {crystal.id!r}: no X-ray scattering factor is tabulated for {SYMBOLS[number]}"
            )
        coefficients = table[number]
        decays = np.exp(-squares[:, None] * coefficients[:, 1])
        form = number - _MOTT_BETHE * squares * (decays @ coefficients[:, 0])
        positions = crystal.frac[crystal.numbers == number].T
        rows = max(1, _CHUNK // positions.shape[1])
        for start in range(0, len(g), rows):
            part = slice(start, start + rows)
            factors[part] += form[part] * np.exp(2j * np.pi * (hkl[part] @ positions)).sum(axis=1)
    return factors


@cache
def _scattering_table() -> dict[int, NDArray[np.float64]]:
    text = files("euhedral.representations").joinpath("xray_scattering_factors.json").read_text(encoding="utf-8")
    rows = json.loads(text)["elements"]
    return {SYMBOLS.index(symbol): np.array(coefficients) for symbol, coefficients in rows.items()}
