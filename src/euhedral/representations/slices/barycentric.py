"""The barycentric embedding of a net: every atom at the mean of its neighbours, in the roundest metric that the bonds allow.

Eon (2011, doi:10.1107/S0108767310042832) splits the space of bond vectors into cycles and cocycles: in the barycentric embedding all
cocycle vectors vanish, and the lattice is the projection on the cycle space. Both conditions are solved here in their equivalent
form for atoms. Vanishing cocycles are the equations of equal weights on bonds, a Laplacian system (Tutte 1963), and
the projection has the metric G = (sum of e e^T over bonds)^-1 up to scale, where e are the bond vectors in
fractional coordinates: the "standard realization", which among all embeddings with the same volume has the least sum of squared bond
lengths (Kotani and Sunada 2000, doi:10.1090/S0002-9947-00-02632-5). It belongs to the net alone and has all its symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.representations.labelled_quotient import LabelledQuotientGraph


@dataclass(frozen=True, eq=False)
class Placement:
    """A barycentric embedding.

    Args:
        frac: (n, 3) fractional coordinates, the first atom at 0 0 0; not wrapped, so that labels hold.
        vectors: (E, 3) bond vectors in fractional coordinates.
        metric: (3, 3) products of the lattice vectors, scaled to a mean square bond length of 1.
    """

    frac: NDArray[np.float64]
    vectors: NDArray[np.float64]
    metric: NDArray[np.float64]


def barycentric(net: LabelledQuotientGraph) -> Placement:
    """Embed a net that is connected and repeats in three directions (`net.periodicity().complete`)."""
    n = len(net)
    first, second = net.source, net.target
    laplacian = np.zeros((n, n))
    np.add.at(laplacian, (first, first), 1.0)
    np.add.at(laplacian, (second, second), 1.0)
    np.add.at(laplacian, (first, second), -1.0)
    np.add.at(laplacian, (second, first), -1.0)
    pull = np.zeros((n, 3))
    np.add.at(pull, first, net.image)
    np.add.at(pull, second, -net.image)
    frac = np.zeros((n, 3))
    if n > 1:
        frac[1:] = np.linalg.solve(laplacian[1:, 1:], pull[1:])
    vectors = frac[second] + net.image - frac[first]
    metric = np.linalg.inv(vectors.T @ vectors)
    square = np.einsum("ei,ij,ej->e", vectors, metric, vectors)
    return Placement(frac, vectors, metric / square.mean())


def reducing(metric: NDArray[np.float64]) -> NDArray[np.int64]:
    """(3, 3) unimodular rows with which the lattice is Niggli-reduced."""
    import moyopy

    cell = np.linalg.cholesky(metric)
    _, linear = moyopy.niggli_reduce(cell.tolist())
    return np.rint(np.array(linear)).astype(np.int64).T
