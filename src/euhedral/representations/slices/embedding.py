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
# Energy per atom that a round of steps must still gain.
_SETTLED: Final = 1e-4
# Relative stretch of a bond from which on it pulls no harder.
_SLOPE: Final = 0.25
# Atoms that are not bonded also repel each other weakly, up to this much beyond their least distance: what else is left open
# by the bonds of a floppy net spreads out.
_WEAK: Final = 0.1
_WIDE: Final = 1.6
# How much farther than the least distance pairs are looked for, so that the list holds while atoms move.
_SKIN: Final = 1.25 * _WIDE


def rescaled(
    placement: Placement, *, lengths: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(3, 3) lattice vectors in Angstrom of the barycentric embedding, scaled so that bonds have their lengths on the whole."""
    cell = np.linalg.cholesky(placement.metric)
    present = np.linalg.norm(placement.vectors @ cell, axis=1)
    scale = float((weights * lengths * present).sum() / (weights * present**2).sum())
    return np.asarray(cell * scale, dtype=np.float64)


def relaxed(
    net: LabelledQuotientGraph,
    *,
    cell: NDArray[np.float64],
    frac: NDArray[np.float64],
    lengths: NDArray[np.float64],
    weights: NDArray[np.float64],
    least: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move atoms and lattice vectors until bonds have their lengths and other atoms keep their distance.

    Args:
        net: the bonds.
        cell: (3, 3) Angstrom, the start.
        frac: (n, 3) not wrapped, the start.
        lengths: (m,) Angstrom, expected of each bond.
        weights: (m,) how much each bond's length matters.
        least: (n, n) Angstrom, the least distance of atoms that are not bonded.

    Returns:
        The cell (3, 3), Angstrom, and the fractional coordinates (n, 3), not wrapped.
    """
    energy = np.inf
    for _ in range(_ROUNDS):
        first, second, label = _pairs(net, cell=cell, frac=frac, least=least)
        others = slice(len(lengths), None)
        strain = _Strain(
            cell, first, second, label @ cell,
            length=np.concatenate([lengths, least[first[others], second[others]]]),
            weight=np.concatenate([weights, np.ones(len(first) - len(weights))]),
            bonded=np.arange(len(first)) < len(lengths), size=float(np.mean(lengths)) * len(net) ** 0.5,
        )  # fmt: skip
        before = energy
        cell, frac, energy = strain.descend(frac)
        if before - energy < _SETTLED * len(net) and energy <= before:
            break
    return cell, frac


@dataclass(frozen=True, eq=False)
class _Strain:
    """The energy of pairs as a function of places in a reference cell and of what that cell is multiplied by."""

    cell: NDArray[np.float64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    shift: NDArray[np.float64]
    length: NDArray[np.float64]
    weight: NDArray[np.float64]
    bonded: NDArray[np.bool_]
    size: float

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        from euhedral.representations.slices.embedding_kernels import strain_energy

        place, stretch = x[:-9].reshape(-1, 3), np.eye(3) + x[-9:].reshape(3, 3) / self.size
        by_place, by_stretch = np.empty_like(place), np.empty((3, 3))
        energy = strain_energy(
            place, stretch, self.first, self.second, self.shift, self.length, self.weight, self.bonded,
            _SLOPE, _WEAK, _WIDE, by_place, by_stretch,
        )  # fmt: skip
        return energy, np.concatenate([by_place.ravel(), by_stretch.ravel() / self.size])

    def descend(self, frac: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        from scipy.optimize import minimize

        start = np.concatenate([(frac @ self.cell).ravel(), np.zeros(9)])
        options = {"maxiter": _STEPS, "maxcor": 12, "ftol": 1e-8}
        found = minimize(self, start, jac=True, method="L-BFGS-B", options=options)
        place, stretch = found.x[:-9].reshape(-1, 3), np.eye(3) + found.x[-9:].reshape(3, 3) / self.size
        return self.cell @ stretch, place @ np.linalg.inv(self.cell), float(found.fun)


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
