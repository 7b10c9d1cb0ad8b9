from __future__ import annotations

import pytest

from euhedral.core.writing import write_atomically
from euhedral.errors import RunFolderError


def test_a_file_is_written_with_its_folder(tmp_path):
    path = write_atomically(tmp_path / "a" / "b.txt", content="Å")
    assert path.read_text(encoding="utf-8") == "Å"
    assert [item.name for item in path.parent.iterdir()] == ["b.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "b.txt", content="old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFolderError, match="No space left on device"):
        write_atomically(path, content="new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["b.txt"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="choose another folder") as caught:
        write_atomically(tmp_path / "file" / "x.txt", content="")
    assert "\n" not in str(caught.value)
