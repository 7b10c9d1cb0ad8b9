"""Potentials as ASE calculators, so that everything that ASE drives can use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError, MissingDependencyError
from euhedral.tasks.potential import Potential

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


def ase_calculator(potential: Potential) -> Calculator:
    """Wrap a potential as an ASE calculator of energy, forces, stress and, where the potential has them, magnetic moments.

    ASE's units are ours (eV, Angstrom); its stress is that of tension positive, in Voigt order xx, yy, zz, yz, xz, xy.

    Args:
        potential: evaluated where it is; positions are given in double precision.

    Raises:
        MissingDependencyError: ASE is not installed.
        InvalidCrystalError: (on calculation) the atoms are not periodic in all three directions.
    """
    try:
        from ase.calculators.calculator import Calculator, all_changes
    except ImportError as error:
        raise MissingDependencyError(
            "an ASE calculator needs ASE, which is not installed; run: pip install 'euhedral[ase]'"
        ) from error

    class PotentialCalculator(Calculator):
        implemented_properties = ["energy", "free_energy", "forces", "stress", "magmoms"]  # noqa: RUF012  # ASE's declaration

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:  # noqa: ANN001
            super().calculate(atoms, properties, system_changes)
            parameter = next(potential.parameters())
            batch = _batch(self.atoms).to(parameter.device)
            result = potential.evaluate(batch)
            energy = float(result.energy[0])
            stress = _array(result.stress[0])
            self.results = {
                "energy": energy,
                "free_energy": energy,
                "forces": _array(result.forces),
                "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
            }
            if "magmom" in result.site:
                self.results["magmoms"] = _array(result.site["magmom"])

    return PotentialCalculator()


def _batch(atoms) -> CrystalBatch:  # noqa: ANN001  # ase.Atoms, which is imported late
    if not all(atoms.pbc):
        raise InvalidCrystalError(
            f"{atoms.get_chemical_formula()}: periodic along {list(map(bool, atoms.pbc))}, expected all three; "
            "put vacuum round the atoms and set pbc=True"
        )
    crystal = Crystal(cell=np.asarray(atoms.cell), frac=atoms.get_scaled_positions(), numbers=atoms.numbers)
    return CrystalBatch.from_crystals([crystal], dtype=torch.float64)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().double().numpy()
