"""Compiled loops over pairs of edges that share an atom; `representations.triplets` is their door."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def edge_paths(source, target, image, start, total: int, backtracking: bool) -> tuple[NDArray, NDArray]:
    """List the paths of two edges, k -> j -> i, by the second edge and then by the first.

    Args:
        source: (E,).
        target: (E,), rising.
        image: (E, 3).
        start: (N + 1,) first edge of each target.
        total: of all paths, those that go back included.
        backtracking: keep paths from an atom to itself.

    Returns:
        (T,) first edges and (T,) second ones.
    """
    first = np.empty(total, np.int64)
    second = np.empty(total, np.int64)
    count = 0
    for edge in range(source.size):
        middle = source[edge]
        for other in range(start[middle], start[middle + 1]):
            if (
                not backtracking
                and source[other] == target[edge]
                and image[other, 0] == -image[edge, 0]
                and image[other, 1] == -image[edge, 1]
                and image[other, 2] == -image[edge, 2]
            ):
                continue
            first[count] = other
            second[count] = edge
            count += 1
    return first[:count], second[:count]
