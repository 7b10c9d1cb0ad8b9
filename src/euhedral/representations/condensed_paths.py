"""Paths of two edges between orbits: what networks on angles read, with equal atoms and equal paths once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import ExtraKind, Graph
from euhedral.representations.orbits import Messages, Orbits, graph_of_orbits, grouped, tensors
from euhedral.representations.triplets import PATH_FIRST, PATH_SECOND, EdgePaths, path_cosines

#: Names in `Graph.extra`, with those of `orbits`.
PATH_COSINE: Final = "path_cosine"
PATH_COUNT: Final = "path_count"

_KINDS: Final = {
    PATH_FIRST: ExtraKind(of="path", to="edge"),
    PATH_SECOND: ExtraKind(of="path", to="edge"),
    PATH_COSINE: ExtraKind(of="path"),
    PATH_COUNT: ExtraKind(of="path"),
}


@dataclass(frozen=True)
class CondensedPaths:
    """Edges and paths k -> j -> i of any graph, with one node for each class of equal atoms.

    Atoms are equal when no messages about elements, distances, and lengths and angles of paths tell them apart. `extra` holds what
    `orbits.graph_of_orbits` gives, and "path_first" and "path_second" (T,), edges; "path_cosine" (T,) of the angle at j; and
    "path_count" (T,), how many paths to one atom each stands for, by the second edge and then by the first.

    Args:
        paths: the graph with its paths.
        tolerance: Angstrom; distances of one crystal that differ by less count as equal, and take their mean.
        cosine_tolerance: the same for cosines.
    """

    paths: EdgePaths
    tolerance: float = 1e-4
    cosine_tolerance: float = 1e-4

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and paths of a batch and merge them; no gradient flows through distances and cosines.

        Raises:
            InvalidRequestError: there are so many paths that they would not fit.
        """
        graph = self.paths.build(batch)
        with torch.no_grad():
            distance = graph.vectors(batch).norm(dim=1).double().cpu().numpy()
            cosine = path_cosines(graph, batch).double().cpu().numpy()
        crystal = batch.crystal_idx.cpu().numpy()
        near = Messages.of(graph.source, graph.target, distance[:, None], crystal=crystal, tolerance=self.tolerance)
        first, second = (graph.extra[name].cpu().numpy() for name in (PATH_FIRST, PATH_SECOND))
        angles = Messages.of(
            graph.source[first], graph.target[second], cosine[:, None], crystal=crystal, tolerance=self.cosine_tolerance
        )
        one, label = grouped(near.label[first], near.label[second], angles.label)
        bent = Messages(
            source=angles.source, target=angles.target, label=label, values=angles.values[angles.label[one]]
        )
        orbits = Orbits.of(batch, [near, bent])
        found = graph_of_orbits(graph, batch=batch, near=near, orbits=orbits)
        # which of the kept edges each edge is equal to: they are in the order of these groups
        edge = grouped(orbits.node[near.target], near.label, orbits.node[near.source])[1]
        own = np.flatnonzero(orbits.atom[orbits.node[bent.target]] == bent.target)
        one, which = grouped(edge[second[own]], edge[first[own]], angles.label[own])
        kept = own[one]
        added = {
            PATH_FIRST: edge[first[kept]], PATH_SECOND: edge[second[kept]], PATH_COSINE: angles.values[angles.label[kept], 0],
            PATH_COUNT: np.bincount(which, minlength=len(one)).astype(np.float64),
        }  # fmt: skip
        return replace(found, extra={**found.extra, **tensors(added, batch=batch)}, kinds={**found.kinds, **_KINDS})
