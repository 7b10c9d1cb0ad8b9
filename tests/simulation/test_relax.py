"""Batched relaxation: minima against ASE and closed forms, one convergence for each crystal, failures that stay alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.simulation.ase_calculator import ase_calculator
from euhedral.simulation.relax import relax, relax_stream
from euhedral.tasks.potential import Energy


def shaken(crystal: Crystal, rng, *, sigma: float = 0.1, strain: float = 0.04) -> Crystal:
    deformation = rng.normal(0.0, strain, (3, 3))
    frac = crystal.frac + rng.normal(0.0, sigma, crystal.frac.shape) @ np.linalg.inv(crystal.cell)
    return crystal.replace(cell=crystal.cell @ (np.eye(3) + 0.5 * (deformation + deformation.T)), frac=frac)


def cubic(side: float, *, repeat: int = 1) -> Crystal:
    """Face-centred cubic argon-like atoms."""
    base = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    shifts = np.stack(np.meshgrid(*[np.arange(repeat)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    frac = ((base + shifts) / repeat).reshape(-1, 3)
    return Crystal(cell=np.eye(3) * side * repeat, frac=frac, numbers=[18] * len(frac), id=f"fcc-{side}")


def test_a_shaken_crystal_returns_to_the_minimum_that_ase_finds(potential):
    pytest.importorskip("ase")
    from ase import Atoms
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    rng = np.random.default_rng(1)
    starts = [shaken(cubic(3.4), rng), shaken(cubic(3.3), rng, sigma=0.15)]
    for start, result in zip(starts, relax(potential, starts, fmax=1e-3), strict=True):
        atoms = Atoms(numbers=start.numbers, cell=start.cell, scaled_positions=start.frac, pbc=True)
        atoms.calc = ase_calculator(potential)
        BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-3, steps=500)
        assert result.converged
        assert result.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        assert result.crystal.volume == pytest.approx(atoms.get_volume(), rel=1e-3)


def test_with_the_cell_held_only_atoms_move(potential):
    start = shaken(cubic(3.5), np.random.default_rng(2))
    result = relax(potential, [start], fmax=1e-4, cell=False)[0]
    assert result.converged
    np.testing.assert_array_equal(result.crystal.cell, start.cell)
    assert np.abs(result.stress).max() > 1e-3
    assert result.largest_force < 1e-4


def test_forces_and_stress_of_the_result_are_those_of_its_crystal(potential):
    from euhedral.core.batch import CrystalBatch

    start = shaken(cubic(3.5, repeat=2), np.random.default_rng(3))
    result = relax(potential, [start], fmax=0.01)[0]
    again = potential.evaluate(CrystalBatch.from_crystals([result.crystal], dtype=torch.float64))
    assert float(again.energy[0]) == pytest.approx(result.energy, abs=1e-9)
    np.testing.assert_allclose(again.forces.numpy(), result.forces, atol=1e-9)
    np.testing.assert_allclose(again.stress[0].numpy(), result.stress, atol=1e-9)


def test_energy_never_ends_higher_than_it_began(potential):
    rng = np.random.default_rng(4)
    starts = [shaken(cubic(side), rng, sigma=0.3) for side in (3.0, 3.3, 3.6, 3.9, 4.3)]
    for budget in (1, 3, 200):
        for result in relax(potential, starts, steps=budget):
            assert result.energy <= result.start_energy + 1e-9
            assert result.steps <= budget


def test_crystals_relax_the_same_alone_and_together_and_keep_their_order(potential):
    rng = np.random.default_rng(5)
    starts = [shaken(cubic(side, repeat=repeat), rng) for side, repeat in ((3.4, 1), (3.5, 2), (3.6, 1), (3.3, 1))]
    together = relax(potential, starts, atoms_at_once=40)
    for start, result in zip(starts, together, strict=True):
        alone = relax(potential, [start])[0]
        assert result.crystal.id == start.id
        assert result.steps == alone.steps
        assert result.energy == pytest.approx(alone.energy, abs=1e-8)


def test_waiting_crystals_take_the_place_of_converged_ones(potential):
    rng = np.random.default_rng(6)
    starts = [shaken(cubic(3.4), rng, sigma=0.02 * i) for i in range(12)]
    results = relax(potential, starts, atoms_at_once=12)
    assert potential.largest_batch == 3
    assert all(result.converged for result in results)
    assert potential.evaluations == sum(result.steps + 1 for result in results)


def test_a_crystal_at_its_minimum_is_evaluated_once(potential):
    settled = relax(potential, [cubic(3.4)], fmax=1e-3)[0].crystal
    again = relax(potential, [settled], fmax=2e-3)[0]
    assert again.converged
    assert again.steps == 0
    np.testing.assert_array_equal(again.crystal.frac, settled.frac)


def test_those_that_cannot_be_relaxed_say_why_and_stop_no_other(potential):
    good = shaken(cubic(3.4), np.random.default_rng(7))
    overlapping = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.01, 0, 0]], numbers=[18, 18], id="overlap")
    coincident = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0, 0, 0]], numbers=[18, 18], id="coincident")
    unknown = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[110], id="unknown")
    starts = [overlapping, good, coincident, unknown, good]
    results = relax(potential, starts)
    assert [result.converged for result in results] == [False, True, False, False, True]
    assert "apart" in results[0].reason
    assert results[2].reason
    assert "Ds" in results[3].reason
    for start, result in zip(starts, results, strict=True):
        if not result.converged:
            assert result.crystal is start
            assert np.isnan(result.energy)


def test_a_potential_that_raises_on_one_crystal_relaxes_the_others(lennard_jones):
    class Moody(lennard_jones):
        def energy(self, batch, graph, *, vectors):
            if (batch.numbers == 19).any():
                raise RuntimeError("no potassium today")
            return super().energy(batch, graph, vectors=vectors)

    good = shaken(cubic(3.4), np.random.default_rng(8))
    bad = good.replace(numbers=[19, 18, 18, 18], id="bad")
    results = relax(Moody(), [good, bad, good, good])
    assert [result.converged for result in results] == [True, False, True, True]
    assert "no potassium" in results[1].reason


def test_not_converging_in_time_is_said_with_what_is_left(potential):
    result = relax(potential, [shaken(cubic(3.4), np.random.default_rng(9))], steps=1)[0]
    assert not result.converged
    assert result.steps == 1
    assert "after 1 steps" in result.reason


def test_atoms_that_fly_apart_are_stopped(lennard_jones):
    class Repulsive(lennard_jones):
        def energy(self, batch, graph, *, vectors):
            pairs = 50.0 * torch.exp(-vectors.norm(dim=1) / 3.0)
            total = torch.zeros(len(batch), dtype=pairs.dtype).index_add(0, batch.crystal_idx[graph.target], pairs)
            return Energy(total=total)

    result = relax(Repulsive(cutoff=12.0), [cubic(3.4)], fmax=1e-6)[0]
    assert not result.converged
    assert "falls apart" in result.reason


def test_symmetry_is_kept(potential):
    from euhedral.geometry.symmetry import symmetry

    tetragonal = cubic(3.4).replace(cell=np.diag([3.3, 3.3, 3.8]), frac=cubic(3.4).frac + 0.1)
    before = symmetry(tetragonal).number
    result = relax(potential, [tetragonal], steps=3)[0]
    assert symmetry(result.crystal).number == before


def test_an_atom_on_its_own_is_at_rest(potential, crystals):
    result = relax(potential, [crystals["isolated"]])[0]
    assert result.converged
    assert result.energy == 0.0
    assert result.steps == 0


def test_the_trajectory_falls_from_start_to_end(potential):
    start = shaken(cubic(3.4), np.random.default_rng(10))
    result = relax(potential, [start], keep_trajectory=True)[0]
    np.testing.assert_allclose(result.trajectory[0].cell, start.cell)
    np.testing.assert_allclose(result.trajectory[-1].cell, result.crystal.cell)
    assert len(result.trajectory) >= 3
    assert relax(potential, [start])[0].trajectory == ()


def test_the_stream_yields_as_crystals_finish_and_reads_no_further_than_needed(potential):
    taken = []

    def supply():
        for i in range(50):
            taken.append(i)
            yield shaken(cubic(3.4), np.random.default_rng(i), sigma=0.01 if i else 0.3)

    stream = relax_stream(potential, supply(), atoms_at_once=8)
    position, result = next(stream)
    assert result.converged
    assert len(taken) <= 4
    rest = [position, *[found for found, _ in stream]]
    assert sorted(rest) == list(range(50))
    assert rest != sorted(rest)  # the strained first one finishes after later ones


def test_progress_counts_to_all(potential):
    seen = []
    relax(potential, [cubic(3.4)] * 3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_nothing_to_relax_gives_nothing(potential):
    assert relax(potential, []) == []


@pytest.mark.parametrize("changes", [{"fmax": 0.0}, {"steps": -1}, {"max_strain": -0.1}, {"atoms_at_once": 0}])
def test_limits_that_make_no_sense_are_refused(potential, changes):
    with pytest.raises(InvalidRequestError, match=next(iter(changes))):
        relax(potential, [cubic(3.4)], **changes)


def test_the_input_is_not_touched(potential, crystals):
    start = crystals["triclinic"]
    cell, frac = start.cell.copy(), start.frac.copy()
    relax(potential, [start], steps=5)
    np.testing.assert_array_equal(start.cell, cell)
    np.testing.assert_array_equal(start.frac, frac)


def test_cells_too_large_for_one_matrix_of_springs_relax_too(potential):
    start = shaken(cubic(3.4, repeat=5), np.random.default_rng(11), sigma=0.05, strain=0.01)
    assert len(start) == 500
    result = relax(potential, [start], fmax=0.05)[0]
    assert result.converged
    assert result.energy < result.start_energy


def test_chgnet_relaxes_to_the_minimum_that_ase_finds(crystals):
    pytest.importorskip("ase")
    from ase import Atoms
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    from euhedral.models.potentials.chgnet import CHGNet

    potential = CHGNet.load()
    start = shaken(crystals["hexagonal"], np.random.default_rng(12), sigma=0.05, strain=0.02)
    result = relax(potential, [start], fmax=0.01)[0]
    atoms = Atoms(numbers=start.numbers, cell=start.cell, scaled_positions=start.frac, pbc=True)
    atoms.calc = ase_calculator(potential)
    optimiser = BFGS(FrechetCellFilter(atoms), logfile=None)
    optimiser.run(fmax=0.01, steps=200)
    assert result.converged
    assert result.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-3)
    assert result.crystal.volume == pytest.approx(atoms.get_volume(), rel=5e-3)
    assert result.steps < optimiser.nsteps
    assert result.site["magmom"].shape == (4,)


def test_a_space_group_is_kept_against_forces_that_break_it(crystals, lennard_jones):
    from euhedral.geometry.symmetry import symmetry

    class Crooked(lennard_jones):
        def energy(self, batch, graph, *, vectors):
            exact = super().energy(batch, graph, vectors=vectors).total
            slant = 0.01 * (vectors @ torch.tensor([0.3, 0.7, 0.2], dtype=vectors.dtype)).abs()
            return Energy(total=exact.index_add(0, batch.crystal_idx[graph.target], slant))

    start = crystals["hexagonal"]
    before = symmetry(start).number
    free = relax(Crooked(), [start], steps=6)[0]
    kept = relax(Crooked(), [start], steps=6, symprec=0.01)[0]
    assert before == 186
    assert symmetry(free.crystal, symprec=1e-4).number != before
    assert symmetry(kept.crystal, symprec=1e-4).number == before
    assert kept.energy < kept.start_energy


def test_keeping_the_symmetry_changes_nothing_where_forces_are_symmetric(potential, crystals):
    for name in ("heusler", "hexagonal", "triclinic"):
        free, kept = (relax(potential, [crystals[name]], symprec=s, fmax=1e-3)[0] for s in (None, 0.01))
        assert kept.energy == pytest.approx(free.energy, abs=1e-6)


def test_a_symmetry_that_cannot_be_kept_is_said(potential, crystals):
    close = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.12, 0, 0]], numbers=[18, 18], id="close")
    results = relax(potential, [close, crystals["heusler"]], symprec=2.0, steps=2)
    assert len(results) == 2
    assert not results[0].converged
    assert "symprec" in results[0].reason
