"""Compiled loops over edges, bonds and angles; `representations.line_graph` is their door."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def reverse_edges(source, target, image, start) -> NDArray:
    """Find each edge's opposite; `start` (N + 1,) are the first edges of the centres."""
    reverse = np.full(source.size, -1, dtype=np.int64)
    for edge in range(source.size):
        if reverse[edge] >= 0:
            continue
        for other in range(start[source[edge]], start[source[edge] + 1]):
            if (
                source[other] == target[edge]
                and image[other, 0] == -image[edge, 0]
                and image[other, 1] == -image[edge, 1]
                and image[other, 2] == -image[edge, 2]
            ):
                reverse[edge] = other
                reverse[other] = edge
                break
    return reverse


@njit(cache=True, nogil=True)
def angles_at_centres(counts) -> tuple[NDArray, NDArray, NDArray]:
    """List the ordered pairs among the short edges of each centre: first, second, and the pair exchanged."""
    total = 0
    for count in counts:
        total += count * (count - 1)
    first = np.empty(total, dtype=np.int64)
    second = np.empty(total, dtype=np.int64)
    swap = np.empty(total, dtype=np.int64)
    angle = 0
    edge = 0
    for count in counts:
        begin = angle
        for i in range(count):
            for j in range(count):
                if i == j:
                    continue
                first[angle] = edge + i
                second[angle] = edge + j
                # row j of this centre's table has no entry on the diagonal
                swap[angle] = begin + j * (count - 1) + (i if i < j else i - 1)
                angle += 1
        edge += count
    return first, second, swap


@njit(cache=True, nogil=True)
def local_indices(
    source, target, bond, short_edge, first, second, swap,
    atom_start: int, edge_start: int, end_start: int, angle_start: int, near_start: int, near_stop: int, far_start: int,
) -> tuple[NDArray, ...]:  # fmt: skip
    """Count the indices of a run of whole crystals from its own first atom, edge, short edge, angle and bond.

    Its bonds are two runs, short ones from `near_start` to `near_stop` and long ones from `far_start`; here they follow
    one another.

    Returns:
        source, target and bond of edges; edge, bond and atom of short edges; first short edge, bond of the second, and
        pair of angles, a pair being an angle in both orders; first and second short edge of pairs.
    """
    n, d, a = source.size, short_edge.size, first.size
    s, t, b = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32)
    for e in range(n):
        s[e], t[e] = source[e] - atom_start, target[e] - atom_start
        b[e] = (
            bond[e] - near_start if near_start <= bond[e] < near_stop else bond[e] - far_start + near_stop - near_start
        )
    short_e, short_b, short_a = np.empty(d, np.int32), np.empty(d, np.int32), np.empty(d, np.int32)
    for i in range(d):
        e = short_edge[i] - edge_start
        short_e[i], short_b[i], short_a[i] = e, b[e], t[e]
    f, sb, pair = np.empty(a, np.int32), np.empty(a, np.int32), np.empty(a, np.int32)
    pair_first, pair_second = np.empty(a // 2, np.int32), np.empty(a // 2, np.int32)
    pairs = 0
    for i in range(a):
        f[i] = first[i] - end_start
        other = second[i] - end_start
        sb[i] = short_b[other]
        partner = swap[i] - angle_start
        if i < partner:
            pair_first[pairs], pair_second[pairs] = f[i], other
            pair[i], pair[partner] = pairs, pairs
            pairs += 1
    return s, t, b, short_e, short_b, short_a, f, sb, pair, pair_first, pair_second
