"""Crystals in Wyckoff form: round trips, and one description for equivalent crystals."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.geometry.wyckoff import to_crystal
from euhedral.geometry.wyckoff_form import electropositivity_rank, from_crystal

LOW_SYMMETRY = {
    "polar": Crystal(  # wurtzite, polar along c
        cell=cell_from_parameters([3.82, 3.82, 6.26], [90, 90, 120]),
        frac=[[1 / 3, 2 / 3, 0.1], [2 / 3, 1 / 3, 0.6], [1 / 3, 2 / 3, 0.475], [2 / 3, 1 / 3, 0.975]],
        numbers=[30, 30, 16, 16], id="polar",
    ),
    "monoclinic": Crystal(  # zirconia, P2_1/c, general positions
        cell=cell_from_parameters([5.15, 5.21, 5.32], [90, 99.2, 90]),
        frac=np.concatenate([
            np.array([[x, y, z], [-x, y + 0.5, 0.5 - z], [-x, -y, -z], [x, 0.5 - y, z + 0.5]])
            for x, y, z in [(0.275, 0.04, 0.208), (0.07, 0.332, 0.345), (0.45, 0.757, 0.479)]
        ]),
        numbers=[40] * 4 + [8] * 8, id="monoclinic",
    ),
}  # fmt: skip


def structure(crystal: Crystal) -> Structure:
    return Structure(crystal.cell, crystal.numbers, crystal.frac)


@pytest.mark.parametrize(
    "name", ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum", *LOW_SYMMETRY]
)
def test_a_crystal_survives_the_way_there_and_back(name, crystals):
    crystal = crystals.get(name) or LOW_SYMMETRY[name]
    form = from_crystal(crystal)
    back = to_crystal(form, primitive=True)
    assert back.volume / len(back.numbers) == pytest.approx(crystal.volume / len(crystal.numbers), rel=1e-6)
    assert StructureMatcher(ltol=1e-4, stol=1e-4, angle_tol=1e-3, scale=False).fit(structure(crystal), structure(back))
    again = from_crystal(to_crystal(form))
    assert again.letters == form.letters
    assert np.allclose(again.frac, form.frac, atol=1e-6)
    assert np.allclose(again.cell, form.cell, atol=1e-6)


@pytest.mark.parametrize("name", ["heusler", "hexagonal", "polar", "monoclinic", "triclinic"])
def test_every_cell_and_origin_of_a_crystal_gives_one_description(name, crystals):
    crystal = crystals.get(name) or LOW_SYMMETRY[name]
    form = from_crystal(crystal)
    rng = np.random.default_rng(3)
    change = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])
    for _ in range(5):
        order = rng.permutation(len(crystal.numbers))
        moved = Crystal(
            cell=change @ crystal.cell,
            frac=((crystal.frac + rng.random(3)) @ np.linalg.inv(change))[order],
            numbers=crystal.numbers[order],
        )
        other = from_crystal(moved)
        assert (other.space_group, other.letters) == (form.space_group, form.letters)
        assert (other.numbers == form.numbers).all()
        assert np.allclose(other.frac, form.frac, atol=1e-5)


def test_the_first_site_lies_at_the_origin_of_a_polar_axis():
    form = from_crystal(LOW_SYMMETRY["polar"])
    assert form.space_group == 186
    assert form.letters == ("b", "b")
    assert form.numbers.tolist() == [30, 16]  # the metal first
    assert form.frac[0, 2] == 0.0
    assert form.frac[1, 2] == pytest.approx(0.375, abs=1e-6)


def test_rock_salt_has_its_metal_on_the_first_letter_whichever_way_it_is_given():
    for metal, halogen in (((0, 0, 0), (0.5, 0.5, 0.5)), ((0.5, 0.5, 0.5), (0, 0, 0))):
        cell = 2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
        form = from_crystal(Crystal(cell=cell, frac=[halogen, metal], numbers=[17, 11]))
        assert form.letters == ("a", "b")
        assert form.numbers.tolist() == [11, 17]


def test_elements_rank_from_electropositive_to_electronegative():
    rank = electropositivity_rank()
    assert rank[55] < rank[11] < rank[26] < rank[17] < rank[8] < rank[9] < rank[2]
    assert sorted(rank[1:].tolist()) == list(range(1, 119))
