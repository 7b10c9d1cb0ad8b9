"""Orbits: classes of atoms that messages cannot tell apart, and the messages to one atom of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import ExtraKind, Graph
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, colour_classes, distinct_values

#: Names in `Graph.extra`.
ORBIT_ATOM: Final = "orbit_atom"
ORBIT_COUNT: Final = "orbit_count"
EDGE_SOURCE: Final = "edge_source"
EDGE_TARGET: Final = "edge_target"

#: What the extra tensors of a graph of orbits are about.
ORBIT_KINDS: Final = {
    ORBIT_ATOM: ExtraKind(of="orbit", to="atom"),
    ORBIT_COUNT: ExtraKind(of="orbit"),
    EDGE_SOURCE: ExtraKind(of="edge", to="orbit"),
    EDGE_TARGET: ExtraKind(of="edge", to="orbit"),
    DISTANCE: ExtraKind(of="edge"),
    MULTIPLICITY: ExtraKind(of="edge"),
}


@dataclass(frozen=True, eq=False)
class Messages:
    """What goes from atom to atom.

    Args:
        source: (M,).
        target: (M,).
        label: (M,) equal for equal values.
        values: (L, V) the mean of those of each label.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    label: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(
        cls, source: Tensor, target: Tensor, values: NDArray[np.float64], *, crystal: NDArray[np.int64], tolerance: float,
    ) -> Messages:  # fmt: skip
        """Label (M, V) values of each crystal; those between which no gap is larger than the tolerance are equal."""
        to = target.cpu().numpy()
        columns = [distinct_values(column, crystal[to], tolerance=tolerance) for column in values.T]
        one, label = grouped(*(found for found, _ in columns))
        means = np.stack([mean[found[one]] for found, mean in columns], axis=1)
        return cls(source=source.cpu().numpy(), target=to, label=label, values=means)

    def merged(
        self, orbits: Orbits, *, weights: NDArray[np.float64]
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
        """Messages to the atom of each orbit, equal ones merged: one of each, orbits from and to, values, summed weights."""
        node = orbits.node
        own = np.flatnonzero(orbits.atom[node[self.target]] == self.target)
        to, label, of = node[self.target[own]], self.label[own], node[self.source[own]]
        one, which = grouped(to, label, of)
        weight = np.bincount(which, weights=weights[own], minlength=len(one))
        return own[one], of[one], to[one], self.values[label[one]], weight


@dataclass(frozen=True, eq=False)
class Orbits:
    """Classes of equal atoms, by their first atoms, so that they follow the crystals.

    Args:
        node: (N,) the orbit of each atom.
        atom: (O,) the first atom of each orbit.
        count: (O,) its atoms.
    """

    node: NDArray[np.int64]
    atom: NDArray[np.int64]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, batch: CrystalBatch, messages: Sequence[Messages]) -> Orbits:
        """Refine classes of atoms until messages of all the kinds given split none."""
        crystal, numbers = batch.crystal_idx.cpu().numpy(), batch.numbers.cpu().numpy()
        first_label = np.cumsum([0, *(len(kind.values) for kind in messages)])
        found = colour_classes(
            numbers, crystal, np.concatenate([kind.source for kind in messages]),
            np.concatenate([kind.target for kind in messages]),
            np.concatenate([kind.label + first for kind, first in zip(messages, first_label, strict=False)]),
        )  # fmt: skip
        atom, node, count = np.unique(found, return_index=True, return_inverse=True, return_counts=True)[1:]
        order = np.argsort(atom)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(node=rank[node], atom=atom[order], count=count[order])


def graph_of_orbits(graph: Graph, *, batch: CrystalBatch, near: Messages, orbits: Orbits) -> Graph:
    """Keep one of all equal edges of one atom of each orbit, with the extra tensors of `ORBIT_KINDS`.

    Args:
        graph: the whole graph.
        batch: its crystals.
        near: its edges, with their lengths.
        orbits: of the atoms.
    """
    kept, of_source, of_target, value, weight = near.merged(orbits, weights=np.ones(len(near.label)))
    edge = torch.from_numpy(kept).to(batch.device)
    arrays = {
        ORBIT_ATOM: orbits.atom, ORBIT_COUNT: orbits.count.astype(np.float64), EDGE_SOURCE: of_source, EDGE_TARGET: of_target,
        DISTANCE: value[:, 0], MULTIPLICITY: weight,
    }  # fmt: skip
    return Graph(
        source=graph.source[edge], target=graph.target[edge], image=graph.image[edge],
        extra=tensors(arrays, batch=batch), kinds=ORBIT_KINDS,
    )  # fmt: skip


def tensors(arrays: Mapping[str, NDArray], *, batch: CrystalBatch) -> dict[str, Tensor]:
    """Bring arrays to where a batch is, floating-point ones to its type."""
    made = {name: torch.from_numpy(np.ascontiguousarray(array)).to(batch.device) for name, array in arrays.items()}
    return {name: value.to(batch.dtype) if value.is_floating_point() else value for name, value in made.items()}


def grouped(*columns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find equal rows of (M,) columns: the first of each group, groups by the first column and so on, and (M,) groups."""
    order = np.lexsort(columns[::-1])
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= np.diff(column[order]) != 0
    group = np.empty_like(order)
    group[order] = np.cumsum(new) - 1
    return order[new], group
