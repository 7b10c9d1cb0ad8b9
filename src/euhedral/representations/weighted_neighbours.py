"""Neighbours chosen by weights that know the elements, at the gap where the weights fall most.

Counting neighbours, or cutting at a radius, leaves to chance which of several about equally distant atoms are neighbours.
Here each candidate has a weight, and the list ends at its clearest gap, which lies between no two equal weights: neither
the cell nor a small displacement moves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import elements
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph, GraphSpec, Nearest

# Gaps that differ by less are one gap, so that rounding does not choose between them.
_EQUAL: Final = 1e-9
_FULL: Final = 0.5
_GONE: Final = 1.0
_POLARITY: Final = 3.0
_LARGEST_DIFFERENCE: Final = 3.3


@dataclass(frozen=True)
class WeightedNeighbours:
    """Candidates that matter to an atom, by distance, covalent radii and electronegativities.

    The weight of a neighbour is the product of three:

    - 1 / r;
    - 1 up to r_i + r_j + 0.5 Angstrom, 0 from r_i + r_j + 1 Angstrom, half a cosine between, r_i covalent radii; not for an atom to
      which nothing is so near, as one alone in a vacuum, which takes the neighbours that it has;
    - 1 + 3 (|x_i - x_j| / 3.3)^(1/2), x_i Pauling's electronegativities; 1 where one is not known.

    With the largest weight of an atom at 1, falling weights cut the area under a quarter of a circle into strips, and the list ends
    before the largest strip.

    Source: Wang et al. 2024, doi:10.1609/aaai.v38i1.27781, for the product of three weights and a cut by area; Pan et al. 2021
    (CrystalNN), doi:10.1021/acs.inorgchem.0c02996, for the form and the constants of the last two and of the area.

    Args:
        candidates: the graph of those that are looked at, nearest first, whole shells.

    Raises:
        InvalidRequestError: at building, the candidates' graph has extra tensors.
    """

    candidates: GraphSpec = field(default_factory=lambda: Nearest(k=36))

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch, weightiest first."""
        graph = self.candidates.build(batch)
        if graph.extra:
            raise InvalidRequestError(
                f"neighbours cannot be chosen from a graph with extra tensors ({', '.join(graph.extra)}); add those afterwards"
            )
        with torch.no_grad():
            distance = graph.vectors(batch).norm(dim=1).double().cpu().numpy()
        numbers = batch.numbers.cpu().numpy()
        source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
        weight, all_there = neighbour_weights(distance, source=source, target=target, numbers=numbers)
        order = np.lexsort((np.arange(len(weight)), -weight, target))
        kept = np.sort(order[_before_the_gap(weight[order], target=target[order], all_there=all_there)])
        keep = torch.from_numpy(kept).to(batch.device)
        return replace(graph, source=graph.source[keep], target=graph.target[keep], image=graph.image[keep])


def neighbour_weights(
    distance: NDArray[np.float64], *, source: NDArray[np.int64], target: NDArray[np.int64], numbers: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weigh the candidates of each atom.

    Args:
        distance: (E,) Angstrom.
        source: (E,) the neighbour.
        target: (E,) the centre.
        numbers: (N,) atomic numbers.

    Returns:
        (E,) weights, the largest of each target 1; and (N,) whether some candidate has no weight, so that no other atom can have any.
    """
    table = elements()
    radius = np.array([0.0, *(one.covalent_radius for one in table)])
    unknown = [one.electronegativity is None for one in table]
    electronegativity = np.array(
        [0.0, *(0.0 if one.electronegativity is None else one.electronegativity for one in table)]
    )
    known = ~np.array([True, *unknown])
    a, b = numbers[target], numbers[source]
    excess = (distance - radius[a] - radius[b] - _FULL) / (_GONE - _FULL)
    near = 0.5 * (1.0 + np.cos(np.pi * np.clip(excess, 0.0, 1.0)))
    difference = np.where(known[a] & known[b], np.abs(electronegativity[a] - electronegativity[b]), 0.0)
    weight = (1.0 + _POLARITY * np.sqrt(difference / _LARGEST_DIFFERENCE)) / distance
    n = len(numbers)
    bound = np.bincount(target, weights=near, minlength=n) > 0.0
    weight = np.where(bound[target], weight * near, weight)
    largest = np.zeros(n)
    np.maximum.at(largest, target, weight)
    weight = weight / largest[target]
    lightest = np.full(n, np.inf)
    np.minimum.at(lightest, target, weight)
    return weight, lightest == 0.0


def _before_the_gap(
    weight: NDArray[np.float64], *, target: NDArray[np.int64], all_there: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(E,) which of the candidates, by falling weight, come before the largest strip of their target."""
    area = (
        2.0
        / np.pi
        * (weight * np.sqrt(np.clip(1.0 - weight * weight, 0.0, None)) + np.arcsin(np.clip(weight, 0.0, 1.0)))
    )
    ends = np.ones(len(weight), dtype=bool)
    ends[:-1] = target[1:] != target[:-1]
    following = np.append(area[1:], 0.0)
    # Where the candidates end while they still have weight, what would follow is not known: the list does not end there,
    # unless all of them are equal and there is no other gap.
    differ = np.zeros(len(all_there), dtype=bool)
    differ[target[ends & (weight < 1.0 - _EQUAL)]] = True
    open_end = ends & ~all_there[target] & differ[target]
    strip = np.where(ends, np.where(open_end, -1.0, area), area - following)
    widest = np.full(len(all_there), -np.inf)
    np.maximum.at(widest, target, strip)
    clearest = strip >= widest[target] - _EQUAL
    position = np.arange(len(weight))
    last = np.full(len(all_there), len(weight))
    np.minimum.at(last, target, np.where(clearest, position, len(weight)))
    return position <= last[target]
