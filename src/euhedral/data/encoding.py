"""Writing the file format of `data.columnar`: crystals to tables, tables to one file, and the hash of what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.values import value_shapes
from euhedral.core.writing import replacing
from euhedral.data.card import DatasetCard
from euhedral.data.columnar import FORMATS, Column
from euhedral.data.quantities import quantities
from euhedral.errors import InvalidRequestError, unknown_name

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP: Final = 4096
_LEVEL: Final = 19  # of zstd: written once, read often


class ContentHash:
    """Hash of what a data set says, whatever the compression: ids, elements, coordinates, cells and values.

    Coordinates and cells are rounded to 1e-7 (fractions, Angstrom), below every use and above every rounding.

    Args:
        columns: the values that count, by name.
    """

    def __init__(self, *, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._digest = hashlib.sha256()

    def add(self, crystal: Crystal) -> None:
        """Take the next crystal into account."""
        values = [_plain(crystal.props.get(name, crystal.site.get(name))) for name in self._columns]
        self._digest.update(json.dumps([crystal.id, values]).encode())
        frac = np.round(crystal.frac * 1e7).astype(np.int64) % 10_000_000
        cell = np.round(crystal.cell * 1e7).astype(np.int64)
        for array in (crystal.numbers, frac, cell):
            self._digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())

    def hexdigest(self) -> str:
        """Return 64 hexadecimal digits."""
        return self._digest.hexdigest()


def _plain(value: Any) -> Any:
    """Give a value as JSON has it; what is NaN throughout is not known."""
    if isinstance(value, np.ndarray):
        return None if value.dtype.kind == "f" and np.isnan(value).all() else value.astype(np.float64).tolist()
    return None if isinstance(value, float) and isnan(value) else value


def content_hash(crystals: Iterable[Crystal], *, columns: Sequence[str] = ()) -> str:
    """Hash crystals in order, as `ContentHash` does.

    Args:
        crystals: in order.
        columns: the values that count, by name.
    """
    digest = ContentHash(columns=columns)
    for crystal in crystals:
        digest.add(crystal)
    return digest.hexdigest()


def encode(
    crystals: Sequence[Crystal], *, columns: Sequence[Column], text: Mapping[str, Sequence[str]], decimals: int | None,
) -> pa.Table:  # fmt: skip
    """Turn crystals into a table of this format, without card.

    Args:
        crystals: at least one.
        columns: the values to carry, from `props` or from `text`.
        text: values of the columns of kind "text".
        decimals: coordinates and cell parameters have at most this many, and a lies along x and b in the xy plane;
            None keeps all digits of any cell.

    Raises:
        InvalidRequestError: a coordinate has more decimals than promised, or an array another shape than its column.
    """
    import pyarrow as pa

    counts = np.array([len(crystal) for crystal in crystals], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    numbers = np.concatenate([crystal.numbers for crystal in crystals]).astype(np.uint8)
    frac = np.concatenate([crystal.frac for crystal in crystals]).ravel()
    cells = np.stack([crystal.cell.ravel() for crystal in crystals])
    if decimals is not None:
        whole = np.round(frac * 10.0**decimals).astype(np.int32)
        _same(whole / 10.0**decimals, frac, crystals=crystals, counts=3 * counts, decimals=decimals)
        parameters = np.round([[*crystal.lengths, *crystal.angles] for crystal in crystals], decimals)
        rebuilt = np.stack([cell_from_parameters(row[:3], row[3:]).ravel() for row in parameters])
        _same(rebuilt.ravel(), cells.ravel(), crystals=crystals, counts=np.full(len(crystals), 9), decimals=decimals)
        frac, cells = whole, parameters
    arrays = {
        "id": pa.array([crystal.id for crystal in crystals], pa.string()),
        "numbers": pa.ListArray.from_arrays(pa.array(offsets), pa.array(numbers)),
        "frac": pa.ListArray.from_arrays(pa.array(3 * offsets), pa.array(frac)),
        "cell": pa.FixedSizeListArray.from_arrays(pa.array(cells.ravel()), cells.shape[1]),
    }
    fields = [pa.field(name, array.type, nullable=False) for name, array in arrays.items()]
    for column in columns:
        values = text[column.name] if column.kind == "text" else [_stored(c, column=column) for c in crystals]
        arrays[column.name] = pa.array(values, column.arrow_type, from_pandas=True)
        fields.append(pa.field(column.name, arrays[column.name].type, metadata=column.metadata))
    version = FORMATS[any(column.kind in ("array", "site") for column in columns)]
    header = json.dumps({"format": version, "decimals": decimals})
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata={"euhedral": header}))


def _stored(crystal: Crystal, *, column: Column) -> Any:
    """Give the value of a crystal as a column stores it; None where it is not known."""
    if column.kind not in ("array", "site"):
        return crystal.props.get(column.name)
    value = crystal.site.get(column.name) if column.kind == "site" else crystal.props.get(column.name)
    if value is None:
        return None
    shape = (len(crystal), *column.shape) if column.kind == "site" else column.shape
    array = np.asarray(value)
    if array.shape != shape or array.dtype.kind not in "fiub":
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: {column.name!r} holds {array.dtype} of shape {array.shape}, expected numbers of shape {shape}"
        )
    array = array.astype(np.float64).ravel()
    return None if np.isnan(array).all() else array


def with_column(table: pa.Table, *, column: Column, values: Sequence[str] | NDArray[np.float64]) -> pa.Table:
    """Add a column to a table of this format; one of the same name is replaced.

    Args:
        table: from `encode` or `Columns`.
        column: its name and description.
        values: (n,) one for each row, or (n, *shape) of arrays.
    """
    import pyarrow as pa

    cells = [np.ravel(value) for value in values] if column.kind == "array" else values
    field = pa.field(column.name, column.arrow_type, metadata=column.metadata)
    if column.name in table.schema.names:
        table = table.drop_columns([column.name])
    return table.append_column(field, pa.array(cells, column.arrow_type))


def fits_decimals(crystal: Crystal, *, decimals: int) -> bool:
    """Tell whether coordinates and cell parameters of a crystal have at most so many decimals, in the standard setting.

    Args:
        crystal: any.
        decimals: as in `encode`.
    """
    parameters = np.round([*crystal.lengths, *crystal.angles], decimals)
    cell = cell_from_parameters(parameters[:3], parameters[3:])
    return bool(_near(np.round(crystal.frac, decimals), crystal.frac).all() and _near(cell, crystal.cell).all())


def _near(got: NDArray, expected: NDArray) -> NDArray[np.bool_]:
    return np.abs(got - expected) <= 1e-11 * np.maximum(1.0, np.abs(expected))


def _same(got: NDArray, expected: NDArray, *, crystals: Sequence[Crystal], counts: NDArray, decimals: int) -> None:
    wrong = np.flatnonzero(~_near(got, expected))
    if wrong.size:
        owner = crystals[int(np.searchsorted(np.cumsum(counts), wrong[0], side="right"))]
        raise InvalidRequestError(
            f"crystal {owner.id!r} has more than {decimals} decimals or a cell that is not in the standard setting; "
            "write with decimals=None"
        )


def write_columns(path: Path, *, tables: Iterable[pa.Table], card: Callable[[], DatasetCard]) -> None:
    """Write tables of one schema as the row groups of one file, which appears only when it is whole.

    Args:
        path: where to write.
        tables: from `encode`; read one at a time, so that memory stays flat.
        card: called after the last table for the card to store, which may count what was written.

    Raises:
        InvalidRequestError: there is no table.
        RunFolderError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for table in tables:
                if writer is None:
                    # few different words are worth a dictionary; numbers and names are not
                    words = [
                        field.name for field in table.schema if pa.types.is_string(field.type) and field.name != "id"
                    ]
                    options: dict[str, Any] = {
                        "use_dictionary": words,
                        "write_statistics": False,
                        "write_page_checksum": True,
                    }
                    writer = pq.ParquetWriter(
                        temporary, table.schema, compression="zstd", compression_level=_LEVEL, **options
                    )
                writer.write_table(table, row_group_size=_ROW_GROUP)
            if writer is None:
                raise InvalidRequestError(f"{path}: a data set needs at least one crystal, got none")
            writer.add_key_value_metadata({"card": card().to_json()})
        finally:
            if writer is not None:
                writer.close()


