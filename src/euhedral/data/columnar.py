"""The one file format of data sets: Parquet with structure columns and typed targets that carry their unit.

A file has these columns, in row groups of a few thousand crystals:

    id         string
    numbers    list<uint8>                       atomic numbers
    frac       list<double>                      x1 y1 z1 x2 ..., or
               list<int32>                       the same times 10^decimals, when they came from text with few decimals
    cell       fixed_size_list<double>[9]        the rows a, b, c, Angstrom, or
               fixed_size_list<double>[6]        a, b, c (Angstrom), alpha, beta, gamma (degrees): a along x, b in xy
    others     double, integer or string         null where not known; the field's metadata holds unit, method and note

The schema metadata holds the format's version, the decimals and the card. Readers need nothing but Parquet.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.writing import replacing
from euhedral.data.card import DatasetCard
from euhedral.data.quantities import quantities
from euhedral.errors import FileFormatError, InvalidRequestError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT: Final = 1
STRUCTURE: Final = ("id", "numbers", "frac", "cell")
_ROW_GROUP: Final = 4096
# decoded row groups that random access keeps; MP-20 is 20 MB
_KEPT_BYTES: Final = 512_000_000
_KINDS: Final = {"float": "double", "int": "int64", "text": "string"}


@dataclass(frozen=True)
class Column:
    """A value of each crystal beside its structure.

    Args:
        name: as in `Crystal.props`.
        kind: "float" (a target, NaN where not known), "int" or "text".
        unit: of a target; empty for what has none.
        method: how the values were obtained.
        note: what to know before comparing them.
    """

    name: str
    kind: str = "float"
    unit: str = ""
    method: str = ""
    note: str = ""

    @classmethod
    def target(cls, name: str) -> Column:
        """Describe a target by what `data.quantities` knows of it.

        Raises:
            UnknownNameError: no quantity has this name.
        """
        from euhedral.data.quantities import quantity

        known = quantity(name)
        return cls(name=name, unit=known.unit, method=known.method, note=known.note)


@dataclass(frozen=True, eq=False)
class Block:
    """Decoded structures and values of n consecutive crystals.

    Args:
        ids: (n,) names.
        cells: (n, 9) or (n, 6), as in the file.
        offsets: (n + 1,) first atom of each crystal.
        frac: (N, 3).
        numbers: (N,).
        values: the other columns, (n,) each.
    """

    ids: list[str]
    cells: NDArray[np.float64]
    offsets: NDArray[np.int64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    values: Mapping[str, NDArray]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes that the block holds, roughly."""
        arrays = [self.cells, self.offsets, self.frac, self.numbers, *self.values.values()]
        return sum(array.nbytes for array in arrays) + 64 * len(self.ids)

    def crystal(self, row: int) -> Crystal:
        """Build one crystal; values that are not known are absent from its `props`."""
        start, stop = self.offsets[row], self.offsets[row + 1]
        cell = self.cells[row]
        props: dict[str, Any] = {}
        for name, column in self.values.items():
            value = column[row]
            if isinstance(value, (float, np.floating)):
                if not np.isnan(value):
                    props[name] = float(value)
            elif isinstance(value, np.integer) and value != _UNKNOWN_INTEGER:
                props[name] = int(value)
        return Crystal(
            cell=cell.reshape(3, 3) if cell.size == 9 else cell_from_parameters(cell[:3], cell[3:]),
            frac=self.frac[start:stop],
            numbers=self.numbers[start:stop],
            id=self.ids[row],
            props=props,
        )


_UNKNOWN_INTEGER: Final = np.iinfo(np.int64).min


