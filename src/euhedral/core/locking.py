"""A folder that only one process at a time may write in."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from euhedral.errors import RunFolderError


def lock_folder(path: Path, *, cure: str) -> sqlite3.Connection:
    """Make a folder if it is missing and keep other processes out of it until the lock is closed or the process ends.

    Args:
        path: the folder.
        cure: what a user may do where another process has it, as the end of a sentence.

    Raises:
        RunFolderError: another process has it, or it cannot be written.
    """
    # a lock of SQLite's is the same on every system, and ends with the process, however that ends
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(path / ".lock", isolation_level=None, timeout=0.0)
        lock.execute("BEGIN EXCLUSIVE")
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror}; {cure}") from error
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise RunFolderError(f"{path} is in use by another run; wait for it or {cure}") from error
        raise RunFolderError(f"cannot write {path}: {error}; {cure}") from error
    return lock
