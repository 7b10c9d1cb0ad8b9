"""Spectra from files, and into them: the door to all formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from euhedral.core.files.text import decode
from euhedral.core.writing import write_atomically
from euhedral.errors import FileFormatError, InvalidRequestError
from euhedral.representations.spectra.instrument_files import SUFFIXES, scan_from_instrument_file
from euhedral.representations.spectra.spectrum import Repair, Spectrum
from euhedral.representations.spectra.text_spectra import read_columns
from euhedral.representations.spectra.xrdml import scans_from_xrdml

# Larger files are no spectra.
_MAX_BYTES: Final = 200_000_000
_POWDER: Final = ("powder pattern", "degree", "counts")


def read_spectra(
    path: str | Path, *, kind: str | None = None, x_unit: str = "", columns: tuple[int, int] = (0, 1),
    repair: Repair | None = None,
) -> list[Spectrum]:  # fmt: skip
    """Read all spectra of a file: columns of text, UXD, RRUFF, GSAS xye and fxye, XRDML; Bruker and Rigaku with an extra.

    A scan from high to low is turned round; any other disorder is refused unless it may be repaired.

    Args:
        path: the file.
        kind: one of `spectrum.KINDS`; files of diffractometers are powder patterns, other ones "other" when not given.
        x_unit: of the axis, where the file does not say.
        columns: which columns of a text are x and y, from 0.
        repair: what may be done to points that make no spectrum.

    Raises:
        FileFormatError: the file cannot be read as what it claims to be.
        InvalidRequestError: its values are no spectrum.
        MissingDependencyError: its format needs a package that is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        text = _load(path)
        return parse_spectra(
            text, name=str(path), suffix=suffix, kind=kind, x_unit=x_unit, columns=columns, repair=repair, id=path.stem
        )
    found = [scan_from_instrument_file(path)]
    return _spectra(found, usual=_POWDER, kind=kind, x_unit=x_unit, name=str(path), id=path.stem, repair=repair)


def write_spectrum(path: str | Path, *, spectrum: Spectrum) -> Path:
    """Write x and y as two columns, all digits kept: commas divide them in a .csv, blanks in any other file.

    Args:
        path: the file; what was there is replaced once all is written.
        spectrum: any.

    Raises:
        RunFolderError: the file cannot be written.
    """
    path = Path(path)
    mark = "," if path.suffix.lower() == ".csv" else " "
    names = [f"{name} ({unit})" if unit else name for name, unit in (("x", spectrum.x_unit), ("y", spectrum.y_unit))]
    title = " ".join(f"{spectrum.kind} {spectrum.id}".split())
    rows = [f"{x!r}{mark}{y!r}" for x, y in zip(spectrum.x.tolist(), spectrum.y.tolist(), strict=True)]
    write_atomically(path, content="\n".join([f"# {title}", f"# {mark.join(names)}", *rows]) + "\n")
    return path


def parse_spectra(
    text: str, *, name: str = "text", suffix: str = "", kind: str | None = None, x_unit: str = "",
    columns: tuple[int, int] = (0, 1), repair: Repair | None = None, id: str = "",  # noqa: A002
) -> list[Spectrum]:  # fmt: skip
    """Read all spectra of a text; XRDML is told by its first element.

    Args:
        text: a file's.
        name: for errors.
        suffix: of the file, which tells powder patterns.
        kind: as for `read_spectra`.
        x_unit: as for `read_spectra`.
        columns: as for `read_spectra`.
        repair: as for `read_spectra`.
        id: a name; scans of one file are numbered.

    Raises:
        FileFormatError: as `read_spectra`.
        InvalidRequestError: as `read_spectra`.
    """
    if len(columns) != 2 or min(columns) < 0 or columns[0] == columns[1]:
        raise InvalidRequestError(f"columns are two different ones, counted from 0, got {columns}")
    found: list[tuple[Any, Any, dict[str, Any]]]
    if suffix == ".xrdml" or text.lstrip().startswith("<"):
        found = [(scan.x, scan.y, scan.metadata) for scan in scans_from_xrdml(text, name=name)]
        usual = _POWDER
    else:
        read = read_columns(text, name=name, columns=columns)
        found = [(read.x, read.y, read.metadata)]
        usual = _POWDER if suffix in {".xye", ".fxye", ".uxd"} else ("other", "", "")
    return _spectra(found, usual=usual, kind=kind, x_unit=x_unit, name=name, id=id, repair=repair)


def _spectra(
    found: list[tuple[Any, Any, dict[str, Any]]], *, usual: tuple[str, str, str], kind: str | None, x_unit: str, name: str,
    id: str, repair: Repair | None,  # noqa: A002
) -> list[Spectrum]:  # fmt: skip
    spectra = []
    for number, (x, y, read) in enumerate(found, start=1):
        xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        metadata = read | {"source": name}
        if xs.size > 1 and (np.diff(xs) < 0.0).all():
            xs, ys = xs[::-1], ys[::-1]
            if "uncertainty" in metadata:
                metadata["uncertainty"] = metadata["uncertainty"][::-1]
        try:
            spectrum = Spectrum.from_points(
                xs, ys, kind=kind or usual[0], x_unit=x_unit or usual[1], y_unit=usual[2],
                id=id if len(found) == 1 else f"{id} {number}", metadata=metadata, repair=repair,
            )  # fmt: skip
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{name}: {error}") from error
        if "uncertainty" in metadata and len(spectrum) != xs.size:
            # points were dropped or averaged: what is known of their errors no longer fits
            del metadata["uncertainty"]
            spectrum = spectrum.replace(metadata=metadata)
        spectra.append(spectrum)
    return spectra


def _load(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise FileFormatError(f"{path}: {size / 1e6:.0f} MB is too large for a spectrum")
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{path}: cannot be read: {error.strerror or error}; check the name and its rights"
        ) from error
    if b"\x00" in data and data[:2] not in {b"\xff\xfe", b"\xfe\xff"}:
        raise FileFormatError(f"{path}: binary data, not text; export the spectrum as xy, csv or xrdml")
    return decode(data, name=str(path))
