"""From the files of a source to one data set file, once: rows are read, audited, and written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from euhedral.core.crystal import Crystal
from euhedral.data.audit import Auditor, check_apart, value_of
from euhedral.data.card import DatasetCard, SourceFile
from euhedral.data.checksum import file_sha256
from euhedral.data.columnar import Column
from euhedral.data.encoding import ContentHash, chunks, encode, fits_decimals, write_columns
from euhedral.data.readers import Row, read_rows, structure_of
from euhedral.data.sources import Part, Source
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError

if TYPE_CHECKING:
    import pyarrow as pa

#: Called with what is being done, how much of it is done, and how much there is in all.
Progress = Callable[[str, int, int | None], None]

_REPORT_EVERY = 256


@dataclass(frozen=True)
class FoundPart:
    """A file of a source that is on this machine."""

    part: Part
    path: Path


def convert(source: Source, *, found: Sequence[FoundPart], path: Path, progress: Progress | None = None) -> None:
    """Read a source's files and write the data set, with its rejects beside it.

    Args:
        source: what the files are.
        found: its files, in order.
        path: the data set file; rejects go to the same name ending in .rejects.csv.
        progress: called now and then.

    Raises:
        FileFormatError: a file is not what it should be, or has another number of rows.
        RunFolderError: the folder cannot be written.
    """
    columns = describe(source)
    auditor = Auditor(targets=list(source.targets))
    digest = ContentHash(columns=[column.name for column in columns if column.kind != "text"])
    splits: dict[str, int] = {}
    stream = _examined(source, found=found, auditor=auditor, progress=progress)

    def tables() -> Iterator[pa.Table]:
        for chunk in chunks(stream):
            crystals = [crystal for crystal, _ in chunk]
            parts = [split for _, split in chunk]
            for crystal, split in chunk:
                digest.add(crystal)
                splits[split] = splits.get(split, 0) + 1
            yield encode(crystals, columns=columns, text={"split": parts}, decimals=source.decimals)

    def finish() -> DatasetCard:
        auditor.write_rejects(rejects_path(path))
        return DatasetCard(
            name=source.name, version=source.version, title=source.title, licence=source.licence, doi=source.doi,
            citation=source.citation, description=source.description, count=auditor.kept, sha256=digest.hexdigest(),
            units={column.name: column.unit for column in columns if column.kind == "float"},
            sources=tuple(_described(file) for file in found), audit=auditor.summary(),
            splits={name: count for name, count in splits.items() if name}, overlaps=source.overlaps, recipe=source.recipe,
        )  # fmt: skip

    write_columns(path, tables=tables(), card=finish)


def rejects_path(path: Path) -> Path:
    """Return where the rejects of a data set file are listed."""
    return path.with_name(f"{path.stem}.rejects.csv")


def describe(source: Source) -> list[Column]:
    """Return the columns that a source's data set has beside the structure."""
    columns = [Column.target(name) for name in source.targets]
    columns += [Column(name=name, kind="int", note=value.note) for name, value in source.integers.items()]
    if any(part.split for part in source.originals):
        columns.append(Column(name="split", kind="text", note="the part of the official split"))
    return columns


def _examined(
    source: Source, *, found: Sequence[FoundPart], auditor: Auditor, progress: Progress | None
) -> Iterator[tuple[Crystal, str]]:
    total = sum(file.part.rows for file in found)
    done = 0
    for file in found:
        belonging = 0
        for number, row in enumerate(read_rows(file.path)):
            if any(str(row.get(column)) != value for column, value in file.part.only.items()):
                continue
            name = _name(source, part=file.part, row=row, number=belonging)
            belonging += 1
            try:
                crystal = _crystal(source, part=file.part, row=row, name=name)
            except EuhedralError as error:
                auditor.unusable(error, file=file.path.name, row=number, id=name)
            else:
                if auditor.keep(crystal, file=file.path.name, row=number):
                    yield crystal, file.part.split
            done += 1
            if progress is not None and done % _REPORT_EVERY == 0:
                progress(f"reading {source.name}", done, total)
        if belonging != file.part.rows:
            raise FileFormatError(
                f"{file.path} has {belonging:,} rows for {source.name}, expected {file.part.rows:,}; "
                f"it is cut off or another version: delete it and run: euhedral fetch {source.name}"
            )
    if progress is not None:
        progress(f"reading {source.name}", total, total)


def _name(source: Source, *, part: Part, row: Row, number: int) -> str:
    own = row.get(source.id)
    if own is None or not str(own).strip():
        return source.unnamed.format(split=part.split, row=number)
    return f"{part.numbered or source.prefix}{str(own).strip()}"


def _crystal(source: Source, *, part: Part, row: Row, name: str) -> Crystal:
    crystal = structure_of(row, column=part.structure, name=name)
    check_apart(crystal)
    if source.decimals is not None and not fits_decimals(crystal, decimals=source.decimals):
        raise InvalidCrystalError(
            f"{name}: coordinates or cell have more than the {source.decimals} decimals that {source.name} has; the row was changed"
        )
    props: dict[str, float | int] = {}
    for group, kind in ((source.targets, float), (source.integers, int)):
        for target, values in group.items():
            if any(str(row.get(column)) == unwanted for column, unwanted in values.unless.items()):
                continue
            value = value_of(row, values.column, where=name)
            if value is not None:
                props[target] = kind(value)
    return crystal.replace(id=name, props=props)


def _described(file: FoundPart) -> SourceFile:
    digest = file_sha256(file.path)
    return SourceFile(name=file.path.name, url=file.part.url, sha256=digest, size=file.path.stat().st_size)
