"""Grains: the plane divided among seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError


def power_diagram(
    size: tuple[int, int], *, seeds: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Give each pixel x to the seed s with the least |x - s|^2 - r_s^2; with equal radii this is Voronoi's tessellation.

    Args:
        size: height and width in pixels.
        seeds: (n, 2) rows and columns.
        radius: (n,) pixels.

    Returns:
        (H, W) numbers of seeds; a seed that a strong neighbour covers has no pixel.

    Source: Aurenhammer 1987, doi:10.1137/0216006.
    """
    from euhedral.representations.images.tessellation_kernels import least_power

    owner = np.empty(size, np.int32)
    row, column = np.ascontiguousarray(seeds.T, dtype=np.float64)
    least_power(row, column, (seeds**2).sum(1) - radius**2, np.argsort(column, kind="stable"), owner)
    return owner


def grains(
    size: tuple[int, int], *, n_grains: int, rng: np.random.Generator, spread: float = 0.0, relaxations: int = 0
) -> NDArray[np.int32]:
    """Divide an image into grains by the power diagram of random seeds with log-normal radii.

    Args:
        size: height and width in pixels.
        n_grains: seeds; not quite all have a grain where the radii are spread.
        rng: where the randomness comes from.
        spread: standard deviation of the logarithm of the radii, whose median is half the mean distance of seeds.
        relaxations: how often each seed is moved to the middle of its grain (Lloyd), which makes grains even.

    Returns:
        (H, W) numbers from 0.

    Raises:
        InvalidRequestError: no grain, more grains than pixels, or a negative spread or number of relaxations.
    """
    height, width = size
    if not 1 <= n_grains <= height * width or not (np.isfinite(spread) and spread >= 0.0) or relaxations < 0:
        raise InvalidRequestError(
            f"expected 1 to {height * width} grains, with a spread and relaxations of 0 or more, got {n_grains}, {spread} and "
            f"{relaxations}"
        )
    seeds = rng.uniform(-0.5, np.array(size) - 0.5, (n_grains, 2))
    radius = np.exp(rng.normal(0.0, spread, n_grains)) * np.sqrt(height * width / n_grains) / 2.0
    owner = power_diagram(size, seeds=seeds, radius=radius)
    rows, columns = np.indices(size)
    for _ in range(relaxations):
        counts = np.bincount(owner.ravel(), minlength=n_grains)
        sums = [np.bincount(owner.ravel(), weights=at.ravel(), minlength=n_grains) for at in (rows, columns)]
        seeds = np.where(counts[:, None] > 0, np.stack(sums, -1) / np.maximum(counts, 1)[:, None], seeds)
        owner = power_diagram(size, seeds=seeds, radius=radius)
    return owner


def assign_phases(
    owner: NDArray[np.int32], *, fractions: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Give whole grains to phases so that the areas are as near as whole grains allow to those asked for.

    Grains are dealt out, half in random order and then from the largest to the smallest, each to the phase that lacks most area.

    Args:
        owner: (H, W) grain of each pixel.
        fractions: shares of the area, adding up to 1.
        rng: where the randomness comes from.

    Returns:
        (n_grains,) phase of each grain.

    Raises:
        InvalidRequestError: fractions that are negative or do not add up to 1.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if not len(shares) or not np.isfinite(shares).all() or shares.min() < 0.0 or abs(shares.sum() - 1.0) > 1e-6:
        raise InvalidRequestError(f"the fractions of phases must be 0 or more and add up to 1, got {list(fractions)}")
    areas = np.bincount(owner.ravel())
    lacking = shares * owner.size
    phases = np.zeros(len(areas), np.int64)
    order = rng.permutation(len(areas))
    late = order[len(order) // 2 :]
    order[len(order) // 2 :] = late[
        np.argsort(-areas[late], kind="stable")
    ]  # small ones at the end even out the shares
    for grain in order:
        phases[grain] = np.argmax(lacking)
        lacking[phases[grain]] -= areas[grain]
    return phases
