"""Writing files so that a kill at any moment leaves either the old file or the new one, never half of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from euhedral.errors import RunFolderError


def write_atomically(path: str | Path, *, content: bytes | str) -> Path:
    """Write a file under a temporary name beside it, flush it to disk, and rename it into place.

    Args:
        path: where the file shall be; its folder is made when missing.
        content: text is written as UTF-8.

    Raises:
        RunFolderError: the folder cannot be written or the disk is full; an older file at `path` is untouched.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return Path(path)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Lend a temporary name beside a file; what was written there takes the file's place when the block ends well.

    Args:
        path: where the file shall be; its folder is made when missing.

    Raises:
        RunFolderError: the folder cannot be written or the disk is full; an older file at `path` is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunFolderError(f"cannot write {path}: {reason}; free space or choose another folder") from error
    finally:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
