"""Compiled loop of tessellations; `images.tessellation` is its door."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def least_power(row, column, constant, order, owner):
    """For each pixel find the seed of least power, row by row.

    Along a row of pixels the power less |x|^2 is a straight line in the column, -2 c column + (constant - 2 r row), so that the
    seeds seen are the lower envelope of n lines. Sorted by slope once, it takes n + W steps a row, for any number of seeds.

    Args:
        row: (n,) of the seeds.
        column: (n,) of the seeds.
        constant: (n,) |s|^2 - r_s^2.
        order: (n,) seeds by rising column.
        owner: (H, W) to fill with numbers of seeds.
    """
    height, width = owner.shape
    n = len(order)
    kept = np.empty(n, np.int64)
    starts = np.empty(n)  # column from which each kept line is the lowest
    for r in range(height):
        top = 0
        for place in range(n):
            seed = order[place]
            offset = constant[seed] - 2.0 * r * row[seed]
            start = -np.inf
            hidden = False
            while top > 0:
                other = kept[top - 1]
                other_offset = constant[other] - 2.0 * r * row[other]
                rise = 2.0 * (column[seed] - column[other])
                if rise <= 0.0:  # parallel: the lower one is seen
                    if other_offset <= offset:
                        hidden = True
                        break
                    top -= 1
                    continue
                start = (offset - other_offset) / rise
                if start > starts[top - 1]:
                    break
                top -= 1
                start = -np.inf
            if hidden:
                continue
            kept[top] = seed
            starts[top] = start if top > 0 else -np.inf
            top += 1
        at = 0
        for c in range(width):
            while at + 1 < top and starts[at + 1] <= c:
                at += 1
            owner[r, c] = kept[at]
