"""Graphs in which equal atoms are one node, with what their edges carry beside distances.

Like `quotient`, for networks that read elements, distances and, where there are any, sums of potentials. Atoms of a batch
stay as they are; the graph names one atom of each class of equal ones, the orbit, and keeps one of all equal edges of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec
from euhedral.representations.lattice_sums import POTENTIAL_SUMS
from euhedral.representations.merged_sums import PAIR_SHARE, PAIR_SOURCE, PAIR_TARGET
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, colour_classes, distinct_values

#: Names in `Graph.extra`.
ORBIT_ATOM: Final = "orbit_atom"
ORBIT_COUNT: Final = "orbit_count"
EDGE_SOURCE: Final = "edge_source"
EDGE_TARGET: Final = "edge_target"

_KINDS: Final = {
    ORBIT_ATOM: ExtraKind(of="orbit", to="atom"),
    ORBIT_COUNT: ExtraKind(of="orbit"),
    EDGE_SOURCE: ExtraKind(of="edge", to="orbit"),
    EDGE_TARGET: ExtraKind(of="edge", to="orbit"),
    DISTANCE: ExtraKind(of="edge"),
    MULTIPLICITY: ExtraKind(of="edge"),
}
_PAIR_KINDS: Final = {
    PAIR_SOURCE: ExtraKind(of="pair", to="orbit"),
    PAIR_TARGET: ExtraKind(of="pair", to="orbit"),
    POTENTIAL_SUMS: ExtraKind(of="pair"),
    PAIR_SHARE: ExtraKind(of="pair"),
}


@dataclass(frozen=True)
class Condensed:
    """Any graph with one node for each class of equal atoms.

    Atoms are equal when no messages about elements, distances and sums of potentials tell them apart (colour refinement). `extra`
    holds, for O orbits: "orbit_atom" (O,), one atom of each, the first; "orbit_count" (O,), how many atoms it stands for;
    "edge_source" and "edge_target" (E,), orbits; "distance" (E,) Angstrom, and "multiplicity" (E,), how many neighbours an edge
    stands for. Where the graph has sums (`merged_sums`), its pairs are merged too: "pair_source" and "pair_target" are orbits, and
    "pair_share" is what the merged pairs weigh together.

    Args:
        graph: with no extra tensors but those of `merged_sums`.
        tolerance: Angstrom; distances of one crystal that differ by less count as equal, and take their mean.
        sums_tolerance: the same for sums, in the unit of each potential.
    """

    graph: GraphSpec
    tolerance: float = 1e-4
    sums_tolerance: float = 1e-5

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch and merge them; no gradient flows through distances and sums.

        Raises:
            InvalidRequestError: the graph has extra tensors that may tell more atoms apart.
        """
        graph = self.graph.build(batch)
        strange = set(graph.extra) - set(_PAIR_KINDS)
        if strange:
            raise InvalidRequestError(
                f"a graph with extra tensors ({', '.join(sorted(strange))}) cannot be condensed; keep it whole"
            )
        with torch.no_grad():
            distance = graph.vectors(batch).norm(dim=1).double().cpu().numpy()
        crystal, numbers = batch.crystal_idx.cpu().numpy(), batch.numbers.cpu().numpy()
        near = _Messages.of(graph.source, graph.target, distance[:, None], crystal=crystal, tolerance=self.tolerance)
        kinds = [near]
        if POTENTIAL_SUMS in graph.extra:
            sums = graph.extra[POTENTIAL_SUMS].double().cpu().numpy()
            source, target = graph.extra[PAIR_SOURCE], graph.extra[PAIR_TARGET]
            kinds.append(_Messages.of(source, target, sums, crystal=crystal, tolerance=self.sums_tolerance))
        first_label = np.cumsum([0, *(int(kind.label.max(initial=-1)) + 1 for kind in kinds)])
        found = colour_classes(
            numbers, crystal, np.concatenate([kind.source for kind in kinds]), np.concatenate([kind.target for kind in kinds]),
            np.concatenate([kind.label + first for kind, first in zip(kinds, first_label, strict=False)]),
        )  # fmt: skip
        atom, node, count = np.unique(found, return_index=True, return_inverse=True, return_counts=True)[1:]
        order = np.argsort(atom)  # by their first atoms, so that orbits follow the crystals and edges their targets
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        node, atom, count = rank[node], atom[order], count[order]

        def tensor(array: NDArray) -> Tensor:
            made = torch.from_numpy(np.ascontiguousarray(array)).to(batch.device)
            return made.to(batch.dtype) if made.is_floating_point() else made

        kept, of_source, of_target, value, weight = near.merged(node, atom, weights=np.ones(len(distance)))
        edge = tensor(kept)
        extra = {
            ORBIT_ATOM: tensor(atom), ORBIT_COUNT: tensor(count.astype(np.float64)), EDGE_SOURCE: tensor(of_source),
            EDGE_TARGET: tensor(of_target), DISTANCE: tensor(value[:, 0]), MULTIPLICITY: tensor(weight),
        }  # fmt: skip
        for pairs in kinds[1:]:
            shares = graph.extra[PAIR_SHARE].double().cpu().numpy()
            _, of_source, of_target, value, weight = pairs.merged(node, atom, weights=shares)
            extra |= {
                PAIR_SOURCE: tensor(of_source), PAIR_TARGET: tensor(of_target), POTENTIAL_SUMS: tensor(value),
                PAIR_SHARE: tensor(weight),
            }  # fmt: skip
        return replace(
            graph, source=graph.source[edge], target=graph.target[edge], image=graph.image[edge], extra=extra,
            kinds={name: kind for name, kind in (_KINDS | _PAIR_KINDS).items() if name in extra},
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Messages:
    """What goes from atom to atom, equal values with one label; `values` (L, V) are the means of those of a label."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    label: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(
        cls, source: Tensor, target: Tensor, values: NDArray[np.float64], *, crystal: NDArray[np.int64], tolerance: float,
    ) -> _Messages:  # fmt: skip
        to = target.cpu().numpy()
        columns = [distinct_values(column, crystal[to], tolerance=tolerance) for column in values.T]
        one, label = _grouped(*(found for found, _ in columns))
        means = np.stack([mean[found[one]] for found, mean in columns], axis=1)
        return cls(source=source.cpu().numpy(), target=to, label=label, values=means)

    def merged(
        self, node: NDArray[np.int64], atom: NDArray[np.int64], *, weights: NDArray[np.float64]
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
        """Messages to the atom of each orbit, equal ones merged: one of each, orbits from and to, values, summed weights."""
        own = np.flatnonzero(atom[node[self.target]] == self.target)
        to, label, of = node[self.target[own]], self.label[own], node[self.source[own]]
        one, which = _grouped(to, label, of)
        weight = np.bincount(which, weights=weights[own], minlength=len(one))
        return own[one], of[one], to[one], self.values[label[one]], weight


def _grouped(*columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find equal rows of (M,) columns: the first of each group, groups by the first column and so on, and (M,) groups."""
    order = np.lexsort(columns[::-1])
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= np.diff(column[order]) != 0
    group = np.empty_like(order)
    group[order] = np.cumsum(new) - 1
    return order[new], group
