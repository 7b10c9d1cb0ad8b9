"""Where data sets lie on this machine; nothing is made until something is written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from euhedral.errors import MissingDataError


def cache_folder() -> Path:
    """Return the folder for fetched and converted data.

    `EUHEDRAL_CACHE`, or `euhedral` in `XDG_CACHE_HOME`, or the system's usual place.
    """
    own = os.environ.get("EUHEDRAL_CACHE")
    if own:
        return Path(own).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "euhedral"


def mirror_folder() -> Path | None:
    """Return the folder that `EUHEDRAL_DATA` names, or None when it is not set.

    Raises:
        MissingDataError: the variable names something that is not a folder.
    """
    named = os.environ.get("EUHEDRAL_DATA")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise MissingDataError(f"EUHEDRAL_DATA names {folder}, which is not a folder; correct or unset it")
    return folder


def originals_folder(name: str) -> Path:
    """Return where `fetch` puts the files of a data set as its authors publish them."""
    return cache_folder() / "originals" / name


def converted_path(name: str, *, origin: str) -> Path:
    """Return where the converted form of a data set lies.

    Args:
        name: of the data set.
        origin: "original" when made from the authors' files, "mirror" when made from a mirror's tables; the two may
            differ in which labels they have.
    """
    return cache_folder() / "datasets" / f"{name}.{origin}.parquet"
