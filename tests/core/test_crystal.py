from __future__ import annotations

import copy

import numpy as np
import pytest

from euhedral.core.composition import anonymous_formula, chemical_system, density, formula, fractions, parse_formula
from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.elements import SYMBOLS, atomic_number, element, elements
from euhedral.errors import FileFormatError, InvalidCrystalError, UnknownNameError


def test_lengths_and_angles_survive_the_cell():
    lengths, angles = [4.1, 5.3, 6.7], [81.0, 97.0, 112.0]
    crystal = Crystal(cell=cell_from_parameters(lengths, angles), frac=[[0, 0, 0]], numbers=[3])
    np.testing.assert_allclose(crystal.lengths, lengths, rtol=1e-14)
    np.testing.assert_allclose(crystal.angles, angles, rtol=1e-13)


def test_volume_of_a_monoclinic_cell_is_abc_sin_beta():
    crystal = Crystal(cell=cell_from_parameters([3, 4, 5], [90, 110, 90]), frac=[[0, 0, 0]], numbers=[6])
    assert crystal.volume == pytest.approx(60 * np.sin(np.radians(110)), rel=1e-14)


def test_coordinates_are_wrapped_below_one():
    crystal = Crystal(cell=np.eye(3) * 5, frac=[[1.25, -0.25, -1e-18]], numbers=[6])
    np.testing.assert_array_equal(crystal.frac, [[0.25, 0.75, 0.0]])


def test_cartesian_coordinates_round_trip(crystal):
    again = Crystal.from_cart(crystal.cell, cart=crystal.cart, numbers=crystal.numbers)
    difference = again.frac - crystal.frac
    np.testing.assert_allclose(difference - np.round(difference), 0.0, atol=1e-12)


def test_a_crystal_cannot_be_changed(crystal):
    with pytest.raises(ValueError, match="read-only"):
        crystal.cell[0, 0] = 1.0
    with pytest.raises(AttributeError):
        crystal.id = "other"
    with pytest.raises(TypeError):
        crystal.props["band_gap"] = 1.0


def test_a_crystal_does_not_keep_the_callers_arrays():
    cell = np.eye(3) * 4
    crystal = Crystal(cell=cell, frac=[[0, 0, 0]], numbers=[6])
    cell[:] = 0
    assert crystal.volume == pytest.approx(64)


def test_a_crystal_can_be_copied(crystal):
    again = copy.deepcopy(crystal)
    np.testing.assert_array_equal(again.frac, crystal.frac)
    assert again.id == crystal.id


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cell": np.zeros((3, 3))}, "degenerate"),
        ({"cell": np.ones((3, 3))}, "degenerate"),
        ({"cell": np.full((3, 3), np.nan)}, "NaN"),
        ({"cell": np.eye(2)}, r"expected \(3, 3\)"),
        ({"frac": [[np.inf, 0, 0]]}, "NaN or infinite"),
        ({"frac": [[0, 0]]}, r"1 atoms need coordinates \(1, 3\)"),
        ({"numbers": [0]}, "atomic number 0"),
        ({"numbers": [119]}, "atomic number 119"),
        ({"numbers": [6.5]}, "whole numbers"),
        ({"numbers": []}, "at least one atom"),
        ({"site": {"magmom": [1.0, 2.0]}}, "magmom"),
    ],
)
def test_an_unusable_crystal_is_refused_by_name(changes, message):
    fields = {"cell": np.eye(3) * 4, "frac": [[0, 0, 0]], "numbers": [6], "id": "mine", **changes}
    with pytest.raises(InvalidCrystalError, match=message) as caught:
        Crystal(**fields)
    assert "'mine'" in str(caught.value)


def test_impossible_angles_are_refused():
    with pytest.raises(InvalidCrystalError, match="angles"):
        cell_from_parameters([3, 3, 3], [150, 150, 150])


def test_very_flat_and_very_large_cells_are_ordinary():
    assert Crystal(cell=np.diag([2.5, 2.5, 400.0]), frac=[[0, 0, 0]], numbers=[6]).volume == pytest.approx(2500)
    assert Crystal(cell=cell_from_parameters([3, 3, 3], [3, 90, 90]), frac=[[0, 0, 0]], numbers=[6]).volume > 0


def test_formulas_are_written_as_chemists_write_them():
    spinel = [3, 25, 25, 8, 8, 8, 8]
    assert formula(spinel) == "LiMn2O4"
    assert formula(spinel * 2) == "LiMn2O4"
    assert formula(spinel * 2, reduced=False) == "Li2Mn4O8"
    assert anonymous_formula(spinel * 2) == "AB2C4"
    assert chemical_system(spinel) == "Li-Mn-O"


def test_density_of_rock_salt_is_2_17_grams():
    salt = Crystal(cell=2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), frac=[[0] * 3, [0.5] * 3], numbers=[11, 17])
    assert density(salt) == pytest.approx(2.164, abs=0.002)


def test_formulas_with_brackets_are_read():
    assert parse_formula("Ca3(Al(OH)6)2") == {"Ca": 3, "Al": 2, "O": 12, "H": 12}
    assert parse_formula("Li0.5CoO2") == {"Li": 0.5, "Co": 1, "O": 2}
    assert sum(fractions({"Li": 1, "O": 3}).values()) == pytest.approx(1.0)


@pytest.mark.parametrize(("text", "error"), [("", FileFormatError), ("Ca(OH", FileFormatError), ("ca", FileFormatError),
                                             ("CaO)2", FileFormatError), ("Ca%O", FileFormatError), ("Xx2", UnknownNameError)])  # fmt: skip
def test_what_is_not_a_formula_is_refused(text, error):
    with pytest.raises(error, match=r"formula|element"):
        parse_formula(text)


def test_the_table_of_elements_is_whole():
    assert len(elements()) == 118
    assert len(SYMBOLS) == 119
    assert [item.symbol for item in elements()] == list(SYMBOLS[1:])
    assert element("Fe").number == 26
    assert element(8).mass == pytest.approx(15.999, abs=1e-3)
    assert atomic_number("D") == 1
    with pytest.raises(UnknownNameError, match="did you mean"):
        atomic_number("Fx")


@pytest.mark.parametrize("angles", [[90, 90, np.inf], [90, np.nan, 90], [20, 20, 160], [90, 90, 180]])
def test_angles_that_no_cell_has_are_refused(angles):
    with pytest.raises(InvalidCrystalError, match="no cell has lengths"):
        cell_from_parameters([3, 4, 5], angles)


def test_numbers_too_large_for_a_volume_are_refused():
    with pytest.raises(InvalidCrystalError, match="degenerate"):
        Crystal(cell=np.eye(3) * 1e200, frac=[[0, 0, 0]], numbers=[1])
