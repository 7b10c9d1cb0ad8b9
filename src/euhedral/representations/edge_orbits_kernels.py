"""Compiled loops over edges and symmetry operations; `representations.edge_orbits` is their door."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def orbits_of_edges(source, target, image, start, rotations, onto, shift) -> NDArray:
    """Number the orbits of edges under operations.

    Args:
        source: (E,) atoms.
        target: (E,) atoms, rising.
        image: (E, 3) cell of the source relative to the target's.
        start: (m + 1,) first edge of each target.
        rotations: (k, 3, 3) on fractional coordinates.
        onto: (k, m) atom on which an operation puts an atom.
        shift: (k, m, 3) and in which cell.
    """
    orbit = np.full(source.size, -1, dtype=np.int64)
    count = 0
    for edge in range(source.size):
        if orbit[edge] >= 0:
            continue
        orbit[edge] = count
        i, j = target[edge], source[edge]
        for g in range(rotations.shape[0]):
            a = shift[g, j, 0] - shift[g, i, 0]
            b = shift[g, j, 1] - shift[g, i, 1]
            c = shift[g, j, 2] - shift[g, i, 2]
            for axis in range(3):
                a += rotations[g, 0, axis] * image[edge, axis]
                b += rotations[g, 1, axis] * image[edge, axis]
                c += rotations[g, 2, axis] * image[edge, axis]
            place = find_edge(source, image, start[onto[g, i]], start[onto[g, i] + 1], onto[g, j], a, b, c)
            if place >= 0:
                orbit[place] = count
        count += 1
    return orbit


@njit(cache=True, nogil=True)
def find_edge(source, image, first: int, last: int, atom: int, a: int, b: int, c: int) -> int:
    """Find the edge from an atom in a cell among a run of edges; -1 where there is none."""
    for edge in range(first, last):
        if source[edge] == atom and image[edge, 0] == a and image[edge, 1] == b and image[edge, 2] == c:
            return edge
    return -1


@njit(cache=True, nogil=True)
def same_edges(source, target, image, known_source, known_image, known_start) -> NDArray:
    """Find each edge among known ones, which stand by target; -1 where it is not known."""
    found = np.empty(source.size, dtype=np.int64)
    for edge in range(source.size):
        first, last = known_start[target[edge]], known_start[target[edge] + 1]
        found[edge] = find_edge(
            known_source, known_image, first, last, source[edge], image[edge, 0], image[edge, 1], image[edge, 2]
        )
    return found
