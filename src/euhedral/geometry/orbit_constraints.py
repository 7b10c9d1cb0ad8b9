"""A space group's constraint on a whole crystal as plain matrices, for layers that work on batches and gradients.

A crystal with known operations is its representatives (one atom of each orbit) and a lattice in a linear family. Everything
that a generator needs to stay on that set is linear: atoms from representatives, representatives from atoms, displacements
(noise, scores, steps) from atoms on to the free directions of the representatives. Each map is an array here; the docstrings
give the formulas, so that `torch.from_numpy` of the arrays is enough.

Source: Jiao et al. 2024, arXiv:2402.03992, section 4.3 (orbits) and 4.2 (lattice family), there in the standard setting;
here in any cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.core.files.cif import expand as expand_sites
from euhedral.geometry.asymmetric_unit import AsymmetricUnit, expand
from euhedral.geometry.lattice_constraints import metric_basis, metric_projector


@dataclass(frozen=True, eq=False)
class OrbitConstraint:
    """Linear maps between s representatives and n atoms, and on lattices.

    Args:
        anchor: (n,) the representative of each atom.
        operators: (n, 3, 4) x_atom = W x_representative + w.
        inverses: (n, 3, 4) x_representative = V x_atom + v.
        projectors: (s, 3, 4) x = P x + p puts a representative on its special position, the nearest point of it.
        mean: (s, n) weights: 1 / multiplicity for the atoms of an orbit.
        lattice: (6, 6) takes a metric (aa, bb, cc, bc, ac, ab) to the nearest one that the group allows.
        lattice_basis: (d, 6) metrics that span all that the group allows.
    """

    anchor: NDArray[np.int64]
    operators: NDArray[np.float64]
    inverses: NDArray[np.float64]
    projectors: NDArray[np.float64]
    mean: NDArray[np.float64]
    lattice: NDArray[np.float64]
    lattice_basis: NDArray[np.float64]

    def atoms(self, representatives: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make (n, 3) atoms, not wrapped, from (s, 3) representatives: W (P x + p) + w."""
        placed = _apply(self.projectors, representatives)
        return _apply(self.operators, placed[self.anchor])

    def representatives(self, frac: NDArray[np.float64], *, near: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move (n, 3) noisy atoms on to the constraint and return the (s, 3) representatives.

        Args:
            frac: (n, 3) fractional, in the order of `atoms`.
            near: (s, 3) fractional, representatives before the noise; periodic images are taken next to them.

        Returns:
            (s, 3): P (near + mean of wrapped(V x + v - near)) + p, the least-squares nearest.
        """
        away = _apply(self.inverses, frac) - near[self.anchor]
        away -= np.round(away)
        return _apply(self.projectors, near + self.mean @ away)

    def pull_back(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take (n, 3) fractional displacements of atoms to the (s, 3) of representatives: P mean(V d), nearest again."""
        along = np.einsum("nij,nj->ni", self.inverses[:, :, :3], displacements)
        return np.einsum("sij,sj->si", self.projectors[:, :, :3], self.mean @ along)

    def push_forward(self, displacements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take (s, 3) displacements of representatives to the (n, 3) of all atoms: W P d."""
        free = np.einsum("sij,sj->si", self.projectors[:, :, :3], displacements)
        return np.einsum("nij,nj->ni", self.operators[:, :, :3], free[self.anchor])


def orbit_constraint(unit: AsymmetricUnit) -> OrbitConstraint:
    """Write the constraint of an asymmetric unit; atoms are in the order of `expand(unit)`.

    Raises:
        InvalidCrystalError: an orbit has another number of atoms than it says.
    """
    whole = expand(unit)
    _, anchor, made_by = expand_sites(unit.frac, operations=unit.operations, cell=unit.cell)
    linear, shift = unit.rotations[made_by].astype(np.float64), unit.translations[made_by].copy()
    # the lattice translation that puts the image where the crystal has its atom
    images = np.einsum("nij,nj->ni", linear, unit.frac[anchor]) + shift
    shift += np.round(whole.frac - images)
    inverse = np.asarray(np.linalg.inv(linear), dtype=np.float64)
    mean = np.zeros((len(unit), len(whole)))
    mean[anchor, np.arange(len(whole))] = 1.0 / unit.multiplicities[anchor]
    return OrbitConstraint(
        anchor=anchor,
        operators=np.concatenate([linear, shift[:, :, None]], axis=2),
        inverses=np.concatenate([inverse, -np.einsum("nij,nj->ni", inverse, shift)[:, :, None]], axis=2),
        projectors=np.stack([_site_projector(unit, point) for point in unit.frac]),
        mean=mean,
        lattice=metric_projector(unit.rotations),
        lattice_basis=metric_basis(unit.rotations),
    )


def _site_projector(unit: AsymmetricUnit, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 4) mean of the operations that leave a point in place."""
    away = unit.rotations @ point + unit.translations - point
    shift = np.round(away)
    kept = np.linalg.norm((away - shift) @ unit.cell, axis=1) < 1e-3  # the unit's atoms are on their positions
    operators = np.concatenate([unit.rotations, (unit.translations - shift)[:, :, None]], axis=2)
    return operators[kept].mean(0)


def _apply(operators: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.einsum("nij,nj->ni", operators[:, :, :3], points) + operators[:, :, 3]
