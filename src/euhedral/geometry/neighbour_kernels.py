"""Compiled loops of the neighbour search; `geometry.neighbours` is their door.

In a basis where the cell is lower triangular (c alone has a z component, b none along z, a along x only) the images of an
atom inside a sphere can be listed without a miss: the radius bounds the index along c, what is left of it bounds the index
along b, and what is left then bounds the index along a. The cost is that of the pairs found, for a cell of any shape.
Large cells sort their atoms into bins first, so that the cost stays linear in the number of atoms.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Distances are compared after the lattice sums are rounded; a neighbour this close outside the bounds is still looked at.
_SLACK = 1e-9


@njit(cache=True, nogil=True)
def triangular(cell: NDArray) -> tuple[NDArray, NDArray]:
    """Order the lattice vectors by length and rotate them so that their matrix is lower triangular.

    Returns:
        (3, 3) lower-triangular rows, Angstrom, and (3,) which lattice vector each row is.
    """
    order = np.argsort(np.array([np.dot(cell[0], cell[0]), np.dot(cell[1], cell[1]), np.dot(cell[2], cell[2])]))
    rows = np.empty((3, 3))
    for i in range(3):
        rows[i] = cell[order[i]]
    lower = np.zeros((3, 3))
    basis = np.zeros((3, 3))
    for i in range(3):
        rest = rows[i].copy()
        for j in range(i):
            lower[i, j] = np.dot(rows[i], basis[j])
            rest -= lower[i, j] * basis[j]
        lower[i, i] = np.sqrt(np.dot(rest, rest))
        basis[i] = rest / lower[i, i]
    return lower, order


@njit(cache=True, nogil=True)
def grown(source: NDArray, target: NDArray, image: NDArray, distance: NDArray) -> tuple:
    """Double the room for pairs."""
    n = source.size
    new_source, new_target = np.empty(2 * n, np.int64), np.empty(2 * n, np.int64)
    new_image, new_distance = np.empty((2 * n, 3), np.int64), np.empty(2 * n)
    new_source[:n], new_target[:n], new_image[:n], new_distance[:n] = source, target, image, distance
    return new_source, new_target, new_image, new_distance


@njit(cache=True, nogil=True)
def pairs_of_one(
    lower, order, frac, first, i, cutoff, source, target, image, distance, count
):  # fmt: skip
    """Append all neighbours of atom i of one small crystal within the cutoff; see the module's text."""
    radius2 = cutoff * cutoff
    a, b, c = order[0], order[1], order[2]
    l00, l10, l11 = lower[0, 0], lower[1, 0], lower[1, 1]
    l20, l21, l22 = lower[2, 0], lower[2, 1], lower[2, 2]
    reach = cutoff / l22 + _SLACK
    for j in range(frac.shape[0]):
        da = frac[j, a] - frac[i, a]
        db = frac[j, b] - frac[i, b]
        dc = frac[j, c] - frac[i, c]
        for nc in range(int(np.ceil(-dc - reach)), int(np.floor(-dc + reach)) + 1):
            wc = dc + nc
            z2 = (wc * l22) ** 2
            left = np.sqrt(max(radius2 - z2, 0.0)) / l11 + _SLACK
            middle = -db - wc * l21 / l11
            for nb in range(int(np.ceil(middle - left)), int(np.floor(middle + left)) + 1):
                wb = db + nb
                y = wb * l11 + wc * l21
                yz2 = y * y + z2
                left_x = np.sqrt(max(radius2 - yz2, 0.0)) / l00 + _SLACK
                along = (wb * l10 + wc * l20) / l00 + da
                for na in range(int(np.ceil(-along - left_x)), int(np.floor(-along + left_x)) + 1):
                    x = (along + na) * l00
                    d2 = x * x + yz2
                    if d2 > radius2 or (i == j and na == 0 and nb == 0 and nc == 0):
                        continue
                    if count == source.size:
                        source, target, image, distance = grown(source, target, image, distance)
                    source[count] = first + j
                    target[count] = first + i
                    image[count, a] = na
                    image[count, b] = nb
                    image[count, c] = nc
                    distance[count] = np.sqrt(d2)
                    count += 1
    return source, target, image, distance, count


