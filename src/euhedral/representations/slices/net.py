"""Whether the bonds of a labelled quotient graph hold a whole crystal together, and what they leave apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.representations.labelled_quotient import LabelledQuotientGraph, echelon


def complete(net: LabelledQuotientGraph) -> bool:
    """Tell whether every atom of the infinite crystal is reached from every other along bonds."""
    return net.n_components == 1 and int(net.dimensions[0]) == 3 and int(net.n_nets[0]) == 1


def same_bonds(first: LabelledQuotientGraph, second: LabelledQuotientGraph) -> bool:
    """Tell whether two nets of the same atoms have the same bonds."""
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("source", "target", "image"))


def joined(
    net: LabelledQuotientGraph, *, source: NDArray[np.int64], target: NDArray[np.int64], image: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(p,) whether bonds lead from one atom of the infinite crystal to another.

    Args:
        net: the bonds.
        source: (p,) atoms of the home cell.
        target: (p,) atoms.
        image: (p, 3) cell of the target.
    """
    cell, component = net.tree.cell, net.tree.component
    owner = component[net.source[net.chords]]
    rest = image + cell[source] - cell[target]
    found = np.zeros(len(source), dtype=bool)
    for part in range(net.n_components):
        chosen = np.flatnonzero((component[source] == part) & (component[target] == part))
        found[chosen] = _inside(
            rest[chosen], np.array(echelon(net.cycle_vectors[owner == part]), dtype=np.int64).reshape(-1, 3)
        )
    return found


def _inside(vectors: NDArray[np.int64], lattice: NDArray[np.int64]) -> NDArray[np.bool_]:
    rest = vectors.copy()
    for row in lattice:
        column = int(np.flatnonzero(row)[0])
        rest -= (rest[:, column] // row[column])[:, None] * row
    return (rest == 0).all(axis=1)
