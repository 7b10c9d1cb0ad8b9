"""Whether a crystal is possible at all: no two atoms in one place, and a composition whose charges can balance.

Both rules are those by which generators of crystals are compared: Xie et al. 2022, arXiv:2110.06197 (CDVAE), section 5.2;
the rule for compositions is SMACT's, Davies et al. 2016, doi:10.1016/j.chempr.2016.09.010. One departure: an atom and its
own periodic image count as a pair, so that a cell shorter than the limit is invalid too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import counts
from euhedral.core.crystal import Crystal
from euhedral.core.elements import element
from euhedral.geometry.distances import closest_pair, shortest_distances

#: Angstrom; atoms closer than this are not two atoms.
SHORTEST: Final = 0.5
#: Angstrom^3; a smaller cell holds nothing.
SMALLEST_VOLUME: Final = 0.1

#: What SMACT calls a metal, as far as it knows oxidation states of it.
METALS: Final = frozenset(
    [
        "Li",
        "Be",
        "Na",
        "Mg",
        "Al",
        "K",
        "Ca",
        "Sc",
        "Ti",
        "V",
        "Cr",
        "Mn",
        "Fe",
        "Co",
        "Ni",
        "Cu",
        "Zn",
        "Ga",
        "Ge",
        "Rb",
        "Sr",
        "Y",
        "Zr",
        "Nb",
        "Mo",
        "Tc",
        "Ru",
        "Rh",
        "Pd",
        "Ag",
        "Cd",
        "In",
        "Sn",
        "Sb",
        "Cs",
        "Ba",
        "La",
        "Ce",
        "Pr",
        "Nd",
        "Sm",
        "Eu",
        "Gd",
        "Tb",
        "Dy",
        "Ho",
        "Er",
        "Tm",
        "Yb",
        "Lu",
        "Hf",
        "Ta",
        "W",
        "Re",
        "Os",
        "Ir",
        "Pt",
        "Au",
        "Hg",
        "Tl",
        "Pb",
        "Bi",
        "Po",
        "Fr",
        "Ra",
        "Ac",
        "Th",
        "Pa",
        "U",
        "Np",
        "Pu",
        "Am",
        "Cm",
        "Bk",
        "Cf",
        "Es",
        "Fm",
        "Md",
        "No",
    ]
)


def structurally_valid(crystals: Sequence[Crystal]) -> NDArray[np.bool_]:
    """Test that no two atoms are closer than `SHORTEST` and that the cell has a volume.

    Args:
        crystals: B crystals.

    Returns:
        (B,)
    """
    volumes = np.array([crystal.volume for crystal in crystals])
    return (shortest_distances(crystals) >= SHORTEST) & (volumes >= SMALLEST_VOLUME)


def structure_fault(crystal: Crystal) -> str:
    """Say in one line why a structure is impossible; empty when it is not.

    Args:
        crystal: one crystal.
    """
    if crystal.volume < SMALLEST_VOLUME:
        return f"the cell's volume is {crystal.volume:.2g} Å^3, less than {SMALLEST_VOLUME}"
    pair = closest_pair(crystal)
    return f"{pair}, less than {SHORTEST} Å" if pair.distance < SHORTEST else ""


def composition_valid(crystals: Sequence[Crystal]) -> NDArray[np.bool_]:
    """Test the compositions of crystals by the SMACT rule; equal compositions are tested once.

    Args:
        crystals: B crystals.

    Returns:
        (B,)
    """
    return np.array([_known_valid(tuple(sorted(counts(crystal.numbers).items()))) for crystal in crystals], dtype=bool)


@cache
def _known_valid(composition: tuple[tuple[str, int], ...]) -> bool:
    return smact_valid(dict(composition))


def smact_valid(composition: Mapping[str, float]) -> bool:
    """Test whether some oxidation states, one an element, balance and put every cation below every anion.

    Elements and alloys of metals pass without a test. An element without known states or electronegativity never passes.
    The rule asks for one state an element, so that mixed valence (LiMn2O4) fails; `oxidation.guess` knows it.

    Args:
        composition: atoms by symbol.
    """
    if len(composition) == 1 or composition.keys() <= METALS:
        return True
    rows = []
    for symbol, amount in composition.items():
        known = element(symbol)
        if known.smact_electronegativity is None or not known.smact_oxidation_states:
            return False
        rows.append((known.smact_electronegativity, amount, known.smact_oxidation_states))
    rows.sort()
    # In order of electronegativity the cations are a first part and the anions the rest; elements that tie stand on one side.
    for split in range(1, len(rows)):
        if rows[split][0] > rows[split - 1][0]:
            positive = _sums([(amount, [s for s in states if s > 0]) for _, amount, states in rows[:split]])
            negative = _sums([(amount, [-s for s in states if s < 0]) for _, amount, states in rows[split:]])
            if not positive.isdisjoint(negative):
                return True
    return False


def _sums(rows: list[tuple[float, list[int]]]) -> set[float]:
    """All totals of one state an element, times the amounts; rounded, so that equal totals are equal."""
    totals = {0.0}
    for amount, states in rows:
        totals = {round(total + amount * state, 6) for total in totals for state in states}
    return totals
