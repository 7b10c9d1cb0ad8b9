"""Compiled loops of the search for nearest neighbours; `geometry.neighbours` is their door.

A sphere that should hold about twice the neighbours asked for is searched first; the few atoms for which it was too small
are searched again in larger ones. A neighbour is certain once its whole shell lies inside the sphere.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from euhedral.geometry.neighbour_kernels import columns, images_within, pairs_of_large, triangular

# Neighbours per neighbour asked for in the first sphere, were atoms spread evenly; more room than that in the lists.
_FIRST_SPHERE = 1.5
_ROOM = 5
_GROWTH = 1.3
# Images are packed into one integer, 21 bits an axis, so that they sort as they read.
_BITS = 21
_ZERO = 1 << (_BITS - 1)
_MASK = (1 << _BITS) - 1


@njit(cache=True, nogil=True, error_model="numpy")
def packed(image, place):
    """Pack the image at a place of a flat list."""
    a, b, c = image[3 * place] + _ZERO, image[3 * place + 1] + _ZERO, image[3 * place + 2] + _ZERO
    return (a << (2 * _BITS)) | (b << _BITS) | c


@njit(cache=True, nogil=True, error_model="numpy")
def candidates_of_small(lower, order, frac, cutoff, source, image, distance, found, scratch_image, scratch_distance):
    """List the neighbours within a radius of every atom of a small crystal.

    Args:
        lower: from `triangular`.
        order: from `triangular`.
        frac: (n, 3).
        cutoff: Angstrom.
        source: (n, room) to fill.
        image: (n, room) to fill, packed.
        distance: (n, room) to fill.
        found: (n,) to fill; more than the room when they did not fit.
        scratch_image: flat.
        scratch_distance: flat.
    """
    n = frac.shape[0]
    room = source.shape[1]
    a, b, c = order[0], order[1], order[2]
    origin = packed(np.zeros(3, np.int64), 0)
    found[:] = 0
    for i in range(n):
        for j in range(i, n):
            if i == 0 or j > i:
                count = images_within(
                    frac[j, a] - frac[i, a], frac[j, b] - frac[i, b], frac[j, c] - frac[i, c], i == j,
                    lower, order, cutoff, scratch_image, scratch_distance, 0,
                )  # fmt: skip
                if count < 0:
                    found[:] = room + 1
                    return
                for p in range(count):
                    code = packed(scratch_image, p)
                    if i == j:
                        # all atoms see their own images alike
                        for atom in range(n):
                            keep(source, image, distance, found, atom, atom, code, scratch_distance[p])
                    else:
                        keep(source, image, distance, found, i, j, code, scratch_distance[p])
                        keep(source, image, distance, found, j, i, 2 * origin - code, scratch_distance[p])


@njit(cache=True, nogil=True, error_model="numpy")
def keep(source, image, distance, found, target, neighbour, code, length):
    """Put a neighbour on the list of its target if there is room; count it in any case."""
    place = found[target]
    if place < source.shape[1]:
        source[target, place], image[target, place], distance[target, place] = neighbour, code, length
    found[target] = place + 1


@njit(cache=True, nogil=True, error_model="numpy")
def sort_nearest(source, image, distance, found, chosen):
    """Sort places by distance, then source, then image, so that ties always fall the same way."""
    if found > 64:
        chosen[:found] = np.argsort(distance[:found])
    else:
        for p in range(found):
            chosen[p] = p
    for p in range(1, found):
        place = chosen[p]
        d, s, im = distance[place], source[place], image[place]
        q = p
        while q > 0:
            other = chosen[q - 1]
            if distance[other] < d:
                break
            if distance[other] == d and (source[other] < s or (source[other] == s and image[other] < im)):
                break
            chosen[q] = other
            q -= 1
        chosen[q] = place


@njit(cache=True, nogil=True, error_model="numpy")
def choose(source, image, distance, found, k, tie, strict, radius, largest, chosen):
    """Choose the nearest of one atom's neighbours within a radius.

    Returns:
        How many; the first of `chosen` are their places, nearest first. -1 when the radius is too small to tell.
    """
    if found < k and radius < largest:
        return -1
    sort_nearest(source, image, distance, found, chosen)
    if found <= k and radius >= largest:
        return found
    edge = distance[chosen[k - 1]] + tie
    if edge > radius and radius < largest:
        return -1
    size = k
    if not strict:
        while size < found and distance[chosen[size]] <= edge:
            size += 1
    return size


@njit(cache=True, nogil=True, error_model="numpy")
def neighbours_of_one(lower, order, frac, i, cutoff, source, image, distance):
    """List the neighbours of one atom within a radius; return how many, or -1 when they do not fit."""
    a, b, c = order[0], order[1], order[2]
    count = 0
    for j in range(frac.shape[0]):
        after = images_within(
            frac[j, a] - frac[i, a], frac[j, b] - frac[i, b], frac[j, c] - frac[i, c], i == j,
            lower, order, cutoff, image, distance, count,
        )  # fmt: skip
        if after < 0:
            return -1
        source[count:after] = j
        count = after
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def search_one(lower, order, frac, columned, sorted_atoms, i, radius, k, tie, strict, largest):
    """Find the nearest neighbours of one atom in spheres that grow until they hold enough.

    Returns:
        How many, sources, packed images, distances, their places nearest first.
    """
    room = 256
    source, image, distance = np.empty(room, np.int64), np.empty(3 * room, np.int64), np.empty(room)
    while True:
        if columned:
            found = pairs_of_large(lower, order, sorted_atoms, i, radius, source, image, distance, 0)
        else:
            found = neighbours_of_one(lower, order, frac, i, radius, source, image, distance)
        if found < 0:
            room *= 4
            source, image, distance = np.empty(room, np.int64), np.empty(3 * room, np.int64), np.empty(room)
            continue
        codes = np.empty(found, np.int64)
        for p in range(found):
            codes[p] = packed(image, p)
        chosen = np.empty(found, np.int64)
        size = choose(source, codes, distance, found, k, tie, strict, radius, largest, chosen)
        if size >= 0:
            return size, source, codes, distance, chosen
        radius = min(radius * _GROWTH, largest)


@njit(cache=True, nogil=True, error_model="numpy")
def wrapped(frac):
    """Wrap coordinates into [0, 1); return them and the cells they came from."""
    inside, moved = np.empty_like(frac), np.empty(frac.shape, np.int64)
    for i in range(frac.shape[0]):
        for axis in range(3):
            whole = np.floor(frac[i, axis])
            inside[i, axis], moved[i, axis] = frac[i, axis] - whole, int(whole)
    return inside, moved


@njit(cache=True, nogil=True, error_model="numpy")
def nearest(
    cell, frac, offsets, k, largest, tie, strict, columned_from, source, target, image, distance, crystal, count
):  # fmt: skip
    """List the nearest neighbours of every atom, nearest first.

    Args:
        cell: (B, 3, 3) Angstrom.
        frac: (N, 3).
        offsets: (B + 1,).
        k: how many.
        largest: Angstrom; no neighbour beyond it (infinity for none).
        tie: Angstrom; within it of the k-th distance a neighbour belongs to the same shell.
        strict: leave the rest of the last shell out.
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
    room = _ROOM * k + 16
    rows = 1
    for b in range(crystal, cell.shape[0]):
        if offsets[b + 1] - offsets[b] < columned_from:
            rows = max(rows, offsets[b + 1] - offsets[b])
    near_source, near_image = np.empty((rows, room), np.int64), np.empty((rows, room), np.int64)
    near_distance, found = np.empty((rows, room)), np.empty(rows, np.int64)
    chosen = np.empty(room, np.int64)
    one_source, one_image, one_distance = np.empty(room, np.int64), np.empty(3 * room, np.int64), np.empty(room)
    # never searched: a variable of a compiled loop must have its type before the first branch
    sorted_atoms = columns(*triangular(np.eye(3)), np.zeros((1, 3)), 1.0)
    for b in range(crystal, cell.shape[0]):
        first = offsets[b]
        atoms, moved = wrapped(frac[first : offsets[b + 1]])
        n = atoms.shape[0]
        lower, order = triangular(cell[b])
        volume = lower[0] * lower[2] * lower[5]
        radius = min((_FIRST_SPHERE * (k + 1) * volume / n * 3.0 / (4.0 * np.pi)) ** (1.0 / 3.0), largest)
        columned = n >= columned_from
        if columned:
            sorted_atoms = columns(lower, order, atoms, radius)
        else:
            candidates_of_small(
                lower, order, atoms, radius, near_source, near_image, near_distance, found[:n], one_image, one_distance
            )
        before = count
        for i in range(n):
            row = 0 if columned else i
            if columned:
                listed = pairs_of_large(lower, order, sorted_atoms, i, radius, one_source, one_image, one_distance, 0)
                found[0] = listed if listed >= 0 else room + 1
                near_source[0, : max(listed, 0)] = one_source[: max(listed, 0)]
                near_distance[0, : max(listed, 0)] = one_distance[: max(listed, 0)]
                for p in range(listed):
                    near_image[0, p] = packed(one_image, p)
            sources, codes, lengths, places, size = near_source[row], near_image[row], near_distance[row], chosen, -1
            if found[row] <= room:
                size = choose(sources, codes, lengths, found[row], k, tie, strict, radius, largest, chosen)
            if size < 0:
                size, sources, codes, lengths, places = search_one(
                    lower, order, atoms, columned, sorted_atoms, i, radius, k, tie, strict, largest
                )
            if count + size > source.size:
                return b, before
            for q in range(size):
                p = places[q]
                j, code = sources[p], codes[p]
                source[count], target[count], distance[count] = first + j, first + i, lengths[p]
                image[3 * count] = (code >> (2 * _BITS)) - _ZERO + moved[i, 0] - moved[j, 0]
                image[3 * count + 1] = ((code >> _BITS) & _MASK) - _ZERO + moved[i, 1] - moved[j, 1]
                image[3 * count + 2] = (code & _MASK) - _ZERO + moved[i, 2] - moved[j, 2]
                count += 1
    return cell.shape[0], count
