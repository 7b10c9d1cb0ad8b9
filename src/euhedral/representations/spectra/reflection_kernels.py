"""Compiled loops that list the reflections of a cell: points of the reciprocal lattice in a shell, half of them.

Of each Friedel pair one is listed. In a basis where the reciprocal cell is lower triangular the points are found row by row
without a miss, as the images of `geometry.neighbour_kernels` are. They are sorted by counting, since their number up to a length
grows as its cube.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from euhedral.geometry.neighbour_kernels import triangular
from euhedral.representations.lattice_bounds_kernels import inverse

# Bounds are widened by this, so that rounding never hides a reflection; the length itself decides.
_SLACK = 1e-9
#: Squared lengths that differ by less than this, relatively, are equal but for rounding.
ROUNDING = 1e-12


@njit(cache=True, nogil=True, error_model="numpy")
def _middle(lower, outer, longest):
    """First and last second index of rows with this outer index; of a Friedel pair the one that comes first is left out."""
    cy, cz, inverse_b = lower[4], lower[5], lower[7]
    height = outer * cz
    reach = np.sqrt(max(0.0, longest * longest - height * height))
    first = 0 if outer == 0 else int(np.ceil((-reach - outer * cy) * inverse_b - _SLACK))
    return first, int(np.floor((reach - outer * cy) * inverse_b + _SLACK))


@njit(cache=True, nogil=True, error_model="numpy")
def _row(lower, outer, middle, longest):
    """First and last third index in the sphere, and where the row's index 0 lies."""
    bx, by, cx, cy, cz, inverse_a = lower[1], lower[2], lower[3], lower[4], lower[5], lower[6]
    y, z = middle * by + outer * cy, outer * cz
    off_axis = y * y + z * z
    reach = np.sqrt(max(0.0, longest * longest - off_axis))
    x = middle * bx + outer * cx
    first = int(np.ceil((-reach - x) * inverse_a - _SLACK))
    if outer == 0 and middle == 0:
        first = max(first, 1)
    return first, int(np.floor((reach - x) * inverse_a + _SLACK)), x, off_axis


@njit(cache=True, nogil=True, error_model="numpy")
def reciprocal_cell(cell):
    """(3, 3) rows a*, b*, c* in 1/Angstrom, and the volume of the cell."""
    undo, volume = inverse(cell)
    return np.ascontiguousarray(undo.T), abs(volume)


@njit(cache=True, nogil=True, error_model="numpy")
def count_reflections(cells, longest, most, rows, reflections):
    """Count, for each cell, the rows and at least the reflections of half a sphere.

    Args:
        cells: (B, 3, 3) Angstrom.
        longest: 1/Angstrom.
        most: cells with clearly more reflections are not counted; their number is estimated.
        rows: (B,) to fill.
        reflections: (B,) to fill.
    """
    for b in range(len(cells)):
        reciprocal, volume = reciprocal_cell(cells[b])
        expected = 2.0 / 3.0 * np.pi * longest**3 * volume
        rows[b] = reflections[b] = 0
        if expected > 2.0 * most:
            reflections[b] = int(min(expected, 1e18))
            continue
        lower, _ = triangular(reciprocal)
        for outer in range(int(np.floor(longest * lower[8] + _SLACK)) + 1):
            low, high = _middle(lower, outer, longest)
            for middle in range(low, high + 1):
                first, last, _, _ = _row(lower, outer, middle, longest)
                if last >= first:
                    rows[b] += 1
                    reflections[b] += last - first + 1


@njit(cache=True, nogil=True, error_model="numpy")
def list_rows(lower, longest, rows, squares):
    """Fill (R, 5) outer and middle index, first and last third index, place of the first; and the squared lengths.

    Returns:
        the largest third index.
    """
    n_rows = place = 0
    most = 0
    for outer in range(int(np.floor(longest * lower[8] + _SLACK)) + 1):
        low, high = _middle(lower, outer, longest)
        for middle in range(low, high + 1):
            first, last, x, off_axis = _row(lower, outer, middle, longest)
            if last < first:
                continue
            rows[n_rows, 0], rows[n_rows, 1] = outer, middle
            rows[n_rows, 2], rows[n_rows, 3], rows[n_rows, 4] = first, last, place
            n_rows += 1
            most = max(most, last, -first)
            for third in range(first, last + 1):
                along = x + third * lower[0]
                squares[place] = along * along + off_axis
                place += 1
    return most


@njit(cache=True, nogil=True, error_model="numpy")
def sorted_places(squares, shortest, longest):
    """Order reflections inside the shell by length; return their places."""
    n = len(squares)
    low, high = shortest * shortest, longest * longest * (1.0 + ROUNDING)
    bottom, top = low * shortest, high * np.sqrt(high)
    scale = n / (top - bottom)
    bucket = np.empty(n, np.int64)
    starts = np.zeros(n + 2, np.int64)
    for i in range(n):
        square = squares[i]
        bucket[i] = -1
        if square >= low and square <= high and square > 0.0:
            bucket[i] = min(n - 1, max(0, int((square * np.sqrt(square) - bottom) * scale)))
            starts[bucket[i] + 1] += 1
    for i in range(n):
        starts[i + 1] += starts[i]
    count = starts[n]
    places = np.empty(count, np.int64)
    for i in range(n):
        b = bucket[i]
        if b >= 0:
            # the place of a bucket's next member is kept in `starts`; what it held is not needed again
            at = starts[b]
            starts[b] = at + 1
            places[at] = i
    for at in range(1, count):  # what is left out of order is within a bucket
        moving, square = places[at], squares[places[at]]
        to = at
        while to > 0 and squares[places[to - 1]] > square * (1.0 + ROUNDING):
            places[to] = places[to - 1]
            to -= 1
        places[to] = moving
    return places
