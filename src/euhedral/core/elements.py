"""What is known of the chemical elements, read once from `elements.json`.

The table was made by `scripts/make_elements.py` from pymatgen and SMACT (both MIT); covalent radii are those of
Cordero et al. 2008, doi:10.1039/B801115J.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from euhedral.errors import unknown_name

#: The heaviest element that has a name.
MAX_NUMBER: Final = 118

#: Symbols by atomic number; index 0 is not an element.
SYMBOLS: Final[tuple[str, ...]] = ("X", *["H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"])  # fmt: skip

_NUMBERS: Final = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}


@dataclass(frozen=True)
class ShannonRadius:
    """An ionic radius by charge and coordination (Shannon 1976, doi:10.1107/S0567739476001551).

    Args:
        charge: oxidation state.
        coordination: Roman numeral, with a suffix for square-planar and similar.
        spin: "High Spin", "Low Spin" or empty.
        radius: Angstrom.
    """

    charge: int
    coordination: str
    spin: str
    radius: float


@dataclass(frozen=True)
class Element:
    """One element.

    Args:
        number: atomic number.
        symbol: chemical symbol.
        name: English name.
        mass: amu.
        row: period of the table.
        group: group of the table, 1 to 18.
        block: "s", "p", "d" or "f".
        electronegativity: Pauling's scale; None where not known.
        mendeleev: Mendeleev number (Pettifor's chemical order).
        atomic_radius: Angstrom (Slater 1964); None where not known.
        covalent_radius: Angstrom.
        oxidation_states: all reported ones.
        common_oxidation_states: the usual ones.
        icsd_oxidation_states: those seen at least ten times in the ICSD.
        smact_oxidation_states: those that SMACT tests for charge neutrality.
        smact_electronegativity: Pauling's scale, SMACT's table; None where not known.
        shannon_radii: ionic radii.
    """

    number: int
    symbol: str
    name: str
    mass: float
    row: int
    group: int
    block: str
    electronegativity: float | None
    mendeleev: float | None
    atomic_radius: float | None
    covalent_radius: float
    oxidation_states: tuple[int, ...]
    common_oxidation_states: tuple[int, ...]
    icsd_oxidation_states: tuple[int, ...]
    smact_oxidation_states: tuple[int, ...]
    smact_electronegativity: float | None
    shannon_radii: tuple[ShannonRadius, ...]


@cache
def elements() -> tuple[Element, ...]:
    """Return the elements in order of atomic number; position 0 is hydrogen."""
    rows = json.loads(files("euhedral.core").joinpath("elements.json").read_text(encoding="utf-8"))
    built = []
    for number, row in enumerate(rows, start=1):
        radii = tuple(ShannonRadius(**radius) for radius in row.pop("shannon_radii"))
        lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
        built.append(Element(number=number, shannon_radii=radii, **{**row, **lists}))
    return tuple(built)


def element(key: int | str) -> Element:
    """Return one element by atomic number or symbol.

    Raises:
        UnknownNameError: no element has this number or symbol.
    """
    number = key if isinstance(key, int) else atomic_number(key)
    if not 1 <= number <= MAX_NUMBER:
        raise unknown_name("element", str(key), SYMBOLS[1:], where="euhedral.core.elements.SYMBOLS")
    return elements()[number - 1]


def atomic_number(symbol: str) -> int:
    """Return the atomic number of a symbol.

    Deuterium and tritium (D, T), as crystallographic files write them, are hydrogen.

    Raises:
        UnknownNameError: no element has this symbol.
    """
    if symbol in ("D", "T"):
        return 1
    try:
        return _NUMBERS[symbol]
    except KeyError:
        raise unknown_name("element", symbol, _NUMBERS, where="euhedral.core.elements.SYMBOLS") from None