@njit(cache=True, nogil=True)
def bins(cell, frac, cutoff):  # noqa: ANN001, ANN201
    """Sort the wrapped atoms of a large crystal into bins about half a cutoff wide.

    Returns:
        bins along each axis, bins to visit on each side, wrapped coordinates, the cell each atom was wrapped from,
        first place of each bin (with the end), atoms in the order of their bins.
    """
    n = frac.shape[0]
    inverse = np.linalg.inv(cell)
    counts = np.empty(3, np.int64)
    reach = np.empty(3, np.int64)
    for axis in range(3):
        spacing = 1.0 / np.sqrt(np.dot(inverse[:, axis], inverse[:, axis]))
        counts[axis] = max(1, min(int(spacing / (0.5 * cutoff)), int(np.ceil(n ** (1.0 / 3.0)))))
        reach[axis] = int(np.ceil(cutoff / (spacing / counts[axis]) + _SLACK))
    wrapped = np.empty((n, 3))
    moved = np.empty((n, 3), np.int64)
    which = np.empty(n, np.int64)
    for i in range(n):
        place = 0
        for axis in range(3):
            whole = np.floor(frac[i, axis])
            wrapped[i, axis] = frac[i, axis] - whole
            moved[i, axis] = int(whole)
            place = place * counts[axis] + min(int(wrapped[i, axis] * counts[axis]), counts[axis] - 1)
        which[i] = place
    start = np.zeros(counts[0] * counts[1] * counts[2] + 1, np.int64)
    for i in range(n):
        start[which[i] + 1] += 1
    start = np.cumsum(start)
    cursor = start[:-1].copy()
    order = np.empty(n, np.int64)
    for i in range(n):
        order[cursor[which[i]]] = i
        cursor[which[i]] += 1
    return counts, reach, wrapped, moved, start, order


@njit(cache=True, nogil=True)
def pairs_of_one_binned(
    cell, binned, first, i, cutoff, source, target, image, distance, count
):  # fmt: skip
    """Append all neighbours of atom i of one large crystal within the cutoff."""
    counts, reach, wrapped, moved, start, order = binned
    radius2 = cutoff * cutoff
    home = np.empty(3, np.int64)
    for axis in range(3):
        home[axis] = min(int(wrapped[i, axis] * counts[axis]), counts[axis] - 1)
    for pa in range(home[0] - reach[0], home[0] + reach[0] + 1):
        sa = pa // counts[0]
        for pb in range(home[1] - reach[1], home[1] + reach[1] + 1):
            sb = pb // counts[1]
            for pc in range(home[2] - reach[2], home[2] + reach[2] + 1):
                sc = pc // counts[2]
                place = ((pa - sa * counts[0]) * counts[1] + pb - sb * counts[1]) * counts[2] + pc - sc * counts[2]
                for k in range(start[place], start[place + 1]):
                    j = order[k]
                    wa = wrapped[j, 0] - wrapped[i, 0] + sa
                    wb = wrapped[j, 1] - wrapped[i, 1] + sb
                    wc = wrapped[j, 2] - wrapped[i, 2] + sc
                    x = wa * cell[0, 0] + wb * cell[1, 0] + wc * cell[2, 0]
                    y = wa * cell[0, 1] + wb * cell[1, 1] + wc * cell[2, 1]
                    z = wa * cell[0, 2] + wb * cell[1, 2] + wc * cell[2, 2]
                    d2 = x * x + y * y + z * z
                    if d2 > radius2 or (i == j and sa == 0 and sb == 0 and sc == 0):
                        continue
                    if count == source.size:
                        source, target, image, distance = grown(source, target, image, distance)
                    source[count] = first + j
                    target[count] = first + i
                    image[count, 0] = sa + moved[i, 0] - moved[j, 0]
                    image[count, 1] = sb + moved[i, 1] - moved[j, 1]
                    image[count, 2] = sc + moved[i, 2] - moved[j, 2]
                    distance[count] = np.sqrt(d2)
                    count += 1
    return source, target, image, distance, count


