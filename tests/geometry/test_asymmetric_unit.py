"""Asymmetric unit and cell, both ways, in the crystal's own cell."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.asymmetric_unit import asymmetric_unit, expand, in_region, unit_of
from euhedral.geometry.cells import supercell, with_cell
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import WyckoffCrystal, to_crystal
from euhedral.testing.random_crystals import random_wyckoff_crystal

SKEWED = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])


def same_atoms(first: Crystal, second: Crystal, *, tolerance: float) -> bool:
    """Whether two crystals hold the same atoms in the same cell, in any order."""
    if not np.allclose(first.cell, second.cell, atol=tolerance) or len(first) != len(second):
        return False
    apart = first.frac[:, None] - second.frac[None]
    distance = np.linalg.norm((apart - np.round(apart)) @ first.cell, axis=-1)
    distance[first.numbers[:, None] != second.numbers] = np.inf
    nearest = distance.argmin(1)
    return distance.min(1).max() < tolerance and len(np.unique(nearest)) == len(first)


@pytest.mark.parametrize("name", ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum"])
@pytest.mark.parametrize("cell", ["own", "skewed", "doubled", "moved"])
def test_a_crystal_is_its_asymmetric_unit_and_operations_in_its_own_cell(name, cell, crystals):
    crystal = crystals[name]
    if cell == "skewed":
        crystal = with_cell(crystal, matrix=SKEWED)
    elif cell == "doubled":
        crystal = supercell(crystal, matrix=[1, 2, 1])
    elif cell == "moved":
        crystal = crystal.replace(frac=crystal.frac + np.array([0.123, 0.456, 0.789]))
    unit = asymmetric_unit(crystal)
    assert same_atoms(expand(unit), crystal, tolerance=1e-6)
    assert unit.multiplicities.sum() == len(crystal)
    assert unit.space_group == symmetry(crystal).number
    own = crystal.frac[:, None] - unit.frac
    assert (np.abs(own - np.round(own)).max(-1).min(0) < 1e-6).all()  # each is an atom of the crystal


def test_a_repeat_that_lacks_the_cubic_axes_has_more_orbits_than_the_cubic_cell():
    perovskite = Crystal(
        cell=np.eye(3) * 3.9,
        frac=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
        numbers=[38, 22, 8, 8, 8], id="SrTiO3",
    )  # fmt: skip
    unit = asymmetric_unit(perovskite)
    assert list(zip(unit.letters, unit.multiplicities.tolist(), strict=True)) in (
        [("a", 1), ("b", 1), ("c", 3)],
        [("b", 1), ("a", 1), ("d", 3)],
    )
    long = supercell(perovskite, matrix=[1, 2, 1])
    assert sorted(asymmetric_unit(long).multiplicities.tolist()) == [2, 2, 2, 4]
    with pytest.raises(InvalidCrystalError, match=r"SrTiO3.*does not keep"):
        in_region(asymmetric_unit(long))
    assert same_atoms(
        expand(in_region(asymmetric_unit(supercell(perovskite, matrix=[2, 2, 2])))),
        supercell(perovskite, matrix=[2, 2, 2]),
        tolerance=1e-6,
    )


@pytest.mark.parametrize("number", [2, 14, 43, 99, 122, 148, 161, 182, 199, 212, 225, 227])
def test_representatives_lie_in_the_region_of_international_tables_and_make_the_same_crystal(number):
    crystal = to_crystal(random_wyckoff_crystal(number, rng=np.random.default_rng(number)), primitive=True)
    moved = crystal.replace(frac=crystal.frac + np.array([0.31, 0.17, 0.53]))
    unit = in_region(asymmetric_unit(moved, symprec=1e-3))
    assert space_group(number).contains(unit.standard_frac).all()
    assert same_atoms(expand(unit), moved, tolerance=1e-5)


def test_a_noisy_crystal_gives_a_unit_that_is_exact(crystals):
    rng = np.random.default_rng(4)
    crystal = crystals["heusler"]
    noisy = crystal.replace(
        cell=crystal.cell + rng.normal(scale=2e-3, size=(3, 3)), frac=crystal.frac + rng.normal(scale=1e-3, size=(4, 3))
    )
    assert symmetry(noisy, symprec=1e-4).number == 1
    exact = expand(asymmetric_unit(noisy, symprec=0.05))
    assert symmetry(exact, symprec=1e-5).number == 225


def test_props_stay_and_an_atom_on_a_place_too_symmetric_is_refused(crystals):
    crystal = crystals["fcc"].replace(props={"band_gap": 0.0})
    assert expand(asymmetric_unit(crystal)).props["band_gap"] == 0.0
    wrong = WyckoffCrystal(
        space_group=225, cell=np.eye(3) * 5.0, letters=("e",), numbers=np.array([3]), frac=np.zeros((1, 3)), id="bad"
    )
    with pytest.raises(InvalidCrystalError, match=r"bad.*makes 4 atoms, expected 24"):
        expand(unit_of(wrong))


def test_a_crystal_of_wyckoff_positions_is_a_unit_in_its_conventional_cell():
    rutile = WyckoffCrystal(
        space_group=136, cell=np.diag([4.59, 4.59, 2.96]), letters=("a", "f"), numbers=np.array([22, 8]),
        frac=np.array([[0, 0, 0], [0.305, 0.305, 0]]), id="rutile",
    )  # fmt: skip
    assert same_atoms(expand(unit_of(rutile)), to_crystal(rutile), tolerance=1e-9)
