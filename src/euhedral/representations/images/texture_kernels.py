"""Compiled loop of textures; `images.textures` and `images.sem_scenes` are its doors."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def draw_needles(x, y, angle, length, width, level, image):
    """Lay ellipses over an image, one after the other, their edges about one pixel soft.

    Args:
        x: (n,) columns of the middles.
        y: (n,) rows of the middles.
        angle: (n,) radians from the row's direction.
        length: (n,) pixels along the angle.
        width: (n,) pixels across it.
        level: (n,) grey levels.
        image: (H, W) to draw on.
    """
    rows, columns = image.shape
    for needle in range(len(x)):
        cosine, sine = np.cos(angle[needle]), np.sin(angle[needle])
        half, side = max(length[needle] / 2.0, 0.5), max(width[needle] / 2.0, 0.5)
        tall = np.sqrt((half * sine) ** 2 + (side * cosine) ** 2) + 1.0
        wide = np.sqrt((half * cosine) ** 2 + (side * sine) ** 2) + 1.0
        for row in range(max(0, int(y[needle] - tall)), min(rows - 1, int(y[needle] + tall + 1.0)) + 1):
            for column in range(max(0, int(x[needle] - wide)), min(columns - 1, int(x[needle] + wide + 1.0)) + 1):
                dx, dy = column - x[needle], row - y[needle]
                along, across = (dx * cosine + dy * sine) / half, (dy * cosine - dx * sine) / side
                # the distance to the rim is about the excess times the smaller half axis
                inside = (1.0 - np.sqrt(along * along + across * across)) * side + 0.5
                if inside > 0.0:
                    cover = min(inside, 1.0)
                    image[row, column] += cover * (level[needle] - image[row, column])


@njit(cache=True, nogil=True, error_model="numpy")
def draw_tubes(x, y, angle, length, radius, level, height, image, owner, number):
    """Lay lit cylinders with round ends over an image; where two cross, the higher one is seen.

    Args:
        x: (n,) columns of the middles.
        y: (n,) rows of the middles.
        angle: (n,) radians from the row's direction.
        length: (n,) pixels between the ends' middles; 0 makes a ball.
        radius: (n,) pixels.
        level: (n,) grey level of the rim; the top has half of it, as secondary electrons leave edges more easily.
        height: (n,) of the axis above the ground, pixels.
        image: (H, W) to draw on.
        owner: (H, W) to fill with `number` where something lies.
        number: what to fill in.
    """
    rows, columns = image.shape
    top = np.full((rows, columns), -np.inf)
    for tube in range(len(x)):
        cosine, sine = np.cos(angle[tube]), np.sin(angle[tube])
        half, r = length[tube] / 2.0, radius[tube]
        tall, wide = abs(half * sine) + r + 1.0, abs(half * cosine) + r + 1.0
        for row in range(max(0, int(y[tube] - tall)), min(rows - 1, int(y[tube] + tall + 1.0)) + 1):
            for column in range(max(0, int(x[tube] - wide)), min(columns - 1, int(x[tube] + wide + 1.0)) + 1):
                dx, dy = column - x[tube], row - y[tube]
                along = dx * cosine + dy * sine
                beyond = max(abs(along) - half, 0.0)
                away = np.sqrt(beyond * beyond + (dy * cosine - dx * sine) ** 2)
                if away > r:
                    continue
                rise = np.sqrt(r * r - away * away)
                if height[tube] + rise > top[row, column]:
                    top[row, column] = height[tube] + rise
                    image[row, column] = level[tube] * (1.0 - 0.5 * rise / r)
                    owner[row, column] = number
