"""Whether two crystals are one and the same body, moved: for tests of what must keep a structure exactly.

`geometry.matching` decides whether crystals are alike, with tolerances that a person would allow. This decides whether a
motion of space lays one on the other, atom on atom, to the rounding of numbers; a mirror image is not the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import niggli, primitive


def congruent(first: Crystal, second: Crystal, *, tolerance: float = 1e-4) -> bool:
    """Tell whether a rotation and a translation lay one crystal on the other.

    Args:
        first: any cell of it.
        second: any cell of it.
        tolerance: Angstrom, how far an atom may lie from the other crystal's.
    """
    a, b = (niggli(primitive(crystal, symprec=tolerance)) for crystal in (first, second))
    if sorted(a.numbers.tolist()) != sorted(b.numbers.tolist()):
        return False
    kinds, counts = np.unique(a.numbers, return_counts=True)
    rarest = kinds[np.argmin(counts)]
    anchor, others = np.flatnonzero(a.numbers == rarest)[0], np.flatnonzero(b.numbers == rarest)
    different = a.numbers[:, None] != b.numbers
    for change in _lattice_maps(a.cell, b.cell, tolerance=tolerance):
        frac = b.frac @ np.linalg.inv(change)
        for other in others:
            apart = a.frac[:, None] - a.frac[anchor] - (frac - frac[other])
            distance = np.linalg.norm((apart - np.round(apart)) @ a.cell, axis=-1)
            distance[different] = np.inf
            if distance.min(1).max() < tolerance and len(np.unique(distance.argmin(1))) == len(a):
                return True
    return False


def _lattice_maps(first: NDArray[np.float64], second: NDArray[np.float64], *, tolerance: float) -> NDArray[np.float64]:
    """(m, 3, 3) whole-number changes of the second reduced cell that make it the first, turned but not mirrored."""
    changes = _unimodular()
    metric = first @ first.T
    changed = changes @ (second @ second.T) @ changes.transpose(0, 2, 1)
    near = np.abs(changed - metric).max((1, 2)) < 2.0 * tolerance * np.sqrt(metric.max())
    turned = np.linalg.det(changes) * np.linalg.det(first) * np.linalg.det(second) > 0.0
    return changes[near & turned]


@cache
def _unimodular() -> NDArray[np.float64]:
    """All matrices of -1, 0, 1 with determinant 1 or -1; they hold every map between two reduced bases of a lattice."""
    every = np.stack(np.meshgrid(*[np.arange(-1.0, 2.0)] * 9, indexing="ij"), -1).reshape(-1, 3, 3)
    return every[np.abs(np.abs(np.linalg.det(every)) - 1.0) < 1e-6]