@njit(cache=True, nogil=True)
def within(cell, frac, offsets, cutoff, room, binned_from):  # noqa: ANN001, ANN201
    """List all pairs of all crystals within the cutoff, target by target."""
    source, target = np.empty(room, np.int64), np.empty(room, np.int64)
    image, distance = np.empty((room, 3), np.int64), np.empty(room)
    count = 0
    for crystal in range(cell.shape[0]):
        first = offsets[crystal]
        atoms = frac[first : offsets[crystal + 1]]
        if atoms.shape[0] >= binned_from:
            binned = bins(cell[crystal], atoms, cutoff)
            for i in range(atoms.shape[0]):
                source, target, image, distance, count = pairs_of_one_binned(
                    cell[crystal], binned, first, i, cutoff, source, target, image, distance, count
                )
        else:
            lower, order = triangular(cell[crystal])
            for i in range(atoms.shape[0]):
                source, target, image, distance, count = pairs_of_one(
                    lower, order, atoms, first, i, cutoff, source, target, image, distance, count
                )
    return source[:count], target[:count], image[:count], distance[:count]


@njit(cache=True, nogil=True)
def nearer(distance, source, image, p, q) -> bool:  # noqa: ANN001
    """Order two pairs by distance, then source, then image, so that ties always fall the same way."""
    if distance[p] != distance[q]:
        return distance[p] < distance[q]
    if source[p] != source[q]:
        return source[p] < source[q]
    for axis in range(3):
        if image[p, axis] != image[q, axis]:
            return image[p, axis] < image[q, axis]
    return False


@njit(cache=True, nogil=True)
def nearest(cell, frac, offsets, k, largest, tie, strict, binned_from):  # noqa: ANN001, ANN201
    """List the nearest neighbours of every atom, nearest first.

    Args:
        cell: (B, 3, 3) Angstrom.
        frac: (N, 3).
        offsets: (B + 1,).
        k: how many.
        largest: Angstrom; no neighbour beyond it (infinity for none).
        tie: Angstrom; within it of the k-th distance a neighbour belongs to the same shell.
        strict: leave the rest of the last shell out.
        binned_from: atoms from which bins pay.
    """
    n = frac.shape[0]
    room = n * (k + 8) + 16
    source, target = np.empty(room, np.int64), np.empty(room, np.int64)
    image, distance = np.empty((room, 3), np.int64), np.empty(room)
    count = 0
    s, t, im, d = np.empty(256, np.int64), np.empty(256, np.int64), np.empty((256, 3), np.int64), np.empty(256)
    for crystal in range(cell.shape[0]):
        first = offsets[crystal]
        atoms = frac[first : offsets[crystal + 1]]
        volume = abs(np.linalg.det(cell[crystal]))
        # a sphere that holds about twice the neighbours asked for, were they spread evenly
        guess = (2.0 * (k + 1) * volume / atoms.shape[0] * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
        large = atoms.shape[0] >= binned_from
        lower, order = triangular(cell[crystal])
        radius = min(guess, largest)
        binned = bins(cell[crystal], atoms, radius if large else 1e3)
        for i in range(atoms.shape[0]):
            reach = radius
            while True:
                if large and reach == radius:
                    s, t, im, d, found = pairs_of_one_binned(cell[crystal], binned, first, i, reach, s, t, im, d, 0)
                else:
                    s, t, im, d, found = pairs_of_one(lower, order, atoms, first, i, reach, s, t, im, d, 0)
                edge = np.inf
                if found >= k:
                    edge = np.partition(d[:found], k - 1)[k - 1]
                # the shell of the k-th must lie inside the sphere that was searched
                if reach >= largest or edge + tie <= reach:
                    break
                reach = min(reach * 1.3, largest)
            chosen = np.empty(found, np.int64)
            size = 0
            for p in range(found):
                if d[p] <= edge + tie:
                    q = size
                    while q > 0 and nearer(d, s, im, p, chosen[q - 1]):
                        chosen[q] = chosen[q - 1]
                        q -= 1
                    chosen[q] = p
                    size += 1
            if strict:
                size = min(size, k)
            for q in range(size):
                p = chosen[q]
                if count == source.size:
                    source, target, image, distance = grown(source, target, image, distance)
                source[count], target[count], distance[count] = s[p], t[p], d[p]
                image[count] = im[p]
                count += 1
    return source[:count], target[:count], image[:count], distance[:count]
