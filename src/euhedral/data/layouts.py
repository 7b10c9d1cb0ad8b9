"""Sources whose rows lie in several files, or need a word of explanation that is not in the file.

    cifs          an archive of ID.cif, and beside it a table (CSV) with a column of ids
    odac          an archive with two archives of CIF files, pristine and defective frameworks, each with its table
    gamenet       one JSON object a line: 48 metal atoms, then the adsorbate

A layout is named in `sources.json` where the ending of the file does not say how to read it.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

from euhedral.data.readers import Row, json_lines
from euhedral.errors import FileFormatError

_ODAC: Final = "odac/promising_mof_structures"


def _cifs(path: Path, beside: Sequence[Path]) -> Iterator[Row]:
    try:
        with zipfile.ZipFile(path) as archive:
            texts = _cif_texts(archive)
        with beside[0].open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield {**row, "cif": texts.get(row.get("id") or "")}
    except (zipfile.BadZipFile, zlib.error, OSError, UnicodeDecodeError, csv.Error, NotImplementedError) as error:
        raise FileFormatError(f"{path} or {beside[0].name} is not whole ({error}); copy both again") from error


def _odac(path: Path, beside: Sequence[Path]) -> Iterator[Row]:
    del beside
    try:
        with zipfile.ZipFile(path) as archive:
            for kind, column in (("pristine", "MOF"), ("defective", "Name")):
                with zipfile.ZipFile(io.BytesIO(archive.read(f"{_ODAC}/{kind}.zip"))) as inner:
                    texts = _cif_texts(inner)
                table = archive.read(f"{_ODAC}/promising_{kind}_MOFs.csv").decode("utf-8-sig")
                for row in csv.DictReader(io.StringIO(table)):
                    name = row.get(column) or ""
                    yield {**row, "id": name, "kind": kind, "cif": texts.get(name)}
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        KeyError,
        UnicodeDecodeError,
        csv.Error,
        NotImplementedError,
    ) as error:
        raise FileFormatError(f"{path} is not the archive that it should be ({error}); copy it again") from error


def _cif_texts(archive: zipfile.ZipFile) -> dict[str, str]:
    return {
        PurePosixPath(name).stem: archive.read(name).decode("utf-8")
        for name in archive.namelist()
        if name.endswith(".cif") and "__MACOSX" not in name
    }


def _gamenet(path: Path, beside: Sequence[Path]) -> Iterator[Row]:
    """Mark the adsorbate: every atom that is not of the slab's metal; none of the adsorbates has a metal atom."""
    del beside
    for row in json_lines(path):
        metal = str(row.get("metal", "")).capitalize()
        symbols = row.get("symbols")
        if not isinstance(symbols, list) or metal not in symbols:
            raise FileFormatError(f"{path}: {str(row.get('name'))!r} has no atom of its metal {metal!r}; copy it again")
        # two families use one name for two adsorbates
        name = f"{row.get('family')}/{row.get('name')}"
        yield {**row, "id": name, "adsorbate": [float(symbol != metal) for symbol in symbols]}


#: Readers by layout; each takes the file and those beside it.
LAYOUTS: Final[Mapping[str, Callable[[Path, Sequence[Path]], Iterator[Row]]]] = MappingProxyType(
    {"cifs": _cifs, "odac": _odac, "gamenet": _gamenet}
)
