"""Data sets from a user's own data: files with a table of labels, extxyz, Parquet, pandas; audited, and never silently changed.

A row that gives no crystal is left out and counted; the first reasons stand in `card.audit.remarks`. Values far from all
others are remarked upon, not dropped. Units are those that the user states; nothing is guessed.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.core.files import read_many
from euhedral.core.files.extxyz import NAMING
from euhedral.data.cells import absent, crystal_of, kinds_of, parsed
from euhedral.data.dataset import Dataset
from euhedral.data.own_audit import Collected, finished, some, values_of_atoms
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

#: Endings of tables with a structure in each row.
TABLES: Final = (".parquet", ".csv")
#: Columns that hold structures, in the order in which they are looked for.
STRUCTURE_COLUMNS: Final = ("structure", "crystal", "cif", "poscar", "atoms")
_NAMED: Final = 3  # examples in a remark
_COLUMNS: Final = 20  # names in an error
_DECIMAL: Final = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")


def from_files(
    paths: str | Path | Sequence[str | Path], *, labels: str | Path | None = None, targets: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None, id: str = "id", name: str = "",  # noqa: A002
    classes: Mapping[str, Sequence[str]] | None = None, of_atoms: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    """Make a data set of structure files, with labels from a table or from the files themselves (extxyz, JSON, CIF).

    Args:
        paths: files, folders or patterns: CIF, POSCAR, extxyz, JSON.
        labels: CSV with a column of names (file names with or without ending, or what frames of extxyz call themselves by
            `id=`, `material_id=` or `name=`) and one for each value; a column "split" (train, val, test) becomes the
            official split. Where ";" divides the cells, "," may be the decimal sign.
        targets: the values to carry; all numbers when not given.
        units: of the targets, as far as they are known.
        id: the column of names.
        name: of the set; the first path's when not given.
        classes: of the targets whose cells are words; the words of a target in sorted order where they are not given.
        of_atoms: names whose arrays hold a row for each atom, which cannot be told where all crystals have as many atoms.

    Raises:
        FileFormatError: there are no structures, or the table cannot be read or names none of them.
        UnknownNameError: a target that neither table nor files have.
        InvalidRequestError: a target that no crystal has a value of.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    made = Collected()
    results = list(read_many(several))
    own = own_names([result for result in results if isinstance(result, Crystal)])
    for result in results:
        if isinstance(result, Failure):
            made.reject("unreadable", str(result))
        else:
            made.keep(result.replace(id=own.get(result.id, result.id)))
    if not made.crystals:
        first = next(iter(made.reasons.values()), ["no structure files"])[0]
        raise FileFormatError(f"{', '.join(map(str, several))}: not one structure can be used; the first: {first}")
    if labels is not None:
        _add_labels(made, Path(labels), id=id, targets=targets, own=own, classes=classes or {})
    name = name or Path(several[0]).stem
    if labels is None and targets and not any({*crystal.props, *crystal.site} - {*NAMING} for crystal in made.crystals):
        raise InvalidRequestError(
            f"{name}: the files carry no labels, so no {targets[0]!r}; give a table of them (--labels labels.csv: a column "
            f"{id!r} with the names of the files and one for each value), or write them into the files (extxyz: {targets[0]}=1.5 in "
            "the second line of a frame)"
        )
    return finished(made, name=name, targets=targets, units=units, classes=classes, of_atoms=of_atoms)


