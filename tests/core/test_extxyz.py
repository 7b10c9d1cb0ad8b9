from __future__ import annotations

import logging

import numpy as np
import pytest

from euhedral.core.files import parse, read, write
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError

FRAME = """2
Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:forces:R:3:magmoms:R:1 energy=-7.25 config_type=bulk stress="1 0 0 0 2 0 0 0 3" pbc="T T T"
Fe 0.0 0.0 0.0 0.1 0.2 0.3 2.2
O  2.0 2.0 2.0 -0.1 -0.2 -0.3 0.0
"""


def test_lattice_columns_and_numbers_of_a_frame_are_read():
    (crystal,) = parse(FRAME, format="extxyz", name="test")
    np.testing.assert_array_equal(crystal.cell, 4 * np.eye(3))
    np.testing.assert_array_equal(crystal.frac, [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert crystal.props["energy"] == -7.25
    assert "config_type" not in crystal.props
    np.testing.assert_array_equal(crystal.props["stress"], np.diag([1, 2, 3]))  # as ASE reads it
    np.testing.assert_array_equal(crystal.site["forces"][1], [-0.1, -0.2, -0.3])
    np.testing.assert_array_equal(crystal.site["magmom"], [2.2, 0.0])


def test_frames_follow_each_other_and_are_numbered(tmp_path):
    path = tmp_path / "run.xyz"
    path.write_text(FRAME + FRAME + "\n" + FRAME)
    assert [crystal.id for crystal in read(path)] == ["run_0", "run_1", "run_2"]


def test_a_frame_without_a_lattice_is_refused_with_the_cure():
    with pytest.raises(FileFormatError, match=r"line 2: the frame has no Lattice.*add it"):
        parse("1\nwater\nO 0 0 0\n", format="extxyz")


def test_a_slab_is_refused_with_the_cure():
    with pytest.raises(InvalidCrystalError, match="pad a slab"):
        parse(FRAME.replace("T T T", "T T F"), format="extxyz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FRAME[:-20], "line 4: an atom has"),
        (FRAME.rsplit("\n", 2)[0] + "\n", "ends inside frame 1"),
        (FRAME.replace("2.0 2.0 2.0", "2.0 x 2.0"), "line 4: pos is 'x'"),
        (FRAME.replace("2.0 2.0 2.0", "2.0 nan 2.0"), "line 4: pos is not finite"),
        (FRAME.replace("Fe", "Fx"), "line 3: no element named 'Fx'"),
        (FRAME.replace("4 0 0 0 4 0 0 0 4", "4 0 0 0 4 0 0 0"), "nine numbers, got 8"),
        (FRAME.replace("4 0 0 0 4 0 0 0 4", "4 0 0 4 0 0 0 0 4"), "degenerate"),
        (FRAME.replace("forces:R:3", "forces:Q:3"), "forces:Q:3"),
        (FRAME.replace("pos:R:3", "position:R:3"), "no pos:R:3"),
        ("two\n" + FRAME, "line 1: expected the number of atoms"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message):
    with pytest.raises(EuhedralError, match=message):
        parse(text, format="extxyz")


def test_written_frames_are_read_back(tmp_path, crystals):
    originals = [
        crystal.replace(
            props={"energy": -1 / 3, "stress": np.arange(9.0).reshape(3, 3)},
            site={"magmom": np.linspace(0, 1, len(crystal)), "forces": np.full((len(crystal), 3), 0.1)},
        )
        for crystal in crystals.values()
    ]
    for before, after in zip(originals, read(write(tmp_path / "a.extxyz", crystals=originals)), strict=True):
        np.testing.assert_array_equal(after.cell, before.cell)
        np.testing.assert_array_equal(after.numbers, before.numbers)
        away = after.frac - before.frac
        assert np.abs(away - np.round(away)).max() < 1e-14
        assert after.props["energy"] == -1 / 3
        np.testing.assert_array_equal(after.props["stress"], before.props["stress"])
        np.testing.assert_array_equal(after.site["forces"], before.site["forces"])


def test_ase_reads_and_writes_the_same(tmp_path, crystal):
    from ase.io import read as ase_read
    from ase.io import write as ase_write

    ours = write(tmp_path / "ours.extxyz", crystals=crystal.replace(site={"forces": np.ones((len(crystal), 3))}))
    atoms = ase_read(ours)
    np.testing.assert_allclose(atoms.cell.array, crystal.cell, atol=1e-12)
    np.testing.assert_array_equal(atoms.numbers, crystal.numbers)
    ase_write(tmp_path / "theirs.extxyz", atoms)
    (back,) = read(tmp_path / "theirs.extxyz")
    np.testing.assert_array_equal(back.numbers, crystal.numbers)
    away = back.frac - crystal.frac
    assert np.abs((away - np.round(away)) @ crystal.cell).max() < 1e-6


TENSORS = {
    "eps": np.diag([1.5, 2.0, 2.5]), "piezo": np.arange(27.0).reshape(3, 3, 3), "voigt": np.arange(18.0).reshape(3, 6) / 7,
    "elast": np.arange(81.0).reshape(3, 3, 3, 3), "row": np.ones((1, 4)), "one": np.array([3.0]), "nine": np.arange(9.0),
    "stress": np.arange(9.0).reshape(3, 3), "gap": np.array(1.25),
}  # fmt: skip


def assert_same_values(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert np.shape(found[name]) == value.shape, name
        np.testing.assert_array_equal(found[name], value)


def test_arrays_keep_their_shape_in_both_ways_between_here_and_ase(tmp_path, crystal):
    from ase.io import read as ase_read
    from ase.io import write as ase_write

    ours = write(tmp_path / "ours.extxyz", crystals=crystal.replace(props=TENSORS))
    assert_same_values(read(ours)[0].props, TENSORS)
    atoms = ase_read(ours)
    calculated = atoms.calc.results if atoms.calc else {}
    assert_same_values({**calculated, **atoms.info} | {"stress": TENSORS["stress"]}, TENSORS)
    atoms.calc = None
    of_ase = {name: value for name, value in TENSORS.items() if name != "one"}  # which ASE writes as a number
    atoms.info = dict(of_ase)
    ase_write(tmp_path / "theirs.extxyz", atoms)
    assert_same_values(read(tmp_path / "theirs.extxyz")[0].props, of_ase)


@pytest.mark.parametrize(
    "text",
    ["[[1, 2], [3, 4]]", '"[[1, 2], [3, 4]]"', '"_JSON [[1, 2], [3, 4]]"', '"_JSON [[1.0, 2e0],[3, 4]]"', "[[1,2],[3,4]]"],
)  # fmt: skip
def test_a_nested_array_is_read_in_each_way_that_it_is_written(text):
    (crystal,) = parse(FRAME.replace("config_type=bulk", f"eps={text}"), format="extxyz")
    np.testing.assert_array_equal(crystal.props["eps"], [[1, 2], [3, 4]])
    assert crystal.props["energy"] == -7.25
    assert set(crystal.props) == {"energy", "eps", "stress"}


@pytest.mark.parametrize(
    "text", ['"_JSON [[1, 2], [3]]"', '"_JSON [[1, "', '"_JSON [1, {}]"', "[[1,2],[3]]", '"_JSON \\"x\\""']
)
def test_an_array_that_cannot_be_read_is_remarked_on_once_for_a_file_and_name(text, caplog):
    frame = FRAME.replace("config_type=bulk", f"eps={text} config_type=bulk")
    with caplog.at_level(logging.WARNING):
        crystals = parse(frame + frame, format="extxyz", name="run.extxyz")
    assert all("eps" not in crystal.props and crystal.props["energy"] == -7.25 for crystal in crystals)
    assert caplog.text.count("run.extxyz, line 2: the value of 'eps' is no number or array of numbers") == 1
    assert "config_type" not in caplog.text
