"""Compiled loops of the sums of pair potentials over a lattice; `representations.lattice_sums` is their door.

A potential V(r) = int_0^inf w(t) exp(-t r^2) dt is cut at t = alpha^2. The part above is summed over the lattice, its
Gaussians are no wider than exp(-alpha^2 r^2); the part below over the reciprocal lattice, where its Gaussians are no wider
than exp(-k^2 / 4 alpha^2). Both tails are bounded by `lattice_bounds_kernels.gaussian_tail`.

    S(r) = sum_L narrow(|r + L|) + 1/V sum_k wide(k) cos(k r) - [r = 0] itself

For n atoms alpha balances the two sums; a pair then costs about as much as a few images and a few hundred products, and all
n^2 pairs O(n^2), beside O(n) of phases.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from euhedral.geometry.neighbour_kernels import images_within, triangular
from euhedral.representations.lattice_bounds_kernels import (
    gaussian_tail,
    half_diagonal,
    inside_cell,
    inverse,
    most_points,
    reduced,
)  # fmt: skip
from euhedral.representations.potentials_kernels import at_itself, narrow, wide

# Nanoseconds, for the choice of alpha: one potential of one image; one product; one phase; one potential at one vector.
_IMAGE, _PRODUCT, _PHASE, _VECTOR = 30.0, 0.3, 3.0, 60.0
_SMALLEST_SPLIT, _LARGEST_SPLIT = 0.6, 6.0
_STEP = 1.02
_BLOCK = 128
_LESS = 1.0 - 1e-12


@njit(cache=True, nogil=True, error_model="numpy")
def split(n, count, volume):
    """Choose alpha, 1/Angstrom, such that the two sums of n atoms take about the same time."""
    pairs = 0.5 * n * (n + 1)
    direct = pairs * (2.0 * _IMAGE * count)
    other = pairs * 2.0 * _PRODUCT * count + n * _PHASE + count * _VECTOR
    factor = min(max((direct / other) ** (1.0 / 6.0), _SMALLEST_SPLIT), _LARGEST_SPLIT)
    return factor * 1.7724538509055159 / volume ** (1.0 / 3.0)


@njit(cache=True, nogil=True, error_model="numpy")
def reach_of_images(kinds, parameters, alpha, volume, diagonal, error):
    """Find a radius beyond which the images of an atom add less than the error to any of the sums.

    narrow(r) exp(alpha^2 r^2) does not increase, since no Gaussian in it is wider; so beyond R it is below its value at R.
    """
    radius = 0.5 * math.sqrt(max(-math.log(error), 1.0)) / alpha
    while True:
        worst = 0.0
        for p in range(kinds.size):
            worst = max(worst, narrow(kinds[p], parameters[p], alpha, radius))
        if worst * gaussian_tail(radius, alpha * alpha, volume, diagonal) <= error:
            return radius
        radius *= _STEP


@njit(cache=True, nogil=True, error_model="numpy")
def reach_of_waves(kinds, parameters, alpha, volume, diagonal, error):
    """Find a radius, 1/Angstrom, beyond which the waves add less than the error; `volume` and `diagonal` are reciprocal."""
    radius = alpha * math.sqrt(max(-math.log(error), 1.0))
    scale = volume / (2.0 * math.pi) ** 3
    while True:
        worst = 0.0
        for p in range(kinds.size):
            worst = max(worst, wide(kinds[p], parameters[p], alpha, radius * radius))
        if scale * worst * gaussian_tail(radius, 0.25 / (alpha * alpha), volume, diagonal) <= error:
            return radius
        radius *= _STEP


@njit(cache=True, nogil=True, error_model="numpy")
def half_of_waves(dual, radius, limits):
    """List one of each two opposite vectors of the reciprocal lattice within a radius, without 0.

    Returns:
        (K, 3) whole numbers, and (K,) squared lengths.
    """
    room = (limits[0] + 1) * (2 * limits[1] + 1) * (2 * limits[2] + 1)
    index, k2 = np.empty((room, 3), np.int64), np.empty(room)
    count = 0
    for h in range(limits[0] + 1):
        for k in range(-limits[1] if h > 0 else 0, limits[1] + 1):
            for m in range(-limits[2] if h > 0 or k > 0 else 1, limits[2] + 1):
                length2 = 0.0
                for axis in range(3):
                    length2 += (h * dual[0, axis] + k * dual[1, axis] + m * dual[2, axis]) ** 2
                if length2 <= radius * radius:
                    index[count, 0], index[count, 1], index[count, 2] = h, k, m
                    k2[count] = length2
                    count += 1
    return index[:count], k2[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def phases(frac, index, limits):
    """cos(2 pi h x) and sin(2 pi h x) of every atom and vector, (n, 2 K)."""
    n, count = frac.shape[0], index.shape[0]
    out = np.empty((n, 2 * count))
    longest = max(limits[0], limits[1], limits[2])
    turn = np.empty((3, 2 * longest + 1), np.complex128)
    for i in range(n):
        for axis in range(3):
            angle = 2.0 * math.pi * (frac[i, axis] - math.floor(frac[i, axis]))
            for m in range(limits[axis] + 1):
                turn[axis, longest + m] = complex(math.cos(m * angle), math.sin(m * angle))
                turn[axis, longest - m] = turn[axis, longest + m].conjugate()
        for k in range(count):
            value = turn[0, longest + index[k, 0]] * turn[1, longest + index[k, 1]] * turn[2, longest + index[k, 2]]
            out[i, k] = value.real
            out[i, count + k] = value.imag
    return out


@njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def add_waves(phase, weight, sums):
    """Add sum_k weight[p, k] phase[i, k] phase[j, k] to the pairs i <= j; blocks of k stay in the cache."""
    n, count = phase.shape
    potentials = weight.shape[0]
    weighted = np.empty((potentials, _BLOCK))
    for begin in range(0, count, _BLOCK):
        end = min(begin + _BLOCK, count)
        size = end - begin
        for i in range(n):
            mine = phase[i, begin:end]
            for p in range(potentials):
                for k in range(size):
                    weighted[p, k] = weight[p, begin + k] * mine[k]
            for j in range(i, n):
                other = phase[j, begin:end]
                for p in range(potentials):
                    total = 0.0
                    for k in range(size):
                        total += weighted[p, k] * other[k]
                    sums[i, j, p] += total


@njit(cache=True, nogil=True, error_model="numpy")
def add_images(cell, frac, radius, kinds, parameters, alpha, room, sums):
    """Add the images of j around i within the radius to the pairs i < j, and those of an atom itself to the first pair."""
    n = frac.shape[0]
    lower, order = triangular(cell)
    a, b, c = order[0], order[1], order[2]
    image, distance = np.empty(3 * room, np.int64), np.empty(room)
    for i in range(n):
        for j in range(i, n):
            if j == i and i > 0:
                continue  # all atoms see their own images alike
            found = images_within(
                frac[j, a] - frac[i, a], frac[j, b] - frac[i, b], frac[j, c] - frac[i, c], i == j,
                lower, order, radius, image, distance, 0,
            )  # fmt: skip
            for p in range(kinds.size):
                total = 0.0
                for m in range(found):
                    total += narrow(kinds[p], parameters[p], alpha, distance[m])
                sums[i, j, p] += total


@njit(cache=True, nogil=True, error_model="numpy")
def nearest_images(cell, frac, change, image):
    """Find the nearest image of every atom around every other, that of an atom around itself being itself.

    Args:
        cell: (3, 3) reduced.
        frac: (n, 3) in the reduced cell.
        change: (3, 3) such that cell = change @ the cell that images count in.
        image: (n, n, 3) to fill, of the second atom seen from the first.

    Returns:
        The shortest distance of two atoms, and both.
    """
    n = frac.shape[0]
    shortest, first, second = np.inf, 0, 0
    wrap, chosen, rest, out = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for i in range(n):
        for axis in range(3):
            image[i, i, axis] = 0
        for j in range(i + 1, n):
            for axis in range(3):
                rest[axis] = frac[j, axis] - frac[i, axis]
                wrap[axis] = -np.round(rest[axis])
                rest[axis] += wrap[axis]
            # of images that tie within rounding the one already next to the origin stays
            best = 0.0
            for axis in range(3):
                out[axis] = rest[0] * cell[0, axis] + rest[1] * cell[1, axis] + rest[2] * cell[2, axis]
                best += out[axis] * out[axis]
                chosen[axis] = 0.0
            for na in range(-1, 2):
                for nb in range(-1, 2):
                    for nc in range(-1, 2):
                        d2 = 0.0
                        for axis in range(3):
                            out[axis] = (
                                (rest[0] + na) * cell[0, axis]
                                + (rest[1] + nb) * cell[1, axis]
                                + (rest[2] + nc) * cell[2, axis]
                            )
                            d2 += out[axis] * out[axis]
                        if d2 < best * _LESS:
                            best = d2
                            chosen[0], chosen[1], chosen[2] = na, nb, nc
            for axis in range(3):
                whole = 0.0
                for m in range(3):
                    whole += (wrap[m] + chosen[m]) * change[m, axis]
                image[i, j, axis] = int(np.round(whole))
                image[j, i, axis] = -image[i, j, axis]
            if best < shortest:
                shortest, first, second = best, i, j
    return math.sqrt(shortest), first, second


@njit(cache=True, nogil=True, error_model="numpy")
def sums_of_one(cell, frac, kinds, given, itself, shrinks, accuracy, closest, sums, image):
    """Sum all potentials over all pairs of one crystal.

    Args:
        cell: (3, 3) Angstrom.
        frac: (n, 3).
        kinds: (P,) which potentials.
        given: (P,) their parameters.
        itself: (P,) whether V(0) counts.
        shrinks: (P,) whether the decay is divided by the sixth root of the volume.
        accuracy: the largest error of a sum.
        closest: Angstrom; nearer atoms are refused.
        sums: (n, n, P) to fill.
        image: (n, n, 3) to fill, the nearest image of the second atom seen from the first.

    Returns:
        The shortest distance of two different atoms, and both.
    """
    n = frac.shape[0]
    short, change = reduced(cell)
    undo, volume = inverse(short)
    volume = abs(volume)
    inside = inside_cell(frac, cell, undo)
    shortest, first, second = nearest_images(short, inside, change, image)
    if shortest < closest:
        return shortest, first, second
    parameters = given.copy()
    for p in range(kinds.size):
        if shrinks[p]:
            parameters[p] /= volume ** (1.0 / 6.0)
    alpha = split(n, kinds.size, volume)
    diagonal = half_diagonal(short)
    dual = np.empty((3, 3))
    for i in range(3):
        for axis in range(3):
            dual[i, axis] = 2.0 * math.pi * undo[axis, i]
    radius = reach_of_images(kinds, parameters, alpha, volume, diagonal, 0.5 * accuracy)
    waves = reach_of_waves(
        kinds, parameters, alpha, (2.0 * math.pi) ** 3 / volume, half_diagonal(dual), 0.5 * accuracy
    )  # fmt: skip
    limits = np.empty(3, np.int64)
    widest = 0.0
    for axis in range(3):
        length = math.sqrt(short[axis, 0] ** 2 + short[axis, 1] ** 2 + short[axis, 2] ** 2)
        limits[axis] = int(waves * length / (2.0 * math.pi) + 1e-9)
        widest = max(widest, 2.0 * radius / length)
    index, k2 = half_of_waves(dual, waves, limits)
    weight = np.empty((kinds.size, 2 * k2.size))
    for p in range(kinds.size):
        for k in range(k2.size):
            weight[p, k] = weight[p, k2.size + k] = 2.0 / volume * wide(kinds[p], parameters[p], alpha, k2[k])
        mean = wide(kinds[p], parameters[p], alpha, 0.0) / volume
        for i in range(n):
            for j in range(i, n):
                sums[i, j, p] = mean
    add_waves(phases(inside, index, limits), weight, sums)
    for p in range(kinds.size):
        own = (1.0 if itself[p] else 0.0) - at_itself(kinds[p], parameters[p], alpha)
        for i in range(n):
            sums[i, i, p] += own
    before = sums[0, 0].copy()
    room = int(most_points(radius, volume, diagonal)) + int(widest) + 16
    add_images(short, inside, radius, kinds, parameters, alpha, room, sums)
    for p in range(kinds.size):
        images = sums[0, 0, p] - before[p]
        for i in range(n):
            if i > 0:
                sums[i, i, p] += images
            for j in range(i):
                sums[i, j, p] = sums[j, i, p]
    return shortest, first, second


@njit(cache=True, nogil=True, error_model="numpy")
def sums_of_all(cell, frac, offsets, kinds, given, itself, shrinks, accuracy, closest, sums, image):
    """Sum over all crystals, one after another; see `sums_of_one`.

    Returns:
        The crystal whose atoms are too close (B when none is), their distance, and both.
    """
    done = 0
    for b in range(cell.shape[0]):
        n = offsets[b + 1] - offsets[b]
        shortest, first, second = sums_of_one(
            cell[b], frac[offsets[b] : offsets[b + 1]], kinds, given, itself, shrinks, accuracy, closest,
            sums[done : done + n * n].reshape(n, n, kinds.size), image[done : done + n * n].reshape(n, n, 3),
        )  # fmt: skip
        if shortest < closest:
            return b, shortest, first, second
        done += n * n
    return cell.shape[0], np.inf, 0, 0
