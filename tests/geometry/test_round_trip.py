"""Symmetry and Wyckoff positions, there and back, in all 230 space groups."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.geometry.matching import Matcher
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import WyckoffCrystal, to_crystal
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.testing.random_crystals import random_wyckoff_crystal

CHANGE = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])

EXACT = Matcher(length_tolerance=1e-4, site_tolerance=1e-4, angle_tolerance=0.01)
SHIFTS = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)


def handedness(crystal: Crystal, *, element: int) -> float:
    """The volume spanned by the vectors from an atom to its first three neighbours that share their distance with none."""
    atom = int(np.flatnonzero(crystal.numbers == element)[0])
    away = ((crystal.frac[:, None] + SHIFTS - crystal.frac[atom]) @ crystal.cell).reshape(-1, 3)
    away = away[np.argsort(np.linalg.norm(away, axis=1))][1:]
    distance = np.linalg.norm(away, axis=1)
    gap = np.diff(distance, prepend=0.0) > 1e-3
    alone = np.flatnonzero(gap[:-1] & gap[1:])[:3]
    return float(np.linalg.det(away[alone]))


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
    assert EXACT.matches(back, given)
    if (np.linalg.det(space_group(number).rotations) > 0).all():  # a chiral structure keeps its hand
        element = int(crystal.numbers[0])
        assert handedness(back, element=element) == pytest.approx(handedness(given, element=element), rel=1e-3)
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


def test_the_comparison_tells_structures_apart():
    crystal = to_crystal(random_wyckoff_crystal(62, rng=np.random.default_rng(0)))
    moved = Crystal(cell=crystal.cell, frac=crystal.frac + np.array([0.1, 0.2, 0.3]), numbers=crystal.numbers)
    assert EXACT.matches(moved, crystal)
    frac = crystal.frac.copy()
    frac[0, 0] += 0.01
    assert not EXACT.matches(crystal.replace(frac=frac), crystal)
    chiral = to_crystal(random_wyckoff_crystal(19, rng=np.random.default_rng(0)))
    mirrored = chiral.replace(cell=chiral.cell @ np.diag([1.0, 1.0, -1.0]))
    assert handedness(mirrored, element=int(chiral.numbers[0])) == pytest.approx(
        -handedness(chiral, element=int(chiral.numbers[0]))
    )
