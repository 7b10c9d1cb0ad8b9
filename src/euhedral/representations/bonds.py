"""Which atoms of a crystal are bonded: small frozen rules, each from distances and elements alone.

A rule looks from every atom at its neighbours; a bond that only one of its two atoms sees is a bond. Neighbours whose
distances tie with the last that is in (within `SHELL_TOLERANCE`) are in too, so that rounding, the choice of cell and the
order of atoms do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import elements
from euhedral.errors import InvalidRequestError
from euhedral.geometry.neighbours import Neighbours, nearest_neighbours, neighbours_within
from euhedral.representations.graphs import SHELL_TOLERANCE

_ROUNDS: Final = 200
_SETTLED: Final = 1e-10
# Times the nearest distance; farther neighbours weigh less than 1e-27.
_NEGLIGIBLE: Final = 2.0


@runtime_checkable
class BondRule(Protocol):
    """What makes two atoms bonded; one small frozen dataclass a rule."""

    def find(self, crystal: Crystal) -> Neighbours:
        """Find the bonds of every atom, as directed pairs from either or both ends."""
        ...


@dataclass(frozen=True)
class EffectiveCoordination:
    """Neighbours that Hoppe's effective coordination number gives a weight: close ones count, by how close the closest are.

    With the weighted mean distance m of an atom, found self-consistently, a neighbour at d weighs exp(1 - (d / m)^6).

    Source: Hoppe 1979, doi:10.1524/zkri.1979.150.14.23, equations 2 to 4; the rule of SLICES (Xiao et al. 2023,
    doi:10.1038/s41467-023-42870-7).

    Args:
        least_weight: what a bond weighs at the least, between 0 and 1.
        fictive_radii: divide distances in the ratio of the covalent radii first, as Hoppe's equation 1 does with ionic ones.
        cutoff: Angstrom; an atom without a neighbour within it has no bonds.
    """

    least_weight: float = 0.2
    fictive_radii: bool = False
    cutoff: float = 10.0

    def find(self, crystal: Crystal) -> Neighbours:
        """Find the bonds of every atom.

        Raises:
            InvalidRequestError: the weight is not between 0 and 1, or the cutoff is not a positive number.
        """
        if not 0.0 < self.least_weight < 1.0:
            raise InvalidRequestError(f"the least weight of a bond must be between 0 and 1, got {self.least_weight}")
        found = _within(crystal, cutoff=self.cutoff)
        if not len(found):
            return found
        length = found.distance
        if self.fictive_radii:
            radius = covalent_radii()[crystal.numbers]
            length = length * radius[found.target] / (radius[found.target] + radius[found.source])
        mean = _least_of_each(length, found.target, n_atoms=len(crystal))
        near = length <= _NEGLIGIBLE * mean[found.target]
        found, length = _selected(found, near), length[near]
        for _ in range(_ROUNDS):
            weight = np.exp(1.0 - (length / mean[found.target]) ** 6)
            total = np.bincount(found.target, weights=weight, minlength=len(crystal))
            before, sums = mean, np.bincount(found.target, weights=weight * length, minlength=len(crystal))
            mean = np.divide(sums, total, out=np.full(len(crystal), np.inf), where=total > 0.0)
            if (np.abs(mean - before)[np.isfinite(mean)] < _SETTLED).all():
                break
        farthest = mean[found.target] * (1.0 - np.log(self.least_weight)) ** (1.0 / 6.0)
        return _whole_shells(found, length=length, chosen=length < farthest)


@dataclass(frozen=True)
class MinimumDistance:
    """Neighbours not much farther than the nearest.

    Args:
        tolerance: how much farther, as a share of the nearest distance.
        cutoff: Angstrom; an atom without a neighbour within it has no bonds.
    """

    tolerance: float = 0.1
    cutoff: float = 10.0

    def find(self, crystal: Crystal) -> Neighbours:
        """Find the bonds of every atom.

        Raises:
            InvalidRequestError: the tolerance is negative, or the cutoff is not a positive number.
        """
        if not (np.isfinite(self.tolerance) and self.tolerance >= 0.0):
            raise InvalidRequestError(f"the tolerance must be a number from 0 on, got {self.tolerance}")
        found = _within(crystal, cutoff=self.cutoff)
        nearest = _least_of_each(found.distance, found.target, n_atoms=len(crystal))
        chosen = found.distance <= nearest[found.target] * (1.0 + self.tolerance)
        return _whole_shells(found, length=found.distance, chosen=chosen)


@dataclass(frozen=True)
class CovalentRadii:
    """Neighbours no farther than the sum of their covalent radii (Cordero et al. 2008, doi:10.1039/B801115J), stretched.

    Args:
        stretch: times the sum of the radii.
    """

    stretch: float = 1.25

    def find(self, crystal: Crystal) -> Neighbours:
        """Find the bonds of every atom.

        Raises:
            InvalidRequestError: the stretch is not positive, or so large that the pairs would not fit.
        """
        radius = covalent_radii()[crystal.numbers]
        found = _within(crystal, cutoff=float(2.0 * radius.max() * self.stretch))
        chosen = found.distance <= self.stretch * (radius[found.target] + radius[found.source])
        return _selected(found, chosen)


@dataclass(frozen=True)
class NearestBonds:
    """The k nearest neighbours of every atom and all that tie with the last of them.

    Args:
        k: how many, at the least.
    """

    k: int

    def find(self, crystal: Crystal) -> Neighbours:
        """Find the bonds of every atom.

        Raises:
            InvalidRequestError: k is below 1 or too large.
        """
        return nearest_neighbours(
            crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], k=self.k, tie=SHELL_TOLERANCE
        )


def covalent_radii() -> NDArray[np.float64]:
    """(119,) Angstrom, by atomic number; NaN at 0."""
    return np.array([np.nan, *(element.covalent_radius for element in elements())])


def _within(crystal: Crystal, *, cutoff: float) -> Neighbours:
    return neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=cutoff)


def _least_of_each(value: NDArray[np.float64], atom: NDArray[np.int64], *, n_atoms: int) -> NDArray[np.float64]:
    least = np.full(n_atoms, np.inf)
    np.minimum.at(least, atom, value)
    return least


def _whole_shells(found: Neighbours, *, length: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Neighbours:
    """Keep what was chosen and what ties with the last of it."""
    last = np.full(int(found.target.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(last, found.target[chosen], length[chosen])
    return _selected(found, length <= last[found.target] + SHELL_TOLERANCE)


def _selected(found: Neighbours, chosen: NDArray[np.bool_]) -> Neighbours:
    return Neighbours(found.source[chosen], found.target[chosen], found.image[chosen], found.distance[chosen])
