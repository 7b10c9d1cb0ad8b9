"""What a data set says about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from euhedral.errors import FileFormatError


@dataclass(frozen=True)
class SourceFile:
    """One file that a data set was made from.

    Args:
        name: its name, as in the source's own folder.
        url: where it came from; empty when it came from a mirror.
        sha256: of its bytes.
        size: bytes.
    """

    name: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Audit:
    """How many rows were read, how many were kept, and why the others were not.

    Args:
        read: rows in the source.
        kept: rows in the data set.
        rejects: how many rows were rejected for each reason.
        remarks: what is odd about rows that were kept; one sentence each, with its count.
    """

    read: int
    kept: int
    rejects: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetCard:
    """Name, origin, licence and contents of a data set.

    Args:
        name: as given to `load`.
        version: of the data, in the source's own words.
        title: one line.
        licence: SPDX identifier or the licence's usual name.
        doi: of the data or of the paper that describes them.
        citation: BibTeX entries.
        description: what a user must know before using it.
        count: number of crystals.
        sha256: of the contents (`columnar.content_hash`), whatever the compression.
        units: unit of each target.
        sources: the files that it was made from.
        audit: rows read, kept and rejected.
        splits: the values of the column `split`, with their counts; empty when there is no official split.
        overlaps: what it shares with other sets and with itself, one sentence for each set.
        recipe: hash of the rules by which it was made; a set made by other rules is made again.
    """

    name: str
    version: str
    title: str
    licence: str
    doi: str
    citation: str
    description: str
    count: int = 0
    sha256: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[SourceFile, ...] = ()
    audit: Audit = field(default_factory=lambda: Audit(read=0, kept=0))
    splits: Mapping[str, int] = field(default_factory=dict)
    overlaps: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""

    def to_json(self) -> str:
        """Write the card as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> DatasetCard:
        """Read a card.

        Args:
            text: JSON.
            where: the file, for errors.

        Raises:
            FileFormatError: the text is no card.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["sources"] = tuple(SourceFile(**source) for source in values["sources"])
            audit = values["audit"]
            values["audit"] = Audit(**{**audit, "remarks": tuple(audit["remarks"])})
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(
                f"{where}: its data set card cannot be read ({error}); delete the file and load the data set again"
            ) from error