class Columns:
    """An open file (or table in memory) of crystals, read row group by row group.

    Args:
        source: a path, or a table with this schema.

    Raises:
        FileFormatError: not a Parquet file, cut off, or not in this format.
    """

    def __init__(self, source: Path | pa.Table) -> None:
        self._source = source
        self._open()

    def _open(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.name = str(self._source) if isinstance(self._source, Path) else "table in memory"
        self._file: pq.ParquetFile | None = None
        if isinstance(self._source, Path):
            try:
                self._file = pq.ParquetFile(self._source, memory_map=True)
            except FileNotFoundError:
                raise FileFormatError(f"{self.name}: there is no such file") from None
            except (pa.ArrowException, OSError) as error:
                raise FileFormatError(
                    f"{self.name} is not a Parquet file or is cut off ({str(error).splitlines()[0]}); "
                    "delete it and load the data set again"
                ) from error
            schema = self._file.schema_arrow
            # what was added when the file was closed is not in the Arrow schema
            self.schema = schema.with_metadata({**(schema.metadata or {}), **(self._file.metadata.metadata or {})})
            counts = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        else:
            self.schema = self._source.schema
            counts = [self._source.num_rows]
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._kept: OrderedDict[int, Block] = OrderedDict()
        self._atoms: tuple[NDArray[np.int64], NDArray[np.uint8]] | None = None
        self._check()

    def _check(self) -> None:
        metadata = self.schema.metadata or {}
        try:
            header = json.loads(metadata[b"euhedral"])
            version, self.decimals = int(header["format"]), header["decimals"]
        except (KeyError, ValueError, TypeError):
            raise FileFormatError(
                f"{self.name} is a Parquet file, but not a data set of euhedral; "
                "make one with Dataset.from_crystals(...).write(path)"
            ) from None
        if version != FORMAT:
            raise FileFormatError(
                f"{self.name} has format {version}, this euhedral reads {FORMAT}; load the data set again"
            )
        missing = [name for name in STRUCTURE if name not in self.schema.names]
        if missing:
            raise FileFormatError(f"{self.name} has no column {missing[0]!r}; delete it and load the data set again")
        self.card = DatasetCard.from_json(metadata[b"card"], where=self.name) if b"card" in metadata else None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getstate__(self) -> dict[str, Any]:
        return {"_source": self._source}  # open files do not travel to worker processes

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._source = state["_source"]
        self._open()

    @property
    def described(self) -> dict[str, Column]:
        """The columns beside the structure, by name."""
        kinds = {str(arrow): kind for kind, arrow in _KINDS.items()}
        found = {}
        for field in self.schema:
            if field.name not in STRUCTURE:
                text = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
                known = {key: text.get(key, "") for key in ("unit", "method", "note")}
                found[field.name] = Column(name=field.name, kind=kinds.get(str(field.type), "float"), **known)
        return found

    def _read(self, names: Sequence[str], *, group: int | None = None) -> pa.Table:
        import pyarrow as pa

        if self._file is None:
            return self._source.select(list(names))  # type: ignore[union-attr]
        try:
            if group is None:
                return self._file.read(columns=list(names))
            return self._file.read_row_group(group, columns=list(names))
        except (pa.ArrowException, OSError) as error:
            raise FileFormatError(
                f"{self.name} is damaged ({str(error).splitlines()[0]}); delete it and load the data set again"
            ) from error

    def column(self, name: str) -> NDArray:
        """Read one column whole: (n,) float64 with NaN, int64, or str."""
        return _as_numpy(self._read([name]).column(name))

    def atoms(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Read only (n + 1,) the first atom of each crystal and (N,) the atomic numbers; kept for the next call."""
        if self._atoms is None:
            self._atoms = _lists(self._read(["numbers"]).column("numbers"))
        return self._atoms

    def block(self, group: int) -> Block:
        """Decode one row group; the last few are kept."""
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        names = [*STRUCTURE, *(name for name, column in self.described.items() if column.kind != "text")]
        table = self._read(names, group=group)
        offsets, numbers = _lists(table.column("numbers"))
        bounds, frac = _lists(table.column("frac"))
        if not np.array_equal(bounds, 3 * offsets):
            raise FileFormatError(f"{self.name} is damaged: coordinates and elements do not fit; load it again")
        scale = 1.0 if self.decimals is None else 10.0**self.decimals
        cells = table.column("cell").combine_chunks()
        block = Block(
            ids=table.column("id").to_pylist(),
            cells=np.asarray(cells.flatten()).reshape(len(cells), -1),
            offsets=offsets,
            frac=(frac.astype(np.float64) / scale).reshape(-1, 3),
            numbers=numbers,
            values={name: _as_numpy(table.column(name)) for name in names if name not in STRUCTURE},
        )
        self._kept[group] = block
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return block

    def crystal(self, row: int) -> Crystal:
        """Build the crystal of one row."""
        group = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.block(group).crystal(row - int(self.starts[group]))

    def in_memory(self) -> pa.Table:
        """Read everything into a table that needs the file no longer."""
        return self._read(self.schema.names).replace_schema_metadata(self.schema.metadata)

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Copy some rows into a table in memory, in the order given."""
        return self._read(self.schema.names).take(rows)


def _as_numpy(column: pa.ChunkedArray) -> NDArray:
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        return column.cast(pa.float64()).to_numpy().astype(np.float64)  # null becomes NaN
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).fill_null(int(_UNKNOWN_INTEGER)).to_numpy()
    return np.array([value or "" for value in column.to_pylist()], dtype=object).astype(str)


def _lists(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray]:
    array = column.combine_chunks()
    lengths = np.asarray(array.value_lengths().fill_null(0), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]), np.asarray(array.flatten())


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
        values = [crystal.props.get(name) for name in self._columns]
        self._digest.update(json.dumps([crystal.id, values]).encode())
        frac = np.round(crystal.frac * 1e7).astype(np.int64) % 10_000_000
        cell = np.round(crystal.cell * 1e7).astype(np.int64)
        for array in (crystal.numbers, frac, cell):
            self._digest.update(np.ascontiguousarray(array, dtype="<i8").tobytes())

    def hexdigest(self) -> str:
        """Return 64 hexadecimal digits."""
        return self._digest.hexdigest()


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
        InvalidRequestError: a coordinate has more decimals than promised.
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
        values = text[column.name] if column.kind == "text" else [c.props.get(column.name) for c in crystals]
        arrays[column.name] = pa.array(values, pa.type_for_alias(_KINDS[column.kind]), from_pandas=True)
        metadata = {"unit": column.unit, "method": column.method, "note": column.note}
        fields.append(pa.field(column.name, arrays[column.name].type, metadata=metadata))
    header = json.dumps({"format": FORMAT, "decimals": decimals})
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata={"euhedral": header}))


