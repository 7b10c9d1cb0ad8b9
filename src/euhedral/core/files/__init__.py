"""Crystals in files: CIF, POSCAR, extxyz and JSON.

`read` raises on the first thing that is wrong; `read_many` goes through any number of files and folders and gives a
`Failure` in place of each crystal that could not be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.core.files.cif import crystals_from_cif
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.core.files.extxyz import crystals_from_extxyz, extxyz_from_crystals
from euhedral.core.files.json_file import crystals_from_json, json_from_crystals
from euhedral.core.files.poscar import crystals_from_poscar, poscar_from_crystal
from euhedral.core.files.text import MAX_BYTES, load_text
from euhedral.core.writing import write_atomically
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, UnknownNameError

__all__ = ["FORMATS", "is_file_name", "parse", "read", "read_many", "write"]

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class _Format:
    suffixes: tuple[str, ...]
    reader: Callable[..., Iterator[Crystal | EuhedralError]]
    writer: Callable[[Sequence[Crystal]], str]
    max_bytes: int | None


def _one_poscar(crystals: Sequence[Crystal]) -> str:
    if len(crystals) != 1:
        raise InvalidRequestError(f"a POSCAR holds one crystal, got {len(crystals)}; write one file each, or extxyz")
    return poscar_from_crystal(crystals[0])


_FORMATS = {
    "cif": _Format((".cif", ".mcif"), crystals_from_cif, cif_from_crystals, MAX_BYTES),
    "poscar": _Format((".vasp", ".poscar"), crystals_from_poscar, _one_poscar, MAX_BYTES),
    "extxyz": _Format((".extxyz", ".xyz"), crystals_from_extxyz, extxyz_from_crystals, None),
    "json": _Format((".json",), crystals_from_json, json_from_crystals, MAX_BYTES * 10),
}
#: Names of the formats.
FORMATS = tuple(_FORMATS)
_SUFFIXES = {suffix: name for name, kind in _FORMATS.items() for suffix in kind.suffixes}


def read(path: str | Path) -> list[Crystal]:
    """Read every crystal of a file; the format follows from the name or, failing that, from the content.

    The id of a crystal is the file's name without its ending, followed by the name of the data block or the position of
    the frame when there are several.

    Args:
        path: CIF, POSCAR, CONTCAR, extxyz or JSON.

    Raises:
        FileFormatError: the file cannot be read as a structure; the message names the line where one is to blame.
        InvalidCrystalError: a structure cannot be used (DisorderedCrystalError: partial or mixed occupancy).
        UnknownNameError: an atom is of no known element.
    """
    crystals = []
    for result in _results(Path(path)):
        if isinstance(result, EuhedralError):
            raise result
        crystals.append(result)
    return crystals


def read_many(paths: str | Path | Iterable[str | Path]) -> Iterator[Crystal | Failure]:
    """Read files, folders (all structure files in them, at any depth) and glob patterns, in a fixed order.

    Nothing stops it: whatever cannot be read comes as a `Failure` that names the file and the cause, in its place.

    Args:
        paths: any number of them; a file that several of them name is read once.
    """
    seen: set[Path] = set()
    for given in [paths] if isinstance(paths, str | Path) else paths:
        try:
            found = _find(given)
        except EuhedralError as error:
            yield _failure(error, path=Path(given))
            continue
        for path in found:
            key = path.absolute()
            if key in seen:
                continue
            seen.add(key)
            try:
                for result in _results(path):
                    yield _failure(result, path=path) if isinstance(result, EuhedralError) else result
            except EuhedralError as error:
                yield _failure(error, path=path)


def is_file_name(text: str) -> bool:
    """Tell whether a text means files: it exists, is a pattern, names a folder, or has the ending or name of a structure file."""
    path = Path(text)
    if _GLOB.search(text) or len(path.parts) > 1 or _format_of_name(path) is not None:
        return True
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or a zero byte
        return False


def parse(text: str, *, format: str, name: str = "text") -> list[Crystal]:  # noqa: A002  the field's word
    """Read crystals from text.

    Args:
        text: content of a file.
        format: one of `FORMATS`.
        name: id of a lone crystal, and what errors call the text.

    Raises:
        UnknownNameError: there is no such format.
        EuhedralError: as `read`.
    """
    kind = _FORMATS.get(format)
    if kind is None:
        raise UnknownNameError(f"no format named {format!r}; expected one of {', '.join(FORMATS)}")
    crystals = []
    for result in kind.reader(text, name=name, stem=name):
        if isinstance(result, EuhedralError):
            raise result
        crystals.append(result)
    return crystals


def write(path: str | Path, *, crystals: Crystal | Sequence[Crystal]) -> Path:
    """Write crystals in the format that the file's name says; the file appears whole or not at all.

    JSON keeps everything; CIF and extxyz keep numbers; POSCAR keeps one structure alone. Each of them gives the same
    fractional coordinates back, to the last digits.

    Args:
        path: ends in .cif, .vasp, .extxyz, .xyz or .json, or is named POSCAR or CONTCAR.
        crystals: one or several.

    Raises:
        UnknownNameError: the ending is none of these.
        InvalidRequestError: no crystals, or several for a POSCAR.
        RunFolderError: the file cannot be written.
    """
    path = Path(path)
    listed = [crystals] if isinstance(crystals, Crystal) else list(crystals)
    if not listed:
        raise InvalidRequestError(f"{path}: no crystals to write")
    name = _format_of_name(path)
    if name is None:
        endings = ", ".join(_SUFFIXES)
        raise UnknownNameError(
            f"{path}: no format has the ending {path.suffix!r}; expected {endings} or the name POSCAR"
        )
    return write_atomically(path, content=_FORMATS[name].writer(listed))


def _results(path: Path) -> Iterator[Crystal | EuhedralError]:
    if path.is_dir():
        raise FileFormatError(f"{path}: a folder, not a file; give the files in it")
    name = _format_of_name(path)
    text = load_text(path, limit=_FORMATS[name].max_bytes if name else MAX_BYTES)
    name = name or _format_of_text(text, path=path)
    stem = path.stem
    if _is_vasp_name(path):
        stem = path.absolute().parent.name or path.name  # a thousand folders each hold a POSCAR
    try:
        yield from _FORMATS[name].reader(text, name=str(path), stem=stem)
    except (OverflowError, RecursionError) as error:
        raise FileFormatError(f"{path}: a number in it is too large to be meant: {error}; correct the file") from None


def _is_vasp_name(path: Path) -> bool:
    return path.name.upper() in {"POSCAR", "CONTCAR"}


def _format_of_name(path: Path) -> str | None:
    if path.name.upper().startswith(("POSCAR", "CONTCAR")) and path.suffix.lower() not in _SUFFIXES:
        return "poscar"
    return _SUFFIXES.get(path.suffix.lower())


def _format_of_text(text: str, *, path: Path) -> str:
    start = text.lstrip()
    if start[:1] in {"{", "["}:
        return "json"
    if re.search(r"^\s*(data_\S*|loop_|_cell_length_a\b)", text, re.MULTILINE | re.IGNORECASE):
        return "cif"
    lines = text.splitlines()
    if lines[0].strip().isdecimal() and len(lines) > 2:
        return "extxyz"
    if len(lines) > 7 and all(re.fullmatch(r"\s*(\S*\d\S*\s+){2}\S*\d\S*.*", line) for line in lines[2:5]):
        return "poscar"
    endings = ", ".join(_SUFFIXES)
    raise FileFormatError(
        f"{path}: neither CIF, POSCAR, extxyz nor JSON by name ({endings}) or content; convert it to one"
    )


def _find(given: str | Path) -> list[Path]:
    path = Path(given)
    try:
        if path.is_dir():
            found = sorted(
                inner
                for inner in path.rglob("*")
                if _format_of_name(inner) and inner.is_file() and not inner.name.startswith(".")
            )
        elif path.exists() or not _GLOB.search(str(given)):
            return [path]
        else:
            anchor = Path(path.anchor) if path.anchor else Path()
            pattern = str(path.relative_to(path.anchor)) if path.anchor else str(path)
            found = sorted(inner for inner in anchor.glob(pattern) if inner.is_file())
    except (OSError, ValueError, NotImplementedError) as error:
        raise FileFormatError(f"{given}: cannot be searched: {error}; check the name and its rights") from error
    if not found:
        kind = "folder holds no" if path.is_dir() else "pattern matches no"
        raise FileFormatError(f"{given}: the {kind} structure files; expected {', '.join(_SUFFIXES)} or POSCAR")
    return found


def _failure(error: EuhedralError, *, path: Path) -> Failure:
    reason = str(error)
    # the id names the file, so the reason need not; a line number stays
    reason = reason.removeprefix(str(path)).lstrip(":, ") or reason
    return Failure(reason=reason, id=str(path), stage="read")