def from_pandas(
    frame: pd.DataFrame, *, structure: str = "", id: str = "", targets: Sequence[str] | None = None,  # noqa: A002
    units: Mapping[str, str] | None = None, name: str = "own", classes: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:  # fmt: skip
    """Make a data set of a table with a structure in each row.

    Args:
        frame: one row a crystal.
        structure: the column of structures: CIF, POSCAR or pymatgen's JSON as text, pymatgen or ASE objects, or `Crystal`s;
            the first of "structure", "crystal", "cif", "poscar", "atoms" when not given.
        id: the column of names; "id" or "material_id" where there is one, else rows are numbered.
        targets: the columns to carry; every column of numbers or of arrays when not given. Other columns are kept as text.
        units: of the targets, as far as they are known.
        name: of the set.
        classes: of the targets whose cells are words; the words of a target in sorted order where they are not given.

    Raises:
        UnknownNameError: the table has no such column.
        FileFormatError: not one structure can be used.
        InvalidRequestError: a target that no crystal has a value of, or a word that is not among its classes.
    """
    columns = [str(column) for column in frame.columns]
    rows = (dict(zip(columns, values, strict=True)) for values in frame.itertuples(index=False, name=None))
    return _from_rows(
        rows, columns=columns, structure=structure, id=id, targets=targets, units=units, name=name, classes=classes
    )


def from_table(
    path: str | Path, *, structure: str = "", id: str = "", targets: Sequence[str] | None = None,  # noqa: A002
    units: Mapping[str, str] | None = None, name: str = "", classes: Mapping[str, Sequence[str]] | None = None,
    of_atoms: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    """Open a Parquet or CSV table: one that `Dataset.write` made, or any with a structure in each row.

    Args:
        path: .parquet or .csv.
        structure: as in `from_pandas`.
        id: as in `from_pandas`.
        targets: as in `from_pandas`.
        units: as in `from_pandas`.
        name: of the set; the file's when not given.
        classes: as in `from_pandas`.
        of_atoms: as in `from_files`.

    Raises:
        FileFormatError: the file cannot be read.
        UnknownNameError: the table has no such column.
        InvalidRequestError: a target that no crystal has a value of, or a word that is not among its classes.
    """
    path = Path(path)
    opened = _open_table(path)
    if isinstance(opened, Dataset):
        if units:
            raise InvalidRequestError(f"{path} states the units of its targets; give none")
        for target, named in (classes or {}).items():
            stated = opened.described[target].classes if target in opened.described else ()
            if stated and stated != tuple(named):
                raise InvalidRequestError(
                    f"{path} states the classes of {target!r}, {','.join(stated)}; got {','.join(named)}: give those or none"
                )
        return opened
    columns, rows = opened
    return _from_rows(
        rows, columns=columns, structure=structure, id=id, targets=targets, units=units, name=name or path.stem, classes=classes, of_atoms=of_atoms
    )  # fmt: skip


def crystals_of_table(path: str | Path, *, values: Sequence[str] = ()) -> tuple[list[Crystal], list[Failure]]:
    """Read the crystals of a Parquet or CSV table under the ids that `from_table` gives them; no label is needed.

    Args:
        path: .parquet or .csv.
        values: the columns that crystals carry, as far as the table has them.

    Returns:
        The crystals, and the rows that cannot be used.

    Raises:
        FileFormatError: the file cannot be read, or has no column of structures.
    """
    path = Path(path)
    opened = _open_table(path)
    if isinstance(opened, Dataset):
        return list(opened), []
    columns, rows = opened
    known = [value for value in values if value in columns]
    made = _collected(rows, columns=columns, structure="", id="", targets=known, name=path.stem)
    failures = [
        Failure(reason=reason, id=str(path), stage="read") for reasons in made.reasons.values() for reason in reasons
    ]
    return values_of_atoms(made.crystals, known=known)[0], failures


def _open_table(path: Path) -> Dataset | tuple[Sequence[str], Iterator[Mapping[str, Any]]]:
    """Open a table that `Dataset.write` made, or give the columns and rows of another."""
    from euhedral.data.readers import read_rows

    if path.suffix != ".parquet":
        header, rows = _csv(path)
        return header, iter(rows)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise FileFormatError(f"{path} is not a whole Parquet file ({str(error).splitlines()[0]})") from error
    return Dataset.open(path) if b"euhedral" in (schema.metadata or {}) else (schema.names, read_rows(path))


def _from_rows(
    rows: Iterator[Mapping[str, Any]], *, columns: Sequence[str], structure: str, id: str,  # noqa: A002
    targets: Sequence[str] | None, units: Mapping[str, str] | None, name: str, classes: Mapping[str, Sequence[str]] | None,
    of_atoms: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    made = _collected(
        rows, columns=columns, structure=structure, id=id, targets=targets, name=name, classes=classes or ()
    )
    if not made.crystals:
        first = next(iter(made.reasons.values()), ["the table has no rows"])[0]
        raise FileFormatError(f"{name}: not one structure can be used; the first: {first}")
    return finished(made, name=name, targets=targets, units=units, classes=classes, of_atoms=of_atoms)


def _collected(
    rows: Iterator[Mapping[str, Any]], *, columns: Sequence[str], structure: str, id: str,  # noqa: A002
    targets: Sequence[str] | None, name: str, classes: Iterable[str] = (),
) -> Collected:  # fmt: skip
    structure = _column(structure, columns, usual=STRUCTURE_COLUMNS, name=name, what="column of structures")
    names = _column(id, columns, usual=("id", "material_id"), name=name, what="column of names", needed=False)
    for target in targets or ():
        _column(target, columns, usual=(), name=name, what="column")
    made = Collected()
    table = list(rows)
    wanted = kinds_of(
        table, columns=[c for c in columns if c not in (structure, names)], targets=targets, classes=classes
    )
    for number, row in enumerate(table):
        own = str(row[names]).strip() if names and not absent(row[names]) else f"{name}-{number}"
        try:
            crystal = crystal_of(row[structure], name=own)
            made.keep(_with_values(made, crystal.replace(id=own), row, wanted), text=_text_of(row, wanted))
        except EuhedralError as error:
            made.reject("unreadable", str(error))
    return made


def _column(
    asked: str, columns: Sequence[str], *, usual: Sequence[str], name: str, what: str, needed: bool = True
) -> str:
    if asked:
        if asked not in columns:
            raise _no_column(f"{what} in {name!r}", asked, columns)
        return asked
    found = next((column for column in usual if column in columns), "")
    if needed and not found:
        raise FileFormatError(
            f"{name}: no column is called {', '.join(usual)}; say which one holds the structures by calling it so (it has {', '.join(columns)})"
        )
    return found


def _no_column(what: str, asked: str, columns: Sequence[str]) -> UnknownNameError:
    close = get_close_matches(asked, columns, n=1, cutoff=0.5)
    listed = ", ".join(columns[:_COLUMNS]) + (", ..." if len(columns) > _COLUMNS else "")
    return UnknownNameError(
        f"no {what} named {asked!r}; {f'did you mean {close[0]}? ' if close else ''}it has {listed or 'none'}"
    )


def own_names(crystals: Sequence[Crystal]) -> dict[str, str]:
    """Find what crystals call themselves, by their ids: the first of `NAMING` that no other crystal has, too.

    Args:
        crystals: all that were read; those that share an id are left out.
    """
    used = Counter(crystal.id for crystal in crystals)
    used.update(str(crystal.props[key]) for crystal in crystals for key in NAMING if _names(crystal, key))
    return {
        crystal.id: next(
            (crystal.props[key] for key in NAMING if _names(crystal, key) and used[crystal.props[key]] == 1), crystal.id
        )
        for crystal in crystals
        if used[crystal.id] == 1
    }


def _names(crystal: Crystal, key: str) -> bool:
    return isinstance(crystal.props.get(key), str)


def _add_labels(
    made: Collected, path: Path, *, id: str, targets: Sequence[str] | None, own: Mapping[str, str],  # noqa: A002
    classes: Mapping[str, Sequence[str]],
) -> None:  # fmt: skip
    header, table = _csv(path)
    at = {crystal.id: i for i, crystal in enumerate(made.crystals)}
    if id not in header:
        meant = next((c for c in header if any(_named(row[c], at, own=own) in at for row in table)), "")
        hint = f"; {meant!r} names the structures: call it {id!r}" if meant else ""
        raise FileFormatError(f"{path} has no column {id!r} of names; it has {', '.join(header) or 'none'}{hint}")
    if not table:
        raise FileFormatError(f"{path} has a header and no rows; add one for each structure")
    of_files = {name for crystal in made.crystals for name in (*crystal.props, *crystal.site)} - {*header, *NAMING}
    for target in targets or ():
        if target not in header and target not in of_files:
            raise _no_column(f"column in {path.name}", target, [*header, *sorted(of_files)])
    wanted = kinds_of(table, columns=[c for c in header if c != id], targets=targets, classes=classes)
    seen: dict[str, Mapping[str, Any]] = {}
    missing: list[str] = []
    for number, row in enumerate(table, start=2):
        name = _named(row[id], at, own=own)
        if name in seen:
            made.remarks.append(
                f"{path.name}, line {number}: {name!r} is there twice{_conflict(seen[name], row, wanted)}; the first is kept"
            )
            continue
        seen[name] = row
        if name not in at:
            missing.append(name)
            continue
        made.crystals[at[name]] = _with_values(made, made.crystals[at[name]], row, wanted)
        made.texts[name] = _text_of(row, wanted)
    if len(missing) == len(seen):
        raise FileFormatError(
            f"{path} names none of the {len(at):,} structures: it has {some(sorted(seen))}, the files {some(sorted(at))}; "
            "names are file names without their ending"
        )
    if missing:
        hints = [_hint(name, at) for name in missing[:_NAMED]]
        made.remarks.append(f"{len(missing):,} rows of {path.name} name no structure: {'; '.join(hints)}")
    without = [name for name in at if name not in seen]
    if without:
        made.remarks.append(f"{len(without):,} structures have no row in {path.name}: {some(without)}")


def _conflict(first: Mapping[str, Any], second: Mapping[str, Any], wanted: Iterable[str]) -> str:
    pairs = {column: (str(first[column]).strip(), str(second[column]).strip()) for column in wanted}
    differ = [f"{column}: {a or 'nothing'}, then {b or 'nothing'}" for column, (a, b) in pairs.items() if a != b]
    return f" with different {'; '.join(differ)}" if differ else ""


def _named(cell: str, known: Mapping[str, int], *, own: Mapping[str, str]) -> str:
    """Find which of the known names a cell means: a file's, with or without ending, or one that a crystal has of itself."""
    name = cell.strip()
    name = name if name in known or Path(name).stem not in known else Path(name).stem
    return name if name in known else own.get(name, name)


def _hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"{name!r}" + (f" (did you mean {close[0]!r}?)" if close else "")


def _csv(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            file.seek(0)
            delimiter = ";" if ";" in first and "," not in first else ","
            reader = csv.DictReader(file, skipinitialspace=True, delimiter=delimiter)
            rows = list(reader)
            header = [name for name in reader.fieldnames or [] if name]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"cannot read {path}: {error}; expected a CSV with a header") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise FileFormatError(
                f"{path}, line {number}: not as many cells as the header has; quote cells with {delimiter!r}"
            )
    if delimiter == ";":  # where the comma is the decimal sign
        rows = [
            {key: cell.replace(",", ".") if _DECIMAL.fullmatch(cell.strip()) else cell for key, cell in row.items()}
            for row in rows
        ]
    return header, rows


def _with_values(made: Collected, crystal: Crystal, row: Mapping[str, Any], wanted: Mapping[str, bool]) -> Crystal:
    props = dict(crystal.props)
    for column, of_values in wanted.items():
        if not of_values or absent(row[column]):
            continue
        value = parsed(row[column])
        if value is None:
            made.no_values.setdefault(column, []).append((crystal.id, str(row[column]).strip()[:30]))
        else:
            props[column] = value
    return crystal.replace(props=props)


def _text_of(row: Mapping[str, Any], wanted: Mapping[str, bool]) -> dict[str, str]:
    return {c: "" if absent(row[c]) else str(row[c]).strip() for c, values in wanted.items() if not values}
