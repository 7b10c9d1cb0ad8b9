"""Many crystals with what is known of them, opened from a file and read when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.data.card import Audit, DatasetCard
from euhedral.data.columnar import Column, Columns
from euhedral.data.encoding import chunks, content_hash, described_targets, encode, with_column, write_columns
from euhedral.errors import InvalidRequestError, MissingDependencyError, UnknownNameError, unknown_name

if TYPE_CHECKING:
    import pandas as pd


class Dataset:
    """A sequence of crystals: exactly as many as it says, the same in every pass.

    Nothing is skipped or replaced while reading; what could not be used was rejected when the set was made, and
    `card.audit` says how many and why.

    Args:
        columns: the open file or table.
        card: what the set is; the file's own card when not given.
        rows: which rows belong to it, in order; all when not given.
    """

    def __init__(
        self, columns: Columns, *, card: DatasetCard | None = None, rows: NDArray[np.int64] | None = None
    ) -> None:
        self._columns = columns
        self._rows = rows
        self.card = card or columns.card or _own_card(columns.name, count=len(columns))

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a file that `write` made.

        Raises:
            FileFormatError: no such file, or not in this format.
        """
        return cls(Columns(Path(path)))

    @classmethod
    def from_crystals(
        cls, crystals: Iterable[Crystal], *, name: str = "own", targets: Sequence[str] = (), card: DatasetCard | None = None,
    ) -> Dataset:  # fmt: skip
        """Make a data set from crystals in memory.

        Args:
            crystals: at least one; their order is kept.
            name: of the set.
            targets: the values to carry, of `props` (numbers, arrays of one shape) or of `site`; a crystal may lack some
                of them.
            card: origin and licence; a card that says "own data" when not given.

        Raises:
            InvalidRequestError: no crystals, two with the same id, or a target whose values differ in shape.
            UnknownNameError: no crystal has a value of this name.
        """
        crystals = list(crystals)
        if not crystals:
            raise InvalidRequestError(f"data set {name!r}: expected at least one crystal, got none")
        _unique([crystal.id for crystal in crystals], name=name)
        table = encode(crystals, columns=described_targets(targets, crystals=crystals), text={}, decimals=None)
        columns = Columns(table)
        base = card or _own_card(name, count=len(crystals))
        units = {key: column.unit for key, column in columns.described.items()}
        audit = Audit(read=len(crystals), kept=len(crystals))
        digest = content_hash(crystals, columns=list(units))
        return cls(columns, card=replace(base, count=len(crystals), units=units, audit=audit, sha256=digest))

    @classmethod
    def from_pandas(
        cls, frame: pd.DataFrame, *, structure: str = "", id: str = "", targets: Sequence[str] | None = None,  # noqa: A002
        units: Mapping[str, str] | None = None, name: str = "own", classes: Mapping[str, Sequence[str]] | None = None,
    ) -> Dataset:  # fmt: skip
        """Make a data set of a table with a structure in each row; `data.own.from_pandas` says more.

        Args:
            frame: one row a crystal.
            structure: the column of structures; found by its name when not given.
            id: the column of names; found by its name when not given.
            targets: the columns to carry; every column of numbers or arrays when not given.
            units: of the targets, as far as they are known.
            name: of the set.
            classes: of the targets whose cells are words; sorted where they are not given.

        Raises:
            UnknownNameError: the table has no such column.
            FileFormatError: not one structure can be used.
            InvalidRequestError: a target that no crystal has a value of.
        """
        from euhedral.data.own import from_pandas

        return from_pandas(frame, structure=structure, id=id, targets=targets, units=units, name=name, classes=classes)

    def __len__(self) -> int:
        return len(self._columns) if self._rows is None else int(self._rows.size)

    def __repr__(self) -> str:
        return f"<Dataset {self.card.name!r}, {len(self):,} crystals, targets {', '.join(self.targets) or 'none'}>"

    @overload
    def __getitem__(self, index: int) -> Crystal: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Crystal | Dataset:
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        position = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= position < len(self):
            raise IndexError(f"data set {self.card.name!r} has {len(self)} crystals, there is no number {index}")
        return self._columns.crystal(position if self._rows is None else int(self._rows[position]))

    def __iter__(self) -> Iterator[Crystal]:
        for position in range(len(self)):
            yield self[position]

    def select(self, rows: ArrayLike) -> Dataset:
        """Take some of the crystals, in the order given.

        Args:
            rows: (M,) positions, or (n,) truth values.

        Raises:
            InvalidRequestError: a position that does not exist, or the wrong number of truth values.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise InvalidRequestError(f"{self.card.name}: expected {len(self)} truth values, got {chosen.shape}")
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64).ravel()
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise InvalidRequestError(f"{self.card.name}: positions go from 0 to {len(self) - 1}, got {chosen.max()}")
        return Dataset(self._columns, card=self.card, rows=chosen if self._rows is None else self._rows[chosen])

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the numbers and arrays that crystals or atoms of this set may carry."""
        return tuple(name for name, column in self.described.items() if column.kind in ("float", "array", "site"))

    @property
    def described(self) -> Mapping[str, Column]:
        """Every column beside the structure, with unit, method and note."""
        return self._columns.described

    @property
    def classes(self) -> str:
        """The column of classes that folds divide evenly; a set of crystals has none."""
        return ""

    def crystals(self) -> Iterable[Crystal]:
        """Go through the crystals."""
        return self

    @property
    def ids(self) -> NDArray[np.str_]:
        """(n,) names of the crystals."""
        return self.column("id")

    def column(self, name: str) -> NDArray:
        """Read one column without building crystals.

        Args:
            name: "id", or a name in `described`.

        Returns:
            (n,) float64 with NaN where not known, int64, or str; arrays are (n, ...), and values of atoms (N, ...), those
            of one crystal together.

        Raises:
            UnknownNameError: the set has no such column.
        """
        known = ["id", *self.described]
        if name not in known:
            raise UnknownNameError(f"data set {self.card.name!r} has no column {name!r}; it has {', '.join(known)}")
        values = self._columns.column(name)
        if self._rows is None:
            return values
        of_atoms = name != "id" and self.described[name].kind == "site"
        return values[self._atom_rows() if of_atoms else self._rows]

    def _atom_rows(self) -> NDArray[np.int64]:
        """(N,) where the atoms of each crystal are in the columns, in order."""
        offsets, _ = self._columns.atoms()
        rows = np.arange(len(self._columns)) if self._rows is None else self._rows
        counts = np.diff(offsets)[rows]
        return np.repeat(offsets[rows] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())

    def known(self, target: str) -> NDArray[np.bool_]:
        """Tell which crystals have a value of a target, or some of it.

        Args:
            target: one of `targets`.

        Returns:
            (n,) truth values.

        Raises:
            UnknownNameError: the set has no such target.
        """
        if target not in self.targets:
            raise unknown_name(f"target in {self.card.name!r}", target, self.targets, where="euhedral datasets")
        found = ~np.isnan(self.column(target))
        found = np.asarray(found.any(axis=tuple(range(1, found.ndim))))
        if self.described[target].kind != "site":
            return found
        offsets, _ = self._columns.atoms()
        counts = np.diff(offsets) if self._rows is None else np.diff(offsets)[self._rows]
        return np.bincount(np.repeat(np.arange(len(counts)), counts), weights=found, minlength=len(counts)) > 0

    def element_table(self) -> NDArray[np.bool_]:
        """Tell which elements each crystal has.

        Returns:
            (n, 119) by atomic number.
        """
        offsets, numbers = self._columns.atoms()
        table = np.zeros((len(self._columns), len(SYMBOLS)), dtype=bool)
        table[np.repeat(np.arange(len(table)), np.diff(offsets)), numbers] = True
        return table if self._rows is None else table[self._rows]

    def fractions(self, elements: Sequence[str]) -> NDArray[np.float64]:
        """Give the composition of each crystal; no structure is decoded.

        Args:
            elements: k symbols; atoms of other elements count in the total only.

        Returns:
            (n, k) atomic fractions.

        Raises:
            UnknownNameError: a symbol is no element's.
        """
        column = np.full(len(SYMBOLS), len(elements), dtype=np.int64)
        column[[atomic_number(symbol) for symbol in elements]] = np.arange(len(elements))
        offsets, numbers = self._columns.atoms()
        counts = np.diff(offsets) if self._rows is None else np.diff(offsets)[self._rows]
        table = np.zeros((len(counts), len(elements) + 1))
        np.add.at(table, (np.repeat(np.arange(len(counts)), counts), column[numbers[self._atom_rows()]]), 1.0)
        return table[:, :-1] / counts[:, None]

    def within(self, elements: Iterable[str]) -> Dataset:
        """Take the crystals that have no other elements than these; no structure is decoded.

        Args:
            elements: symbols; "Li", "Mn", "O" gives Li, Mn, O, Li-Mn, Li-O, Mn-O and Li-Mn-O.

        Raises:
            UnknownNameError: a symbol is no element's.
        """
        allowed = np.zeros(len(SYMBOLS), dtype=bool)
        allowed[[atomic_number(symbol) for symbol in elements]] = True
        offsets, numbers = self._columns.atoms()
        whole = np.logical_and.reduceat(allowed[numbers], offsets[:-1])
        return self.select(whole if self._rows is None else whole[self._rows])

    def without(self, other: Dataset) -> Dataset:
        """Take the crystals whose material is not in another set, so that training on the rest leaks none of it.

        The same id, and the same structure under another one, are the same material (`data.overlaps`).
        """
        from euhedral.data.overlaps import shared_rows

        return self.select(~shared_rows(self, other))

    def labelled(self, target: str) -> Dataset:
        """Take the crystals whose target is known, wholly or in part.

        Raises:
            UnknownNameError: the set has no such target.
        """
        return self.select(self.known(target))

    def split(self, name: str) -> Mapping[str, Dataset]:
        """Divide the set by a named rule: "official", "random-0", "fold-2+val", "leave-cluster-out-3" ...

        Args:
            name: see `data.splits`.

        Returns:
            "train", "val" and "test" (or those that the rule has); no crystal is in two of them.

        Raises:
            UnknownNameError: no rule has this name, or the set has no official split.
        """
        from euhedral.data.splits import positions

        return {part: self.select(rows) for part, rows in positions(self, name).items()}

    def to_pandas(self) -> pd.DataFrame:
        """Return ids, formulas and values as a table, an array in each cell of a spectrum; structures stay behind.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingDependencyError("to_pandas needs pandas; run: pip install 'euhedral[pandas]'") from error
        from euhedral.core.composition import formula

        offsets, numbers = self._columns.atoms()
        rows = np.arange(len(self._columns)) if self._rows is None else self._rows
        table: dict[str, Any] = {"id": self.ids}
        table["formula"] = [formula(numbers[offsets[row] : offsets[row + 1]]) for row in rows]
        table["n_atoms"] = np.diff(offsets)[rows]
        ends = np.cumsum(table["n_atoms"])[:-1]
        for name, column in self.described.items():
            values = self.column(name)
            table[name] = np.split(values, ends) if column.kind == "site" else values if values.ndim == 1 else [*values]
        return pd.DataFrame(table)

    def with_column(self, column: Column, *, values: Sequence[str] | NDArray[np.float64]) -> Dataset:
        """Add a column of text or of numbers or arrays of each crystal, in memory.

        Args:
            column: its name and description; one of the same name is replaced.
            values: (n,) one for each crystal, or (n, *shape) of arrays; NaN where not known.

        Raises:
            InvalidRequestError: another number of values.
        """
        if len(values) != len(self):
            raise InvalidRequestError(
                f"{self.card.name}: column {column.name!r} needs {len(self)} values, got {len(values)}"
            )
        rows = np.arange(len(self._columns)) if self._rows is None else self._rows
        return Dataset(Columns(with_column(self._columns.take(rows), column=column, values=values)), card=self.card)

    def write(self, path: str | Path) -> Dataset:
        """Write the crystals of this set to one file, and open it.

        Raises:
            RunFolderError: the folder cannot be written; an older file is untouched.
        """
        rows = np.arange(len(self._columns)) if self._rows is None else self._rows
        tables = (self._columns.take(np.asarray(part)) for part in chunks(rows, size=65_536))
        digest = content_hash(self, columns=self.values)
        card = replace(self.card, count=len(self), sha256=digest)
        write_columns(Path(path), tables=tables, card=lambda: card)
        return Dataset.open(path)

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the columns that become `props` or `site`."""
        return tuple(name for name, column in self.described.items() if column.kind != "text")


def _unique(ids: Sequence[str], *, name: str) -> None:
    seen: set[str] = set()
    for position, identifier in enumerate(ids):
        if identifier in seen:
            raise InvalidRequestError(
                f"data set {name!r}: two crystals have the id {identifier!r} (the second is number {position}); "
                "give each its own"
            )
        seen.add(identifier)


def _own_card(name: str, *, count: int) -> DatasetCard:
    return DatasetCard(
        name=name, version="1", title="Own data", licence="not stated", doi="", citation="",
        description="Made from crystals in memory.", count=count,
    )  # fmt: skip
