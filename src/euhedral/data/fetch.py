"""Downloading the published files of a data set: the only place that touches the network."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from euhedral.core.writing import write_atomically
from euhedral.data.cache import originals_folder
from euhedral.data.checksum import file_sha256
from euhedral.data.sources import Part, Source, source
from euhedral.errors import FileFormatError, InvalidRequestError, MissingDataError, RunFolderError

#: Called with what is being done, the bytes that are there, and how many there will be (None when not told).
Progress = Callable[[str, int, int | None], None]

_CHUNK: Final = 1 << 16
_RANGE_REFUSED: Final = 416
_PARTIAL: Final = 206


@dataclass(frozen=True)
class Fetched:
    """A published file that is now on this machine.

    Args:
        path: where it is.
        sha256: of its bytes.
        checked: whether the checksum was known before; otherwise it was recorded now and later fetches are held to it.
        new: whether it was downloaded by this call.
    """

    path: Path
    sha256: str
    checked: bool
    new: bool


def announcement(name: str) -> str:
    """Say in one line what `fetch` would download, from where, and under which licence.

    Raises:
        UnknownNameError: no source has this name.
    """
    known = source(name)
    if not known.originals:
        return _unpublished(known)
    hosts = sorted({urlsplit(part.url).netloc for part in known.originals})
    return (
        f"{known.title}: {len(known.originals)} file{'s' if len(known.originals) > 1 else ''}, about {known.megabytes} MB "
        f"from {', '.join(hosts)}; licence {known.licence}"
    )


def fetch(name: str, *, progress: Progress | None = None, timeout: float = 30.0) -> list[Fetched]:
    """Download the published files of a data set into the cache folder; what is there and whole is kept.

    Args:
        name: as `euhedral datasets` lists it.
        progress: called now and then.
        timeout: seconds without an answer after which a connection counts as broken.

    Raises:
        UnknownNameError: no source has this name.
        MissingDataError: the network or a server does not answer (run it again to go on where it stopped), or nothing of the
            set can be fetched.
        FileFormatError: a file is not the one that was expected.
        RunFolderError: the cache folder cannot be written.
    """
    known = source(name)
    if not known.originals:
        raise MissingDataError(_unpublished(known))
    folder = originals_folder(name)
    return [
        _fetch_part(known, part=part, name=name, folder=folder, progress=progress, timeout=timeout)
        for part in known.originals
        for name in part.files
    ]


def _unpublished(known: Source) -> str:
    return (
        f"{known.name}: its authors publish no file of it that can be fetched; set EUHEDRAL_DATA to a folder that holds "
        f"{known.folder}/{known.tables[0].file}"
    )


def _fetch_part(
    known: Source, *, part: Part, name: str, folder: Path, progress: Progress | None, timeout: float
) -> Fetched:
    path = folder / name
    record = path.with_name(f"{path.name}.sha256")
    main = name == part.file
    url = part.url if main else urljoin(part.url, name)  # what belongs to a file lies beside it
    expected = part.sha256 if main else None
    checked = expected is not None
    if expected is None and record.is_file():
        expected = record.read_text(encoding="ascii").strip()
        checked = True
    if path.is_file() and expected is not None and file_sha256(path) == expected:
        return Fetched(path=path, sha256=expected, checked=checked, new=False)
    label = f"fetching {known.name}: {name}"
    found = download(url, path=path, sha256=expected, timeout=timeout, label=label, progress=progress)
    write_atomically(record, content=f"{found}\n")
    return Fetched(path=path, sha256=found, checked=checked, new=True)


def download(
    url: str, *, path: Path, sha256: str | None = None, timeout: float = 30.0, label: str = "", progress: Progress | None = None,
) -> str:  # fmt: skip
    """Download one file; it appears under its name only when it is whole and is the one that was expected.

    A broken download stays beside it as `.part` and is taken up again if the server still has the same file.
    Proxies are taken from the environment (`HTTPS_PROXY`).

    Args:
        url: http or https.
        path: where the file shall be.
        sha256: of its bytes; None accepts any.
        timeout: seconds without an answer after which the connection counts as broken.
        label: what `progress` is told.
        progress: called now and then.

    Returns:
        The SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        InvalidRequestError: another scheme than http and https.
        MissingDataError: no network, no answer, or no such file.
        FileFormatError: another checksum than expected; nothing is kept.
        RunFolderError: the folder cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InvalidRequestError(f"cannot fetch {url}: expected an http or https address")
    partial = path.with_name(f"{path.name}.part")
    validator = path.with_name(f"{path.name}.part.validator")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _receive(url, partial=partial, validator=validator, timeout=timeout, label=label or url, progress=progress)
        found = file_sha256(partial)
        if sha256 is not None and found != sha256:
            partial.unlink()
            raise FileFormatError(
                f"{url} has SHA-256 {found}, expected {sha256}: the file was changed or the download was tampered with; "
                "it was deleted. Run it again, and report it if it happens twice"
            )
        partial.replace(path)
    except urllib.error.HTTPError as error:
        raise MissingDataError(
            f"{url}: the server answers {error.code} {error.reason}; the file may have moved"
        ) from error
    except urllib.error.URLError as error:
        raise _unreachable(url, error.reason) from error
    except (TimeoutError, ConnectionError, HTTPException) as error:
        raise _unreachable(url, error) from error
    except OSError as error:
        raise RunFolderError(
            f"cannot write {path}: {error.strerror or error}; free space or set EUHEDRAL_CACHE to another folder"
        ) from error
    with suppress(OSError):
        validator.unlink(missing_ok=True)
    return found


def _unreachable(url: str, reason: object) -> MissingDataError:
    return MissingDataError(
        f"cannot reach {urlsplit(url).netloc} ({reason}); check the network or HTTPS_PROXY and run it again, "
        "or set EUHEDRAL_DATA to a folder that has the data"
    )


def _receive(
    url: str, *, partial: Path, validator: Path, timeout: float, label: str, progress: Progress | None
) -> None:
    start = partial.stat().st_size if partial.is_file() else 0
    headers = {"User-Agent": "euhedral"}
    if start and validator.is_file():
        # the server sends the rest only if the file is still the same one, and else all of it
        headers |= {"Range": f"bytes={start}-", "If-Range": validator.read_text(encoding="ascii")}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme was checked
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code != _RANGE_REFUSED:
            raise
        partial.unlink()  # the part is longer than the file: begin anew
        _receive(url, partial=partial, validator=validator, timeout=timeout, label=label, progress=progress)
        return
    with response:
        done = start if response.status == _PARTIAL else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        mark = response.headers.get("ETag", "")
        if mark and not mark.startswith("W/"):
            write_atomically(validator, content=mark)
        else:
            validator.unlink(missing_ok=True)
        with partial.open("ab" if done else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(label, done, total)
    if total is not None and done != total:
        raise ConnectionError(f"the connection broke after {done:,} of {total:,} bytes")
