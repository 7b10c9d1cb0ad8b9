"""The atoms of a CIF's asymmetric unit: elements, positions, occupancies, charges, moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS
from euhedral.core.files.cif_syntax import Block, Loop
from euhedral.core.files.text import LARGEST, number
from euhedral.errors import DisorderedCrystalError, FileFormatError, InvalidCrystalError, UnknownNameError

_NUMBERS = {symbol: index for index, symbol in enumerate(SYMBOLS) if index}
_FRACT = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")
_LABEL, _TYPE = "_atom_site_label", "_atom_site_type_symbol"
_CHARGE = re.compile(r"(?:(\d*\.?\d*)([+-])|([+-])(\d+\.?\d*))$")
_OWN = "_atom_site_euhedral_"
# refined occupancies scatter around 1; a real vacancy does not hide in a thousandth
_FULL = 1e-3


@dataclass(eq=False)
class Sites:
    """The S listed atoms.

    Args:
        labels: names, for errors.
        numbers: (S,) atomic numbers.
        frac: (S, 3).
        values: (S, ...) what else is known of each.
        moments: (S, 3) mu_B along the unit cell vectors, or None.
    """

    labels: list[str]
    numbers: NDArray[np.int64]
    frac: NDArray[np.float64]
    values: dict[str, NDArray]
    moments: NDArray[np.float64] | None


def read_sites(block: Block, *, where: str) -> Sites:
    """Read the atom table of a block.

    Raises:
        FileFormatError: there is none, or it cannot be understood.
        DisorderedCrystalError: a site is partly occupied or belongs to a disorder group.
        InvalidCrystalError: a site is occupied more than once.
        UnknownNameError: a site holds no known element.
    """
    loop = block.loop(_FRACT[0])
    if loop is None:
        _refuse_other_kinds(block, where=where)
        loop = _single_site(block)
    if loop is None or not loop.values:
        raise FileFormatError(f"{where}{_cut(block)}; the file may be cut short: export the structure again")
    width = len(loop.tags)
    missing = [tag for tag in _FRACT if tag not in loop.tags]
    if missing:
        raise FileFormatError(f"{where}, line {loop.line}: the atom table has no {missing[0]}; add the column")
    if len(loop.values) % width:
        line = next((at for at, words in loop.lines() if len(words) % width), loop.line)
        raise FileFormatError(
            f"{where}, line {line}: the atom table has {len(loop.values)} values, not a multiple of its {width} columns; "
            "complete the row (the file may be cut short) or quote the value that has spaces"
        )
    columns = {tag: loop.values[i::width] for i, tag in enumerate(loop.tags)}
    count = len(loop.values) // width
    rows = _rows_to_keep(columns, count=count)
    labels = columns.get(_LABEL) or columns.get(_TYPE)
    if labels is None:
        raise FileFormatError(f"{where}, line {loop.line}: the atom table has neither {_LABEL} nor {_TYPE}; add one")
    _check_order(columns, labels=labels, rows=rows, loop=loop, where=where)
    frac = _coordinates(columns, labels=labels, rows=rows, loop=loop, where=where)
    numbers, charges = _elements(block, columns, labels=labels, rows=rows, loop=loop, where=where)
    values = _own_values(columns, rows=rows, loop=loop, where=where)
    if charges is not None:
        values["oxidation_state"] = charges
    labels = [labels[row] for row in rows]
    return Sites(labels=labels, numbers=numbers, frac=frac, values=values, moments=_moments(block, labels, where=where))


def _cut(block: Block) -> str:
    """Say where a block ends that has no atom."""
    table = block.loop(_FRACT[0]) or next((loop for loop in block.loops if not loop.values), None)
    if table is not None and table.tags[-1].startswith("_atom_site_"):
        return f", line {table.line}: the atom table ends in its head, after {table.tags[-1]}, without an atom"
    ends = [(line, tag) for tag, line in block.item_lines.items()]
    ends += [(loop.line, loop.tags[-1]) for loop in block.loops]
    last = f", it ends after {max(ends)[1]}" if ends else ""
    return f": block {block.name!r} has no atoms (_atom_site_fract_x){last}"


def _refuse_other_kinds(block: Block, *, where: str) -> None:
    if block.loop("_atom_site_group_pdb", "_atom_site_label_asym_id", "_atom_site_auth_asym_id"):
        raise FileFormatError(
            f"{where}: an mmCIF of a macromolecule, not of a crystal structure; export a small-molecule CIF"
        )
    loop = block.loop("_atom_site_cartn_x")
    if loop is not None:
        raise FileFormatError(
            f"{where}, line {loop.line}: atoms are given by _atom_site_Cartn_x, whose axes the file leaves open; "
            "export fractional coordinates (_atom_site_fract_x)"
        )


def _single_site(block: Block) -> Loop | None:
    """Read an atom table of one row that was written without a loop."""
    if _FRACT[0] not in block.items:
        return None
    tags = [tag for tag in block.items if tag.startswith("_atom_site_")]
    line = block.item_lines[_FRACT[0]]
    return Loop(tags=tags, line=line, values=[block.items[tag] for tag in tags], marks=[(0, line)])


def _rows_to_keep(columns: dict[str, list[str]], *, count: int) -> list[int]:
    flags = columns.get("_atom_site_calc_flag")
    if flags is None or "dum" not in flags:
        return list(range(count))
    return [row for row in range(count) if flags[row] != "dum"]  # dummies mark places, not atoms


def _check_order(columns: dict[str, list[str]], *, labels: list[str], rows: list[int], loop: Loop, where: str) -> None:
    cure = "choose an ordered model or another entry"
    occupancies = columns.get("_atom_site_occupancy", [])
    if set(occupancies) - {"1", "1.0", "1.00", "1.000", "1.0000", "?", "."}:
        for row in rows:
            text = occupancies[row]
            if text in {"?", "."}:
                continue
            at = f"{where}, line {loop.line_of(row)}"
            value = number(text, what="the occupancy", where=at)
            if value < 1.0 - _FULL:
                raise DisorderedCrystalError(f"{at}: site {labels[row]!r} is occupied to {text}; {cure}")
            if value > 1.0 + _FULL:
                raise InvalidCrystalError(
                    f"{at}: site {labels[row]!r} has occupancy {text}, more than 1; correct the file"
                )
    for tag in ("_atom_site_disorder_group", "_atom_site_disorder_assembly"):
        groups = columns.get(tag, [])
        if set(groups) - {".", "?", "0"}:
            row = next((row for row in rows if groups[row] not in {".", "?", "0"}), None)
            if row is not None:
                raise DisorderedCrystalError(
                    f"{where}, line {loop.line_of(row)}: site {labels[row]!r} belongs to disorder group {groups[row]!r}; {cure}"
                )


def _coordinates(
    columns: dict[str, list[str]], *, labels: list[str], rows: list[int], loop: Loop, where: str
) -> NDArray[np.float64]:
    xs, ys, zs = (columns[tag] for tag in _FRACT)
    try:
        frac = np.array([[float(xs[row]), float(ys[row]), float(zs[row])] for row in rows]).reshape(-1, 3)
    except ValueError:
        frac = np.array(
            [
                [
                    number(
                        column[row], what=f"{tag} of site {labels[row]!r}", where=f"{where}, line {loop.line_of(row)}"
                    )
                    for tag, column in zip(_FRACT, (xs, ys, zs), strict=True)
                ]
                for row in rows
            ]
        ).reshape(-1, 3)
    if not len(frac):
        raise FileFormatError(f"{where}, line {loop.line}: the atom table has no atoms; export the structure again")
    if not np.abs(frac).max() < LARGEST:  # also NaN
        row = rows[int(np.flatnonzero(~(np.abs(frac) < LARGEST).all(axis=1))[0])]
        raise InvalidCrystalError(
            f"{where}, line {loop.line_of(row)}: site {labels[row]!r} has a coordinate that is not finite; correct the file"
        )
    return frac


def _elements(
    block: Block, columns: dict[str, list[str]], *, labels: list[str], rows: list[int], loop: Loop, where: str
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    types = columns.get(_TYPE)
    formula = frozenset(re.findall(r"[A-Z][a-z]?", block.get("_chemical_formula_sum") or ""))
    known: dict[tuple[str, bool], tuple[int, float]] = {}
    numbers: list[int] = []
    charges: list[float] = []
    for row in rows:
        is_type = types is not None and types[row] not in {"?", "."}
        word = types[row] if types is not None and is_type else labels[row]
        found = known.get((word, is_type))
        if found is None:
            atom = element_of_type(word) if is_type else element_of_label(word, formula=formula)
            if atom is None:
                cure = "correct it" if is_type else f"add {_TYPE}"
                raise UnknownNameError(
                    f"{where}, line {loop.line_of(row)}: site {labels[row]!r} ({word!r}) names no element; {cure}"
                )
            found = known[word, is_type] = (atom, _charge(word) if is_type else np.nan)
        numbers.append(found[0])
        charges.append(found[1])
    stated = _stated_charges(block, where=where)
    if stated:
        keys = labels if types is None else types
        charges = [float(stated.get(keys[row], charge)) for row, charge in zip(rows, charges, strict=True)]
    none = all(isnan(charge) for charge in charges)
    return np.array(numbers, dtype=np.int64), None if none else np.array(charges, dtype=np.float64)


def _stated_charges(block: Block, *, where: str) -> dict[str, float]:
    loop = block.loop("_atom_type_oxidation_number")
    if loop is None or "_atom_type_symbol" not in loop.tags or len(loop.values) % len(loop.tags):
        return {}
    pairs = zip(loop.column("_atom_type_symbol"), loop.column("_atom_type_oxidation_number"), strict=True)
    at = f"{where}, line {loop.line}"
    return {s: number(text, what="an oxidation number", where=at) for s, text in pairs if text not in {"?", "."}}


def _charge(word: str) -> float:
    match = None if word.isalpha() else _CHARGE.search(word)
    if match is None:
        return float("nan")
    size, sign = (match[1], match[2]) if match[2] else (match[4], match[3])
    return float(size or 1) * (-1.0 if sign == "-" else 1.0)


def element_of_type(word: str) -> int | None:
    """Return the atomic number that a type symbol such as "Fe3+", "O2-", "D" or "Cval" names."""
    if word in _NUMBERS:
        return _NUMBERS[word]
    letters = re.match(r"[A-Za-z]+", word)
    if letters is None or "wat" in word.lower():
        return None
    text = letters[0]
    if text.upper() in {"D", "T"}:
        return 1
    two, one = text[:2].capitalize(), text[:1].upper()
    if len(text) == 2 and two in _NUMBERS:
        return _NUMBERS[two]
    if len(text) >= 2 and text[1].islower() and two in _NUMBERS:
        return _NUMBERS[two]
    if len(text) == 1 or text[1:].lower() in {"val", "iso", "h", "w"}:
        return _NUMBERS.get(one)
    return None


def element_of_label(word: str, *, formula: frozenset[str]) -> int | None:
    """Return the atomic number that a site label such as "Fe1", "OW2" or "CA1" names.

    Args:
        word: the label.
        formula: symbols of the file's formula, which decide where a label is open; may be empty.
    """
    letters = re.match(r"[A-Za-z]+", word)
    if letters is None or "wat" in word.lower():
        return None
    text = letters[0]
    if text in {"D", "d"}:
        return 1
    two, one = text[:2].capitalize(), text[:1].upper()
    candidates = [symbol for symbol in dict.fromkeys((two, one)) if symbol in _NUMBERS]
    if formula:
        named = [symbol for symbol in candidates if symbol in formula]
        return _NUMBERS[named[0]] if named else None
    if len(candidates) == 2 and text[1].isupper():
        return None  # CA1 may be calcium or a carbon
    return _NUMBERS[candidates[0]] if candidates else None


def _own_values(columns: dict[str, list[str]], *, rows: list[int], loop: Loop, where: str) -> dict[str, NDArray]:
    """Read back what `write` wrote beside the atoms."""
    single: dict[str, NDArray] = {}
    for tag, column in columns.items():
        if tag.startswith(_OWN):
            what = f"{where}, line {loop.line}"
            single[tag.removeprefix(_OWN)] = np.array(
                [np.nan if column[row] in {"?", "."} else number(column[row], what=tag, where=what) for row in rows]
            )
    for name in [key.removesuffix("_1") for key in single if key.endswith("_1")]:
        parts = [single.pop(f"{name}_{i}") for i in range(1, len(single) + 1) if f"{name}_{i}" in single]
        single[name] = np.stack(parts, axis=1)
    return single


def _moments(block: Block, labels: list[str], *, where: str) -> NDArray[np.float64] | None:
    axes = [f"_atom_site_moment_crystalaxis_{axis}" for axis in "xyz"]
    loop = block.loop(axes[0])
    if loop is None or not {*axes, "_atom_site_moment_label"} <= set(loop.tags) or len(loop.values) % len(loop.tags):
        return None
    at = f"{where}, line {loop.line}"
    columns = [loop.column(axis) for axis in axes]
    given = {
        label: [number(column[row], what="a magnetic moment", where=at) for column in columns]
        for row, label in enumerate(loop.column("_atom_site_moment_label"))
    }
    return np.array([given.get(label, [0.0, 0.0, 0.0]) for label in labels])
