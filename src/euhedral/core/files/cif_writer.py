"""Crystals as CIF, every atom written out, with as many digits as it takes to read the same numbers back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import counts, formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS

_PLAIN = re.compile(r"[A-Za-z0-9_.+\-]+")


def cif_from_crystals(crystals: Sequence[Crystal]) -> str:
    """Write one data block a crystal, in P 1.

    Cell parameters, fractional coordinates, scalar props and numeric site values are kept; the orientation of the cell
    in space, which a CIF does not hold, is not. Values that are not numbers are left to the JSON format.

    Args:
        crystals: what to write.
    """
    used: Counter[str] = Counter()
    blocks = []
    for position, crystal in enumerate(crystals):
        name = re.sub(r"[^A-Za-z0-9_.+\-]+", "_", crystal.id) or f"crystal_{position}"
        used[name] += 1
        blocks.append(_block(crystal, name=name if used[name] == 1 else f"{name}_{used[name]}"))
    return "\n".join(blocks)


def _block(crystal: Crystal, *, name: str) -> str:
    a, b, c = crystal.lengths.tolist()
    alpha, beta, gamma = crystal.angles.tolist()
    whole = " ".join(f"{symbol}{count}" for symbol, count in sorted(counts(crystal.numbers).items()))
    lines = [
        f"data_{name}",
        "_space_group_name_H-M_alt 'P 1'",
        "_space_group_IT_number 1",
        f"_cell_length_a {a!r}",
        f"_cell_length_b {b!r}",
        f"_cell_length_c {c!r}",
        f"_cell_angle_alpha {alpha!r}",
        f"_cell_angle_beta {beta!r}",
        f"_cell_angle_gamma {gamma!r}",
        f"_cell_volume {crystal.volume!r}",
        f"_chemical_formula_structural {formula(crystal.numbers)}",
        f"_chemical_formula_sum '{whole}'",
    ]
    lines += [
        f"_euhedral_property_{key} {_number(float(value))}"
        for key, value in crystal.props.items()
        if np.ndim(value) == 0 and isinstance(value, int | float | np.number) and _PLAIN.fullmatch(key)
    ]
    lines += ["loop_", "_space_group_symop_operation_xyz", "'x, y, z'", "loop_"]
    lines += [f"_atom_site_{tag}" for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")]
    columns: list[list[str]] = []
    for key, values in crystal.site.items():
        if key != "oxidation_state" and values.dtype.kind in "fiub" and values.ndim <= 2 and _PLAIN.fullmatch(key):
            for suffix, column in _columns(values):
                lines.append(f"_atom_site_euhedral_{key.lower()}{suffix}")
                columns.append(column)
    types = _type_symbols(crystal)
    seen: Counter[int] = Counter()
    for row, (number, position) in enumerate(zip(crystal.numbers.tolist(), crystal.frac.tolist(), strict=True)):
        seen[number] += 1
        words = [f"{SYMBOLS[number]}{seen[number]}", types[row], *map(repr, position), "1"]
        lines.append(" ".join(words + [column[row] for column in columns]))
    if "oxidation_state" in crystal.site:
        pairs = dict(zip(types, crystal.site["oxidation_state"].tolist(), strict=True))
        lines += ["loop_", "_atom_type_symbol", "_atom_type_oxidation_number"]
        lines += [f"{symbol} {_number(value)}" for symbol, value in pairs.items()]
    return "\n".join(lines) + "\n"


def _columns(values: NDArray) -> list[tuple[str, list[str]]]:
    if values.ndim == 1:
        return [("", [_number(value) for value in values.astype(float).tolist()])]
    return [
        (f"_{i}", [_number(value) for value in column])
        for i, column in enumerate(values.astype(float).T.tolist(), start=1)
    ]


def _number(value: float) -> str:
    return repr(value) if np.isfinite(value) else "?"


def _type_symbols(crystal: Crystal) -> list[str]:
    charges = crystal.site.get("oxidation_state")
    if charges is None or charges.ndim != 1:
        return [SYMBOLS[number] for number in crystal.numbers.tolist()]
    symbols = []
    for number, charge in zip(crystal.numbers.tolist(), charges.astype(float).tolist(), strict=True):
        shown = f"{abs(charge):g}{'-' if charge < 0 else '+'}" if np.isfinite(charge) else ""
        symbols.append(f"{SYMBOLS[number]}{shown}")
    return symbols
