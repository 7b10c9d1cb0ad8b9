"""Keeping the space group in a relaxation: forces and stress averaged over the operations of the start.

A potential that is exactly symmetric would do this by itself; in single precision the rounding of forces breaks a symmetry as
soon as it has a way down.
"""

from __future__ import annotations

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.geometry.symmetrise import atom_permutations
from euhedral.geometry.symmetry import symmetry
from euhedral.simulation.descent import Point


class SymmetricMean:
    """The mean of forces and stress over the operations of a crystal.

    Args:
        crystal: whose operations are kept.
        symprec: Angstrom, within which they are found.

    Raises:
        InvalidCrystalError: no space group is found, or an operation does not map the atoms onto each other.
    """

    def __init__(self, crystal: Crystal, *, symprec: float) -> None:
        found = symmetry(crystal, symprec=symprec)
        self.number = found.number
        self._rotations = found.rotations
        self._onto = atom_permutations(
            crystal, rotations=found.rotations, translations=found.translations, tolerance=4.0 * symprec
        )

    def __call__(self, point: Point) -> Point:
        """Return the point with symmetric forces and stress."""
        # in rows: x' = f' cell = f R^T cell = x (cell^-1 R^T cell)
        turns = np.linalg.inv(point.cell) @ self._rotations.transpose(0, 2, 1) @ point.cell
        forces = np.zeros_like(point.forces)
        np.add.at(forces, self._onto, np.einsum("ni,kij->knj", point.forces, turns))
        stress = np.einsum("kia,ij,kjb->ab", turns, point.stress, turns, optimize=True)
        count = len(turns)
        return Point(
            cell=point.cell, frac=point.frac, energy=point.energy, forces=forces / count, stress=stress / count
        )
