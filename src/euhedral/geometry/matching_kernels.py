"""Compiled loops of structure matching; `geometry.matching` is their door."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def lattice_maps(cell: NDArray, other: NDArray, length_tolerance: float, angle_tolerance: float) -> NDArray:
    """List the integer matrices M for which M @ other has the lengths and angles of `cell`, and the same volume.

    Args:
        cell: (3, 3) Angstrom.
        other: (3, 3) Angstrom.
        length_tolerance: relative.
        angle_tolerance: degrees.

    Returns:
        (m, 3, 3) int64.
    """
    lengths = np.sqrt((cell * cell).sum(1))
    inverse = np.linalg.inv(other)
    reach = np.empty(3, np.int64)
    longest = lengths.max() * (1.0 + length_tolerance)
    for axis in range(3):
        reach[axis] = int(np.floor(longest * np.sqrt((inverse[:, axis] ** 2).sum()) + 1e-9))
    size = (2 * reach[0] + 1) * (2 * reach[1] + 1) * (2 * reach[2] + 1)
    points = np.empty((3, size, 3), np.int64)
    vectors = np.empty((3, size, 3))
    counts = np.zeros(3, np.int64)
    for i in range(-reach[0], reach[0] + 1):
        for j in range(-reach[1], reach[1] + 1):
            for k in range(-reach[2], reach[2] + 1):
                vector = i * other[0] + j * other[1] + k * other[2]
                length = np.sqrt((vector * vector).sum())
                for axis in range(3):
                    if abs(length / lengths[axis] - 1.0) < length_tolerance:
                        n = counts[axis]
                        points[axis, n, 0], points[axis, n, 1], points[axis, n, 2] = i, j, k
                        vectors[axis, n] = vector / length
                        counts[axis] += 1
    unit = cell / lengths.reshape(3, 1)
    wanted = np.arccos(np.array([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]))
    least = np.cos(np.minimum(wanted + np.radians(angle_tolerance), np.pi))
    most = np.cos(np.maximum(wanted - np.radians(angle_tolerance), 0.0))
    found = np.empty((64, 3, 3), np.int64)
    n_found = 0
    for a in range(counts[0]):
        for b in range(counts[1]):
            if not least[2] <= _dot(vectors[0, a], vectors[1, b]) <= most[2]:
                continue
            for c in range(counts[2]):
                if not least[1] <= _dot(vectors[0, a], vectors[2, c]) <= most[1]:
                    continue
                if not least[0] <= _dot(vectors[1, b], vectors[2, c]) <= most[0]:
                    continue
                p, q, r = points[0, a], points[1, b], points[2, c]
                volume = (
                    p[0] * (q[1] * r[2] - q[2] * r[1])
                    - p[1] * (q[0] * r[2] - q[2] * r[0])
                    + p[2] * (q[0] * r[1] - q[1] * r[0])
                )
                if abs(volume) != 1:
                    continue
                if n_found == found.shape[0]:
                    longer = np.empty((2 * n_found, 3, 3), np.int64)
                    longer[:n_found] = found
                    found = longer
                found[n_found, 0], found[n_found, 1], found[n_found, 2] = p, q, r
                n_found += 1
    return found[:n_found]


@njit(cache=True, nogil=True, error_model="numpy")
def _dot(u: NDArray, v: NDArray) -> float:
    return u[0] * v[0] + u[1] * v[1] + u[2] * v[2]


@njit(cache=True, nogil=True, error_model="numpy")
def assignment(cost: NDArray) -> NDArray:
    """Assign each row its own column so that the sum is least (Kuhn 1955, with potentials).

    Args:
        cost: (n, n).

    Returns:
        (n,) the column of each row.
    """
    n = cost.shape[0]
    row_potential, column_potential = np.zeros(n + 1), np.zeros(n + 1)
    owner, way = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for row in range(1, n + 1):
        owner[0] = row
        column = 0
        least = np.full(n + 1, np.inf)
        used = np.zeros(n + 1, np.bool_)
        while True:
            used[column] = True
            current, delta, following = owner[column], np.inf, 0
            for j in range(1, n + 1):
                if not used[j]:
                    reduced = cost[current - 1, j - 1] - row_potential[current] - column_potential[j]
                    if reduced < least[j]:
                        least[j], way[j] = reduced, column
                    if least[j] < delta:
                        delta, following = least[j], j
            for j in range(n + 1):
                if used[j]:
                    row_potential[owner[j]] += delta
                    column_potential[j] -= delta
                else:
                    least[j] -= delta
            column = following
            if owner[column] == 0:
                break
        while column:
            owner[column] = owner[way[column]]
            column = way[column]
    result = np.empty(n, np.int64)
    for j in range(1, n + 1):
        result[owner[j] - 1] = j - 1
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def shortest(a: float, b: float, c: float, cell: NDArray, certain: float) -> tuple[float, float, float, float]:
    """Return the squared length and the Cartesian vector of the shortest image of a fractional difference.

    Args:
        a: along the first lattice vector.
        b: along the second.
        c: along the third.
        cell: (3, 3) Angstrom, reduced.
        certain: squared half of the shortest lattice vector; an image not longer than that has no shorter one.
    """
    a, b, c = a - np.round(a), b - np.round(b), c - np.round(c)
    home_x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
    home_y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
    home_z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
    best, best_x, best_y, best_z = home_x**2 + home_y**2 + home_z**2, home_x, home_y, home_z
    if best <= certain:
        return best, best_x, best_y, best_z
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(-1, 2):
                x = home_x + i * cell[0, 0] + j * cell[1, 0] + k * cell[2, 0]
                y = home_y + i * cell[0, 1] + j * cell[1, 1] + k * cell[2, 1]
                z = home_z + i * cell[0, 2] + j * cell[1, 2] + k * cell[2, 2]
                d2 = x * x + y * y + z * z
                if d2 < best:
                    best, best_x, best_y, best_z = d2, x, y, z
    return best, best_x, best_y, best_z


@njit(cache=True, nogil=True, error_model="numpy")
def _half_shortest(cell: NDArray) -> float:
    """Return the squared half of the shortest vector of a reduced lattice."""
    best = np.inf
    for i in range(-1, 2):
        for j in range(-1, 2):
            for k in range(-1, 2):
                if i != 0 or j != 0 or k != 0:
                    vector = i * cell[0] + j * cell[1] + k * cell[2]
                    best = min(best, (vector * vector).sum())
    return 0.25 * best


@njit(cache=True, nogil=True, error_model="numpy")
def best_displacement(
    cell: NDArray, frac: NDArray, kind: NDArray, other: NDArray, other_frac: NDArray, other_kind: NDArray,
    maps: NDArray, anchor: int, limit: float, largest: bool,
) -> float:  # fmt: skip
    """Lay one crystal over the other in every way that the lattices allow, and return the least displacement.

    Args:
        cell: (3, 3) Angstrom.
        frac: (n, 3).
        kind: (n,) species.
        other: (3, 3) Angstrom, the same volume.
        other_frac: (n, 3).
        other_kind: (n,) species.
        maps: (m, 3, 3) from `lattice_maps`.
        anchor: atom of the first crystal that is laid over each of its kind in turn; one of the rarest species.
        limit: displacement over (volume per atom)^(1/3) beyond which two crystals differ.
        largest: the limit is on the largest displacement, and the first way within it will do; otherwise it is on the
            root mean square, and the least is sought.

    Returns:
        Displacement over (volume per atom)^(1/3); infinity when no way is within the limit.
    """
    n = frac.shape[0]
    unit = (abs(np.linalg.det(cell)) / n) ** (1.0 / 3.0)
    limit2 = (limit * unit) ** 2
    best = np.inf
    cost = np.empty((n, n))
    moves = np.empty((n, n, 3))
    for m in range(maps.shape[0]):
        mapping = maps[m].astype(np.float64)
        # fractional coordinates of the other crystal in the basis of the mapped vectors
        mapped = np.ascontiguousarray(other_frac) @ np.linalg.inv(mapping)
        average = 0.5 * (cell + _aligned(cell, mapping @ other))
        certain = _half_shortest(average)
        for start in range(n):
            if other_kind[start] != kind[anchor]:
                continue
            shift_a, shift_b, shift_c = frac[anchor] - mapped[start]
            lower, possible = 0.0, True
            for i in range(n):
                nearest = np.inf
                for j in range(n):
                    if other_kind[j] != kind[i]:
                        cost[i, j] = 1e6
                        continue
                    d2, x, y, z = shortest(
                        mapped[j, 0] + shift_a - frac[i, 0], mapped[j, 1] + shift_b - frac[i, 1],
                        mapped[j, 2] + shift_c - frac[i, 2], average, certain,
                    )  # fmt: skip
                    cost[i, j] = d2
                    moves[i, j, 0], moves[i, j, 1], moves[i, j, 2] = x, y, z
                    nearest = min(nearest, d2)
                lower += nearest
                # the anchor lies on its image. Where the largest displacement is limited, taking the mean off moves it by
                # no more than the limit, so that no atom was farther than twice that; where the root mean square is, the
                # sum of squares is at most n (n + 1) limit^2
                if (largest and nearest > 4.0 * limit2) or lower > limit2 * n * (n + 1):
                    possible = False
                    break
            if not possible:
                continue
            columns = assignment(cost)
            mean = np.zeros(3)
            for i in range(n):
                mean += moves[i, columns[i]] / n
            total, worst = 0.0, 0.0
            for i in range(n):
                rest = moves[i, columns[i]] - mean
                length2 = (rest * rest).sum()
                total += length2
                worst = max(worst, length2)
            value = np.sqrt(worst if largest else total / n) / unit
            if value <= limit and value < best:
                best = value
                if largest:
                    return best
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _aligned(cell: NDArray, other: NDArray) -> NDArray:
    """Rotate a cell so that it lies as the other does: a along a, b in the plane of a and b (handedness kept by sign)."""
    return _lower(other) @ _frame(cell)


@njit(cache=True, nogil=True, error_model="numpy")
def _frame(cell: NDArray) -> NDArray:
    basis = np.zeros((3, 3))
    for i in range(3):
        rest = cell[i].copy()
        for j in range(i):
            rest -= (cell[i] * basis[j]).sum() * basis[j]
        basis[i] = rest / np.sqrt((rest * rest).sum())
    return basis


@njit(cache=True, nogil=True, error_model="numpy")
def _lower(cell: NDArray) -> NDArray:
    return np.ascontiguousarray(cell) @ np.ascontiguousarray(_frame(cell).T)
