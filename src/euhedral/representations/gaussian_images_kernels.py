"""Compiled loops that list the images and the waves which sums of Gaussians need; `representations.gaussian_images` is their door."""

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
)
from euhedral.representations.lattice_sums_kernels import half_of_waves, nearest_images

_ROUNDS = 6
_STEP = 1.02
# A row of images along the shortest vector must fit the list before it is looked at.
_MARGIN = 64


@njit(cache=True, nogil=True, error_model="numpy")
def reach_of_pair(nearest, a, error, volume, diagonal):
    """Find the radius beyond which exp(-a r^2) adds up to less than the error times its value at the nearest image."""
    excess = -math.log(error) / a
    for _ in range(_ROUNDS):
        radius = math.sqrt(nearest * nearest + excess)
        excess = max(math.log(gaussian_tail(radius, a, volume, diagonal) / error) / a, 0.0)
    while True:
        radius = math.sqrt(nearest * nearest + excess)
        if gaussian_tail(radius, a, volume, diagonal) * math.exp(-a * excess) <= error:
            return radius
        excess = excess * _STEP + 1e-3 / a


@njit(cache=True, nogil=True, error_model="numpy")
def images_of_all(cell, frac, offsets, a, error, reach, source, target, image, crystal, count):
    """List the images of every ordered pair of atoms that count, an atom at no distance from itself too.

    Args:
        cell: (B, 3, 3) Angstrom.
        frac: (N, 3).
        offsets: (B + 1,).
        a: 1/Angstrom^2, of exp(-a r^2).
        error: relative to the largest term of the pair.
        reach: Angstrom; images beyond it are left out.
        source: (room,) to fill.
        target: (room,) to fill.
        image: (room, 3) to fill.
        crystal: the one to begin with.
        count: first free place.

    Returns:
        The first crystal that did not fit (B when all did), and the images of those before it.
    """
    for b in range(crystal, cell.shape[0]):
        first, n = offsets[b], offsets[b + 1] - offsets[b]
        short, change = reduced(cell[b])
        undo, volume = inverse(short)
        volume = abs(volume)
        diagonal = half_diagonal(short)
        inside = inside_cell(frac[first : first + n], cell[b], undo)
        nearest = np.empty((n, n, 3), np.int64)
        nearest_images(short, inside, change, nearest)
        whole = np.empty((3, 3), np.int64)
        for m in range(3):
            for axis in range(3):
                whole[m, axis] = int(np.round(change[m, axis]))
        lower, order = triangular(short)
        u, v, w = order[0], order[1], order[2]
        after = count
        scratch, distance = np.empty(0, np.int64), np.empty(0)
        for i in range(n):
            for j in range(n):
                d2 = 0.0
                for axis in range(3):
                    part = 0.0
                    for m in range(3):
                        part += (frac[first + j, m] - frac[first + i, m] + nearest[i, j, m]) * cell[b, m, axis]
                    d2 += part * part
                radius = min(reach_of_pair(math.sqrt(d2), a, error, volume, diagonal), reach)
                room = int(most_points(radius, volume, diagonal)) + int(2.0 * radius * lower[6]) + _MARGIN
                if room > distance.size:
                    scratch, distance = np.empty(6 * room, np.int64), np.empty(2 * room)
                found = images_within(
                    inside[j, u] - inside[i, u], inside[j, v] - inside[i, v], inside[j, w] - inside[i, w], False,
                    lower, order, radius, scratch, distance, 0,
                )  # fmt: skip
                if after + found > source.size:
                    return b, count
                for m in range(found):
                    source[after], target[after] = first + j, first + i
                    na, nb, nc = scratch[3 * m], scratch[3 * m + 1], scratch[3 * m + 2]
                    for axis in range(3):
                        image[after, axis] = na * whole[0, axis] + nb * whole[1, axis] + nc * whole[2, axis]
                    after += 1
        count = after
    return cell.shape[0], count


@njit(cache=True, nogil=True, error_model="numpy")
def waves_of_one(cell, narrowest, error):
    """List one of each two opposite reciprocal vectors that Gaussians of a width or wider need.

    (2 pi s^2)^(3/2) exp(-s^2 k^2 / 2) falls as s grows where s k >= sqrt 3, so the narrowest decides beyond that.

    Returns:
        (K, 3) whole numbers that count in the reciprocal vectors of the cell as given.
    """
    short, change = reduced(cell)
    undo, volume = inverse(short)
    volume = abs(volume)
    dual = np.empty((3, 3))
    for i in range(3):
        for axis in range(3):
            dual[i, axis] = 2.0 * math.pi * undo[axis, i]
    a = 0.5 * narrowest * narrowest
    diagonal, dual_volume = half_diagonal(dual), (2.0 * math.pi) ** 3 / volume
    scale = (2.0 * math.pi * narrowest * narrowest) ** 1.5 / volume
    radius = math.sqrt(3.0) / narrowest
    while scale * gaussian_tail(radius, a, dual_volume, diagonal) * math.exp(-a * radius * radius) > error:
        radius *= _STEP
    limits = np.empty(3, np.int64)
    for axis in range(3):
        length = math.sqrt(short[axis, 0] ** 2 + short[axis, 1] ** 2 + short[axis, 2] ** 2)
        limits[axis] = int(radius * length / (2.0 * math.pi) + 1e-9)
    index, _ = half_of_waves(dual, radius, limits)
    back, _ = inverse(change)
    out = np.empty(index.shape, np.int64)
    for k in range(index.shape[0]):
        for axis in range(3):
            whole = 0.0
            for m in range(3):
                whole += back[axis, m] * index[k, m]
            out[k, axis] = int(np.round(whole))
    return out
