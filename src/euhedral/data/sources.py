"""The data sets that can be loaded by name: where they come from, under which licence, and what their columns mean."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType

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
        structure: the column with the structure, "cif" or "poscar".
        only: column values that a row must have to belong.
        numbered: prefix for files whose own ids are bare numbers; empty when they are names.
    """

    file: str
    split: str
    rows: int
    url: str = ""
    sha256: str | None = None
    structure: str = "cif"
    only: Mapping[str, str] = field(default_factory=dict)
    numbered: str = ""


@dataclass(frozen=True)
class Values:
    """Where a value comes from.

    Args:
        column: of the source.
        unless: column values for which the value is not of this kind, and so not known.
        note: what to know of it.
    """

    column: str
    unless: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


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
        unnamed: pattern for the name of rows that have none.
        decimals: digits of coordinates and cell parameters; None keeps all.
        targets: what each target is read from.
        integers: what each whole number is read from.
        originals: the files as published.
        tables: the files as a mirror may have them.
        overlaps: what it shares with other sets.
        recipe: hash of all of this.
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

    @property
    def count(self) -> int:
        """Rows that the source has."""
        return sum(part.rows for part in self.originals)


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by name."""
    rows = json.loads(files("euhedral.data").joinpath("sources.json").read_text(encoding="utf-8"))
    found = {}
    for row in rows:
        row["recipe"] = hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]
        row["originals"] = tuple(Part(**part) for part in row["originals"])
        row["tables"] = tuple(Part(**part) for part in row["tables"])
        for group in ("targets", "integers"):
            row[group] = {name: Values(**value) for name, value in row[group].items()}
        found[row["name"]] = Source(**row)
    return MappingProxyType(found)


def source(name: str) -> Source:
    """Return one source.

    Raises:
        UnknownNameError: nothing here has this name.
    """
    try:
        return sources()[name]
    except KeyError:
        raise unknown_name("data set", name, sources(), where="euhedral datasets") from None
