"""Files of diffractometers that only a library reads: Bruker .brml and .raw (version 4), Rigaku .rasx.

They are read by `fairmat-readers-xrd` (Apache-2.0), an optional package. A .brml or .rasx is a zip of XML files: both are looked
at before the library is let near them.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import FileFormatError, MissingDependencyError

#: Suffixes of these files.
SUFFIXES: Final = (".brml", ".rasx", ".raw")
# Bytes that a zip may unpack to; a scan needs a thousandth of it.
_MOST_UNPACKED: Final = 500_000_000
# What the library lets out when a file is not as it expects.
_FOREIGN: Final = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, NotImplementedError, OSError, ArithmeticError,
    struct.error, zipfile.BadZipFile, ParseError, ExpatError,
)  # fmt: skip


def scan_from_instrument_file(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, Any]]:
    """Read the scan of a file.

    Args:
        path: with one of `SUFFIXES`.

    Returns:
        (N,) degrees of 2 theta, (N,) counts, and what else the file says.

    Raises:
        MissingDependencyError: the library is not installed.
        FileFormatError: the file is not what its name says, or does not hold a scan over 2 theta.
    """
    try:
        from fairmat_readers_xrd import read_file  # pyright: ignore[reportMissingImports]  optional
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: {path.suffix} files are read by an optional package; run: pip install 'euhedral[instruments]', "
            f"or export the scan as xrdml or xy"
        ) from error
    if not path.suffix.islower():
        raise FileFormatError(
            f"{path}: the library knows suffixes in small letters only; rename it to {path.suffix.lower()}"
        )
    if path.suffix != ".raw":
        _look_into(path)
    try:
        content = read_file(str(path))
    except _FOREIGN as error:
        raise FileFormatError(f"{path}: not a {path.suffix} file that can be read ({_one_line(error)})") from error
    if content is None:
        raise FileFormatError(f"{path}: not a {path.suffix} file that can be read; only version 4 of Bruker's .raw is")
    x, y = _values(content.get("2Theta")), _values(content.get("intensity"))
    if x.ndim != 1 or y.ndim != 1 or x.size != y.size or not x.size:
        raise FileFormatError(f"{path}: expected one scan over 2 theta, got angles {x.shape} and intensities {y.shape}")
    source = content.get("metadata", {}).get("source", {}) or {}
    return x, y, {key: str(value) for key, value in source.items() if value is not None}


def _values(quantity: Any) -> NDArray[np.float64]:
    return np.atleast_1d(np.squeeze(np.asarray(getattr(quantity, "magnitude", quantity), dtype=np.float64)))


def _look_into(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > _MOST_UNPACKED:
                raise FileFormatError(
                    f"{path}: it unpacks to more than {_MOST_UNPACKED // 1_000_000} MB and is not read"
                )
            for member in members:
                if member.filename.lower().endswith(".xml") and b"<!DOCTYPE" in archive.read(member).upper():
                    raise FileFormatError(
                        f"{path}: XML with a document type is not read, since it may expand without end"
                    )
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError) as error:
        raise FileFormatError(f"{path}: not a zip archive as {path.suffix} files are ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:120]
