import numpy as np
import pytest
import torch
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_strain

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidCrystalError
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.simulation.ase_calculator import ase_calculator


@pytest.fixture(scope="module")
def potential():
    return CHGNet.load().double()


@pytest.fixture
def atoms(crystals, potential):
    crystal = crystals["triclinic"]
    atoms = Atoms(numbers=crystal.numbers, scaled_positions=crystal.frac, cell=crystal.cell, pbc=True)
    atoms.calc = ase_calculator(potential)
    return atoms


def test_ase_sees_the_numbers_of_the_potential(atoms, potential, crystals):
    result = potential.evaluate(CrystalBatch.from_crystals([crystals["triclinic"]], dtype=torch.float64))
    assert atoms.get_potential_energy() == pytest.approx(float(result.energy[0]), abs=1e-9)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), result.forces.numpy(), atol=1e-9)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), result.stress[0].numpy(), atol=1e-9)
    np.testing.assert_allclose(atoms.get_magnetic_moments(), result.site["magmom"].numpy(), atol=1e-9)


def test_ase_stress_is_the_strain_derivative_in_voigt_order(atoms):
    stress, volume, step = atoms.get_stress(), atoms.get_volume(), 1e-4
    for component in range(6):
        energies = []
        for sign in (1, -1):
            strain = np.zeros(6)
            strain[component] = sign * step
            moved = atoms.copy()
            moved.calc = atoms.calc
            moved.set_cell(atoms.cell @ voigt_6_to_full_3x3_strain(strain), scale_atoms=True)
            energies.append(moved.get_potential_energy())
        assert (energies[0] - energies[1]) / (2 * step * volume) == pytest.approx(stress[component], abs=1e-6)


def test_ase_optimiser_relaxes_positions_and_cell(atoms):
    before = atoms.get_potential_energy()
    optimiser = BFGS(FrechetCellFilter(atoms), logfile=None)
    assert optimiser.run(fmax=0.05, steps=200)
    assert atoms.get_potential_energy() < before - 0.1
    assert np.abs(atoms.get_forces()).max() < 0.05


def test_molecule_without_cell_is_refused_with_the_cure(potential):
    molecule = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]], calculator=ase_calculator(potential))
    with pytest.raises(InvalidCrystalError, match="pbc=True"):
        molecule.get_potential_energy()
