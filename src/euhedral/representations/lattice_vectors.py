"""Lattice vectors that belong to a crystal and not to the cell it is written in.

The lattice is that of all translations that map the crystal on itself, so that a supercell has the one of its primitive cell.
Two choices from it do not depend on any basis:

- The shortest vectors of the seven classes modulo 2. Every lattice vector is in one class of L / 2L; the least lengths of the
  seven classes other than that of 0 are continuous in the lattice and determine it (Conway and Sloane 1992,
  doi:10.1098/rspa.1992.0004, where they are called vonorms). For an orthogonal cell they are those of a, b, c, a + b,
  a + c, b + c and a + b + c.
- Frames: triples of shortest vectors, each independent of those before it, right-handed, with the second and the third at no more
  than 90 degrees to the first. A lattice without special lengths and angles has one frame. Where lengths tie or angles are
  right, as in a cubic lattice, there are several; all of them are listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidCrystalError

#: Angstrom; an atom this near to the translated place of another is its translated copy.
SAME_PLACE: Final = 0.01
#: Relative; lengths that differ by less tie, and angles with a cosine below it are right.
TIE: Final = 1e-3

# Coefficients of a reduced basis that all shortest vectors of the seven classes and of frames have.
_COEFFICIENTS: Final = tuple(
    (i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1) if (i, j, k) != (0, 0, 0)
)


@dataclass(frozen=True, eq=False)
class Translations:
    """The translations that map a crystal on itself.

    Args:
        cell: (3, 3) Angstrom, rows; the cell of the crystal, reduced.
        frac: (n, 3) coordinates in it, not wrapped.
        numbers: (n,) atomic numbers.
        basis: (3, 3) Angstrom, rows; spans all translations, Minkowski-reduced.
        n_copies: how often the crystal repeats within its cell.
    """

    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    basis: NDArray[np.float64]
    n_copies: int

    def copies(self, vectors: NDArray[np.float64], *, crystal_id: str = "") -> NDArray[np.int64]:
        """Find the atom that each atom is moved to by translations, cells not counted.

        Args:
            vectors: (S, 3) Angstrom, of the lattice of `basis`.
            crystal_id: for the error.

        Returns:
            (S, n) int64.

        Raises:
            InvalidCrystalError: translations are so inexact that atoms cannot be told apart; the crystal is disturbed.
        """
        from euhedral.geometry.primitive_kernels import translated

        partner = np.tile(np.arange(len(self.numbers)), (len(vectors), 1))
        if self.n_copies == 1:
            return partner
        for vector, row in zip(vectors, partner, strict=True):
            move = vector @ np.linalg.inv(self.cell)
            # the basis was averaged over all copies, so that each is somewhat farther from its place
            if not translated(self.cell, self.frac, self.numbers, move, 4.0 * SAME_PLACE, row):
                raise InvalidCrystalError(
                    f"crystal {crystal_id!r}: its atoms repeat too roughly for one lattice; symmetrise it or take its primitive cell"
                )
        return partner


def shortest_basis(cell: NDArray[np.float64], *, frac: NDArray[np.float64], numbers: NDArray[np.int64]) -> Translations:
    """Find a Minkowski-reduced basis of a crystal's translations.

    Args:
        cell: (3, 3) Angstrom, rows.
        frac: (n, 3) fractional coordinates; they need not be wrapped.
        numbers: (n,) atomic numbers.
    """
    from euhedral.geometry.primitive_kernels import shrunk
    from euhedral.representations.lattice_bounds_kernels import reduced

    short, change = reduced(np.ascontiguousarray(cell))
    inside = frac @ np.round(np.linalg.inv(change))
    smaller, one_of_each, _ = shrunk(short.copy(), inside.copy(), numbers, SAME_PLACE)
    return Translations(
        cell=short, frac=inside, numbers=numbers, basis=reduced(smaller)[0], n_copies=len(numbers) // len(one_of_each)
    )


def class_vectors(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find one shortest vector of each class modulo 2, shortest class first.

    Which of several tied vectors stands for its class is arbitrary; its length is not.

    Args:
        basis: (3, 3) Angstrom, Minkowski-reduced.

    Returns:
        (7, 3) Angstrom.
    """
    coefficients = np.array(_COEFFICIENTS)
    vectors = coefficients @ basis
    length = np.linalg.norm(vectors, axis=1)
    label = (coefficients % 2) @ [1, 2, 4]
    order = np.lexsort((length, label))
    first = order[np.searchsorted(label[order], np.arange(1, 8))]
    return vectors[first[np.argsort(length[first], kind="stable")]]


def frames(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """List all frames of a lattice, ties within `TIE` included.

    Args:
        basis: (3, 3) Angstrom, Minkowski-reduced.

    Returns:
        (F, 3, 3) Angstrom, rows of each are its vectors; F is at least 1.

    Source: Yan et al. 2024, arXiv:2403.11857, for the choice; the paper takes any of several.
    """
    vectors = np.array(_COEFFICIENTS) @ basis
    length = np.linalg.norm(vectors, axis=1)
    minima = np.sort(np.linalg.norm(basis, axis=1))  # those of a reduced basis are the successive minima
    volume = abs(np.linalg.det(basis))
    first, second, third = (vectors[length <= minimum * (1.0 + TIE)] for minimum in minima)
    sharp = first @ second.T >= -TIE * minima[0] * minima[1]
    a, b = np.nonzero(sharp)
    first, second = first[a], second[b]
    sharp = first @ third.T >= -TIE * minima[0] * minima[2]
    # three vectors as short as the successive minima and independent span the whole lattice
    whole = np.abs(np.cross(first, second) @ third.T - volume) < 0.5 * volume
    pair, c = np.nonzero(sharp & whole)
    return np.stack([first[pair], second[pair], third[c]], axis=1)
