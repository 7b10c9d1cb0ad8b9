"""How long a bond should be, from the elements and the net alone.

A small network corrects the sum of the covalent radii. It sees both elements, the mean of the elements that each is bonded to, the
composition, both coordination numbers, how many neighbours the two have in common and how long the bond is in the
barycentric embedding. Its weights, `bond_lengths.json`, were fitted by `scripts/fit_bond_lengths.py` to the training split of MP-20 (Materials
Project, CC BY 4.0) and to nothing else.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.representations.bonds import covalent_radii
from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices.barycentric import Placement

# Added to barycentric lengths, whose root mean square is 1, before their logarithm: collapsed bonds have none.
_FLOOR: Final = 0.1
# The network's second output is the logarithm of the error in units of this.
_TYPICAL_ERROR: Final = 0.05
_ERROR_RANGE: Final = (-2.5, 3.0)


def expected_lengths(
    net: LabelledQuotientGraph, placement: Placement
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the expected length of each bond (m,), Angstrom, and the relative error that is expected of it (m,).

    Args:
        net: the bonds.
        placement: its barycentric embedding.
    """
    weights = _weights()
    u, v = net.source, net.target
    features = (bond_features(net, placement) - weights["mean"]) / weights["scale"]
    element = weights["embedding"][net.numbers]
    around = np.zeros_like(element)
    np.add.at(around, u, element[v])
    np.add.at(around, v, element[u])
    around /= degrees(net)[:, None]
    everywhere = np.broadcast_to(element.mean(axis=0), (len(u), element.shape[1]))
    there = np.concatenate([element[u], element[v], around[u], around[v], everywhere, features], axis=1)
    back = np.concatenate(
        [element[v], element[u], around[v], around[u], everywhere, features[:, [0, 1, 3, 2, 5, 4]]], axis=1
    )
    correction, spread = 0.5 * (_network(there, weights) + _network(back, weights)).T
    radius = covalent_radii()[net.numbers]
    lengths = (radius[u] + radius[v]) * np.exp(np.clip(correction, -1.0, 1.5))
    return lengths, _TYPICAL_ERROR * np.exp(np.clip(spread, *_ERROR_RANGE))


def bond_features(net: LabelledQuotientGraph, placement: Placement) -> NDArray[np.float64]:
    """(m, 6) what the network sees of a bond besides elements; columns 2 and 3, 4 and 5 belong to its two atoms."""
    u, v = net.source, net.target
    count = degrees(net).astype(np.float64)
    length = np.linalg.norm(placement.vectors @ np.linalg.cholesky(placement.metric), axis=1)
    mean = (np.bincount(u, length, len(net)) + np.bincount(v, length, len(net))) / count
    return np.stack(
        [
            _common_neighbours(net) / np.sqrt(count[u] * count[v]),
            np.log(length + _FLOOR),
            np.log((length + _FLOOR) / (mean[u] + _FLOOR)),
            np.log((length + _FLOOR) / (mean[v] + _FLOOR)),
            np.log(count[u]),
            np.log(count[v]),
        ],
        axis=1,
    )


def degrees(net: LabelledQuotientGraph) -> NDArray[np.int64]:
    """(n,) bonds of each atom; a bond to an image of itself counts twice."""
    return np.bincount(np.concatenate([net.source, net.target]), minlength=len(net))


def _common_neighbours(net: LabelledQuotientGraph) -> NDArray[np.int64]:
    """(m,) atoms that are bonded to both ends of a bond."""
    around: list[list[tuple[int, int, int, int]]] = [[] for _ in range(len(net))]
    bonds = np.column_stack([net.source, net.target, net.image]).tolist()
    for u, v, x, y, z in bonds:
        around[u].append((v, x, y, z))
        around[v].append((u, -x, -y, -z))
    known = [set(neighbours) for neighbours in around]
    return np.array(
        [sum((w, a - x, b - y, c - z) in known[v] for w, a, b, c in around[u]) for u, v, x, y, z in bonds],
        dtype=np.int64,
    )


def _network(x: NDArray[np.float64], weights: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    for layer in (0, 1):
        x = x @ weights[f"weight_{layer}"].T + weights[f"bias_{layer}"]
        x = x / (1.0 + np.exp(-x))
    return x @ weights["weight_2"].T + weights["bias_2"]


@lru_cache(maxsize=1)
def _weights() -> dict[str, NDArray[np.float64]]:
    table = json.loads(files("euhedral.representations.slices").joinpath("bond_lengths.json").read_text("utf-8"))
    return {name: np.array(values) for name, values in table.items() if name != "about"}