def chunks(crystals: Iterable[Any], *, size: int = _ROW_GROUP) -> Iterator[list[Any]]:
    """Cut any stream into lists, so that it can be written with flat memory."""
    stream = iter(crystals)
    while chunk := list(islice(stream, size)):
        yield chunk


def described_targets(names: Iterable[str], *, crystals: Sequence[Crystal]) -> list[Column]:
    """Describe targets by what is known of them; one that is not known, or has another shape, is without unit.

    Args:
        names: of `props` or `site`.
        crystals: what carries them.

    Raises:
        UnknownNameError: no crystal has such a value.
        InvalidRequestError: a name is both in `props` and in `site`, or its values differ in shape.
    """
    names = list(names)
    carried = {name for crystal in crystals for name in (*crystal.props, *crystal.site)}
    for name in names:
        if name not in carried:
            raise unknown_name("target in these crystals", name, sorted(carried), where="crystal.props")
    known = quantities()
    columns = []
    for name, shape in value_shapes(crystals, names=names).items():
        kind = "site" if shape.per_atom else "array" if shape.shape else "float"
        own = Column(name=name, kind=kind, shape=shape.shape)
        described = Column.target(name) if name in known else own
        columns.append(described if (described.kind, described.shape) == (own.kind, own.shape) else own)
    return columns
