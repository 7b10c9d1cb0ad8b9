"""Fetching, against a server on this machine."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from euhedral.data import fetch as fetching
from euhedral.data.fetch import announcement, download, fetch
from euhedral.data.sources import source
from euhedral.errors import FileFormatError, InvalidRequestError, MissingDataError, RunFolderError, UnknownNameError

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    content: bytes = CONTENT
    etag: str = '"one"'
    ranges: bool = True
    break_after: int | None = None
    status: int = 200
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def server():
    behaviour = Behaviour()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            behaviour.requests.append(asked or "all")
            if behaviour.status != 200:
                self.send_error(behaviour.status)
                return
            content, start = behaviour.content, 0
            if asked and behaviour.ranges and self.headers.get("If-Range") == behaviour.etag:
                start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            if behaviour.etag:
                self.send_header("ETag", behaviour.etag)
            self.end_headers()
            body = content[start:]
            if behaviour.break_after is not None:
                body, behaviour.break_after = body[: behaviour.break_after], None
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    behaviour.url = f"http://127.0.0.1:{http.server_port}/data.csv"
    yield behaviour
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_arrives_whole_with_its_checksum_and_progress(server, tmp_path):
    told = []
    path = tmp_path / "deep" / "data.csv"
    found = download(server.url, path=path, sha256=SHA256, label="x", progress=lambda *args: told.append(args))
    assert found == SHA256
    assert path.read_bytes() == CONTENT
    assert told[-1] == ("x", len(CONTENT), len(CONTENT))
    assert [entry.name for entry in path.parent.iterdir()] == ["data.csv"]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    path = tmp_path / "data.csv"
    server.break_after = 100_000
    with pytest.raises(MissingDataError, match=r"127\.0\.0\.1.*run it again"):
        download(server.url, path=path)
    assert not path.exists()
    download(server.url, path=path, sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert server.requests == ["all", "bytes=100000-"]


def test_a_file_that_changed_meanwhile_is_begun_anew(server, tmp_path):
    path = tmp_path / "data.csv"
    server.break_after = 100_000
    with pytest.raises(MissingDataError):
        download(server.url, path=path)
    server.content, server.etag = CONTENT[::-1], '"two"'
    download(server.url, path=path)
    assert path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_mark_nothing_is_patched_together(server, tmp_path, etag):
    server.etag = etag
    server.break_after = 100_000
    with pytest.raises(MissingDataError):
        download(server.url, path=tmp_path / "data.csv")
    download(server.url, path=tmp_path / "data.csv", sha256=SHA256)
    assert server.requests == ["all", "all"]


def test_a_part_as_long_as_the_file_is_fetched_again(server, tmp_path):
    (tmp_path / "data.csv.part").write_bytes(CONTENT)
    (tmp_path / "data.csv.part.validator").write_text('"one"')
    download(server.url, path=tmp_path / "data.csv", sha256=SHA256)
    assert server.requests == [f"bytes={len(CONTENT)}-", "all"]


def test_another_checksum_is_refused_and_nothing_is_kept(server, tmp_path):
    with pytest.raises(FileFormatError, match="expected 0000"):
        download(server.url, path=tmp_path / "data.csv", sha256="0" * 64)
    assert not (tmp_path / "data.csv").exists()
    assert not (tmp_path / "data.csv.part").exists()


def test_a_missing_page_says_so(server, tmp_path):
    server.status = 404
    with pytest.raises(MissingDataError, match="answers 404"):
        download(server.url, path=tmp_path / "data.csv")


def test_no_network_is_one_line_with_a_cure(tmp_path):
    with pytest.raises(MissingDataError, match=r"cannot reach 127\.0\.0\.1:9 .*EUHEDRAL_DATA") as caught:
        download("http://127.0.0.1:9/data.csv", path=tmp_path / "data.csv", timeout=2)
    assert "\n" not in str(caught.value)


def test_other_schemes_are_refused(tmp_path):
    with pytest.raises(InvalidRequestError, match="http"):
        download("file:///etc/hostname", path=tmp_path / "data.csv")


def test_a_folder_that_cannot_be_written_names_the_cure(server, tmp_path):
    (tmp_path / "wall").write_text("")
    with pytest.raises(RunFolderError, match="EUHEDRAL_CACHE"):
        download(server.url, path=tmp_path / "wall" / "data.csv")


@pytest.fixture
def small(server, monkeypatch, tmp_path):
    known = source("carbon-24")
    parts = tuple(replace(part, url=server.url) for part in known.originals[:2])
    monkeypatch.setattr(fetching, "source", lambda name: replace(known, originals=parts))
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path))
    return tmp_path


def test_fetch_records_the_first_checksum_and_holds_later_fetches_to_it(small, server):
    first = fetch("carbon-24")
    assert [(item.new, item.checked, item.sha256) for item in first] == [(True, False, SHA256)] * 2
    assert [item.new for item in fetch("carbon-24")] == [False, False]
    assert len(server.requests) == 2
    first[0].path.write_bytes(b"damaged on disk")
    again = fetch("carbon-24")
    assert [item.new for item in again] == [True, False]
    assert first[0].path.read_bytes() == CONTENT
    first[0].path.unlink()
    server.content = b"something else"
    with pytest.raises(FileFormatError, match="SHA-256"):
        fetch("carbon-24")


def test_the_announcement_names_size_host_and_licence():
    text = announcement("mp-20")
    assert "58 MB" in text
    assert "raw.githubusercontent.com" in text
    assert "CC-BY-4.0" in text
    with pytest.raises(UnknownNameError):
        announcement("mp-21")
