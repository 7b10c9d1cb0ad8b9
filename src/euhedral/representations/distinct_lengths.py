"""Any graph together with its distinct edge lengths: what depends on a length alone is then computed once for each.

Symmetry repeats distances. With the 16 nearest neighbours MP-20 crystals have a seventh as many lengths as edges, the
crystals of the elastic tensors a sixteenth, and functions of the distance are most of the work of networks that filter with
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec, Nearest

#: Names in `Graph.extra`.
LENGTH_EDGE: Final = "length_edge"
EDGE_LENGTH: Final = "edge_length"
#: Angstrom; what single precision tells apart in a cell of a few Angstrom.
SAME_LENGTH: Final = 1e-7


@dataclass(frozen=True)
class WithDistinctLengths:
    """Any graph, and which of its edges have one length.

    `extra` holds "length_edge" (L,) int64, one edge of each length, those of one crystal together and shortest first, and
    "edge_length" (E,) int64, the length of each edge; `distinct_lengths` gives the lengths themselves. Edges of different
    crystals do not share one.

    Args:
        edges: the graph.
        tolerance: Angstrom; lengths closer than this are one.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    tolerance: float = SAME_LENGTH

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch and sort them by length.

        Raises:
            InvalidRequestError: the graph has distinct lengths already.
        """
        graph = self.edges.build(batch)
        if EDGE_LENGTH in graph.extra:
            raise InvalidRequestError("the graph has distinct lengths already; they are found once")
        with torch.no_grad():
            length, crystal = graph.vectors(batch).norm(dim=1), batch.crystal_idx[graph.target]
        by_length = torch.sort(length, stable=True).indices
        order = by_length[torch.sort(crystal[by_length], stable=True).indices]
        apart = (length[order].diff() > self.tolerance) | (crystal[order].diff() > 0)
        first = torch.cat([apart.new_ones(min(len(order), 1)), apart])
        number = torch.empty_like(order)
        number[order] = first.cumsum(0) - 1
        extra = {LENGTH_EDGE: order[first], EDGE_LENGTH: number}
        kinds = {LENGTH_EDGE: ExtraKind(of="length", to="edge"), EDGE_LENGTH: ExtraKind(of="edge", to="length")}
        return replace(graph, extra={**graph.extra, **extra}, kinds={**graph.kinds, **kinds})


def distinct_lengths(graph: Graph, distance: Tensor) -> Tensor:
    """Average the lengths of the edges that share one.

    Derivatives by a strain, or by anything that keeps the symmetry, are exact; others are averages over those edges.

    Args:
        graph: with distinct lengths.
        distance: (E,) Angstrom.

    Returns:
        (L,) Angstrom.
    """
    owner = graph.extra[EDGE_LENGTH]
    count = torch.bincount(owner, minlength=len(graph.extra[LENGTH_EDGE])).to(distance.dtype)
    return torch.zeros_like(count).index_add(0, owner, distance) / count
