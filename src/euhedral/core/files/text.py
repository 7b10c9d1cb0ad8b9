"""Bytes into text, and words into numbers, with errors that name the place."""

from __future__ import annotations

import re
from pathlib import Path

from euhedral.errors import FileFormatError

#: Larger files are refused, unless they are made of frames: no single structure needs as much.
MAX_BYTES = 20_000_000

#: No length, coordinate or charge in a file is as large as this.
LARGEST = 1e9

_UNCERTAIN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:\(\d*\.?\d*\))?([eE][+-]?\d+)?(?:\(\d*\))?")


def load_text(path: Path, *, limit: int | None) -> str:
    """Read a text file as UTF-8 or, failing that, Latin-1.

    Args:
        path: the file.
        limit: most bytes.

    Raises:
        FileFormatError: the file is missing, unreadable, empty, too large, or not text.
    """
    try:
        size = path.stat().st_size
        if limit is not None and size > limit:
            raise FileFormatError(
                f"{path}: {size / 1e6:.0f} MB is too large for one structure file (limit {limit / 1e6:.0f} MB); "
                "split it, or convert many frames to extxyz"
            )
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path}: cannot be read: {error.strerror or error}; check the name and its rights"
        ) from error
    except ValueError as error:  # a NUL in the name
        raise FileFormatError(f"{str(path)!r}: not a file name: {error}") from error
    return decode(data, name=str(path))


def decode(data: bytes, *, name: str) -> str:
    """Turn bytes into text.

    Raises:
        FileFormatError: the bytes are empty or not text.
    """
    if not data.strip() or data in {b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"}:
        raise FileFormatError(f"{name}: the file is empty; download or export it again")
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{name}: begins like UTF-16 text but is not; save it as UTF-8") from error
    if b"\x00" in data:
        raise FileFormatError(f"{name}: binary data, not text; unpack or export it as CIF, POSCAR, extxyz or JSON")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def number(word: str, *, what: str, where: str) -> float:
    """Read a finite number, dropping an uncertainty in brackets: "1.234(5)" is 1.234.

    Args:
        word: as it stands in the file.
        what: what it should be, in the user's words.
        where: file and line.

    Raises:
        FileFormatError: it is not a finite number.
    """
    try:
        value = float(word)
    except ValueError:
        match = _UNCERTAIN.fullmatch(word)
        if match is None:
            shown = word if len(word) <= 40 else word[:37] + "..."
            raise FileFormatError(f"{where}: {what} is {shown!r}, expected a number; correct the file") from None
        value = float(match[1] + (match[2] or ""))
    if not abs(value) < LARGEST:  # also NaN
        raise FileFormatError(f"{where}: {what} is {word[:40]}, expected a finite number; correct the file")
    return value
