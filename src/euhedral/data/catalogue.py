"""Data sets by name: what there is, what is on this machine, and opening it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from euhedral.data.cache import cache_folder, converted_path, mirror_folder, originals_folder
from euhedral.data.columnar import Columns
from euhedral.data.conversion import FoundPart, Progress, convert
from euhedral.data.dataset import Dataset
from euhedral.data.sources import Source, sources
from euhedral.errors import MissingDataError, RunFolderError, unknown_name

_log = logging.getLogger(__name__)

#: Data sets inside the package, by name.
SHIPPED: Final[Mapping[str, str]] = MappingProxyType(
    {"mp-20-sample": "sample/mp20_sample.parquet", "mp-20-references": "references/mp20.parquet"}
)


@dataclass(frozen=True)
class Entry:
    """One row of `euhedral datasets`.

    Args:
        name: as given to `load`.
        title: one line.
        count: number of crystals.
        licence: of the data.
        targets: unit of each target.
        present: "shipped", "cache", "fetched", "mirror", "mirror only" when it is not here and only a mirror can have it,
            or "" when it must be fetched first.
        megabytes: to download, roughly; 0 for what is shipped.
        doi: of the data.
    """

    name: str
    title: str
    count: int
    licence: str
    targets: Mapping[str, str]
    present: str
    megabytes: int
    doi: str


def is_known(name: str) -> bool:
    """Tell whether a data set has this name, on this machine or not."""
    return name in SHIPPED or name in sources()


def load(name: str, *, progress: Progress | None = None) -> Dataset:
    """Open a data set by name.

    Shipped sets open at once. Others are converted once from the files that `euhedral fetch` put into the cache
    folder, or else from a mirror's tables (`EUHEDRAL_DATA`), and open from the cache folder from then on.

    Args:
        name: as `euhedral datasets` lists it.
        progress: called while a source is converted.

    Raises:
        UnknownNameError: nothing has this name.
        MissingDataError: it is not on this machine.
        FileFormatError: a file of it is damaged.
    """
    if name in SHIPPED:
        return open_shipped(name)
    if name not in sources():
        raise unknown_name("data set", name, [*SHIPPED, *sources()], where="euhedral datasets")
    source = sources()[name]
    for origin, found in _on_disk(source):
        path = converted_path(name, origin=origin)
        if path.is_file() and (found is None or _made_from(path, found, recipe=source.recipe)):
            return Dataset.open(path)
        if found is not None:
            return _converted(source, found=found, path=path, progress=progress)
    if not source.originals:
        raise MissingDataError(
            f"{name} is not on this machine and its authors publish no file of it that can be fetched; "
            f"set EUHEDRAL_DATA to a folder that holds {source.folder}/{source.tables[0].file}"
        )
    raise MissingDataError(
        f"{name} is not in {cache_folder()}; run: euhedral fetch {name} (about {source.megabytes} MB, {source.licence})"
    )


def open_shipped(name: str) -> Dataset:
    """Open a data set that is part of the package.

    Raises:
        UnknownNameError: the package ships none of this name.
    """
    if name not in SHIPPED:
        raise unknown_name("shipped data set", name, SHIPPED, where="euhedral datasets")
    with as_file(files("euhedral.data") / SHIPPED[name]) as path:
        return Dataset(Columns(path))


def entries() -> list[Entry]:
    """List every data set, those inside the package first."""
    rows = []
    for name in SHIPPED:
        card = open_shipped(name).card
        rows.append(Entry(name, card.title, card.count, card.licence, card.units, "shipped", 0, card.doi))
    for name, source in sources().items():
        units = {target: _unit(target) for target in source.targets}
        present = _present(source)
        rows.append(
            Entry(name, source.title, source.count, source.licence, units, present, source.megabytes, source.doi)
        )
    return rows


def _unit(target: str) -> str:
    from euhedral.data.quantities import quantity

    return quantity(target).unit


def _on_disk(source: Source) -> list[tuple[str, list[FoundPart] | None]]:
    """List the origins from which the set can be had, the best first; None stands for files that are gone."""
    mirror = mirror_folder()
    folders = [originals_folder(source.name), *([mirror / source.folder] if mirror else [])]
    for folder in folders:
        found = [FoundPart(part, folder / part.file) for part in source.originals]
        if found and all(path.is_file() for file in found for path in file.paths):
            return [("original", found)]
    if mirror is not None:
        found = [FoundPart(part, mirror / source.folder / part.file) for part in source.tables]
        if all(path.is_file() for file in found for path in file.paths):
            return [("mirror", found)]
    return [("original", None), ("mirror", None)]


def _present(source: Source) -> str:
    places = _on_disk(source)
    if any(converted_path(source.name, origin=origin).is_file() for origin, _ in places):
        return "cache"
    found = places[0][1]
    if found is None:
        return "" if source.originals else "mirror only"
    return "fetched" if found[0].path.is_relative_to(originals_folder(source.name)) else "mirror"


def _made_from(path: Path, found: list[FoundPart], *, recipe: str) -> bool:
    card = Dataset.open(path).card
    files = [(each.name, each.stat().st_size) for file in found for each in file.paths]
    return card.recipe == recipe and [(file.name, file.size) for file in card.sources] == files


def _converted(source: Source, *, found: list[FoundPart], path: Path, progress: Progress | None) -> Dataset:
    try:
        convert(source, found=found, path=path, progress=progress)
    except RunFolderError as error:
        _log.warning(
            "%s: %s; it is read anew each time until EUHEDRAL_CACHE names a folder that can be written",
            source.name,
            error,
        )
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / path.name
            convert(source, found=found, path=temporary, progress=progress)
            return Dataset(Columns(Columns(temporary).in_memory()))
    return Dataset.open(path)
