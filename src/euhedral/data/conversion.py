"""From the files of a source to one data set file, once: rows are read, audited, and written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from euhedral.core.crystal import Crystal
from euhedral.data.audit import Auditor, check_apart
from euhedral.data.card import DatasetCard, SourceFile
from euhedral.data.checksum import file_sha256
from euhedral.data.columnar import Column
from euhedral.data.encoding import ContentHash, chunks, encode, fits_decimals, write_columns
from euhedral.data.labels import number_of, value_of, with_axes_of
from euhedral.data.overlaps import sentences
from euhedral.data.quantities import quantity
from euhedral.data.readers import Row, read_rows, structure_of
from euhedral.data.sources import Part, Source
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError

if TYPE_CHECKING:
    import pyarrow as pa

#: Called with what is being done, how much of it is done, and how much there is in all.
Progress = Callable[[str, int, int | None], None]

_REPORT_EVERY: Final = 256
# a tensor that departs more from its crystal's symmetry refers to other axes
_SYMMETRY_LIMIT: Final = 0.05


@dataclass(frozen=True)
class FoundPart:
    """A file of a source that is on this machine."""

    part: Part
    path: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is needed, the one with the rows first."""
        return (
            tuple(self.path.with_name(name) for name in self.part.files) if len(self.part.files) > 1 else (self.path,)
        )


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
    texts = [column.name for column in columns if column.kind == "text"]
    splits: dict[str, int] = {}
    stream = _examined(source, found=found, auditor=auditor, progress=progress)

    def tables() -> Iterator[pa.Table]:
        for chunk in chunks(stream):
            crystals = [crystal for crystal, _ in chunk]
            for crystal, text in chunk:
                digest.add(crystal)
                part = text.get("split", "")
                splits[part] = splits.get(part, 0) + 1
            text = {name: [text.get(name, "") for _, text in chunk] for name in texts}
            yield encode(crystals, columns=columns, text=text, decimals=source.decimals)

    def finish() -> DatasetCard:
        auditor.write_rejects(rejects_path(path))
        return DatasetCard(
            name=source.name, version=source.version, title=source.title, licence=source.licence, doi=source.doi,
            citation=source.citation, description=source.description, count=auditor.kept, sha256=digest.hexdigest(),
            units={column.name: column.unit for column in columns if column.kind in ("float", "array", "site")},
            sources=tuple(_described(path, file.part) for file in found for path in file.paths), audit=auditor.summary(),
            splits={name: count for name, count in splits.items() if name}, overlaps={**sentences(source.name), **source.overlaps}, recipe=source.recipe,
        )  # fmt: skip

    write_columns(path, tables=tables(), card=finish)


def rejects_path(path: Path) -> Path:
    """Return where the rejects of a data set file are listed."""
    return path.with_name(f"{path.stem}.rejects.csv")


def describe(source: Source) -> list[Column]:
    """Return the columns that a source's data set has beside the structure."""
    columns = [Column.target(name) for name in source.targets]
    columns += [Column(name=name, kind="int", note=value.note) for name, value in source.integers.items()]
    columns += [Column(name=name, kind="text", note=value.note) for name, value in source.texts.items()]
    if any(part.split or part.split_column or part.split_lists for part in (*source.originals, *source.tables)):
        columns.append(Column(name="split", kind="text", note="the part of the official split"))
    return columns


def _examined(
    source: Source, *, found: Sequence[FoundPart], auditor: Auditor, progress: Progress | None
) -> Iterator[tuple[Crystal, dict[str, str]]]:
    total = sum(file.part.rows for file in found)
    done = 0
    for file in found:
        belonging = 0
        members = _members(file)
        beside = file.paths[1 : 1 + len(file.part.beside)]
        for number, row in enumerate(read_rows(file.path, layout=file.part.layout, beside=beside)):
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
                    yield crystal, _texts(source, part=file.part, row=row, number=number, members=members)
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


def _members(file: FoundPart) -> dict[str, str]:
    """Tell the part of the official split of each row, by its key, where lists beside the file do."""
    parts: dict[str, str] = {}
    for (part, name), path in zip(file.part.split_lists.items(), file.paths[1 + len(file.part.beside) :], strict=True):
        try:
            words = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise FileFormatError(f"{path}: the list of the part {part!r} cannot be read ({error})") from error
        for word in words:
            if parts.setdefault(word, part) != part:
                raise FileFormatError(f"{path.parent / name}: {word!r} is in {part} and in {parts[word]} of the split")
    return parts


def _texts(source: Source, *, part: Part, row: Row, number: int, members: dict[str, str]) -> dict[str, str]:
    texts = {name: str(row.get(values.column) or "") for name, values in source.texts.items()}
    texts["split"] = part.split
    if part.split_column:
        texts["split"] = str(row.get(part.split_column) or "")
    elif part.split_lists:
        texts["split"] = members.get(str(row.get(part.split_key, number)), "")
    return texts


def _name(source: Source, *, part: Part, row: Row, number: int) -> str:
    own = row.get(part.id or source.id)
    if own is None or not str(own).strip():
        return source.unnamed.format(split=part.split, row=number, number=number + 1)
    return f"{part.numbered or source.prefix}{str(own).strip()}"


def _crystal(source: Source, *, part: Part, row: Row, name: str) -> Crystal:
    crystal = structure_of(row, column=part.structure, name=name)
    check_apart(crystal)
    if source.decimals is not None and not fits_decimals(crystal, decimals=source.decimals):
        raise InvalidCrystalError(
            f"{name}: coordinates or cell have more than the {source.decimals} decimals that {source.name} has; the row was changed"
        )
    props: dict[str, Any] = {}
    site: dict[str, Any] = {}
    for target, values in source.targets.items():
        known = quantity(target)
        value = value_of(row, values, quantity=known, atoms=len(crystal), where=name)
        if value is not None:
            (site if known.kind == "site" else props)[target] = value
    for target, values in source.integers.items():
        number = number_of(row, values.column, where=name)
        if number is not None:
            props[target] = int(number)
    if source.axes_of and source.axes_of in props:
        group = number_of(row, source.space_group, where=name)
        crystal = with_axes_of(
            crystal, props[source.axes_of], limit=_SYMMETRY_LIMIT, space_group=None if group is None else int(group), where=name
        )  # fmt: skip
    return crystal.replace(id=name, props=props, site=site)


def _described(path: Path, part: Part) -> SourceFile:
    url = part.url if path.name == Path(part.file).name else ""
    return SourceFile(name=path.name, url=url, sha256=file_sha256(path), size=path.stat().st_size)
