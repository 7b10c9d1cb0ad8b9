"""Symmetry and Wyckoff positions, there and back, in all 230 space groups."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import supercell
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import WyckoffCrystal, to_crystal
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.testing.congruence import congruent
from euhedral.testing.random_crystals import random_wyckoff_crystal

CHANGE = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])


@pytest.mark.parametrize("number", range(1, 231))
def test_a_crystal_on_several_positions_survives_the_way_to_atoms_and_back(number):
    rng = np.random.default_rng(number)
    crystal = random_wyckoff_crystal(number, rng=rng)
    atoms = to_crystal(crystal, primitive=bool(number % 2))
    atoms = atoms.replace(
        cell=CHANGE @ atoms.cell, frac=(atoms.frac + rng.random(3)) @ np.linalg.inv(CHANGE), id=crystal.id
    )
    form = from_crystal(atoms, symprec=1e-3)
    assert form.space_group == number
    back, given = to_crystal(form), to_crystal(crystal)
    assert back.volume == pytest.approx(given.volume, rel=1e-6)
    assert congruent(back, given)
    assert sites(form) == sites(crystal)
    if number > 15:  # the axes of a lower group can be chosen in endlessly many ways
        assert letters(crystal) in equivalent_letters(form)


def sites(crystal: WyckoffCrystal) -> list[tuple[int, int, list[str]]]:
    """Element, multiplicity and site symmetry of each orbit, axes not told apart."""
    return sorted(
        (element, position.multiplicity, sorted(position.site_symmetry))
        for element, position in zip(crystal.numbers.tolist(), crystal.positions, strict=True)
    )


def letters(crystal: WyckoffCrystal) -> list[tuple[str, int]]:
    return sorted(zip(crystal.letters, crystal.numbers.tolist(), strict=True))


def equivalent_letters(form: WyckoffCrystal) -> list[list[tuple[str, int]]]:
    """Every way to letter the orbits, by moyopy; orthorhombic axes are made equal, so that any order of them counts."""
    if form.space_group <= 74:
        form = dataclasses.replace(form, cell=np.eye(3) * 7.0)
    found = symmetry(to_crystal(form), symprec=1e-3)
    numbers = found.standard.numbers.tolist()
    return [
        sorted({(position.letter, number) for position, number in zip(positions, numbers, strict=True)})
        for _, positions in found.dataset.normalizer_wyckoff_positions().coset_representatives
    ]


def test_only_the_same_crystal_is_congruent():
    crystal = to_crystal(random_wyckoff_crystal(62, rng=np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    order = rng.permutation(len(crystal))
    moved = Crystal(
        cell=CHANGE @ crystal.cell @ turn,
        frac=((crystal.frac + rng.random(3)) @ np.linalg.inv(CHANGE))[order],
        numbers=crystal.numbers[order],
    )
    assert congruent(moved, crystal)
    assert congruent(supercell(crystal, matrix=[1, 1, 2]), crystal)
    frac = crystal.frac.copy()
    frac[0, 0] += 1e-3
    assert not congruent(crystal.replace(frac=frac), crystal)
    assert not congruent(crystal.replace(cell=crystal.cell * 1.001), crystal)
    assert not congruent(
        crystal.replace(numbers=np.where(crystal.numbers == crystal.numbers[0], 95, crystal.numbers)), crystal
    )
    chiral = to_crystal(random_wyckoff_crystal(19, rng=np.random.default_rng(0)))
    assert not congruent(chiral.replace(cell=chiral.cell @ np.diag([1.0, 1.0, -1.0])), chiral)
    assert congruent(crystal.replace(cell=crystal.cell @ np.diag([1.0, 1.0, -1.0])), crystal)  # centrosymmetric
