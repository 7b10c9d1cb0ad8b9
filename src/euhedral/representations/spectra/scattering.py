"""How strongly each element scatters: tables of X-ray, electron and neutron scattering factors.

X-rays: f(s) = Z - 41.78214 s^2 sum_i a_i exp(-b_i s^2), the Mott-Bethe relation with the electron factors
f_e(s) = sum_i a_i exp(-b_i s^2) in Angstrom (Doyle and Turner 1968, doi:10.1107/S0567739468000756; Smith and Burge 1962,
doi:10.1107/S0365110X62000493); s = sin(theta) / wavelength. Neutral atoms; without anomalous dispersion.
Neutrons: bound coherent scattering lengths in fm, which do not depend on the angle. Those of Cd, Sm, Eu and Gd depend on the
wavelength, by resonances; the tabulated ones are for thermal neutrons of about 1.8 Angstrom.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import MAX_NUMBER, SYMBOLS
from euhedral.errors import InvalidRequestError

# The constant of the Mott-Bethe relation, 1 / (8 pi^2 a_0) scaled to the table's units.
_MOTT_BETHE: Final = 41.78214
# 1/Angstrom: the fits hold up to here; beyond, the Mott-Bethe relation turns small errors of theirs into large ones.
_LARGEST_S: Final = 2.0
# Steps of s^2 per 1/Angstrom^2. A cubic between them is within 1e-6 electrons of the formula.
_STEPS: Final = 1024


@dataclass(frozen=True, eq=False)
class ScatteringTable:
    """Scattering factors of all elements, sampled in s^2.

    Args:
        kind: what scatters, in a user's words.
        samples: (119, G, 2) real factor and its derivative times the step, by atomic number; NaN where not known.
        imaginary: (119,) imaginary part, independent of the angle.
        step: of s^2, 1/Angstrom^2.
        largest_s: 1/Angstrom; not known beyond.
        known: (119,) of which atomic numbers a factor is tabulated.
    """

    kind: str
    samples: NDArray[np.float64]
    imaginary: NDArray[np.float64]
    step: float
    largest_s: float
    known: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", ~np.isnan(self.samples[:, 0, 0]))

    def require(self, crystals: Sequence[Crystal], *, numbers: NDArray[np.int64]) -> None:
        """Refuse elements that are not tabulated.

        Args:
            crystals: whose name the error says.
            numbers: (N,) atomic numbers of all of them.

        Raises:
            InvalidRequestError: there is one.
        """
        if self.known[numbers].all():
            return
        for crystal in crystals:
            for number in crystal.numbers[~self.known[crystal.numbers]].tolist():
                raise InvalidRequestError(
                    f"crystal {crystal.id!r}: no {self.kind} scattering factor is tabulated for {SYMBOLS[number]}"
                )

    @property
    def forward(self) -> NDArray[np.complex128]:
        """(119,) factors at s = 0, by atomic number."""
        return self.samples[:, 0, 0] + 1j * self.imaginary


@cache
def xray_table() -> ScatteringTable:
    """Tabulate the X-ray scattering factors of neutral atoms, in electrons."""
    s2, sums, slopes = _gaussian_sums()
    z = np.arange(MAX_NUMBER + 1.0)[:, None]
    return _sampled("X-ray", value=z - _MOTT_BETHE * s2 * sums, slope=-_MOTT_BETHE * (sums + s2 * slopes))


@cache
def electron_table() -> ScatteringTable:
    """Tabulate the electron scattering factors of neutral atoms at rest mass, in Angstrom."""
    _, sums, slopes = _gaussian_sums()
    return _sampled("electron", value=sums, slope=slopes)


@cache
def neutron_table() -> ScatteringTable:
    """Tabulate the bound coherent scattering lengths of natural elements, in fm."""
    samples, imaginary = np.full((MAX_NUMBER + 1, 2, 2), np.nan), np.zeros(MAX_NUMBER + 1)
    for symbol, (real, imaginary_part) in _elements("neutron_scattering_lengths.json").items():
        number = SYMBOLS.index(symbol)
        samples[number], imaginary[number] = [[real, 0.0], [real, 0.0]], imaginary_part
    return ScatteringTable("neutron", samples, imaginary, step=1e12, largest_s=np.inf)


def _gaussian_sums() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """s^2 (G,), sum_i a_i exp(-b_i s^2) (119, G) and its derivative by s^2 (119, G)."""
    s2 = np.arange(int(_LARGEST_S**2 * _STEPS) + 2) / _STEPS
    sums, slopes = np.full((2, MAX_NUMBER + 1, s2.size), np.nan)
    for symbol, rows in _elements("scattering_factors.json").items():
        a, b = np.array(rows, dtype=np.float64).T
        terms = a[:, None] * np.exp(-b[:, None] * s2)
        number = SYMBOLS.index(symbol)
        sums[number], slopes[number] = terms.sum(axis=0), -b @ terms
    return s2, sums, slopes


def _sampled(kind: str, *, value: NDArray[np.float64], slope: NDArray[np.float64]) -> ScatteringTable:
    samples = np.stack([value, slope / _STEPS], axis=-1)
    return ScatteringTable(kind, samples, np.zeros(len(samples)), step=1.0 / _STEPS, largest_s=_LARGEST_S)


def _elements(name: str) -> dict[str, Any]:
    text = files("euhedral.representations.spectra").joinpath(name).read_text(encoding="utf-8")
    return json.loads(text)["elements"]
