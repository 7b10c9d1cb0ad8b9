"""Rows of a source: from the CSV files that authors publish, from a mirror's Parquet tables, from archives of CIF files."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Mapping
from os import SEEK_END
from pathlib import Path
from typing import Any, Final

from euhedral.core.crystal import Crystal
from euhedral.errors import FileFormatError

Row = Mapping[str, Any]

_BATCH: Final = 2048
_AGAIN: Final = "it is cut off or not the file that it should be; fetch it again"


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of one source file, in order and with flat memory.

    Args:
        path: ends in .csv, .parquet or .zip.

    Raises:
        FileFormatError: the file cannot be read as what its name says.
    """
    readers = {".csv": _csv_rows, ".parquet": _parquet_rows, ".zip": _archive_rows}
    try:
        reader = readers[path.suffix]
    except KeyError:
        raise FileFormatError(f"{path}: expected .csv, .parquet or .zip, got {path.suffix!r}") from None
    yield from reader(path)


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


def structure_of(row: Row, *, column: str, name: str) -> Crystal:
    """Read the structure of a row.

    Args:
        row: of the source.
        column: "cif" or "poscar".
        name: what errors call it, and the crystal's id.

    Raises:
        FileFormatError: the text is missing or is no structure.
        InvalidCrystalError: the structure cannot be used.
    """
    text = row.get(column)
    if not text:
        raise FileFormatError(f"{name}: the row has no structure (column {column!r} is empty)")
    if column == "cif":
        from euhedral.core.files.cif import crystals_from_cif

        results = list(crystals_from_cif(text, name=name, stem=name))
    else:
        from euhedral.core.files.poscar import crystals_from_poscar

        results = list(crystals_from_poscar(text, name=name, stem=name))
    if len(results) != 1:
        raise FileFormatError(f"{name}: expected one structure, got {len(results)}")
    if not isinstance(results[0], Crystal):
        raise results[0]
    return results[0]
