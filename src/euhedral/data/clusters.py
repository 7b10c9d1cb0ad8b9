"""Clusters of like crystals, for tests of what a model does far from its training data (Meredig et al. 2018, LOCO-CV).

Each crystal is described by its composition (means and spreads of five element properties, the number of elements) and its
structure (volume of an atom, and the distribution of distances whatever the elements); both halves have equal weight.
K-means with a fixed seed divides the descriptions; clusters are numbered by falling size.

Source: doi:10.1039/C8ME00012C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS, elements

if TYPE_CHECKING:
    from euhedral.data.splits import Divisible

#: Clusters that a set is divided into, if it is large enough.
CLUSTERS: Final = 10
# a cluster of fewer crystals says nothing
_SMALLEST: Final = 10
# standard deviations; a few odd crystals are no cluster of their own
_FARTHEST: Final = 3.0
_STARTS: Final = 5
_STEPS: Final = 300


def descriptions(dataset: Divisible) -> NDArray[np.float64]:
    """Describe every crystal of a set for clustering.

    Args:
        dataset: of crystals; of compositions, only their half is there.

    Returns:
        (n, k) without unit, in standard deviations.
    """
    halves = [_composition(dataset)]
    crystals = dataset.crystals()
    if crystals is not None:
        from euhedral.data.duplicates import fingerprints

        blind = [crystal.replace(numbers=np.ones(len(crystal), dtype=np.int64)) for crystal in crystals]
        room = np.array([[np.cbrt(crystal.volume / len(crystal))] for crystal in crystals])
        halves.append(np.hstack([room, np.stack(fingerprints(blind))]))
    scaled = []
    for half in halves:
        spread = half.std(axis=0)
        centred = (half - half.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
        scaled.append(np.clip(centred, -_FARTHEST, _FARTHEST) / np.sqrt(half.shape[1]))
    return np.asarray(np.round(np.hstack(scaled), 9), dtype=np.float64)  # the last digits differ between machines


def _composition(dataset: Divisible) -> NDArray[np.float64]:
    table = np.array(
        [[e.row, e.group, e.electronegativity or 0.0, e.mendeleev or 0.0, e.covalent_radius or 0.0] for e in elements()]
    )
    fractions = dataset.fractions(SYMBOLS[1 : len(table) + 1])
    mean = fractions @ table
    spread = np.sqrt(np.maximum(fractions @ table**2 - mean**2, 0.0))
    return np.hstack([mean, spread, (fractions > 0).sum(axis=1, keepdims=True)])


def clusters(dataset: Divisible) -> NDArray[np.int64]:
    """Divide a set into clusters.

    Args:
        dataset: any.

    Returns:
        (n,) the cluster of each crystal; 0 is the largest one. There are `CLUSTERS`, or fewer in a small set.
    """
    points = descriptions(dataset)
    count = min(CLUSTERS, len(points) // _SMALLEST)
    if count < 2:
        return np.zeros(len(points), dtype=np.int64)
    rng = np.random.default_rng(0)
    found = [_k_means(points, count=count, rng=rng) for _ in range(_STARTS)]
    label = min(found, key=lambda result: result[1])[0]
    sizes = np.bincount(label, minlength=count)
    first = np.array([int(np.argmax(label == cluster)) for cluster in range(count)])
    rank = np.empty(count, dtype=np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(count)
    return rank[label]


def _k_means(points: NDArray[np.float64], *, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Lloyd's algorithm from the starts of Arthur and Vassilvitskii 2007; the clusters and the sum of squares."""
    centres = [points[rng.integers(len(points))]]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, ((points - centres[-1]) ** 2).sum(axis=1))
        total = nearest.sum()
        chosen = np.searchsorted(np.cumsum(nearest), rng.random() * total) if total > 0 else 0
        centres.append(points[min(int(chosen), len(points) - 1)])
    centre = np.stack(centres)
    label = np.full(len(points), -1)
    squares = (points**2).sum(axis=1)
    distance = np.zeros((len(points), count))
    for _ in range(_STEPS):
        distance = squares[:, None] - 2.0 * points @ centre.T + (centre**2).sum(axis=1)
        moved = distance.argmin(axis=1)
        if np.array_equal(moved, label):
            break
        label = moved
        for cluster in np.unique(label):
            centre[cluster] = points[label == cluster].mean(axis=0)
    return label.astype(np.int64), float(distance[np.arange(len(points)), label].sum())
