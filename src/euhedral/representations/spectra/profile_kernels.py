"""Compiled loops that draw lines on a grid; `spectra.profiles`, `spectra.raman` and `spectra.pair_distribution` are their doors."""

from __future__ import annotations

import numpy as np
from numba import njit

# Full widths from its centre at which a Gaussian is below 1e-16 of its height.
_GAUSSIAN_REACH = 3.7


@njit(cache=True, nogil=True, error_model="numpy")
def add_pseudo_voigts(grid, centres, areas, widths, mixings, curve):
    """Add lines of given area, eta L + (1 - eta) G, to a curve.

    Args:
        grid: (G,) rising.
        centres: (P,) in the unit of the grid.
        areas: (P,).
        widths: (P,) full widths at half maximum, in the unit of the grid.
        mixings: (P,) share eta of the Lorentzian.
        curve: (G,) to add to.
    """
    log2 = np.log(2.0)
    for p in range(len(centres)):
        width, mixing = widths[p], mixings[p]
        if mixing > 0.0:
            height = areas[p] * mixing * 2.0 / (np.pi * width)
            inverse = 2.0 / width
            for i in range(len(grid)):
                away = (grid[i] - centres[p]) * inverse
                curve[i] += height / (1.0 + away * away)
        if mixing < 1.0:
            height = areas[p] * (1.0 - mixing) * 2.0 / width * np.sqrt(log2 / np.pi)
            sharpness = 4.0 * log2 / (width * width)
            first = np.searchsorted(grid, centres[p] - _GAUSSIAN_REACH * width)
            last = np.searchsorted(grid, centres[p] + _GAUSSIAN_REACH * width)
            for i in range(first, last):
                away = grid[i] - centres[p]
                curve[i] += height * np.exp(-sharpness * away * away)
