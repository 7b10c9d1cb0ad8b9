"""What stands in the cell of a table: nothing, a number, an array, text, or a structure in one of many forms."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.core.files import parse
from euhedral.errors import FileFormatError

_WORDS: Final = frozenset({"", "nan", "none", "null", "na", "n/a", "-"})


def crystal_of(cell: Any, *, name: str) -> Crystal:
    """Read a structure: a `Crystal`, an object of pymatgen or ASE, or text (CIF, POSCAR, JSON of pymatgen or of `write`).

    Args:
        cell: of a table.
        name: what errors call it.

    Raises:
        FileFormatError: it is nothing of that.
        InvalidCrystalError: the structure cannot be used.
    """
    if isinstance(cell, Crystal):
        return cell
    if absent(cell):
        raise FileFormatError(f"{name}: the row has no structure")
    module = type(cell).__module__.partition(".")[0]
    if module in ("pymatgen", "ase"):
        from euhedral.core.bridges import from_ase, from_pymatgen

        return from_pymatgen(cell, id=name) if module == "pymatgen" else from_ase(cell, id=name)
    if isinstance(cell, Mapping):
        cell = json.dumps(cell)
    if not isinstance(cell, str):
        raise FileFormatError(
            f"{name}: {type(cell).__name__} is no structure; expected text (CIF, POSCAR, JSON), or an object of pymatgen or ASE"
        )
    start = cell.lstrip()[:1]
    kind = "json" if start in ("{", "[") else "cif" if "_cell_length_a" in cell else "poscar"
    found = parse(cell, format=kind, name=name)
    if len(found) != 1:
        raise FileFormatError(f"{name}: expected one structure, got {len(found)}")
    return found[0]


def absent(cell: Any) -> bool:
    """Tell whether a cell says that nothing is known: empty, null, NaN or a word for it."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in _WORDS
    return isinstance(cell, float | np.floating) and math.isnan(cell)


def parsed(cell: Any) -> Any:
    """Read a cell as a number or an array of numbers, perhaps with NaN; None where it is neither."""
    if isinstance(cell, str):
        try:
            cell = json.loads(cell) if cell.lstrip().startswith("[") else float(cell)
        except (ValueError, RecursionError):
            return None
    if isinstance(cell, bool | int | float | np.number | np.bool_):
        return float(cell)
    if isinstance(cell, list | tuple | np.ndarray):
        try:
            array = np.array(_nested(cell), dtype=np.float64)
        except (ValueError, TypeError):
            return None
        return array if array.ndim else None
    return None


def _nested(cell: Any) -> Any:
    return [_nested(item) for item in cell] if isinstance(cell, list | tuple | np.ndarray) else cell


def kinds_of(
    table: Sequence[Mapping[str, Any]],
    *,
    columns: Sequence[str],
    targets: Sequence[str] | None,
    classes: Iterable[str] = (),
) -> dict[str, bool]:
    """Tell for each column whether it is of values (True) or of text (False); one is of values if most of its cells are.

    A column that is wanted is of text only where all of its cells are, or most of them and it is one of classes.

    Args:
        table: rows.
        columns: which to look at.
        targets: the columns of values that are wanted; all of them when None.
        classes: the columns whose classes are named, which are wanted, too.

    Returns:
        By column; columns of unwanted values and of other objects are absent.
    """
    found = {}
    for column in columns:
        cells = [row[column] for row in table if not absent(row[column])]
        values = sum(parsed(cell) is not None for cell in cells)
        if column in (targets or ()) or column in classes:
            few = 2 * values <= len(cells) if column in classes else not values
            found[column] = not (cells and few and all(isinstance(cell, str) for cell in cells))
        elif cells and 2 * values > len(cells):
            if targets is None:
                found[column] = True
        elif cells and all(isinstance(cell, str) for cell in cells):
            found[column] = False
    return found
