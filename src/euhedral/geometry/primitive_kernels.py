"""Compiled search for the translations that a cell repeats by; `geometry.matching` is its door.

Unlike `geometry.cells.primitive` it needs no symmetry search, and atoms that translations map on each other only roughly are
averaged: what structure matching wants.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def divisor(p, q):
    """Find the greatest common divisor."""
    while q:
        p, q = q, p % q
    return abs(p)


@njit(cache=True, nogil=True, error_model="numpy")
def translated(cell, frac, kind, move, tolerance, partner):
    """Fill in the atom that each atom is moved to; return whether all are, each to its own, within the tolerance."""
    n = frac.shape[0]
    taken = np.zeros(n, np.bool_)
    for i in range(n):
        best, at = tolerance * tolerance, -1
        for j in range(n):
            if kind[j] != kind[i] or taken[j]:
                continue
            a, b, c = (
                frac[i, 0] + move[0] - frac[j, 0],
                frac[i, 1] + move[1] - frac[j, 1],
                frac[i, 2] + move[2] - frac[j, 2],
            )
            a, b, c = a - np.round(a), b - np.round(b), c - np.round(c)
            x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
            y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
            z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
            d2 = x * x + y * y + z * z
            if d2 <= best:
                best, at = d2, j
        if at < 0:
            return False
        partner[i] = at
        taken[at] = True
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def repetition(cell, frac, kind, tolerance):
    """Find one translation by a fraction of the cell that maps the crystal on itself.

    Returns:
        Its order (1 when there is none), (3,) numerators, the denominator, (n,) where each atom is moved.
    """
    n = frac.shape[0]
    common, rarest, least = 0, 0, n + 1
    for i in range(n):
        count = 0
        for j in range(n):
            count += kind[j] == kind[i]
        common = divisor(common, count)
        if count < least:
            least, rarest = count, i
    partner = np.empty(n, np.int64)
    numerators = np.zeros(3, np.int64)
    for j in range(n):
        # a cell that repeats m times holds each element a multiple of m times
        if common == 1 or j == rarest or kind[j] != kind[rarest]:
            continue
        order = common
        for axis in range(3):
            numerators[axis] = int(np.round((frac[j, axis] - frac[rarest, axis]) * common)) % common
            order = divisor(order, numerators[axis])
        order = common // order
        if order > 1 and translated(cell, frac, kind, numerators / common, tolerance, partner):
            whole = True
            for i in range(n):
                place = i
                for step in range(1, order + 1):
                    place = partner[place]
                    whole &= (place == i) == (step == order)
            if whole:
                return order, numerators, common, partner
    return 1, numerators, common, partner


@njit(cache=True, nogil=True, error_model="numpy")
def lattice_with(numerators, denominator):
    """Find three rows that span the whole vectors and one fraction of them (Hermite normal form), in units of the cell."""
    rows = np.zeros((4, 3), np.int64)
    for axis in range(3):
        rows[axis, axis] = denominator
    rows[3] = numerators
    for column in range(3):
        for row in range(column + 1, 4):
            while rows[row, column] != 0:
                factor = rows[column, column] // rows[row, column]
                for axis in range(3):
                    kept = rows[column, axis] - factor * rows[row, axis]
                    rows[column, axis], rows[row, axis] = rows[row, axis], kept
    return rows[:3] / denominator


@njit(cache=True, nogil=True, error_model="numpy")
def shrunk(cell, frac, kind, tolerance):
    """Reduce to a primitive cell, atoms that are the same in it averaged.

    Args:
        cell: (3, 3) Angstrom.
        frac: (n, 3).
        kind: (n,) species.
        tolerance: Angstrom, how far from the translated place an atom may be.

    Returns:
        (3, 3) Angstrom, (m, 3) and (m,).
    """
    while True:
        order, numerators, denominator, partner = repetition(cell, frac, kind, tolerance)
        if order == 1:
            return cell, frac, kind
        basis = lattice_with(numerators, denominator)
        n = frac.shape[0] // order
        move = numerators / denominator
        seen = np.zeros(frac.shape[0], np.bool_)
        fewer, kinds, count = np.empty((n, 3)), np.empty(n, np.int64), 0
        for i in range(frac.shape[0]):
            if seen[i]:
                continue
            place, mean = i, np.zeros(3)
            for step in range(order):
                seen[place] = True
                apart = frac[place] - step * move - frac[i]
                mean += (apart - np.round(apart)) / order
                place = partner[place]
            fewer[count], kinds[count] = frac[i] + mean, kind[i]
            count += 1
        cell, frac, kind = basis @ cell, fewer @ np.linalg.inv(basis), kinds
