"""What every potential must satisfy, whatever its weights: each check takes a float64 potential and raises `AssertionError`.

@pytest.mark.parametrize("check", POTENTIAL_CHECKS)
def test_my_potential(check):
    check(MyPotential().double(), crystals)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.simulation.ase_calculator import ase_calculator
from euhedral.tasks.potential import Evaluation, Potential
from euhedral.testing.invariance import check_invariances
from euhedral.testing.transforms import (
    Images,
    Mirror,
    NiggliCell,
    OtherCell,
    Permutation,
    Rotation,
    Supercell,
    Transform,
    Translation,
)


def batch_independence(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """A crystal's results do not depend on what else is in the batch."""
    chosen = _small(crystals)
    together = _evaluate(potential, chosen)
    start = 0
    for i, crystal in enumerate(chosen):
        alone = _evaluate(potential, [crystal])
        stop = start + len(crystal)
        _close(together.energy[i], alone.energy[0], crystal, "energy in a batch")
        _close(together.forces[start:stop], alone.forces, crystal, "forces in a batch")
        _close(together.stress[i], alone.stress[0], crystal, "stress in a batch")
        for name, value in together.site.items():
            _close(value[start:stop], alone.site[name], crystal, f"{name} in a batch")
        start = stop


def permutation(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """The order of atoms does not matter; forces and values of atoms follow it."""
    _follows(potential, crystals, Permutation())


def translation(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """The origin does not matter, nor which image of an atom is given."""
    _follows(potential, crystals, Translation(), Images())


def rotation(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """Forces and stress turn with the crystal; the energy stays; so does it in a mirror."""
    _follows(potential, crystals, Rotation(), Mirror())


def extensivity(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """A supercell of n cells has n times the energy, the same forces and the same stress."""
    _follows(potential, crystals, Supercell())


def unimodular_cell_change(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """The choice of lattice vectors does not matter."""
    _follows(potential, crystals, OtherCell(), NiggliCell())


def no_mutation(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """The batch and the graph are left as they were."""
    batch = CrystalBatch.from_crystals(_small(crystals), dtype=torch.float64)
    graph = potential.graph.build(batch)
    tensors = [
        batch.cell,
        batch.frac,
        batch.numbers,
        batch.n_atoms,
        graph.source,
        graph.target,
        graph.image,
        *graph.extra.values(),
    ]
    before = [tensor.clone() for tensor in tensors]
    potential.evaluate(batch, graph=graph)
    for old, new in zip(before, tensors, strict=True):
        assert torch.equal(old, new), "evaluate changed its input"
        assert not new.requires_grad, "evaluate left a gradient on its input"


def forces_are_derivatives(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """Forces are minus the derivative of the energy by positions."""
    step = 1e-4
    for crystal in _distorted(crystals):
        forces = _evaluate(potential, [crystal]).forces
        for atom in range(min(len(crystal), 3)):
            for axis in range(3):
                shift = np.zeros((len(crystal), 3))
                shift[atom, axis] = step
                ends = [
                    crystal.replace(frac=crystal.frac + sign * np.linalg.solve(crystal.cell.T, shift.T).T)
                    for sign in (1, -1)
                ]
                plus, minus = _evaluate(potential, ends).energy
                _close(forces[atom, axis], -(plus - minus) / (2 * step), crystal, "force", tolerance=1e-5)


def stress_is_a_derivative(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """Stress is the derivative of the energy by strain, over the volume."""
    step = 1e-4
    for crystal in _distorted(crystals):
        stress = _evaluate(potential, [crystal]).stress[0]
        for i in range(3):
            for j in range(i + 1):
                strain = np.zeros((3, 3))
                strain[i, j] += step / 2
                strain[j, i] += step / 2
                ends = [crystal.replace(cell=crystal.cell @ (np.eye(3) + sign * strain)) for sign in (1, -1)]
                plus, minus = _evaluate(potential, ends).energy
                _close(stress[i, j], (plus - minus) / (2 * step * crystal.volume), crystal, "stress", tolerance=1e-6)


def smooth_at_the_cutoff(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """Energy and forces have no jump while two atoms leave each other's sight."""
    number = int(crystals["isolated"].numbers[0])
    distances = np.arange(2.0, 8.0, 0.01)
    dimers = [
        Crystal(
            cell=np.eye(3) * 20.0,
            frac=[[0.1, 0.2, 0.3], [0.1 + d / 20.0, 0.2, 0.3]],
            numbers=[number, number],
            id=f"dimer at {d:.2f} Å",
        )
        for d in distances
    ]
    result = _evaluate(potential, dimers)
    energy, force = result.energy.numpy(), result.forces[::2, 0].numpy()
    # the trapezoidal rule is exact to third order in the step where the force has no jump
    jump = np.abs(np.diff(energy) - 0.5 * 0.01 * (force[1:] + force[:-1]))
    scale = np.abs(force).max() + 1e-12
    worst = int(jump.argmax())
    assert jump[worst] < 1e-3 * scale, (
        f"energy and force disagree between {distances[worst]:.2f} and {distances[worst] + 0.01:.2f} Å"
    )
    change = np.abs(np.diff(force))
    far = distances[:-1] > 2.5
    assert change[far].max() < 0.1 * scale, f"the force jumps near {distances[:-1][far][change[far].argmax()]:.2f} Å"
    assert abs(force[-1]) < 1e-10, "atoms beyond every cutoff still pull"


def isolated_atom(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """An atom alone in its cell has a finite energy, no force and no stress."""
    result = _evaluate(potential, [crystals["isolated"], crystals["fcc"]])
    assert torch.isfinite(result.energy).all(), "the energy of an isolated atom is not finite"
    assert torch.equal(result.forces[0], torch.zeros(3, dtype=torch.float64)), "an isolated atom feels a force"
    assert torch.equal(result.stress[0], torch.zeros(3, 3, dtype=torch.float64)), "an isolated atom strains its cell"


def no_gradient_across_crystals(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """The energy of one crystal does not pull at the atoms of another."""
    batch = CrystalBatch.from_crystals(_small(crystals), dtype=torch.float64)
    graph = potential.graph.build(batch)
    vectors = graph.vectors(batch).requires_grad_()
    total = potential.energy(batch, graph, vectors=vectors).total
    owner = batch.crystal_idx[graph.target]
    for i in range(len(batch)):
        (pull,) = torch.autograd.grad(total[i], vectors, retain_graph=True)
        assert not pull[owner != i].any(), f"the energy of crystal {i} depends on another crystal"


def ase_parity(potential: Potential, crystals: Mapping[str, Crystal]) -> None:
    """ASE sees the same numbers, on a triclinic cell."""
    from ase import Atoms

    crystal = crystals["triclinic"]
    result = _evaluate(potential, [crystal])
    atoms = Atoms(numbers=crystal.numbers, scaled_positions=crystal.frac, cell=crystal.cell, pbc=True)
    atoms.calc = ase_calculator(potential)
    _close(torch.tensor(atoms.get_potential_energy()), result.energy[0], crystal, "energy in ASE")
    _close(torch.from_numpy(atoms.get_forces()), result.forces, crystal, "forces in ASE")
    _close(torch.from_numpy(atoms.get_stress(voigt=False)), result.stress[0], crystal, "stress in ASE")


#: Every check, in the order of what one would want to know first.
POTENTIAL_CHECKS: Final[tuple[Callable[[Potential, Mapping[str, Crystal]], None], ...]] = (
    batch_independence, permutation, translation, rotation, extensivity, unimodular_cell_change, no_mutation, isolated_atom,
    forces_are_derivatives, stress_is_a_derivative, smooth_at_the_cutoff, no_gradient_across_crystals,
    ase_parity,
)  # fmt: skip


def _evaluate(potential: Potential, crystals: Sequence[Crystal]) -> Evaluation:
    return potential.evaluate(CrystalBatch.from_crystals(crystals, dtype=torch.float64))


def _small(crystals: Mapping[str, Crystal]) -> list[Crystal]:
    return [crystal for crystal in crystals.values() if len(crystal) < 50]


def _distorted(crystals: Mapping[str, Crystal]) -> list[Crystal]:
    rng = np.random.default_rng(5)
    chosen = [crystals[name] for name in ("triclinic", "heusler", "hexagonal", "vacuum") if name in crystals]
    return [crystal.replace(frac=crystal.frac + rng.normal(scale=0.01, size=crystal.frac.shape)) for crystal in chosen]


def _follows(potential: Potential, crystals: Mapping[str, Crystal], *transforms: Transform) -> None:
    rng = np.random.default_rng(3)
    check_invariances(potential, _small(crystals), transforms=transforms, rng=rng).raise_if_failed()


def _close(got: torch.Tensor, expected: torch.Tensor, crystal: Crystal, what: str, *, tolerance: float = 1e-7) -> None:
    scale = 1.0 + float(expected.abs().max())
    error = float((got - expected).abs().max())
    assert error <= tolerance * scale, f"{crystal.id}: {what} is off by {error:.2e} (tolerance {tolerance * scale:.1e})"
