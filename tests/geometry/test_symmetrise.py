"""Noisy crystals and lattices on to a group's constraints: idempotent, equivariant, nearest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.asymmetric_unit import expand, unit_of
from euhedral.geometry.lattice_constraints import (
    metric_basis,
    metric_from_six,
    metric_projector,
    metric_to_six,
    symmetrise_cell,
    symmetrise_lattice_parameters,
)
from euhedral.geometry.orbit_constraints import orbit_constraint
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.symmetrise import atom_permutations, average_over, symmetrise
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import free_lattice_parameters, to_crystal
from euhedral.testing.random_crystals import random_cell, random_wyckoff_crystal

SOME = [1, 5, 15, 43, 62, 82, 99, 122, 146, 160, 166, 186, 194, 205, 220, 227]


def rotation(rng: np.random.Generator) -> np.ndarray:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def noisy(number: int, *, scale: float = 0.02) -> Crystal:
    rng = np.random.default_rng(number)
    crystal = to_crystal(random_wyckoff_crystal(number, rng=rng, apart=0.6))
    moves = rng.normal(scale=scale, size=crystal.frac.shape) @ np.linalg.inv(crystal.cell)
    return crystal.replace(
        cell=crystal.cell @ (np.eye(3) + rng.normal(scale=0.005, size=(3, 3))), frac=crystal.frac + moves
    )


def averaged(crystal: Crystal, number: int) -> Crystal:
    group = space_group(number)
    return average_over(crystal, rotations=group.rotations, translations=group.translations, tolerance=0.4)


@pytest.mark.parametrize("number", SOME)
def test_a_noisy_crystal_becomes_exactly_symmetric_and_stays_so(number):
    crystal = noisy(number)
    assert symmetry(crystal, symprec=1e-4).number == 1 or number == 1
    exact = averaged(crystal, number)
    assert symmetry(exact, symprec=1e-5).number == number
    again = averaged(exact, number)
    apart = again.frac - exact.frac
    assert np.abs(apart - np.round(apart)).max() < 1e-12
    assert np.allclose(again.cell, exact.cell, atol=1e-12)


@pytest.mark.parametrize("number", [14, 99, 166, 205])
def test_no_other_symmetric_crystal_is_nearer(number):
    crystal = noisy(number)
    group = space_group(number)
    exact = averaged(crystal, number)
    moves = exact.frac - crystal.frac
    moves -= np.round(moves)
    reach = np.sum((moves @ exact.cell) ** 2)
    rng = np.random.default_rng(1)
    onto = atom_permutations(exact, rotations=group.rotations, translations=group.translations, tolerance=0.01)
    for _ in range(20):  # any symmetric displacement leads away
        step = rng.normal(scale=1e-3, size=crystal.frac.shape)
        symmetric = np.zeros_like(step)
        np.add.at(symmetric, onto, np.einsum("kij,nj->kni", group.rotations, step) / len(group))
        assert np.sum(((moves + symmetric) @ exact.cell) ** 2) >= reach
        # ... because what was taken away is orthogonal to all of them
        assert np.sum((moves @ exact.cell) * (symmetric @ exact.cell)) == pytest.approx(0.0, abs=1e-12)


def test_symmetrising_commutes_with_turning_moving_and_reordering():
    rng = np.random.default_rng(3)
    crystal, group = noisy(160), space_group(160)
    exact = averaged(crystal, 160)
    turn = rotation(rng)
    turned = averaged(crystal.replace(cell=crystal.cell @ turn), 160)
    assert np.allclose(turned.cell, exact.cell @ turn)
    assert np.allclose(turned.frac, exact.frac)
    order = rng.permutation(len(crystal))
    assert np.allclose(
        averaged(crystal.replace(frac=crystal.frac[order], numbers=crystal.numbers[order]), 160).frac, exact.frac[order]
    )
    change = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1.0]])  # x' = x change^-1 with other lattice vectors
    back = np.linalg.inv(change)
    other = average_over(
        crystal.replace(cell=change @ crystal.cell, frac=crystal.frac @ back),
        rotations=np.round(back.T @ group.rotations @ change.T).astype(int), translations=group.translations @ back,
        tolerance=0.4,
    )  # fmt: skip
    assert np.allclose(other.cell, change @ exact.cell)
    apart = other.frac - exact.frac @ back
    assert np.allclose(apart, np.round(apart))


def test_symmetrise_finds_the_group_itself(crystals):
    rng = np.random.default_rng(0)
    crystal = crystals["hexagonal"]
    shaken = crystal.replace(frac=crystal.frac + rng.normal(scale=2e-3, size=(4, 3)))
    exact = symmetrise(shaken)
    assert symmetry(exact, symprec=1e-5).number == symmetry(crystal).number == 186
    assert np.linalg.norm((exact.frac - shaken.frac + 0.5) % 1.0 - 0.5, axis=1).max() < 0.02


def test_operations_that_do_not_fit_are_refused(crystals):
    group = space_group(225)
    with pytest.raises(InvalidCrystalError, match=r"'triclinic'.*one to one"):
        average_over(crystals["triclinic"], rotations=group.rotations, translations=group.translations, tolerance=0.5)
    twins = Crystal(cell=np.eye(3) * 4.0, frac=[[0.0, 0, 0], [0.05, 0, 0]], numbers=[3, 3], id="twins")
    with pytest.raises(InvalidCrystalError, match=r"twins.*two atoms land on one"):
        atom_permutations(twins, rotations=np.array([-np.eye(3)]), translations=np.array([[0.01, 0, 0]]), tolerance=3.0)


@pytest.mark.parametrize("number", range(1, 231))
def test_a_group_leaves_as_many_lattice_parameters_free_as_its_family(number):
    rotations = space_group(number).point_rotations
    projector, basis = metric_projector(rotations), metric_basis(rotations)
    assert len(basis) == free_lattice_parameters(number).sum()
    assert np.allclose(projector @ projector, projector)
    assert np.allclose(basis @ projector.T, basis)
    cell = random_cell(number, rng=np.random.default_rng(number))
    assert np.allclose(symmetrise_cell(cell, rotations=rotations), cell)  # a cell of the family stays
    metric = metric_to_six(cell @ cell.T)
    assert np.allclose(metric @ np.linalg.pinv(basis) @ basis, metric)
    assert np.allclose(metric_from_six(metric), cell @ cell.T)


@pytest.mark.parametrize("number", [2, 12, 63, 99, 166, 194, 216])
def test_the_nearest_lattice_is_nearest_in_strain(number):
    rng = np.random.default_rng(number)
    rotations = space_group(number).point_rotations
    cell = random_cell(number, rng=rng) @ (np.eye(3) + rng.normal(scale=0.02, size=(3, 3)))
    nearest = symmetrise_cell(cell, rotations=rotations)
    metric, goal = cell @ cell.T, nearest @ nearest.T
    assert np.allclose(np.einsum("kia,ij,kjb->kab", rotations, goal, rotations), goal)
    inverse = np.linalg.inv(nearest)

    def strain(other: np.ndarray) -> float:
        return float(np.linalg.norm(inverse @ (metric - other) @ inverse.T))

    for direction in metric_basis(rotations):
        step = metric_from_six(direction) * 1e-3 * goal.max()
        assert strain(goal + step) > strain(goal)
        assert strain(goal - step) > strain(goal)
    stretch = np.linalg.solve(cell, nearest)
    assert np.allclose(stretch, stretch.T, atol=1e-12)  # strained, not turned
    turn = rotation(rng)
    assert np.allclose(symmetrise_cell(cell @ turn, rotations=rotations), nearest @ turn)


def test_lattice_parameters_move_together():
    given = np.array([4.0, 4.2, 6.0, 89.0, 91.0, 92.0])
    assert np.allclose(symmetrise_lattice_parameters(given, space_group_number=2), given)
    tetragonal = symmetrise_lattice_parameters(given, space_group_number=139)
    side = np.sqrt((4.0**2 + 4.2**2) / 2)
    assert np.allclose(tetragonal, [side, side, 6.0, 90, 90, 90])
    hexagonal = symmetrise_lattice_parameters(np.array([4.0, 4.1, 6.0, 90.5, 90, 119.0]), space_group_number=194)
    assert np.allclose(hexagonal[3:], [90, 90, 120])
    assert hexagonal[0] == pytest.approx(hexagonal[1])
    cell = cell_from_parameters(given[:3], given[3:])
    whole = symmetrise_cell(cell, rotations=space_group(225).point_rotations)
    parameters = symmetrise_lattice_parameters(given, space_group_number=225)
    assert np.allclose(np.linalg.norm(whole, axis=1), parameters[:3])
    with pytest.raises(InvalidCrystalError, match="no cell"):
        symmetrise_lattice_parameters(np.array([4.0, 4, 4, 150, 150, 150]), space_group_number=1)


@pytest.mark.parametrize("number", SOME)
def test_representatives_and_atoms_lead_to_each_other(number):
    rng = np.random.default_rng(number)
    unit = unit_of(random_wyckoff_crystal(number, rng=rng))
    constraint = orbit_constraint(unit)
    crystal = expand(unit)
    assert np.allclose(constraint.atoms(unit.frac), crystal.frac, atol=1e-9)
    assert np.allclose(constraint.representatives(crystal.frac, near=unit.frac), unit.frac, atol=1e-9)
    # noise on all atoms comes back as the crystal's mean over the group does
    moved = crystal.frac + rng.normal(scale=1e-3, size=crystal.frac.shape)
    again = constraint.atoms(constraint.representatives(moved, near=unit.frac))
    group = space_group(number)
    mean = average_over(
        crystal.replace(frac=moved), rotations=group.rotations, translations=group.translations, tolerance=0.2
    )
    apart = again - mean.frac
    assert np.abs(apart - np.round(apart)).max() < 1e-9
    # displacements: going out and back is the identity on allowed ones, and back alone is the transpose in the cell's metric
    free = constraint.pull_back(rng.normal(size=crystal.frac.shape))
    assert np.allclose(constraint.pull_back(constraint.push_forward(free)), free)
    noise = rng.normal(size=crystal.frac.shape)
    left = noise - constraint.push_forward(constraint.pull_back(noise))
    assert np.sum((left @ unit.cell) * (constraint.push_forward(free) @ unit.cell)) == pytest.approx(0.0, abs=1e-9)
    assert constraint.lattice_basis.shape == (free_lattice_parameters(number).sum(), 6)


def test_the_matrices_serve_torch_and_gradients():
    unit = unit_of(random_wyckoff_crystal(166, rng=np.random.default_rng(2)))
    constraint = orbit_constraint(unit)
    given = {
        field.name: torch.from_numpy(np.array(getattr(constraint, field.name)))
        for field in dataclasses.fields(constraint)
    }
    free = torch.tensor(unit.frac, requires_grad=True)

    def apply(operators, points):
        return torch.einsum("nij,nj->ni", operators[:, :, :3], points) + operators[:, :, 3]

    atoms = apply(given["operators"], apply(given["projectors"], free)[given["anchor"]])
    assert np.allclose(atoms.detach().numpy(), constraint.atoms(unit.frac))
    weights = torch.from_numpy(np.random.default_rng(0).normal(size=atoms.shape))
    (atoms * weights).sum().backward()
    step = np.zeros_like(unit.frac)
    step[-1, 0] = 1e-6
    change = ((constraint.atoms(unit.frac + step) - constraint.atoms(unit.frac - step)) * weights.numpy()).sum() / 2e-6
    assert float(free.grad[-1, 0]) == pytest.approx(change, rel=1e-6)
    six = torch.from_numpy(metric_to_six(unit.cell @ unit.cell.T))
    assert torch.allclose(given["lattice"] @ six, six)
