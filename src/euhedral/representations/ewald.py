"""Electrostatics of point charges in a crystal: energy, potentials at the atoms, Madelung constants.

Built on the Coulomb sums of `lattice_sums`. A cell that is not neutral stands in a uniform background that makes it so.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.lattice_sums import lattice_sums
from euhedral.representations.potentials import Power

#: e^2 / (4 pi epsilon_0) in eV Angstrom (CODATA 2018).
COULOMB_CONSTANT: Final = 14.399645478
# What the sums can be asked for; beyond, rounding decides.
_FINEST: Final = 1e-13


def site_potentials(crystal: Crystal, *, charges: ArrayLike, accuracy: float = 1e-8) -> NDArray[np.float64]:
    """Find the potential at each atom of all charges but its own.

    Args:
        crystal: n atoms.
        charges: (n,) elementary charges.
        accuracy: the largest error of a potential, V.

    Returns:
        (n,) V; its mean over the cell, charges included, is zero.

    Raises:
        InvalidRequestError: the charges do not belong to the atoms, or the accuracy cannot be reached.
        InvalidCrystalError: two atoms are at one place.
    """
    charge = _checked(crystal, charges)
    total = COULOMB_CONSTANT * float(np.abs(charge).sum())
    return COULOMB_CONSTANT * (_coulomb(crystal, error=_share(accuracy, total)) @ charge)


def coulomb_energy(crystal: Crystal, *, charges: ArrayLike, accuracy: float = 1e-8) -> float:
    """Find the electrostatic energy of a cell of point charges, eV.

    Args:
        crystal: n atoms.
        charges: (n,) elementary charges.
        accuracy: the largest error of the energy, eV an atom.

    Raises:
        InvalidRequestError: the charges do not belong to the atoms, or the accuracy cannot be reached.
        InvalidCrystalError: two atoms are at one place.
    """
    charge = _checked(crystal, charges)
    total = 0.5 * COULOMB_CONSTANT * float(np.abs(charge).sum()) ** 2 / len(crystal)
    return 0.5 * COULOMB_CONSTANT * float(charge @ _coulomb(crystal, error=_share(accuracy, total)) @ charge)


def madelung_constant(crystal: Crystal, *, charges: ArrayLike, atom: int = 0, distance: float | None = None) -> float:
    """Find the Madelung constant: the potential at an ion times a distance, over the charge of its opposite neighbours.

    For NaCl, CsCl and ZnS with the distance of the nearest neighbours it is the textbooks' 1.7476, 1.7627 and 1.6381.

    Args:
        crystal: n atoms.
        charges: (n,) elementary charges.
        atom: position of the ion.
        distance: Angstrom; that of the ion's nearest neighbour when not given.

    Raises:
        InvalidRequestError: the charges do not belong to the atoms, the ion has no charge, or there is no such atom.
        InvalidCrystalError: two atoms are at one place.
    """
    charge = _checked(crystal, charges)
    if not 0 <= atom < len(crystal):
        raise InvalidRequestError(f"crystal {crystal.id!r} has atoms 0 to {len(crystal) - 1}, there is no atom {atom}")
    if charge[atom] == 0.0:
        raise InvalidRequestError(f"crystal {crystal.id!r}: atom {atom} has no charge and so no Madelung constant")
    if distance is None:
        from euhedral.geometry.neighbours import nearest_neighbours

        found = nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], k=1, tie=0.0)
        distance = float(found.distance[found.target == atom].min())
    potential = site_potentials(crystal, charges=charge, accuracy=1e-10 * float(np.abs(charge).sum()))[atom]
    return -potential * distance / (COULOMB_CONSTANT * charge[atom])


def _checked(crystal: Crystal, charges: ArrayLike) -> NDArray[np.float64]:
    charge = np.asarray(charges, dtype=np.float64)
    if charge.shape != (len(crystal),) or not np.isfinite(charge).all():
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: {len(crystal)} atoms need that many finite charges, got {charge.size} of shape {charge.shape}"
        )
    return charge


def _share(accuracy: float, total: float) -> float:
    """The error that each pair may have."""
    if not (np.isfinite(accuracy) and accuracy > 0.0):
        raise InvalidRequestError(f"the accuracy must be a positive number, got {accuracy}")
    return min(accuracy / total, 1.0) if total > 0.0 else 1.0


def _coulomb(crystal: Crystal, *, error: float) -> NDArray[np.float64]:
    if error < _FINEST:
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: the accuracy asks for pair sums to {error:.0e}, beyond double precision; allow more"
        )
    return lattice_sums(crystal, potentials=(Power(1.0),), accuracy=error)[:, :, 0]
