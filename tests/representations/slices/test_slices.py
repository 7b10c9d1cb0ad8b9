"""SLICES: one string for one crystal, and the crystal back from the string alone."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.geometry.matching import Matcher
from euhedral.representations.slices import decode, encode

SMALL = ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum"]


def described_anew(crystal: Crystal, *, rng: np.random.Generator) -> Crystal:
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(len(crystal))
    moved = Crystal(
        cell=crystal.cell @ rotation, frac=crystal.frac[order] + rng.random(3), numbers=crystal.numbers[order]
    )
    return supercell(with_cell(moved, matrix=[[1, 1, 0], [0, 1, 0], [0, -1, 1]]), matrix=[1, 1, 2])


@pytest.mark.parametrize("name", SMALL)
def test_permuted_moved_turned_and_repeated_cells_have_the_same_string(crystals, name):
    rng = np.random.default_rng(3)
    text = encode(crystals[name])
    for _ in range(3):
        assert encode(described_anew(crystals[name], rng=rng)) == text


@pytest.mark.parametrize("name", ["fcc", "heusler", "hexagonal", "one_atom"])
def test_the_crystal_comes_back_from_its_string(crystals, name):
    assert Matcher().matches(decode(encode(crystals[name])), crystals[name])


def test_diamond_is_the_string_of_the_paper():
    cell = 1.785 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    diamond = Crystal(cell=cell, frac=[[0, 0, 0], [0.25, 0.25, 0.25]], numbers=[6, 6])
    net = encode(diamond).split()
    assert net[:2] == ["C", "C"]
    assert len(net) == 6
    assert all(bond.startswith("01") for bond in net[2:])
    back = decode("C C 01ooo 01oo+ 01o+o 01+oo")
    assert Matcher().matches(back, diamond)
    assert back.volume == pytest.approx(diamond.volume, rel=0.3)


def test_bonds_in_two_directions_make_no_crystal():
    with pytest.raises(InvalidRequestError, match="three directions"):
        decode("C C 01ooo 01oo+ 01o+o")
    with pytest.raises(InvalidRequestError, match="three directions"):
        decode("Po 00oo+ 00o+o 00o++")


def test_two_interpenetrating_nets_are_no_crystal_of_one_net():
    with pytest.raises(InvalidRequestError, match="three directions"):
        decode("Po 00++o 00o++ 00+o+")


def test_refine_is_given_the_decoded_crystal():
    seen = []

    def refine(crystal: Crystal) -> Crystal:
        seen.append(crystal)
        return crystal.replace(id="refined")

    assert decode("Po 00oo+ 00o+o 00+oo", refine=refine).id == "refined"
    assert np.allclose(seen[0].angles, 90.0, atol=1e-3)


@pytest.mark.slow
def test_two_hundred_real_crystals_have_one_string_each():
    data = load("mp-20-sample")
    rng = np.random.default_rng(4)
    for index in rng.choice(len(data), min(200, len(data)), replace=False):
        crystal = data[int(index)]
        assert encode(described_anew(crystal, rng=rng)) == encode(crystal), crystal.id
