"""Crystals as JSON: the complete format, which keeps every number; also reads what pymatgen writes for a Structure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.errors import (
    DisorderedCrystalError,
    EuhedralError,
    FileFormatError,
    InvalidCrystalError,
    UnknownNameError,
)

_FORMAT = "euhedral crystals"
_VERSION = 1


def crystals_from_json(text: str, *, name: str, stem: str) -> Iterator[Crystal | EuhedralError]:
    """Yield the crystals of a file, or the error that each has.

    Args:
        text: the file's text.
        name: what errors call the file.
        stem: id of a lone crystal without one; its position follows when there are several.

    Raises:
        FileFormatError: the text is not JSON, or holds nothing like a crystal.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileFormatError(f"{name}, line {error.lineno}: not JSON: {error.msg}; export it again") from None
    except (RecursionError, ValueError) as error:
        raise FileFormatError(f"{name}: not usable JSON: {error}") from None
    rows = data
    if isinstance(data, Mapping):
        rows = data.get("crystals") if data.get("format") == _FORMAT else [data]
        if data.get("format") == _FORMAT and data.get("version") != _VERSION:
            raise FileFormatError(
                f"{name}: version {data.get('version')!r} of the format, expected {_VERSION}; update euhedral"
            )
    if not isinstance(rows, list) or not rows:
        raise FileFormatError(
            f"{name}: no crystals in it; expected what `euhedral` or pymatgen's Structure.as_dict() writes"
        )
    for position, row in enumerate(rows):
        label = stem if len(rows) == 1 else f"{stem}_{position}"
        try:
            yield _crystal(row, where=name if len(rows) == 1 else f"{name}, crystal {position + 1}", label=label)
        except EuhedralError as error:
            yield error


def _crystal(row: Any, *, where: str, label: str) -> Crystal:
    if isinstance(row, Mapping) and "structure" in row and "lattice" not in row:
        row = row["structure"]
    if not isinstance(row, Mapping):
        raise FileFormatError(f"{where}: expected an object with a crystal, got {str(row)[:40]!r}")
    try:
        if "sites" in row and "lattice" in row:
            return _of_pymatgen(row, where=where, label=label)
        return Crystal(
            cell=row["cell"],
            frac=row["frac"],
            numbers=row["numbers"],
            id=str(row.get("id") or label),
            props={str(key): _value(value) for key, value in row.get("props", {}).items()},
            site={str(key): np.asarray(_value(value)) for key, value in row.get("site", {}).items()},
        )
    except InvalidCrystalError as error:
        raise type(error)(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    except KeyError as error:
        raise FileFormatError(f"{where}: a crystal needs {error}; expected cell, frac and numbers") from None
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise FileFormatError(f"{where}: not a crystal: {error}; export it again") from None


def _value(value: Any) -> Any:
    """Lists become arrays, null becomes NaN."""
    if value is None:
        return float("nan")
    if isinstance(value, list):
        array = np.array(value, dtype=object)
        if all(item is None or isinstance(item, bool | int | float) for item in array.ravel()):
            array = np.where(array == None, np.nan, array)  # noqa: E711  elementwise, not identity
            return np.array(array.tolist())
    return value


def _of_pymatgen(row: Mapping[str, Any], *, where: str, label: str) -> Crystal:
    frac, numbers, charges, moments = [], [], [], []
    for position, site in enumerate(row["sites"]):
        species = site["species"]
        if len(species) != 1 or abs(float(species[0].get("occu", 1.0)) - 1.0) > 1e-3:
            name = site.get("label", position)
            raise DisorderedCrystalError(f"{where}: site {name!r} is partly or mixed occupied; choose an ordered model")
        symbol = species[0]["element"]
        try:
            numbers.append(atomic_number(symbol))
        except UnknownNameError as error:
            raise UnknownNameError(f"{where}: site {position}: {error}") from None
        frac.append(site["abc"])
        charges.append(species[0].get("oxidation_state"))
        moment = (site.get("properties") or {}).get("magmom")
        moments.append(moment["moment"] if isinstance(moment, Mapping) else moment)
    values = {}
    for key, column in (("oxidation_state", charges), ("magmom", moments)):
        if any(value is not None for value in column):
            values[key] = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
    return Crystal(cell=row["lattice"]["matrix"], frac=np.array(frac), numbers=np.array(numbers), id=label, site=values)


def json_from_crystals(crystals: Sequence[Crystal]) -> str:
    """Write crystals with every number, name and value; NaN becomes null.

    Args:
        crystals: what to write.
    """
    rows = [
        {
            "id": crystal.id,
            "formula": formula(crystal.numbers),
            "cell": crystal.cell.tolist(),
            "frac": crystal.frac.tolist(),
            "numbers": crystal.numbers.tolist(),
            "props": {key: _plain(value) for key, value in crystal.props.items()},
            "site": {key: _plain(value) for key, value in crystal.site.items()},
        }
        for crystal in crystals
    ]
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    return f'{{"format": "{_FORMAT}", "version": {_VERSION}, "crystals": [\n{lines}\n]}}\n'


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
