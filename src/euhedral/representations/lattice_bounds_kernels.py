"""What the part of a lattice sum left out can amount to at most, compiled.

Cells of the lattice drawn around its points do not overlap, so a ball of radius r, wherever its centre, holds at most
(4 pi / 3) (r + d)^3 / V points, where d is half the longest diagonal of the cell. Partial summation turns that into a bound on
the sum of any decreasing function beyond a radius; here of Gaussians, of which all sums are made.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_MOST_STEPS = 1000


@njit(cache=True, nogil=True, error_model="numpy")
def reduced(cell):
    """Shorten the vectors of a lattice (Semaev 2001): in three dimensions a Minkowski-reduced basis, save for rounding.

    Args:
        cell: (3, 3) Angstrom, rows.

    Returns:
        (3, 3) the reduced cell, and (3, 3) whole numbers `change` with reduced = change @ cell.
    """
    short, change = cell.copy(), np.zeros((3, 3))
    for i in range(3):
        change[i, i] = 1.0
    length2 = np.empty(3)
    for _ in range(_MOST_STEPS):
        for i in range(3):
            length2[i] = short[i, 0] ** 2 + short[i, 1] ** 2 + short[i, 2] ** 2
        a, c = 0, 2
        for i in range(3):
            a = i if length2[i] < length2[a] else a
            c = i if length2[i] > length2[c] else c
        b = 3 - a - c
        shortened = False
        # the middle vector by the shortest, then the longest by the best of both
        for vector, others in ((b, 1), (c, 2)):
            best, best_m, best_n = length2[vector] * (1.0 - 1e-12), 0.0, 0.0
            aa, bb = length2[a], length2[b]
            ab = short[a, 0] * short[b, 0] + short[a, 1] * short[b, 1] + short[a, 2] * short[b, 2]
            va = short[a, 0] * short[vector, 0] + short[a, 1] * short[vector, 1] + short[a, 2] * short[vector, 2]
            vb = short[b, 0] * short[vector, 0] + short[b, 1] * short[vector, 1] + short[b, 2] * short[vector, 2]
            if others == 1:
                centre_m, centre_n, reach = np.round(va / aa), 0.0, 0
            else:
                gram = aa * bb - ab * ab
                centre_m = np.round((va * bb - vb * ab) / gram) if gram > 0.0 else 0.0
                centre_n = np.round((vb * aa - va * ab) / gram) if gram > 0.0 else 0.0
                reach = 1
            for dm in range(-1, 2):
                for dn in range(-reach, reach + 1):
                    m, n = centre_m + dm, centre_n + dn
                    size = 0.0
                    for axis in range(3):
                        rest = short[vector, axis] - m * short[a, axis]
                        if others == 2:
                            rest -= n * short[b, axis]
                        size += rest * rest
                    if size < best:
                        best, best_m, best_n = size, m, n
            if best_m != 0.0 or best_n != 0.0:
                for axis in range(3):
                    short[vector, axis] -= best_m * short[a, axis]
                    change[vector, axis] -= best_m * change[a, axis]
                    if others == 2:
                        short[vector, axis] -= best_n * short[b, axis]
                        change[vector, axis] -= best_n * change[b, axis]
                shortened = True
                break
        if not shortened:
            break
    return short, change


@njit(cache=True, nogil=True, error_model="numpy")
def inverse(cell):
    """Invert a (3, 3) matrix by its cofactors; and its determinant."""
    out = np.empty((3, 3))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        for axis in range(3):
            u, v = (axis + 1) % 3, (axis + 2) % 3
            out[axis, i] = cell[j, u] * cell[k, v] - cell[j, v] * cell[k, u]
    volume = cell[0, 0] * out[0, 0] + cell[0, 1] * out[1, 0] + cell[0, 2] * out[2, 0]
    for i in range(3):
        for axis in range(3):
            out[i, axis] /= volume
    return out, volume


@njit(cache=True, nogil=True, error_model="numpy")
def inside_cell(frac, cell, undo):
    """Write fractional coordinates (n, 3) of a cell as those of another, of which the inverse is given; not wrapped."""
    change = np.zeros((3, 3))
    for m in range(3):
        for axis in range(3):
            for other in range(3):
                change[m, axis] += cell[m, other] * undo[other, axis]
    out = np.zeros(frac.shape)
    for i in range(frac.shape[0]):
        for axis in range(3):
            for m in range(3):
                out[i, axis] += frac[i, m] * change[m, axis]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def half_diagonal(cell):
    """Half the longest diagonal of a cell."""
    longest = 0.0
    for second in (-1.0, 1.0):
        for third in (-1.0, 1.0):
            length2 = 0.0
            for axis in range(3):
                length2 += (cell[0, axis] + second * cell[1, axis] + third * cell[2, axis]) ** 2
            longest = max(longest, length2)
    return 0.5 * math.sqrt(longest)


@njit(cache=True, nogil=True, error_model="numpy")
def most_points(radius, volume, diagonal):
    """How many points of a lattice a ball can hold at most."""
    return 4.0 * math.pi / 3.0 * (radius + diagonal) ** 3 / volume


@njit(cache=True, nogil=True, error_model="numpy")
def gaussian_tail(radius, a, volume, diagonal):
    """exp(a R^2) times a bound on the sum of exp(-a r^2) over all points of a shifted lattice with r > R.

    The bound is int_R^inf N(r) 2 a r exp(-a r^2) dr with N from `most_points`.
    """
    x = math.sqrt(a) * radius
    # exp(x^2) erfc(x) is below 1 / (x sqrt pi)
    edge = math.exp(x * x) * math.erfc(x) if x < 5.0 else 1.0 / (x * 1.7724538509055159)
    integral = 0.5 * math.sqrt(math.pi / a) * edge
    first = radius + integral
    second = radius * radius + 1.0 / a
    third = radius**3 + 1.5 / a * first
    moments = third + diagonal * (3.0 * second + diagonal * (3.0 * first + diagonal))
    return 4.0 * math.pi / 3.0 / volume * moments
