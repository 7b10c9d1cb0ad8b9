"""A spring model of a crystal's stiffness: what an optimiser assumes before it has seen any curvature.

Every pair of atoms is joined by a spring that is stiff along the bond, softer across it, and weaker the longer the bond
is in units of the two covalent radii. The springs give one matrix for displacements and strain together, so that cell
and atoms, stiff and soft bonds, large and small cells all start with steps of the right size.

Sources: Lindh et al. 1995, doi:10.1016/0009-2614(95)00646-L (force constants that fall with distance, for molecules);
Packwood et al. 2016, doi:10.1063/1.4947024 (spring preconditioners for periodic cells, with the cell's degrees of
freedom). Departures: Lindh's Gaussian in the bond length is an exponential in the reduced length, and strain is coupled to
displacements by the same springs instead of a separate bulk modulus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from euhedral.core.elements import elements

Solver = Callable[[NDArray[np.float64]], NDArray[np.float64]]


# Above this many atoms the springs between atoms are left out, so that cost grows with the atoms and not their cube.
_DENSE_ATOMS = 400


def _symmetric_basis() -> NDArray[np.float64]:
    basis = np.zeros((6, 3, 3))
    for row, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        basis[row, i, j] = basis[row, j, i] = 1.0 if i == j else np.sqrt(0.5)
    basis.setflags(write=False)
    return basis


#: (6, 3, 3) orthonormal basis of symmetric matrices: xx, yy, zz, yz, xz, xy.
SYMMETRIC_BASIS: Final = _symmetric_basis()


@dataclass(frozen=True, eq=False)
class Bonds:
    """The neighbours in one crystal, every pair in both directions.

    Args:
        vectors: (E, 3) Angstrom, from target to source.
        source: (E,) int64 neighbours.
        target: (E,) int64 centres.
    """

    vectors: NDArray[np.float64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]

    @property
    def shortest(self) -> float:
        """Angstrom; infinite when there are no neighbours."""
        return float(np.linalg.norm(self.vectors, axis=1).min()) if len(self.vectors) else float("inf")


@dataclass(frozen=True)
class Springs:
    """How stiff the springs are; the defaults were chosen on perturbed MP-20 cells with CHGNet.

    Args:
        stiffness: eV/Angstrom^2 of a bond as long as the sum of the covalent radii.
        decay: how fast the stiffness falls, exp(-decay (r / (r_i + r_j) - 1)), dimensionless.
        across: stiffness across a bond over that along it.
        floor: eV/Angstrom^2 added for every atom, so that nothing is without resistance.
    """

    stiffness: float = 6.0
    decay: float = 4.0
    across: float = 0.2
    floor: float = 0.3

    def solver(self, bonds: Bonds, *, numbers: NDArray[np.int64], cell: bool) -> Solver:
        """Return the function that divides a gradient by the model.

        Args:
            bonds: of the crystal.
            numbers: (n,) atomic numbers.
            cell: whether gradients have the six components of strain.

        Returns:
            maps (3 n + 6,) to (3 n + 6,), or (3 n,) to (3 n,) without the cell.
        """
        n_atoms = len(numbers)
        if n_atoms <= _DENSE_ATOMS:
            matrix = self.matrix(bonds, numbers=numbers)
            factor = cho_factor(matrix if cell else matrix[: 3 * n_atoms, : 3 * n_atoms], check_finite=False)
            return lambda vector: cho_solve(factor, vector, check_finite=False)
        own, of_strain = self._own_blocks(bonds, numbers=numbers)
        inverse, inverse_strain = np.linalg.inv(own), np.linalg.inv(of_strain)

        def solve(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            atoms = np.einsum("nij,nj->ni", inverse, vector[: 3 * n_atoms].reshape(-1, 3)).ravel()
            return np.concatenate([atoms, inverse_strain @ vector[3 * n_atoms :]]) if cell else atoms

        return solve

    def matrix(self, bonds: Bonds, *, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Assemble the model of the second derivatives of the energy.

        Args:
            bonds: of the crystal.
            numbers: (n,) atomic numbers.

        Returns:
            (3 n + 6, 3 n + 6), symmetric and positive definite: displacements of the atoms (Angstrom), then strain in
            the basis `SYMMETRIC_BASIS` (dimensionless); eV per their products.
        """
        n_atoms, size = len(numbers), 3 * len(numbers)
        source, target = bonds.source, bonds.target
        blocks = self._blocks(bonds, numbers=numbers)
        pulled = np.einsum("eij,ejs->eis", blocks, _by_strain(bonds))
        own, of_strain = self._own_blocks(bonds, numbers=numbers)
        pairs = np.zeros((n_atoms, n_atoms, 3, 3))
        np.add.at(pairs, (target, source), -blocks)
        np.add.at(pairs, (source, target), -blocks)
        pairs[np.arange(n_atoms), np.arange(n_atoms)] += own
        mixed = np.zeros((n_atoms, 3, 6))
        np.add.at(mixed, source, pulled)
        np.add.at(mixed, target, -pulled)
        matrix = np.empty((size + 6, size + 6))
        matrix[:size, :size] = pairs.transpose(0, 2, 1, 3).reshape(size, size)
        matrix[:size, size:] = mixed.reshape(size, 6)
        matrix[size:, :size] = matrix[:size, size:].T
        matrix[size:, size:] = of_strain
        return matrix

    def _blocks(self, bonds: Bonds, *, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """(E, 3, 3) eV/Angstrom^2 of each directed bond; half of the pair's, since each pair is met twice."""
        radii = np.array([element.covalent_radius for element in elements()])[numbers - 1]
        lengths = np.linalg.norm(bonds.vectors, axis=1)
        stretch = lengths / (radii[bonds.source] + radii[bonds.target]) - 1.0
        strength = 0.5 * self.stiffness * np.exp(-self.decay * np.clip(stretch, -0.3, None))
        along = bonds.vectors / np.maximum(lengths, 1e-9)[:, None]
        along = along[:, :, None] * along[:, None, :]
        return strength[:, None, None] * (self.across * np.eye(3) + (1.0 - self.across) * along)

    def _own_blocks(
        self, bonds: Bonds, *, numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n, 3, 3) of each atom moving alone, and (6, 6) of strain alone."""
        blocks, by_strain = self._blocks(bonds, numbers=numbers), _by_strain(bonds)
        own = np.tile(self.floor * np.eye(3), (len(numbers), 1, 1))
        np.add.at(own, bonds.target, blocks)
        np.add.at(own, bonds.source, blocks)
        # a unit of strain moves the border of an atom's share of the cell by about one Angstrom
        of_strain = self.floor * len(numbers) * np.eye(6)
        return own, of_strain + np.einsum("eis,eij,ejt->st", by_strain, blocks, by_strain, optimize=True)


def _by_strain(bonds: Bonds) -> NDArray[np.float64]:
    """(E, 3, 6) how each component of strain moves the end of a bond."""
    return np.einsum("sij,ej->eis", SYMMETRIC_BASIS, bonds.vectors)
