from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.files import parse, read, write
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, UnknownNameError

HEAD = """rock salt
{scale}
0.0 2.8 2.8
2.8 0.0 2.8
2.8 2.8 0.0
"""
SITES = "Direct\n0 0 0\n0.5 0.5 0.5\n"


def poscar(middle: str = "Na Cl\n1 1\n", *, scale: str = "1.0", sites: str = SITES, head: str = HEAD) -> str:
    return head.format(scale=scale) + middle + sites


def one(text: str):
    (crystal,) = parse(text, format="poscar", name="test")
    return crystal


def test_vasp_5_is_read():
    crystal = one(poscar())
    assert crystal.numbers.tolist() == [11, 17]
    assert crystal.volume == pytest.approx(2 * 2.8**3)
    np.testing.assert_allclose(crystal.frac[1], 0.5)


def test_vasp_4_takes_its_elements_from_the_comment():
    assert one(poscar("1 1\n").replace("rock salt", "Na Cl, rock salt".replace(",", " "))).numbers.tolist() == [11, 17]
    with pytest.raises(FileFormatError, match="VASP 4 file without element symbols"):
        one(poscar("1 1\n"))


def test_a_positive_factor_scales_lengths_and_a_negative_one_is_the_volume():
    assert one(poscar(scale="2.0")).volume == pytest.approx(8 * 2 * 2.8**3)
    assert one(poscar(scale="-100.0")).volume == pytest.approx(100.0)


@pytest.mark.parametrize("scale", ["1.0", "2.0", "-100.0"])
def test_cartesian_positions_are_scaled_with_the_cell(scale):
    crystal = one(poscar(scale=scale, sites="Cartesian\n0 0 0\n2.8 2.8 2.8\n"))
    np.testing.assert_allclose(crystal.frac[1], 0.5, atol=1e-12)


def test_selective_dynamics_labels_and_velocities_are_passed_over():
    sites = "Selective dynamics\nDirect\n0 0 0 T T F Na1\n0.5 0.5 0.5 F F F Cl1\n\n0.01 0.02 0.03\n0.0 0.0 0.0\n"
    np.testing.assert_allclose(one(poscar(sites=sites)).frac, [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_potcar_names_are_elements():
    assert one(poscar("Na_pv Cl/1a2b3c4d\n1 1 ! counts\n")).numbers.tolist() == [11, 17]


def test_the_folder_names_a_crystal_in_a_file_called_poscar(tmp_path):
    (tmp_path / "salt").mkdir()
    (tmp_path / "salt" / "POSCAR").write_text(poscar())
    (tmp_path / "salt.vasp").write_text(poscar())
    assert read(tmp_path / "salt" / "POSCAR")[0].id == "salt"
    assert read(tmp_path / "salt.vasp")[0].id == "salt"


def test_pymatgen_reads_the_same(crystal):
    from pymatgen.io.vasp import Poscar

    from euhedral.core.files.poscar import poscar_from_crystal

    structure = Poscar.from_str(poscar_from_crystal(crystal)).structure
    np.testing.assert_array_equal(structure.atomic_numbers, crystal.numbers)
    np.testing.assert_allclose(structure.lattice.matrix, crystal.cell, rtol=1e-14)
    np.testing.assert_allclose(structure.frac_coords, crystal.frac, atol=1e-14)


def test_written_crystals_are_read_back_exactly(tmp_path, crystal):
    (back,) = read(write(tmp_path / "a.vasp", crystals=crystal))
    np.testing.assert_array_equal(back.cell, crystal.cell)
    np.testing.assert_array_equal(back.frac, crystal.frac)
    np.testing.assert_array_equal(back.numbers, crystal.numbers)


def test_several_crystals_do_not_fit_one_poscar(tmp_path, crystals):
    with pytest.raises(InvalidRequestError, match="extxyz"):
        write(tmp_path / "POSCAR", crystals=[crystals["fcc"], crystals["heusler"]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (poscar()[:60], "ends before|needs three numbers"),
        (poscar(sites="Direct\n0 0 0\n"), "the file ends before the last of 2 atoms"),
        (poscar("Na Cl\n1\n"), "line 7: 2 elements"),
        (poscar("Na Cl\n1 0.5\n"), "line 7: 2 elements"),
        (poscar("Na Cl\n1 99999999\n"), "more than a file can hold"),
        (poscar(scale="0"), "line 2: the scaling factor"),
        (poscar(scale="one"), "line 2: the scaling factor"),
        (poscar(sites="0 0 0\n.5 .5 .5\n"), "line 8: expected 'Direct' or 'Cartesian'"),
        (poscar(sites="Direct\n0 0 0\n.5 .5 x\n"), "line 10: a coordinate is 'x'"),
        (poscar(sites="Direct\n0 0 nan\n.5 .5 .5\n"), "line 9: a coordinate is nan"),
        (poscar().replace("2.8", "0.0"), "degenerate"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text, message):
    with pytest.raises(EuhedralError, match=message):
        one(text)


def test_an_unknown_element_is_named():
    with pytest.raises(UnknownNameError, match="line 6: no element named 'Xy'"):
        one(poscar("Na Xy\n1 1\n"))
