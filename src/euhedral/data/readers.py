"""Rows of a source: from the CSV and JSON files that authors publish, from a mirror's Parquet tables, from archives."""

from __future__ import annotations

import ast
import csv
import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from os import SEEK_END
from pathlib import Path
from typing import Any, Final

from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.errors import FileFormatError

Row = Mapping[str, Any]

_BATCH: Final = 2048
_AGAIN: Final = "it is cut off or not the file that it should be; fetch it again"


def read_rows(path: Path, *, layout: str = "", beside: Sequence[Path] = ()) -> Iterator[Row]:
    """Yield the rows of one source file, in order.

    Memory stays flat, except that a JSON file is read whole.

    Args:
        path: the file.
        layout: how rows lie in it (`data.layouts`), where its ending (.csv, .parquet, .zip, .json.gz, .jsonl.gz) does not
            say it.
        beside: other files that the layout needs.

    Raises:
        FileFormatError: the file cannot be read as what it should be.
    """
    from euhedral.data.layouts import LAYOUTS

    if layout:
        yield from LAYOUTS[layout](path, beside)
        return
    readers = {
        ".csv": _csv_rows, ".parquet": _parquet_rows, ".zip": _archive_rows, ".json.gz": json_rows, ".jsonl.gz": json_lines,
    }  # fmt: skip
    for suffix, reader in readers.items():
        if path.name.endswith(suffix):
            yield from reader(path)
            return
    raise FileFormatError(f"{path}: expected a name ending in {', '.join(readers)}, got {path.name!r}")


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as binary:
        size = binary.seek(0, SEEK_END)
        binary.seek(max(0, size - 1))
        if binary.read(1) != b"\n":  # a last number that lost its last digit looks like a number
            raise FileFormatError(f"{path} does not end with a line; {_AGAIN}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values():
                    raise FileFormatError(
                        f"{path}, line {reader.line_num}: the row has not as many columns as the header; {_AGAIN}"
                    )
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path} is not the CSV file that it should be ({error}); {_AGAIN}") from error


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise FileFormatError(
            f"{path} is not a whole Parquet file ({str(error).splitlines()[0]}); copy it again from where it came"
        ) from error


def _archive_rows(path: Path) -> Iterator[Row]:
    """Yield the crystals of an archive in the CGCNN layout: id_prop.csv beside ID.cif."""
    try:
        with zipfile.ZipFile(path) as archive:
            tables = [name for name in archive.namelist() if name.endswith("/data/id_prop.csv")]
            if not tables:
                raise FileFormatError(f"{path} holds no data/id_prop.csv; {_AGAIN}")
            folder = tables[0].removesuffix("id_prop.csv")
            present = set(archive.namelist())
            for line in archive.read(tables[0]).decode("utf-8").splitlines():
                number, _, value = line.partition(",")
                member = f"{folder}{number}.cif"
                cif = archive.read(member).decode("utf-8") if member in present else None
                yield {"material_id": number, "formation_energy_per_atom": value, "cif": cif}
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError) as error:
        raise FileFormatError(f"{path} is not a whole zip archive ({error}); {_AGAIN}") from error


def json_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a compressed JSON file: {"columns": ..., "data": ...} as Matbench has, or a list of objects."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            table = json.load(file)
        if isinstance(table, Mapping):
            columns = [str(name) for name in table["columns"]]
            names = table.get("index") or [None] * len(table["data"])
            for name, values in zip(names, table["data"], strict=True):
                yield {"index": name, **dict(zip(columns, values, strict=True))}
            return
        for row in table:
            yield {**row}
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not the JSON file that it should be ({_line(error)}); {_AGAIN}") from error


def json_lines(path: Path) -> Iterator[Row]:
    """Yield the rows of a compressed file with one JSON object a line."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield {**json.loads(line)}
    except (OSError, EOFError, zlib.error, ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path} is not the JSON file that it should be ({_line(error)}); {_AGAIN}") from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]


def structure_of(row: Row, *, column: str, name: str) -> Crystal:
    """Read the structure of a row.

    Args:
        row: of the source.
        column: "cif", "poscar", "structure" (pymatgen's object or its text), "ase" (ASE's todict() as text, in the column
            "structure") or "symbols" (beside `cell` and `pos`, Cartesian).
        name: what errors call it, and the crystal's id.

    Raises:
        FileFormatError: the text is missing or is no structure.
        InvalidCrystalError: the structure cannot be used.
    """
    content = row.get("structure" if column == "ase" else column)
    if not content:
        raise FileFormatError(f"{name}: the row has no structure (column {column!r} is empty)")
    if column == "symbols":
        return _of_symbols(row, name=name)
    if column == "ase":
        return _of_ase(row.get("structure"), name=name)
    from euhedral.core.files.cif import crystals_from_cif
    from euhedral.core.files.json_file import crystals_from_json
    from euhedral.core.files.poscar import crystals_from_poscar

    if column == "structure":
        text = content if isinstance(content, str) else json.dumps(content)
        results = list(crystals_from_json(text, name=name, stem=name))
    elif column == "poscar":
        results = list(crystals_from_poscar(str(content), name=name, stem=name))
    else:
        results = list(crystals_from_cif(str(content), name=name, stem=name))
    if len(results) != 1:
        raise FileFormatError(f"{name}: expected one structure, got {len(results)}")
    if not isinstance(results[0], Crystal):
        raise results[0]
    return results[0]


def _of_symbols(row: Row, *, name: str) -> Crystal:
    try:
        numbers = [atomic_number(str(symbol)) for symbol in row["symbols"]]
        return Crystal.from_cart(row["cell"], cart=row["pos"], numbers=numbers, id=name)
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{name}: not a structure ({_line(error)}); expected symbols, cell and pos") from error


def _of_ase(text: Any, *, name: str) -> Crystal:
    try:
        atoms = ast.literal_eval(str(text))  # literals only: nothing is run
        return Crystal.from_cart(atoms["cell"], cart=atoms["positions"], numbers=atoms["numbers"], id=name)
    except (SyntaxError, KeyError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise FileFormatError(
            f"{name}: not a structure ({_line(error)}); expected numbers, positions and cell"
        ) from error
