"""The data sets that can be loaded by name: where they come from, under which licence, and what their columns mean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from euhedral.errors import unknown_name


@dataclass(frozen=True)
class Part:
    """One file of a source.

    Args:
        file: its name.
        split: the part of the official split that its rows belong to; empty when there is none.
        rows: how many of its rows belong to the data set; another number means another file.
        url: where it is published; empty for a mirror's table.
        sha256: of its bytes; None when not known here, then it is recorded when first fetched. Those of MP-20 are what
            public repositories that pin the same files state (train and val: two that are independent of each other).
        structure: the column with the structure: "cif", "poscar", "structure" (what pymatgen writes), "ase" or "symbols"
            (elements, cell and Cartesian coordinates).
        only: column values that a row must have to belong.
        numbered: prefix for files whose own ids are bare numbers; empty when they are names.
        layout: how rows lie in the file, where its ending does not say it (`data.layouts`).
        beside: names of other files that the layout needs, in the same folder.
        split_column: the column that tells the part of the official split: train, val or test.
        split_lists: files beside it that list the members of each part of the official split, by `split_key`.
        id: the column with names, where it is not that of the source.
        split_key: the column that these lists refer to; empty when to the position in the file, from 0.
    """

    file: str
    split: str
    rows: int
    url: str = ""
    sha256: str | None = None
    structure: str = "cif"
    only: Mapping[str, str] = field(default_factory=dict)
    numbered: str = ""
    layout: str = ""
    beside: tuple[str, ...] = ()
    split_column: str = ""
    split_lists: Mapping[str, str] = field(default_factory=dict)
    split_key: str = ""
    id: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is needed, the one with the rows first."""
        return (self.file, *self.beside, *self.split_lists.values())


@dataclass(frozen=True)
class Values:
    """Where a value comes from.

    Args:
        column: of the source.
        unless: column values for which the value is not of this kind, and so not known.
        note: what to know of it.
        also: other names that the column has in other files of the source.
        columns: of a curve whose points stand in columns of their own, these columns in order.
        per_atom: the source gives it for all atoms together.
    """

    column: str = ""
    unless: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    also: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    per_atom: bool = False


@dataclass(frozen=True)
class Source:
    """One data set as published.

    Args:
        name: as given to `load`.
        folder: its folder in a mirror.
        title: one line.
        version: in the source's own words.
        licence: SPDX identifiers where they exist.
        doi: of the data or the paper that describes them.
        citation: BibTeX.
        description: what a user must know first.
        megabytes: roughly, to download.
        id: the column with names.
        prefix: put before names that would be bare numbers.
        unnamed: pattern for the name of rows that have none, with their row from 0 or their number from 1.
        decimals: digits of coordinates and cell parameters; None keeps all.
        targets: what each target is read from.
        integers: what each whole number is read from.
        originals: the files as published; none where no file of their authors is known that can be fetched.
        tables: the files as a mirror may have them.
        overlaps: what it shares with other sets.
        recipe: hash of all of this.
        texts: what each text is read from.
        axes_of: the tensor in whose axes, the standard ones of the crystal, the crystal has to be turned; empty where the
            components refer to the axes of the structure as it is published.
        space_group: the column with the space group, for that.
    """

    name: str
    folder: str
    title: str
    version: str
    licence: str
    doi: str
    citation: str
    description: str
    megabytes: int
    id: str
    prefix: str
    unnamed: str
    decimals: int | None
    targets: Mapping[str, Values]
    integers: Mapping[str, Values]
    originals: tuple[Part, ...]
    tables: tuple[Part, ...]
    overlaps: Mapping[str, str]
    recipe: str
    texts: Mapping[str, Values] = field(default_factory=dict)
    axes_of: str = ""
    space_group: str = ""

    @property
    def count(self) -> int:
        """Rows that the source has."""
        return sum(part.rows for part in self.originals or self.tables)


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by name."""
    rows = json.loads(files("euhedral.data").joinpath("sources.json").read_text(encoding="utf-8"))
    found = {}
    for row in rows:
        row["recipe"] = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]
        for group in ("originals", "tables"):
            row[group] = tuple(Part(**{**part, "beside": tuple(part.get("beside", ()))}) for part in row[group])
        for group in ("targets", "integers", "texts"):
            row[group] = {name: _values(value) for name, value in row.get(group, {}).items()}
        found[row["name"]] = Source(**row)
    return MappingProxyType(found)


def _values(row: Mapping[str, Any]) -> Values:
    return Values(**{**row, "also": tuple(row.get("also", ())), "columns": tuple(row.get("columns", ()))})


def source(name: str) -> Source:
    """Return one source.

    Raises:
        UnknownNameError: nothing here has this name.
    """
    try:
        return sources()[name]
    except KeyError:
        raise unknown_name("data set", name, sources(), where="euhedral datasets") from None
