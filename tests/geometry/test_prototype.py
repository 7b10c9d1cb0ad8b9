from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.geometry.prototype import Prototype, prototype

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])


def binary(second, *, numbers=(11, 17), side=2.8):
    return Crystal(cell=FCC * side, frac=[[0, 0, 0], second], numbers=list(numbers), id="binary")


def test_rock_salt_is_one_prototype_whichever_atom_is_at_the_origin():
    expected = Prototype("AB", 225, ("a", "b"))
    assert prototype(binary([0.5] * 3)) == expected
    assert prototype(binary([0.5] * 3, numbers=(17, 11))) == expected
    assert str(expected) == "AB_225_a_b"


def test_zinc_blende_is_not_rock_salt():
    found = prototype(binary([0.25] * 3))
    assert found.space_group == 216
    assert found.letters == ("a", "c")
    assert len({found, prototype(binary([0.75] * 3)), prototype(binary([0.5] * 3))}) == 2


def test_perovskite_has_its_prototype_from_either_origin():
    at_corner = Crystal(cell=np.eye(3) * 3.9, frac=[[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
                        numbers=[38, 22, 8, 8, 8])  # fmt: skip
    moved = at_corner.replace(frac=at_corner.frac + 0.5)
    assert prototype(at_corner) == prototype(moved) == Prototype("ABC3", 221, ("a", "b", "c"))


def test_real_crystals_keep_their_prototype_in_another_cell_origin_and_order():
    rng = np.random.default_rng(0)
    sample = load("mp-20-sample")
    changed_letters = 0
    for index in range(0, 1600, 40):
        crystal = sample[index]
        order = rng.permutation(len(crystal))
        moved = Crystal(cell=crystal.cell, frac=crystal.frac[order] + rng.random(3), numbers=crystal.numbers[order])
        other = supercell(with_cell(moved, matrix=[[0, 1, 0], [-1, 0, 0], [1, 0, 1]]), matrix=[1, 2, 1])
        assert prototype(other) == prototype(crystal), crystal.id
        from euhedral.geometry.symmetry import symmetry

        changed_letters += sorted(symmetry(other).letters) != sorted(symmetry(crystal).letters * 2)
    # the reason for all this: the letters themselves do change
    assert changed_letters > 0


def test_mirrored_crystals_share_their_prototype(crystals):
    hexagonal = crystals["hexagonal"]
    assert prototype(hexagonal.replace(frac=-hexagonal.frac)) == prototype(hexagonal)


def test_atoms_on_top_of_each_other_have_no_prototype():
    crystal = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [1e-5, 0, 0]], numbers=[3, 3], id="twice")
    with pytest.raises(InvalidCrystalError, match="twice"):
        prototype(crystal)
