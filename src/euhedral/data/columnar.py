"""The one file format of data sets: Parquet with structure columns and typed targets that carry their unit.

A file has these columns, in row groups of a few thousand crystals:

    id         string
    numbers    list<uint8>                       atomic numbers
    frac       list<double>                      x1 y1 z1 x2 ..., or
               list<int32>                       the same times 10^decimals, when they came from text with few decimals
    cell       fixed_size_list<double>[9]        the rows a, b, c, Angstrom, or
               fixed_size_list<double>[6]        a, b, c (Angstrom), alpha, beta, gamma (degrees): a along x, b in xy
    others     double, integer or string         null where not known; the field's metadata holds unit, method and note, or
               fixed_size_list<double>           an array of each crystal: a spectrum, a tensor; in C order, or
               list<double>                      an array of each atom, those of one crystal in one row; the metadata holds
                                                 also kind, shape, and axis (what the last dimension runs along) or frame
                                                 (the axes that a tensor's components refer to)

The schema metadata holds the format's version, the decimals and the card. Readers need nothing but Parquet. Files without
arrays have version 1.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.data.card import DatasetCard
from euhedral.data.column import Column, column_of
from euhedral.errors import FileFormatError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMATS", "STRUCTURE", "Block", "Column", "Columns"]

#: Versions of the format: without and with arrays.
FORMATS: Final = (1, 2)
STRUCTURE: Final = ("id", "numbers", "frac", "cell")
# decoded row groups that random access keeps; MP-20 is 20 MB
_KEPT_BYTES: Final = 512_000_000


@dataclass(frozen=True, eq=False)
class Block:
    """Decoded structures and values of n consecutive crystals.

    Args:
        ids: (n,) names.
        cells: (n, 9) or (n, 6), as in the file.
        offsets: (n + 1,) first atom of each crystal.
        frac: (N, 3).
        numbers: (N,).
        values: the other columns of the crystals, (n, ...) each.
        site: the columns of the atoms, (N, ...) each.
    """

    ids: list[str]
    cells: NDArray[np.float64]
    offsets: NDArray[np.int64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    values: Mapping[str, NDArray]
    site: Mapping[str, NDArray]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes that the block holds, roughly."""
        arrays = [self.cells, self.offsets, self.frac, self.numbers, *self.values.values(), *self.site.values()]
        return sum(array.nbytes for array in arrays) + 64 * len(self.ids)

    def crystal(self, row: int) -> Crystal:
        """Build one crystal; values that are not known are absent from its `props`."""
        start, stop = self.offsets[row], self.offsets[row + 1]
        cell = self.cells[row]
        props: dict[str, Any] = {}
        for name, column in self.values.items():
            value = column[row]
            if isinstance(value, np.ndarray):
                if not np.isnan(value).all():
                    props[name] = value.copy()
            elif isinstance(value, (float, np.floating)):
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
            site={name: v for name, column in self.site.items() if not np.isnan(v := column[start:stop]).all()},
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
                self._file = pq.ParquetFile(self._source, memory_map=True, page_checksum_verification=True)
            except FileNotFoundError:
                raise FileFormatError(f"{self.name}: there is no such file") from None
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
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
        self._whole: dict[str, NDArray] = {}
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
        if version not in FORMATS:
            raise FileFormatError(
                f"{self.name} has format {version}, this euhedral reads {FORMATS[0]} to {FORMATS[-1]}; load the data set again"
            )
        try:
            names = [*self.schema.names, *self.described]
        except UnicodeDecodeError as error:
            raise FileFormatError(
                f"{self.name} is damaged (a column's name or unit is no text: {error.reason}); delete it and load the data set again"
            ) from error
        missing = [name for name in STRUCTURE if name not in names]
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
        found = {}
        for field in self.schema:
            if field.name not in STRUCTURE:
                text = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
                found[field.name] = column_of(field.name, arrow_type=field.type, metadata=text, where=self.name)
        return found

    def _read(self, names: Sequence[str], *, group: int | None = None) -> pa.Table:
        import pyarrow as pa

        if self._file is None:
            return self._source.select(list(names))  # type: ignore[union-attr]
        try:
            if group is None:
                return self._file.read(columns=list(names))
            return self._file.read_row_group(group, columns=list(names))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise FileFormatError(
                f"{self.name} is damaged ({str(error).splitlines()[0]}); delete it and load the data set again"
            ) from error

    def column(self, name: str) -> NDArray:
        """Read one column whole; kept for the next call, so read-only.

        Returns:
            (n,) float64 with NaN, int64, or str; arrays are (n, ...), and those of atoms (N, ...).
        """
        if name not in self._whole:
            described = self.described.get(name, Column(name=name, kind="text"))
            offsets = self.atoms()[0] if described.kind == "site" else None
            values = _decoded(self._read([name]).column(name), column=described, offsets=offsets, where=self.name)
            values.setflags(write=False)
            self._whole[name] = values
        return self._whole[name]

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
        described = {name: column for name, column in self.described.items() if column.kind != "text"}
        names = [*STRUCTURE, *described]
        table = self._read(names, group=group)
        offsets, numbers = _lists(table.column("numbers"))
        bounds, frac = _lists(table.column("frac"))
        if not np.array_equal(bounds, 3 * offsets):
            raise FileFormatError(f"{self.name} is damaged: coordinates and elements do not fit; load it again")
        scale = 1.0 if self.decimals is None else 10.0**self.decimals
        cells = table.column("cell").combine_chunks()
        decoded = {
            name: _decoded(table.column(name), column=column, offsets=offsets, where=self.name)
            for name, column in described.items()
        }
        block = Block(
            ids=table.column("id").to_pylist(),
            cells=np.asarray(cells.flatten()).reshape(len(cells), -1),
            offsets=offsets,
            frac=(frac.astype(np.float64) / scale).reshape(-1, 3),
            numbers=numbers,
            values={name: values for name, values in decoded.items() if described[name].kind != "site"},
            site={name: values for name, values in decoded.items() if described[name].kind == "site"},
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


def _decoded(values: pa.ChunkedArray, *, column: Column, offsets: NDArray[np.int64] | None, where: str) -> NDArray:
    """Decode a column: (n, ...), or (N, ...) when `offsets` tells the first atom of each crystal."""
    import pyarrow as pa

    if column.kind == "array":
        rows = _rows_of_lists(values)
        found = np.full((len(values), column.size), np.nan)
        found[rows[0]] = rows[1].reshape(-1, column.size)
        return found.reshape(-1, *column.shape)
    if column.kind == "site":
        known, flat = _rows_of_lists(values)
        lengths = np.diff(offsets) if offsets is not None else np.zeros(len(values), dtype=np.int64)
        stored = np.asarray(values.combine_chunks().value_lengths().fill_null(0), dtype=np.int64)
        if not np.array_equal(stored, np.where(known, lengths * column.size, 0)):
            raise FileFormatError(f"{where} is damaged: {column.name} and the atoms do not fit; load it again")
        found = np.full((int(lengths.sum()), column.size), np.nan)
        found[np.repeat(known, lengths)] = flat.reshape(-1, column.size)
        return found.reshape(-1, *column.shape)
    if pa.types.is_floating(values.type):
        return values.cast(pa.float64()).to_numpy().astype(np.float64)  # null becomes NaN
    if pa.types.is_integer(values.type):
        return values.cast(pa.int64()).fill_null(int(_UNKNOWN_INTEGER)).to_numpy()
    return np.array([value or "" for value in values.to_pylist()], dtype=object).astype(str)


def _rows_of_lists(values: pa.ChunkedArray) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Tell which rows have a list, and give the numbers of these lists one after the other."""
    array = values.combine_chunks()
    known = ~np.asarray(array.is_null())
    return known, np.asarray(array.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)


def _lists(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray]:
    array = column.combine_chunks()
    lengths = np.asarray(array.value_lengths().fill_null(0), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(lengths)]), np.asarray(array.flatten())
