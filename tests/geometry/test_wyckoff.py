"""Wyckoff positions: the tables of all 230 groups, against moyopy and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.errors import InvalidCrystalError, InvalidRequestError
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import (
    LETTERS,
    WyckoffCrystal,
    complete_lattice_parameters,
    free_lattice_parameters,
    polar_axes,
    primitive_basis,
    to_crystal,
    wyckoff_positions,
)


def group_cell(number: int) -> np.ndarray:
    parameters = np.array([5.13, 6.71, 8.37, 81.3, 103.3, 97.1])
    parameters = complete_lattice_parameters(parameters, space_group=number)
    return cell_from_parameters(parameters[:3], parameters[3:])


@pytest.mark.parametrize("number", range(1, 231))
def test_a_crystal_on_any_position_has_the_group_that_it_says(number):
    rng = np.random.default_rng(number)
    table = wyckoff_positions(number)
    position = table[rng.integers(len(table))]
    letters = (table[-1].letter, table[-1].letter, position.letter)
    frac = rng.uniform(0.05, 0.95, (3, 3))
    frac[2] = position.project(frac[2])
    crystal = WyckoffCrystal(
        space_group=number, cell=group_cell(number), letters=letters, numbers=np.array([1, 2, 3]), frac=frac
    )
    atoms = to_crystal(crystal)
    found = symmetry(atoms, symprec=1e-4)
    assert found.number == number
    assert len(atoms.numbers) == crystal.n_atoms
    # moyopy may choose another origin; its letter is then one that the normalizer exchanges with ours
    index = int(np.flatnonzero(found.standard.numbers == 3)[0])
    sequences = found.dataset.normalizer_wyckoff_positions().coset_representatives
    assert position.letter in {sequence[index].letter for _, sequence in sequences}
    own = int(np.flatnonzero(atoms.numbers == 3)[0])
    assert sorted(found.site_symmetries[own]) == sorted(position.site_symmetry)  # axes may be exchanged with the origin


def test_the_table_holds_the_1731_positions_of_international_tables():
    assert sum(len(wyckoff_positions(number)) for number in range(1, 231)) == 1731
    assert wyckoff_positions(47)[-1].letter == "A" == LETTERS[26]


def test_positions_of_fm3m_are_those_of_the_printed_tables():
    table = {position.letter: position for position in wyckoff_positions(225)}
    assert (table["a"].multiplicity, table["a"].site_symmetry, table["a"].n_free) == (4, "m-3m", 0)
    assert (table["f"].multiplicity, table["f"].free.tolist()) == (32, [True, False, False])  # x, x, x
    assert table["f"].project(np.array([0.2, 0.9, 0.9])) == pytest.approx([0.2, 0.2, 0.2])
    assert table["l"].multiplicity == 192


@pytest.mark.parametrize("number", [1, 5, 44, 62, 99, 146, 166, 194, 216, 227, 230])
def test_the_first_operator_leaves_a_representative_where_it_is(number):
    rng = np.random.default_rng(0)
    for position in wyckoff_positions(number):
        point = position.project(rng.uniform(0, 1, 3))
        assert np.allclose(position.project(point), point)
        orbit = position.orbit(point)
        assert orbit.shape == (position.multiplicity, 3)
        distinct = {tuple(np.round(row, 6) % 1.0) for row in orbit}
        assert len(distinct) == position.multiplicity


def test_a_fixed_coordinate_follows_only_from_free_ones_before_it():
    for number in range(1, 231):
        for position in wyckoff_positions(number):
            linear = position.operators[0, :, :3]
            assert not np.triu(linear, 1).any()
            assert (np.diag(linear).astype(bool) == position.free).all()


def test_the_origin_is_free_along_the_polar_axes():
    assert polar_axes(1).tolist() == [True, True, True]
    assert polar_axes(4).tolist() == [False, True, False]
    assert polar_axes(8).tolist() == [True, False, True]
    assert polar_axes(186).tolist() == [False, False, True]
    assert not polar_axes(225).any()
    assert sum(polar_axes(number).any() for number in range(1, 231)) == 68  # the polar groups


def test_lattice_parameters_follow_the_crystal_system():
    given = np.array([4.0, 5.0, 6.0, 80.0, 95.0, 100.0])
    assert complete_lattice_parameters(given, space_group=2).tolist() == given.tolist()
    assert complete_lattice_parameters(given, space_group=14).tolist() == [4, 5, 6, 90, 95, 90]
    assert complete_lattice_parameters(given, space_group=139).tolist() == [4, 4, 6, 90, 90, 90]
    assert complete_lattice_parameters(given, space_group=166).tolist() == [4, 4, 6, 90, 90, 120]
    assert complete_lattice_parameters(given, space_group=225).tolist() == [4, 4, 4, 90, 90, 90]
    assert free_lattice_parameters(166).tolist() == [True, False, True, False, False, False]


def test_the_primitive_cell_holds_the_same_crystal(crystals):
    rocksalt = WyckoffCrystal(
        space_group=225, cell=np.eye(3) * 5.64, letters=("a", "b"), numbers=np.array([11, 17]),
        frac=np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), id="NaCl",
    )  # fmt: skip
    whole, primitive = to_crystal(rocksalt), to_crystal(rocksalt, primitive=True)
    assert (len(whole.numbers), len(primitive.numbers)) == (8, 2)
    assert primitive.volume == pytest.approx(whole.volume / 4)
    assert symmetry(primitive).number == 225
    for number in range(1, 231):
        operators = wyckoff_positions(number)[-1].operators
        shifts = operators[(operators[:, :, :3] == np.eye(3)).all((1, 2)), :, 3]
        steps = shifts @ np.linalg.inv(primitive_basis(number))
        assert np.allclose(steps, np.round(steps))
        assert np.linalg.det(primitive_basis(number)) == pytest.approx(1 / len(shifts))


def test_atoms_of_one_orbit_that_coincide_are_refused():
    crystal = WyckoffCrystal(
        space_group=225, cell=np.eye(3) * 5.0, letters=("e",), numbers=np.array([3]), frac=np.zeros((1, 3)), id="bad"
    )
    with pytest.raises(InvalidCrystalError, match=r"bad.*coincide"):
        to_crystal(crystal, primitive=True)


def test_a_group_that_does_not_exist_is_refused():
    with pytest.raises(InvalidRequestError, match="231"):
        wyckoff_positions(231)


def test_symmetry_names_the_group_and_the_orbits(crystals):
    found = symmetry(crystals["heusler"])
    assert (found.number, found.symbol) == (225, "F m -3 m")
    assert found.orbits.tolist() == [0, 1, 2, 2]
    assert len(found.standard.numbers) == 16
    rotated = np.einsum("kij,nj->kni", found.rotations, crystals["heusler"].frac) + found.translations[:, None]
    difference = rotated[:, :, None] - crystals["heusler"].frac[None, None]
    assert (np.abs(difference - np.round(difference)) < 1e-6).all(-1).any(-1).all()


def test_symmetry_of_a_supercell_writes_nothing_to_the_terminal(capfd, crystals):
    cell = crystals["one_atom"]
    double = Crystal(cell=np.diag([1.0, 2.0, 1.0]) @ cell.cell, frac=[[0, 0, 0], [0, 0.5, 0]], numbers=[84, 84])
    assert symmetry(double).number == 221
    assert capfd.readouterr() == ("", "")


def test_overlapping_atoms_are_an_error_that_names_the_crystal():
    with pytest.raises(InvalidCrystalError, match=r"'twin'.*overlap"):
        symmetry(Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0, 0, 0]], numbers=[3, 3], id="twin"))
