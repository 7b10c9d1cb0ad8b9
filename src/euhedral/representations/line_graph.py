"""Graphs of bonds: undirected bonds, and the angles between short ones that meet at an atom.

Two directed edges, there and back, are one bond. Bonds that may form angles are numbered first, so that what is known of
them is a slice; the edges that form angles are those of each atom's list that are shorter than `bond_cutoff`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import ExtraKind, Graph, Radius
from euhedral.representations.line_graph_kernels import angles_at_centres, reverse_edges

KINDS: Final = {
    "bond": ExtraKind(of="edge", to="bond"),
    "reverse": ExtraKind(of="edge", to="edge"),
    "bond_edge": ExtraKind(of="bond", to="edge"),
    "short_edge": ExtraKind(of="short", to="edge"),
    "angle_first": ExtraKind(of="angle", to="short"),
    "angle_second": ExtraKind(of="angle", to="short"),
    "angle_swap": ExtraKind(of="angle", to="angle"),
    "bond_long": ExtraKind(of="bond", major=True),
}


@dataclass(frozen=True)
class LineGraph:
    """All neighbours within a radius, the bonds that they form, and the angles between bonds within a smaller radius.

    The graph's `extra` holds int64 tensors, for E edges, U bonds (the first S of them short), D = 2 S short edges, A angles:

    - "bond" (E,): the bond of each edge.
    - "reverse" (E,): the same edge seen from the other end.
    - "bond_edge" (U,): one edge of each bond, rising among the short and among the long.
    - "short_edge" (D,): the edges that form angles, those of one centre together.
    - "angle_first", "angle_second" (A,): positions in `short_edge`; every ordered pair at one centre, sorted.
    - "angle_swap" (A,): the angle with first and second exchanged.
    - "bond_long" (U,): bool, not short.

    Args:
        cutoff: Angstrom; which atoms are neighbours.
        bond_cutoff: Angstrom; which bonds form angles.
    """

    cutoff: float
    bond_cutoff: float

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges, bonds and angles of a batch."""
        graph, reverse = _both_ways(Radius(cutoff=self.cutoff).build(batch), n_atoms=batch.numbers.shape[0])
        with torch.no_grad():
            length = graph.vectors(batch).norm(dim=1)
        extra = _bonds_and_angles(
            graph.target.cpu().numpy(), reverse, length.cpu().numpy() < self.bond_cutoff, batch.numbers.shape[0]
        )
        tensors = {name: torch.from_numpy(array).to(batch.device) for name, array in zip(KINDS, extra, strict=True)}
        return replace(graph, extra=tensors, kinds=KINDS)


def _both_ways(graph: Graph, *, n_atoms: int) -> tuple[Graph, NDArray[np.int64]]:
    """Leave out edges without a reverse, and find that of each other: at the very cutoff, rounding may let one of two through."""
    source, target, image = (tensor.cpu().numpy() for tensor in (graph.source, graph.target, graph.image))
    reverse = reverse_edges(source, target, image, np.searchsorted(target, np.arange(n_atoms + 1)))
    kept = reverse >= 0
    if kept.all():
        return graph, reverse
    place = np.cumsum(kept) - 1
    keep = torch.from_numpy(kept).to(graph.source.device)
    graph = replace(graph, source=graph.source[keep], target=graph.target[keep], image=graph.image[keep])
    return graph, place[reverse[kept]]


def _bonds_and_angles(
    target: NDArray[np.int64], reverse: NDArray[np.int64], near: NDArray[np.bool_], n_atoms: int
) -> tuple[NDArray, ...]:
    near = near & near[reverse]  # rounding may put the two directions of one bond on both sides of the cutoff
    edges = np.arange(target.size)
    forward = edges < reverse
    bond_edge = np.concatenate([edges[forward & near], edges[forward & ~near]])
    bond = np.empty(target.size, dtype=np.int64)
    bond[bond_edge] = np.arange(bond_edge.size)
    bond[reverse[bond_edge]] = np.arange(bond_edge.size)
    short_edge = edges[near]
    counts = np.bincount(target[short_edge], minlength=n_atoms)
    return bond, reverse, bond_edge, short_edge, *angles_at_centres(counts), ~near[bond_edge]