def with_text_column(table: pa.Table, *, column: Column, values: Sequence[str]) -> pa.Table:
    """Add a column of text to a table of this format; one of the same name is replaced.

    Args:
        table: from `encode` or `Columns`.
        column: its name and description.
        values: (n,) one for each row.
    """
    import pyarrow as pa

    metadata = {"unit": column.unit, "method": column.method, "note": column.note}
    field = pa.field(column.name, pa.string(), metadata=metadata)
    if column.name in table.schema.names:
        table = table.drop_columns([column.name])
    return table.append_column(field, pa.array(values, pa.string()))


def _same(got: NDArray, expected: NDArray, *, crystals: Sequence[Crystal], counts: NDArray, decimals: int) -> None:
    wrong = np.flatnonzero(np.abs(got - expected) > 1e-11 * np.maximum(1.0, np.abs(expected)))
    if wrong.size:
        owner = crystals[int(np.searchsorted(np.cumsum(counts), wrong[0], side="right"))]
        raise InvalidRequestError(
            f"crystal {owner.id!r} has more than {decimals} decimals or a cell that is not in the standard setting; "
            "write with decimals=None"
        )


def write_columns(
    path: Path, *, tables: Iterable[pa.Table], card: DatasetCard | None = None, finish: Any = None,
) -> None:  # fmt: skip
    """Write tables of one schema as the row groups of one file, which appears only when it is whole.

    Args:
        path: where to write.
        tables: from `encode`; read one at a time, so that memory stays flat.
        card: stored in the file.
        finish: called after the last table for a card that could not be known before.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        writer: pq.ParquetWriter | None = None
        try:
            for table in tables:
                if writer is None:
                    writer = pq.ParquetWriter(
                        temporary,
                        table.schema,
                        compression="zstd",
                        compression_level=19 if table.num_rows <= 100_000 else 3,
                        use_dictionary=[
                            n
                            for n in table.schema.names
                            if pa.types.is_string(table.schema.field(n).type) and n != "id"
                        ],
                        write_statistics=False,
                    )
                writer.write_table(table, row_group_size=_ROW_GROUP)
            final = finish() if finish is not None else card
            if writer is None:
                raise InvalidRequestError(f"{path}: a data set needs at least one crystal, got none")
            if final is not None:
                writer.add_key_value_metadata({"card": final.to_json()})
        finally:
            if writer is not None:
                writer.close()


def chunks(crystals: Iterable[Any], *, size: int = _ROW_GROUP) -> Iterator[list[Any]]:
    """Cut any stream into lists, so that it can be written with flat memory."""
    stream = iter(crystals)
    while chunk := list(islice(stream, size)):
        yield chunk


def described_targets(names: Iterable[str]) -> list[Column]:
    """Describe targets by what is known of them; a name that is not known is a target without unit."""
    known = quantities()
    return [Column.target(name) if name in known else Column(name=name) for name in names]
