from __future__ import annotations

import os

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.core.files import parse, read, read_many, write
from euhedral.core.files.text import MAX_BYTES
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, UnknownNameError


@pytest.fixture
def folder(tmp_path, crystals):
    for i in range(20):
        write(tmp_path / f"c{i:02d}.cif", crystals=crystals["heusler"])
    (tmp_path / "c07.cif").write_text("data_broken\n_cell_length_a 4\nloop_\n_atom_site_fract_x\n0.5\n")
    (tmp_path / "notes.md").write_text("not a structure")
    write(tmp_path / "deeper" / "POSCAR", crystals=crystals["fcc"])
    return tmp_path


def test_one_bad_file_does_not_stop_the_rest(folder):
    results = list(read_many(folder))
    assert len(results) == 21
    (failure,) = [result for result in results if isinstance(result, Failure)]
    assert results.index(failure) == 7
    assert failure.id.endswith("c07.cif")
    assert failure.reason.startswith("line ")
    assert failure.stage == "read"


def test_the_order_is_fixed_and_nothing_is_read_twice(folder):
    ids = [result.id for result in read_many([str(folder / "c1*.cif"), folder, folder / "c12.cif"])]
    assert ids == [result.id for result in read_many([str(folder / "c1*.cif"), folder])]
    assert ids[:10] == [f"c1{i}" for i in range(10)]
    assert len(ids) == 21


def test_a_name_that_does_not_exist_and_an_empty_pattern_are_failures(folder, crystals):
    results = list(read_many([folder / "absent.cif", str(folder / "*.vasp"), folder / "c00.cif"]))
    assert [type(result) for result in results] == [Failure, Failure, Crystal]
    assert "No such file" in results[0].reason
    assert "matches no structure files" in results[1].reason


def test_a_bad_block_leaves_its_neighbours(tmp_path, crystals):
    text = write(tmp_path / "a.cif", crystals=[crystals["heusler"], crystals["fcc"], crystals["triclinic"]]).read_text()
    (tmp_path / "a.cif").write_text(text.replace("Al1 Al 0.0 0.0 0.0 1", "Al1 Al 0.0 0.0 0.0 0.5"))
    results = list(read_many(tmp_path / "a.cif"))
    assert [type(result) for result in results] == [Crystal, Failure, Crystal]
    with pytest.raises(EuhedralError, match="Al1"):
        read(tmp_path / "a.cif")


@pytest.mark.parametrize("name", ["a.cif", "a.vasp", "a.extxyz", "a.json", "a.unknown"])
def test_junk_and_emptiness_are_named(tmp_path, name):
    path = tmp_path / name
    for content, message in ((b"", "empty"), (b" \n", "empty"), (bytes(range(256)) * 9, "binary data")):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=rf"{name}: .*{message}"):
            read(path)


def test_a_file_of_50_megabytes_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.cif"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(FileFormatError, match=r"huge.cif: 50 MB is too large.*split it"):
        read(path)
    assert MAX_BYTES < 50_000_000


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(FileFormatError, match="a folder"):
        read(tmp_path)
    (result,) = read_many(tmp_path)
    assert "holds no structure files" in result.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_named(tmp_path, crystals):
    path = write(tmp_path / "a.cif", crystals=crystals["fcc"])
    path.chmod(0)
    with pytest.raises(FileFormatError, match="Permission denied"):
        read(path)


@pytest.mark.parametrize("suffix", ["cif", "vasp", "extxyz", "json"])
def test_the_content_tells_the_format_where_the_name_does_not(tmp_path, crystals, suffix):
    path = write(tmp_path / f"a.{suffix}", crystals=crystals["heusler"])
    renamed = path.rename(tmp_path / "structure.dat")
    (crystal,) = read(renamed)
    np.testing.assert_array_equal(crystal.numbers, crystals["heusler"].numbers)


def test_text_of_no_format_is_refused(tmp_path):
    (tmp_path / "a.dat").write_text("hello\nworld\n")
    with pytest.raises(FileFormatError, match="neither CIF, POSCAR, extxyz nor JSON"):
        read(tmp_path / "a.dat")


def test_writing_needs_a_known_ending_and_a_crystal(tmp_path, crystals):
    with pytest.raises(UnknownNameError, match=r"\.cif"):
        write(tmp_path / "a.pdb", crystals=crystals["fcc"])
    with pytest.raises(InvalidRequestError, match="no crystals"):
        write(tmp_path / "a.cif", crystals=[])
    with pytest.raises(UnknownNameError, match="cif, poscar"):
        parse("", format="pdb")
