"""Compiled loops of scanning-microscope images; `images.stem` is their door.

Pixel (r, c) is taken at x = left + c pixel + shift[r, 0] and y = top - r pixel + shift[r, 1].
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _span(middle, half, first, pixel, count):
    """First and last of `count` places first, first + pixel, ... that lie within `half` of the middle."""
    return max(0, int(np.ceil((middle - half - first) / pixel))), min(
        count - 1, int(np.floor((middle + half - first) / pixel))
    )


@njit(cache=True, nogil=True, error_model="numpy")
def add_spots(x, y, weight, shift, left, top, pixel, table, step, image):
    """Add the probe's profile about each atom.

    Args:
        x: (n,) Angstrom.
        y: (n,) Angstrom.
        weight: (n,) strength of each.
        shift: (H, 2) Angstrom.
        left: Angstrom, of the first column.
        top: Angstrom, of the first row.
        pixel: Angstrom.
        table: (K,) profile at distances 0, step, 2 step, ...; the last is 0.
        step: Angstrom.
        image: (H, W) to add to.
    """
    height, width = image.shape
    reach = (len(table) - 1) * step
    slack = np.abs(shift[:, 1]).max()
    for atom in range(len(x)):
        first, last = _span(-y[atom], reach + slack, -top, pixel, height)
        for row in range(first, last + 1):
            away_y = top - row * pixel + shift[row, 1] - y[atom]
            if abs(away_y) >= reach:
                continue
            half = np.sqrt(reach * reach - away_y * away_y)
            begin = left + shift[row, 0]
            start, stop = _span(x[atom], half, begin, pixel, width)
            for column in range(start, stop + 1):
                away_x = begin + column * pixel - x[atom]
                place = np.sqrt(away_x * away_x + away_y * away_y) / step
                lower = min(int(place), len(table) - 2)
                part = place - lower
                image[row, column] += weight[atom] * (table[lower] * (1.0 - part) + table[lower + 1] * part)


@njit(cache=True, nogil=True, error_model="numpy")
def label_discs(x, y, label, shift, left, top, pixel, radius, mask, nearest):
    """Give each pixel the label of the nearest place within a radius.

    Args:
        x: (n,) Angstrom.
        y: (n,) Angstrom.
        label: (n,) numbers.
        shift: (H, 2) Angstrom.
        left: Angstrom, of the first column.
        top: Angstrom, of the first row.
        pixel: Angstrom.
        radius: Angstrom.
        mask: (H, W) to fill.
        nearest: (H, W) squared distances so far; infinite at first.
    """
    height, width = mask.shape
    slack = np.abs(shift[:, 1]).max()
    for place in range(len(x)):
        first, last = _span(-y[place], radius + slack, -top, pixel, height)
        for row in range(first, last + 1):
            away_y = top - row * pixel + shift[row, 1] - y[place]
            if abs(away_y) > radius:
                continue
            half = np.sqrt(radius * radius - away_y * away_y)
            begin = left + shift[row, 0]
            start, stop = _span(x[place], half, begin, pixel, width)
            for column in range(start, stop + 1):
                away_x = begin + column * pixel - x[place]
                squared = away_x * away_x + away_y * away_y
                if squared < nearest[row, column]:
                    nearest[row, column] = squared
                    mask[row, column] = label[place]
