"""How close atoms come to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS
from euhedral.geometry.neighbours import nearest_neighbours


@dataclass(frozen=True)
class Pair:
    """Two atoms of a crystal, or an atom and its own periodic image.

    Args:
        first: position of one atom in the crystal.
        second: position of the other.
        distance: Angstrom.
        symbols: of both.
    """

    first: int
    second: int
    distance: float
    symbols: tuple[str, str]

    def __str__(self) -> str:
        names = [f"{symbol} (atom {i + 1})" for symbol, i in zip(self.symbols, (self.first, self.second), strict=True)]
        return f"{names[0]} and {names[1]} are {self.distance:.3f} Å apart"


def shortest_distances(crystals: Sequence[Crystal]) -> NDArray[np.float64]:
    """Find the shortest distance between any two atoms of each crystal, periodic images counted.

    Args:
        crystals: B crystals.

    Returns:
        (B,) Angstrom.
    """
    if not crystals:
        return np.zeros(0)
    counts = np.array([len(crystal) for crystal in crystals])
    found = nearest_neighbours(
        np.stack([crystal.cell for crystal in crystals]),
        frac=np.concatenate([crystal.frac for crystal in crystals]),
        n_atoms=counts, k=1, tie=0.0, strict=True,
    )  # fmt: skip
    shortest = np.full(len(crystals), np.inf)
    np.minimum.at(shortest, np.repeat(np.arange(len(crystals)), counts)[found.target], found.distance)
    return shortest


def closest_pair(crystal: Crystal) -> Pair:
    """Find the two atoms of a crystal that are closest, periodic images counted.

    Args:
        crystal: one crystal; a lone atom is paired with its own image.
    """
    found = nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], k=1, tie=0.0, strict=True)
    edge = int(np.argmin(found.distance))
    first, second = sorted((int(found.target[edge]), int(found.source[edge])))
    symbols = SYMBOLS[int(crystal.numbers[first])], SYMBOLS[int(crystal.numbers[second])]
    return Pair(first=first, second=second, distance=float(found.distance[edge]), symbols=symbols)
