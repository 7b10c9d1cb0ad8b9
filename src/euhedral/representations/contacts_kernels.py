"""Compiled loop of `contacts`."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def unobstructed(starts, vectors, margin):
    """Tell which pairs have no third atom inside the sphere whose diameter they are.

    Args:
        starts: (N + 1,) int64 first pair of each atom, and the number of pairs.
        vectors: (E, 3) Angstrom from each pair's first atom to its second; all pairs of an atom up to the longest looked at.
        margin: share of the squared length by which the sphere is larger, so that ties are decided alike everywhere.

    Returns:
        (E,) bool.
    """
    free = np.ones(len(vectors), np.bool_)
    for atom in range(len(starts) - 1):
        for pair in range(starts[atom], starts[atom + 1]):
            x, y, z = vectors[pair]
            limit = (1.0 + margin) * (x * x + y * y + z * z)
            for other in range(starts[atom], starts[atom + 1]):
                if other == pair:
                    continue
                u, v, w = vectors[other]
                near = u * u + v * v + w * w
                if near < limit and near + (x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2 <= limit:
                    free[pair] = False
                    break
    return free
