"""Defects: as many as asked for, where they were recorded, and nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.geometry.cells import supercell
from euhedral.representations.images.defects import Displacements, Substitutions, Vacancies, with_defects
from euhedral.representations.images.specimen import block


@pytest.fixture
def piece(crystals):
    return block(crystals["heusler"], n_atoms=1000)


def rng():
    return np.random.default_rng(11)


def test_the_record_tells_what_is_missing_and_the_rest_is_untouched(piece):
    left, record = with_defects(piece, defects=[Vacancies(0.25)], rng=rng())
    assert len(record.vacancies) == round(0.25 * len(piece))
    assert np.array_equal(left.cart, piece.cart[record.kept])
    assert np.array_equal(left.numbers, piece.numbers[record.kept])
    assert not record.substituted.size


def test_one_element_can_lose_atoms_alone(piece):
    left, record = with_defects(piece, defects=[Vacancies(0.5, element="Cu")], rng=rng())
    assert set(piece.numbers[record.vacancies]) == {29}
    assert (left.numbers == 29).sum() == (piece.numbers == 29).sum() - len(record.vacancies)


def test_dopants_take_the_place_of_their_host(piece):
    doped, record = with_defects(piece, defects=[Substitutions(0.1, by=("V",), element="Mn")], rng=rng())
    assert np.array_equal(doped.cart, piece.cart)
    assert set(piece.numbers[record.substituted]) == {25}
    assert set(doped.numbers[record.substituted]) == {23}
    assert len(record.substituted) == round(0.1 * (piece.numbers == 25).sum())


def test_an_atom_is_never_replaced_by_its_own_element_and_all_others_occur(piece):
    doped, record = with_defects(piece, defects=[Substitutions(1.0, by=("Mn", "Al", "Cu", "Fe"))], rng=rng())
    assert len(record.substituted) == len(piece)
    for number in (13, 25, 29):
        new, counts = np.unique(doped.numbers[piece.numbers == number], return_counts=True)
        assert set(new) == {13, 25, 26, 29} - {number}
        assert counts.min() > 0.2 * counts.sum()


def test_displacements_have_the_width_asked_for(piece):
    moved, record = with_defects(piece, defects=[Displacements(0.08)], rng=rng())
    assert np.allclose(moved.cart - piece.cart, record.shift)
    assert record.shift.std(0) == pytest.approx([0.08] * 3, rel=0.08)
    assert abs(record.shift.mean()) < 0.08 * 4 / np.sqrt(3 * len(piece))


def test_kinds_follow_each_other(piece):
    left, record = with_defects(
        piece, defects=[Vacancies(0.5), Substitutions(1.0, by=("Au",)), Displacements(0.1)], rng=rng()
    )
    assert len(left) == len(piece) // 2
    assert set(left.numbers) == {79}
    assert not record.shift[~record.kept].any()


def test_a_crystal_keeps_its_cell_and_its_sites(crystals):
    crystal = supercell(crystals["hexagonal"], matrix=(3, 3, 2))
    crystal = crystal.replace(site={"index": np.arange(len(crystal))}, props={"energy": -1.0})
    left, record = with_defects(crystal, defects=[Vacancies(0.2), Displacements(0.05)], rng=rng())
    assert isinstance(left, Crystal)
    assert np.array_equal(left.site["index"], np.flatnonzero(record.kept))
    assert not left.props  # the energy was that of the perfect crystal
    back = (left.frac - crystal.frac[record.kept] + 0.5) % 1.0 - 0.5
    assert np.allclose(back @ crystal.cell, record.shift[record.kept])


def test_the_same_seed_gives_the_same_defects(piece):
    defects = [Vacancies(0.1), Substitutions(0.1, by=("Fe", "Co")), Displacements(0.1)]
    one, two = (with_defects(piece, defects=defects, rng=rng())[0] for _ in range(2))
    assert np.array_equal(one.cart, two.cart)
    assert np.array_equal(one.numbers, two.numbers)


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        (Vacancies(1.5), "0 to 1"),
        (Vacancies(-0.1), "0 to 1"),
        (Vacancies(float("nan")), "0 to 1"),
        (Vacancies(1.0), "none of its"),
        (Vacancies(0.1, element="U"), "does not have"),
        (Displacements(-1.0), "sigma"),
        (Substitutions(0.5, by=()), "by itself"),
        (Substitutions(0.5, by=("Cu",), element="Cu"), "by itself"),
    ],
)
def test_impossible_defects_are_refused_in_one_line(piece, defect, words):
    with pytest.raises(InvalidRequestError, match=words) as caught:
        with_defects(piece, defects=[defect], rng=rng())
    assert "heusler" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_element_is_named(piece):
    with pytest.raises(UnknownNameError, match="Unobtainium"):
        with_defects(piece, defects=[Substitutions(0.5, by=("Unobtainium",))], rng=rng())
