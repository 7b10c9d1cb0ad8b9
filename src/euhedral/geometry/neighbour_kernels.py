"""Compiled loops of the neighbour search; `geometry.neighbours` is their door.

In a basis where the cell is lower triangular (c alone has a z component, b none along z, a along x only) the images of an
atom inside a sphere can be listed without a miss: the radius bounds the index along c, what is left of it bounds the index
along b, and what is left then bounds the index along a, the shortest. The cost is that of the pairs found, for a cell of
any shape. In a small cell each two atoms are searched once: j seen from i is i seen from j, reversed.

A large cell is cut into columns along a. Of each column only the stretch that the sphere reaches is looked at, so that the
cost is linear in the number of atoms.

Lists are filled from place `count` on; `image` is flat, three numbers a pair. A search returns the new count, or -1 when its
pairs do not fit. The lists are made by NumPy, whose large pages cost a third of a compiled loop's.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Bounds are widened by this, so that rounding never hides a pair; the distance itself decides.
_SLACK = 1e-9
# A column is this fraction of the cutoff wide, a segment of it this fraction of that long: narrow ones fit the sphere
# better, wide ones are fewer.
_COLUMN = 0.6
_SEGMENT = 0.5


@njit(cache=True, nogil=True, error_model="numpy")
def triangular(cell):
    """Order the lattice vectors by length and rotate them so that their matrix is lower triangular.

    Returns:
        a_x, b_x, b_y, c_x, c_y, c_z in Angstrom and 1/a_x, 1/b_y, 1/c_z; and (3,) which lattice vector each is.
    """
    # loops and not array functions: those take seconds to compile
    lengths2 = np.empty(3)
    for i in range(3):
        lengths2[i] = cell[i, 0] * cell[i, 0] + cell[i, 1] * cell[i, 1] + cell[i, 2] * cell[i, 2]
    order = np.empty(3, np.int64)
    for i in range(3):
        place = 0
        for j in range(3):
            place += lengths2[j] < lengths2[i] or (lengths2[j] == lengths2[i] and j < i)
        order[place] = i
    lower, basis, rest = np.zeros((3, 3)), np.zeros((3, 3)), np.empty(3)
    for i in range(3):
        row = order[i]
        for axis in range(3):
            rest[axis] = cell[row, axis]
        for j in range(i):
            for axis in range(3):
                lower[i, j] += cell[row, axis] * basis[j, axis]
            for axis in range(3):
                rest[axis] -= lower[i, j] * basis[j, axis]
        lower[i, i] = np.sqrt(rest[0] * rest[0] + rest[1] * rest[1] + rest[2] * rest[2])
        for axis in range(3):
            basis[i, axis] = rest[axis] / lower[i, i]
    ax, by, cz = lower[0, 0], lower[1, 1], lower[2, 2]
    return (ax, lower[1, 0], by, lower[2, 0], lower[2, 1], cz, 1.0 / ax, 1.0 / by, 1.0 / cz), order


@njit(cache=True, nogil=True, error_model="numpy")
def images_within(da, db, dc, itself, lower, order, cutoff, image, distance, count):
    """List the images of one atom within the cutoff of another.

    Args:
        da: fractional difference along the shortest lattice vector.
        db: along the second.
        dc: along the longest.
        itself: leave out the difference of nothing.
        lower: from `triangular`.
        order: from `triangular`.
        cutoff: Angstrom.
        image: (3 * room,) to fill.
        distance: (room,) to fill.
        count: first free place.
    """
    ax, bx, by, cx, cy, cz, inverse_a, inverse_b, inverse_c = lower
    a, b, c = order[0], order[1], order[2]
    radius2 = cutoff * cutoff
    room = distance.size
    reach = cutoff * inverse_c + _SLACK
    for nc in range(int(np.ceil(-dc - reach)), int(np.floor(-dc + reach)) + 1):
        wc = dc + nc
        z2 = (wc * cz) * (wc * cz)
        left = np.sqrt(max(radius2 - z2, 0.0)) * inverse_b + _SLACK
        middle = -db - wc * cy * inverse_b
        for nb in range(int(np.ceil(middle - left)), int(np.floor(middle + left)) + 1):
            wb = db + nb
            y = wb * by + wc * cy
            yz2 = y * y + z2
            along = (wb * bx + wc * cx) * inverse_a + da
            left_x = np.sqrt(max(radius2 - yz2, 0.0)) * inverse_a + _SLACK
            first, last = int(np.ceil(-along - left_x)), int(np.floor(-along + left_x))
            if count + last - first >= room:
                return -1
            for na in range(first, last + 1):
                x = (along + na) * ax
                d2 = x * x + yz2
                if d2 > radius2 or (itself and na == 0 and nb == 0 and nc == 0):
                    continue
                image[3 * count + a] = na
                image[3 * count + b] = nb
                image[3 * count + c] = nc
                distance[count] = np.sqrt(d2)
                count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def pairs_of_small(lower, order, frac, first, cutoff, source, target, image, distance, count):
    """List all pairs of a small crystal, target by target and source by source; atoms are numbered from `first` on."""
    n = frac.shape[0]
    a, b, c = order[0], order[1], order[2]
    start = np.empty((n, n + 1), np.int64)
    for i in range(n):
        for j in range(n):
            start[i, j] = count
            if j < i or (j == i and i > 0):
                # all atoms see their own images alike
                begin, end = (start[j, i], start[j, i + 1]) if j < i else (start[0, 0], start[0, 1])
                sign = -1 if j < i else 1
                if count + end - begin > distance.size:
                    return -1
                for p in range(begin, end):
                    image[3 * count] = sign * image[3 * p]
                    image[3 * count + 1] = sign * image[3 * p + 1]
                    image[3 * count + 2] = sign * image[3 * p + 2]
                    distance[count] = distance[p]
                    count += 1
            else:
                count = images_within(
                    frac[j, a] - frac[i, a], frac[j, b] - frac[i, b], frac[j, c] - frac[i, c], i == j,
                    lower, order, cutoff, image, distance, count,
                )  # fmt: skip
                if count < 0:
                    return -1
            source[start[i, j] : count] = first + j
        start[i, n] = count
        target[start[i, 0] : count] = first + i
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def columns(lower, order, frac, cutoff):
    """Sort the atoms of a large crystal into columns along its shortest lattice vector, and these into segments.

    Returns:
        (3,) segments, columns along b, columns along c; (bins + 1,) first place of each segment; (n,) atom at each place;
        (3, n) Cartesian positions of the wrapped atoms, in the turned basis, by place, and (3, n) by atom; (n, 3) the cell
        each atom was wrapped from, along a, b, c of the crystal; room for n squared distances and for n places.
    """
    n = frac.shape[0]
    ax, bx, by, cx, cy, cz, _, _, _ = lower
    width = cutoff * _COLUMN
    while max(1.0, ax / width / _SEGMENT) * max(1.0, by / width) * max(1.0, cz / width) > 8.0 * n + 64.0:
        width *= 1.5
    grid = np.array([max(1, int(ax / width / _SEGMENT)), max(1, int(by / width)), max(1, int(cz / width))])
    position = np.empty((3, n))
    moved = np.empty((n, 3), np.int64)
    segment = np.empty(n, np.int64)
    wrapped = np.empty(3)
    for i in range(n):
        for axis in range(3):
            whole = np.floor(frac[i, order[axis]])
            wrapped[axis] = frac[i, order[axis]] - whole
            moved[i, order[axis]] = int(whole)
        position[0, i] = wrapped[0] * ax + wrapped[1] * bx + wrapped[2] * cx
        position[1, i] = wrapped[1] * by + wrapped[2] * cy
        position[2, i] = wrapped[2] * cz
        column = min(int(wrapped[1] * grid[1]), grid[1] - 1) * grid[2] + min(int(wrapped[2] * grid[2]), grid[2] - 1)
        segment[i] = column * grid[0] + min(int(wrapped[0] * grid[0]), grid[0] - 1)
    start = np.zeros(grid[0] * grid[1] * grid[2] + 1, np.int64)
    for i in range(n):
        start[segment[i] + 1] += 1
    cursor = np.empty(start.size - 1, np.int64)
    for k in range(cursor.size):
        cursor[k] = start[k]
        start[k + 1] += start[k]
    atom = np.empty(n, np.int64)
    placed = np.empty((3, n))
    for i in range(n):
        place = cursor[segment[i]]
        atom[place] = i
        placed[0, place], placed[1, place], placed[2, place] = position[0, i], position[1, i], position[2, i]
        cursor[segment[i]] += 1
    return grid, start, atom, placed, position, moved, np.empty(n), np.empty(n, np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def pairs_of_large(lower, order, sorted_atoms, i, cutoff, source, image, distance, count):
    """List the neighbours of atom i of a large crystal; atoms are numbered from 0 on."""
    grid, start, atom, placed, position, moved, squared, hits = sorted_atoms
    ax, bx, by, cx, cy, cz, _, _, _ = lower
    a, b, c = order[0], order[1], order[2]
    across, up = grid[1], grid[2]
    radius2 = cutoff * cutoff
    slack = _SLACK * (cutoff + ax)
    xi, yi, zi = position[0, i], position[1, i], position[2, i]
    # how wide and high a column is, how far its neighbours up and across are shifted, how long a segment is
    high, lean, tilt_c = cz / up, cy / up, cx / up
    wide, tilt_b, long = by / across, bx / across, ax / grid[0]
    low, top = min(0.0, lean), max(0.0, lean)
    back, front = min(0.0, tilt_b) + min(0.0, tilt_c), max(0.0, tilt_b) + max(0.0, tilt_c)
    for pc in range(int(np.floor((zi - cutoff - slack) / high)), int(np.floor((zi + cutoff + slack) / high)) + 1):
        sc = pc // up
        z = max(0.0, pc * high - zi, zi - (pc + 1) * high)
        left2 = max(radius2 - z * z, 0.0)
        left = np.sqrt(left2) + slack
        y_low, y_top = pc * lean + low - yi, pc * lean + top - yi
        for pb in range(int(np.floor((-left - y_top) / wide)), int(np.floor((left - y_low) / wide)) + 1):
            sb = 0 if 0 <= pb < across else pb // across
            y = max(0.0, pb * wide + y_low, -(pb + 1) * wide - y_top)
            half = np.sqrt(max(left2 - y * y, 0.0)) + slack
            home = ((pb - sb * across) * up + pc - sc * up) * grid[0]
            shift = pb * tilt_b + pc * tilt_c - xi
            first, last = int(np.floor((-half - shift - front) / long)), int(np.floor((half - shift - back) / long))
            # the centre as the column's own cell sees it
            x_there, y_there, z_there = xi - sb * bx - sc * cx, yi - sb * by - sc * cy, zi - sc * cz
            for sa in range(first // grid[0], last // grid[0] + 1):
                begin = start[home + max(first - sa * grid[0], 0)]
                size = start[home + min(last - sa * grid[0], grid[0] - 1) + 1] - begin
                x = x_there - sa * ax
                for q in range(size):
                    dx, dy, dz = (
                        placed[0, begin + q] - x,
                        placed[1, begin + q] - y_there,
                        placed[2, begin + q] - z_there,
                    )
                    squared[q] = dx * dx + dy * dy + dz * dz
                n_hits = 0
                for q in range(size):
                    hits[n_hits] = q
                    n_hits += squared[q] <= radius2
                if count + n_hits > distance.size:
                    return -1
                for h in range(n_hits):
                    j = atom[begin + hits[h]]
                    if j == i and sa == 0 and sb == 0 and sc == 0:
                        continue
                    source[count] = j
                    image[3 * count + a] = sa + moved[i, a] - moved[j, a]
                    image[3 * count + b] = sb + moved[i, b] - moved[j, b]
                    image[3 * count + c] = sc + moved[i, c] - moved[j, c]
                    distance[count] = np.sqrt(squared[hits[h]])
                    count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def within(cell, frac, offsets, cutoff, columned_from, source, target, image, distance, crystal, count):
    """List all pairs of all crystals within the cutoff, target by target.

    Args:
        cell: (B, 3, 3) Angstrom.
        frac: (N, 3).
        offsets: (B + 1,).
        cutoff: Angstrom.
        columned_from: atoms from which columns pay.
        source: (room,) to fill.
        target: (room,) to fill.
        image: (3 * room,) to fill.
        distance: (room,) to fill.
        crystal: the one to begin with.
        count: first free place.

    Returns:
        The first crystal that did not fit (B when all did), and the pairs of those before it.
    """
    for k in range(crystal, cell.shape[0]):
        first = offsets[k]
        atoms = frac[first : offsets[k + 1]]
        lower, order = triangular(cell[k])
        after = count
        if atoms.shape[0] < columned_from:
            after = pairs_of_small(lower, order, atoms, first, cutoff, source, target, image, distance, count)
            if after < 0:
                return k, count
        else:
            sorted_atoms = columns(lower, order, atoms, cutoff)
            for i in range(atoms.shape[0]):
                before = after
                after = pairs_of_large(lower, order, sorted_atoms, i, cutoff, source, image, distance, before)
                if after < 0:
                    return k, count
                target[before:after] = first + i
                source[before:after] += first
        count = after
    return cell.shape[0], count
