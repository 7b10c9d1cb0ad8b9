"""SLICES: one string for one crystal, and the crystal back from the string alone."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.errors import InvalidCrystalError, InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.geometry.matching import Matcher
from euhedral.representations.bonds import EffectiveCoordination
from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices import canonical, decode, encode, equivalents, parse, write

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


@pytest.mark.parametrize("name", ["fcc", "heusler", "hexagonal"])
def test_the_crystal_comes_back_from_its_string(crystals, name):
    back = decode(encode(crystals[name]))
    assert Matcher().matches(back, crystals[name])
    assert back.volume == pytest.approx(crystals[name].volume, rel=0.1)


def test_diamond_is_the_string_of_the_paper():
    cell = 1.785 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    diamond = Crystal(cell=cell, frac=[[0, 0, 0], [0.25, 0.25, 0.25]], numbers=[6, 6])
    net = encode(diamond).split()
    assert net[:2] == ["C", "C"]
    assert len(net) == 6
    assert all(bond.startswith("01") for bond in net[2:])
    assert Matcher().matches(decode("C C 01ooo 01oo+ 01o+o 01+oo"), diamond)


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


def test_other_words_for_a_net_have_one_canonical_form(crystals):
    text = encode(crystals["heusler"])
    words = equivalents(text, n=20, rng=np.random.default_rng(0))
    assert len(set(words)) == 20
    assert {write(canonical(parse(word))) for word in words} == {text}


def test_atoms_on_one_place_do_not_hide_the_canonical_form():
    # two atoms with the same neighbours fall together in the barycentric embedding; Systre refuses such nets
    text = "C C O O 02ooo 02oo+ 02o+o 02+oo 12ooo 13ooo 12+oo 13+oo 03ooo"
    words = equivalents(text, n=12, rng=np.random.default_rng(1))
    assert len({write(canonical(parse(word))) for word in words}) == 1
    twins = "Po O O 00oo+ 00o+o 00+oo 01ooo 02ooo 01oo+ 02oo+"
    words = equivalents(twins, n=12, rng=np.random.default_rng(1))
    assert len({write(canonical(parse(word))) for word in words}) == 1
    assert len(decode(twins)) == 3


def test_a_mirror_image_and_a_sheared_cell_are_the_same_net():
    net = parse("C C 01ooo 01oo+ 01o+o 01+oo")
    sheared = LabelledQuotientGraph.from_bonds(
        net.numbers, source=net.source, target=net.target,
        image=net.image @ np.array([[1, 2, 0], [0, -1, 0], [3, 0, 1]]) + np.array([4, -7, 1]),
    )  # fmt: skip
    assert write(canonical(sheared)) == write(canonical(net))


def test_labels_beyond_the_next_cell_in_every_basis_are_refused():
    rows = [[0, 0, 1], [0, 1, 0], [1, 0, 0], [2, 1, 0], [1, 2, 3], [3, -1, 2]]
    net = LabelledQuotientGraph.from_bonds([84], source=[0] * 6, target=[0] * 6, image=rows)
    with pytest.raises(InvalidCrystalError, match="beyond the next cell"):
        canonical(net)


def test_layers_are_joined_by_their_closest_contacts(crystals):
    graphite = crystals["vacuum"].replace(cell=crystals["vacuum"].cell * np.array([[1], [1], [3.4 / 40]]))
    single = (EffectiveCoordination(),)
    bonds = encode(graphite, bonds=single).split()[2:]
    assert sum(bond.startswith("01") for bond in bonds) >= 3
    back = decode(encode(graphite))
    assert len(back) == 2


def test_a_net_that_would_fold_otherwise_is_written_with_other_bonds_than_the_published_rule():
    data = load("mp-20-sample")
    rule = (EffectiveCoordination(),)
    folded = [c for c in (data[k] for k in range(25)) if not Matcher().matches(decode(encode(c, bonds=rule)), c)]
    assert folded
    helped = [c for c in folded if Matcher().matches(decode(encode(c)), c)]
    assert helped
    assert all(len(encode(c)) > 0 and encode(c) != encode(c, bonds=rule) for c in helped)


def test_no_rule_for_bonds_is_refused(crystals):
    with pytest.raises(InvalidRequestError, match="no rule"):
        encode(crystals["fcc"], bonds=())


@pytest.mark.slow
def test_two_hundred_real_crystals_have_one_string_each():
    data = load("mp-20-sample")
    rng = np.random.default_rng(4)
    for index in rng.choice(len(data), min(200, len(data)), replace=False):
        crystal = data[int(index)]
        assert encode(described_anew(crystal, rng=rng)) == encode(crystal), crystal.id
