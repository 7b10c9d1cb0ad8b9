"""Noisy crystals moved to the nearest one with given symmetry operations.

The mean of a crystal's images under a group of operations has these operations exactly. It is the orthogonal projection: no
other crystal with the operations (and the same cell) is nearer in the sum of squared displacements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.lattice_constraints import symmetrise_cell
from euhedral.geometry.symmetry import symmetry

# Distances between images and atoms that are held at once.
_CHUNK = 4_000_000


def symmetrise(crystal: Crystal, *, symprec: float = 0.1) -> Crystal:
    """Find the space group within a tolerance and move the crystal to the nearest one that has it exactly.

    Cell, origin, orientation and order of the atoms stay; only what breaks the symmetry is taken away.

    Args:
        crystal: any cell of it.
        symprec: Angstrom, how far an atom may lie from its symmetric place.

    Raises:
        InvalidCrystalError: no space group fits within the tolerance, or its operations do not map atom on atom.
    """
    found = symmetry(crystal, symprec=symprec)
    return average_over(
        crystal, rotations=found.rotations, translations=found.translations, tolerance=4.0 * found.symprec
    )


def average_over(
    crystal: Crystal, *, rotations: NDArray[np.int64], translations: NDArray[np.float64], tolerance: float
) -> Crystal:
    """Take the mean of a crystal's images under operations of its cell.

    Args:
        crystal: a crystal that nearly has the operations.
        rotations: (k, 3, 3) a group, acting on fractional coordinates.
        translations: (k, 3) fractional.
        tolerance: Angstrom, how far the image of an atom may lie from the atom that it stands for.

    Returns:
        The crystal with the same atoms in the same order, moved, and the cell strained without turning.

    Raises:
        InvalidCrystalError: an operation does not map the atoms one to one within the tolerance.
    """
    onto = atom_permutations(crystal, rotations=rotations, translations=translations, tolerance=tolerance)
    return mean_image(crystal, onto=onto, rotations=rotations, translations=translations)


def mean_image(
    crystal: Crystal,
    *,
    onto: NDArray[np.int64],
    rotations: NDArray[np.int64],
    translations: NDArray[np.float64],
) -> Crystal:
    """Take the mean of a crystal's images when it is known on which atom each operation puts each atom.

    Args:
        crystal: a crystal that nearly has the operations.
        onto: (k, n) as `atom_permutations` gives it.
        rotations: (k, 3, 3) a group, acting on fractional coordinates.
        translations: (k, 3) fractional.
    """
    images = np.einsum("kij,nj->kni", rotations, crystal.frac) + translations[:, None]
    away = images - crystal.frac[onto]
    away -= np.round(away)
    moves = np.zeros_like(crystal.frac)
    np.add.at(moves, onto, away)
    return crystal.replace(
        cell=symmetrise_cell(crystal.cell, rotations=rotations), frac=crystal.frac + moves / len(rotations)
    )


def atom_permutations(
    crystal: Crystal, *, rotations: NDArray[np.int64], translations: NDArray[np.float64], tolerance: float
) -> NDArray[np.int64]:
    """Find the atom on which each operation puts each atom.

    Args:
        crystal: a crystal that nearly has the operations.
        rotations: (k, 3, 3), acting on fractional coordinates.
        translations: (k, 3) fractional.
        tolerance: Angstrom, how far an image may lie from its atom.

    Returns:
        (k, n) indices.

    Raises:
        InvalidCrystalError: an operation does not map the atoms one to one within the tolerance.
    """
    count, size = len(rotations), len(crystal)
    onto = np.empty((count, size), dtype=np.int64)
    farthest = 0.0
    for number in np.unique(crystal.numbers):
        own = np.flatnonzero(crystal.numbers == number)
        points = crystal.frac[own]
        step = max(1, _CHUNK // len(own) ** 2)
        for start in range(0, count, step):
            some = slice(start, start + step)
            images = np.einsum("kij,nj->kni", rotations[some], points) + translations[some, None]
            apart = images[:, :, None] - points
            apart -= np.round(apart)
            distance = np.linalg.norm(apart @ crystal.cell, axis=-1)
            nearest = distance.argmin(-1)
            farthest = max(farthest, float(np.take_along_axis(distance, nearest[..., None], -1).max()))
            onto[some, own] = own[nearest]
    one_to_one = (np.sort(onto, axis=1) == np.arange(size)).all()
    if farthest > tolerance or not one_to_one:
        what = f"an image lies {farthest:.3g} Å from any atom" if farthest > tolerance else "two atoms land on one"
        raise InvalidCrystalError(
            f"crystal {crystal.id!r}: its operations do not map the atoms one to one within {tolerance:g} Å ({what}); try another symprec"
        )
    return onto
