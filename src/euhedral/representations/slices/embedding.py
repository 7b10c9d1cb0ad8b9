"""From a net to a cell with atoms in Angstrom: the barycentric embedding, rescaled and relaxed to the lengths that bonds should have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices.barycentric import Placement

_ROUNDS: Final = 4
_STEPS: Final = 80
# Relative stretch of a bond from which on it pulls no harder.
_SLOPE: Final = 0.25
# How much farther than the least distance pairs are looked for, so that the list holds while atoms move.
_SKIN: Final = 1.25


@dataclass(frozen=True, eq=False)
class Embedding:
    """An embedding of a net.

    Args:
        cell: (3, 3) Angstrom.
        frac: (n, 3) not wrapped: labels of bonds hold.
        energy: what is left of the strain, per atom.
    """

    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    energy: float


def rescaled(placement: Placement, *, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 3) lattice vectors in Angstrom of the barycentric embedding, scaled so that bonds have their lengths on the whole."""
    cell = np.linalg.cholesky(placement.metric)
    present = np.linalg.norm(placement.vectors @ cell, axis=1)
    return cell * float((lengths * present).sum() / (present**2).sum())


def relaxed(
    net: LabelledQuotientGraph, *, cell: NDArray[np.float64], frac: NDArray[np.float64], lengths: NDArray[np.float64], least: NDArray[np.float64]
) -> Embedding:  # fmt: skip
    """Move atoms and lattice vectors until bonds have their lengths and other atoms keep their distance.

    Args:
        net: the bonds.
        cell: (3, 3) Angstrom, the start.
        frac: (n, 3) not wrapped, the start.
        lengths: (E,) Angstrom, expected of each bond.
        least: (n, n) Angstrom, the least distance of atoms that are not bonded.
    """
    from scipy.optimize import minimize

    from euhedral.representations.slices.embedding_kernels import strain_energy

    n = len(net)
    energy = np.inf
    for _ in range(_ROUNDS):
        first, second, label = _pairs(net, cell=cell, frac=frac, least=least)
        bonded = np.arange(len(first)) < len(net.source)
        length = np.concatenate([lengths, least[first[len(lengths) :], second[len(lengths) :]]])
        shift = label @ cell
        size = float(np.mean(lengths)) * np.sqrt(n)
        place_gradient, stretch_gradient = np.empty((n, 3)), np.empty((3, 3))

        def value(x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            place, stretch = x[: 3 * n].reshape(n, 3), np.eye(3) + x[3 * n :].reshape(3, 3) / size  # noqa: B023
            total = strain_energy(
                place, stretch, first, second, shift, length, bonded, _SLOPE, place_gradient, stretch_gradient  # noqa: B023
            )  # fmt: skip
            return total, np.concatenate([place_gradient.ravel(), stretch_gradient.ravel() / size])  # noqa: B023

        start = np.concatenate([(frac @ cell).ravel(), np.zeros(9)])
        found = minimize(
            value, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "maxcor": 12, "ftol": 1e-8}
        )
        frac = found.x[: 3 * n].reshape(n, 3) @ np.linalg.inv(cell)
        cell = cell @ (np.eye(3) + found.x[3 * n :].reshape(3, 3) / size)
        before, energy = energy, float(found.fun)
        if before - energy < 1e-4 * n and energy <= before:
            break
    return Embedding(cell, frac, energy / n)


def _pairs(
    net: LabelledQuotientGraph, *, cell: NDArray[np.float64], frac: NDArray[np.float64], least: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return bonds, then the other pairs that are or may come too close: atoms and cells."""
    from euhedral.representations.slices.embedding_kernels import close_pairs

    reach = least * _SKIN
    spacing = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    reached = np.minimum(np.ceil(reach.max() / spacing + 0.5), 6).astype(np.int64)
    room = 4096
    while True:
        first, second, label = np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, 3), np.int64)
        count = close_pairs(cell, frac, reach, net.source, net.target, net.image, reached, first, second, label)
        if count >= 0:
            break
        room *= 4
    return (
        np.concatenate([net.source, first[:count]]),
        np.concatenate([net.target, second[:count]]),
        np.concatenate([net.image, label[:count]]),
    )
