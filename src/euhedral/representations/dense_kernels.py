"""Compiled reduction of many cells; `representations.dense` is their door."""

from __future__ import annotations

import numpy as np
from numba import njit

from euhedral.representations.lattice_bounds_kernels import reduced


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_cells(cells):
    """Reduce (B, 3, 3) cells; return them and the whole numbers with reduced = change @ cell."""
    short, change = np.empty_like(cells), np.empty_like(cells)
    for i in range(cells.shape[0]):
        short[i], change[i] = reduced(cells[i])
    return short, change
