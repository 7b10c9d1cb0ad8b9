"""Angles of any graph: pairs of edges that share an atom.

Three published graphs come down to two kinds of pair. DimeNet's triplets k -> j -> i and ALIGNN's line graph pair an edge with
each edge that arrives where it starts (`EdgePaths`); M3GNet's three-body terms pair the edges that arrive at one atom, within a
smaller radius (`EdgePairs`). CHGNet's bonds and angles, which are undirected, are `line_graph.LineGraph`.
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

#: Names in `Graph.extra`.
PATH_FIRST: Final = "path_first"
PATH_SECOND: Final = "path_second"
PAIR_FIRST: Final = "pair_first"
PAIR_SECOND: Final = "pair_second"

# More would need over 3 GB; a radius is meant to be smaller.
_MOST_TRIPLETS: Final = 200_000_000


@dataclass(frozen=True)
class EdgePaths:
    """Any graph with its paths of two edges, k -> j -> i.

    `extra` holds int64 "path_first" (T,), the edge k -> j, and "path_second" (T,), the edge j -> i, sorted by the second and then
    by the first; `path_cosines` gives the angle at j.

    Without paths that go back, where k is the same image of the same atom as i, these are DimeNet's triplets (Gasteiger et al. 2020,
    arXiv:2003.03123); another image of i is another atom. With them they are the edges of ALIGNN's line graph
    (Choudhary and DeCost 2021, doi:10.1038/s41524-021-00650-1), whose atom graph is undirected: `EdgePaths(Undirected(Nearest(12)),
    backtracking=True)`.

    Args:
        edges: the graph.
        backtracking: keep paths from an atom to itself; their cosine is 1.
    """

    edges: GraphSpec
    backtracking: bool = False

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and paths of a batch.

        Raises:
            InvalidRequestError: there are so many paths that they would not fit.
        """
        from euhedral.representations.triplet_kernels import edge_paths

        graph = self.edges.build(batch)
        source, target, image = (tensor.cpu().numpy() for tensor in (graph.source, graph.target, graph.image))
        start = np.searchsorted(target, np.arange(batch.numbers.shape[0] + 1))
        total = int(np.diff(start)[source].sum())
        _demand_room(total)
        first, second = edge_paths(source, target, image, start, total, self.backtracking)
        return _with_triplets(graph, axis="path", names=(PATH_FIRST, PATH_SECOND), first=first, second=second)


@dataclass(frozen=True)
class EdgePairs:
    """Any graph with the pairs of short edges that arrive at one atom, j -> i and k -> i.

    `extra` holds int64 "pair_first" (T,) and "pair_second" (T,), positions of edges: every ordered pair of two different edges no
    longer than the cutoff, sorted; `pair_cosines` gives the angle at i.

    Source: Chen and Ong 2022, doi:10.1038/s43588-022-00349-3.

    Args:
        edges: the graph.
        cutoff: Angstrom, of edges that form pairs.
    """

    edges: GraphSpec
    cutoff: float

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and pairs of a batch.

        Raises:
            InvalidRequestError: the cutoff is not positive, or there are so many pairs that they would not fit.
        """
        from euhedral.representations.line_graph_kernels import angles_at_centres

        if not self.cutoff > 0.0:
            raise InvalidRequestError(f"the cutoff of pairs must be a positive number of Angstrom, got {self.cutoff}")
        graph = self.edges.build(batch)
        with torch.no_grad():
            short = (graph.vectors(batch).norm(dim=1) <= self.cutoff).cpu().numpy()
        edge = np.flatnonzero(short)
        counts = np.bincount(graph.target.cpu().numpy()[edge], minlength=batch.numbers.shape[0])
        _demand_room(int((counts * (counts - 1)).sum()))
        first, second, _ = angles_at_centres(counts)
        return _with_triplets(
            graph, axis="pair", names=(PAIR_FIRST, PAIR_SECOND), first=edge[first], second=edge[second]
        )


def path_cosines(graph: Graph, batch: CrystalBatch) -> Tensor:
    """(T,) cosine of the angle at j between k and i of each path k -> j -> i; differentiable."""
    directions = torch.nn.functional.normalize(graph.vectors(batch), dim=1)
    # an edge's vector points from its target to its source: j to k in the first, i to j in the second
    return -(directions[graph.extra[PATH_FIRST]] * directions[graph.extra[PATH_SECOND]]).sum(1)


def pair_cosines(graph: Graph, batch: CrystalBatch) -> Tensor:
    """(T,) cosine of the angle at i between j and k of each pair j -> i, k -> i; differentiable."""
    directions = torch.nn.functional.normalize(graph.vectors(batch), dim=1)
    return (directions[graph.extra[PAIR_FIRST]] * directions[graph.extra[PAIR_SECOND]]).sum(1)


def _demand_room(total: int) -> None:
    if total > _MOST_TRIPLETS:
        raise InvalidRequestError(
            f"the graph has {total:.1e} pairs of edges, at most {_MOST_TRIPLETS:.0e} fit; "
            "choose a smaller cutoff or fewer crystals at a time"
        )


def _with_triplets(
    graph: Graph, *, axis: str, names: tuple[str, str], first: NDArray[np.int64], second: NDArray[np.int64]
) -> Graph:
    if axis in {kind.of for kind in graph.kinds.values()}:
        raise InvalidRequestError(f"the graph has {axis}s already; they are found once")
    extra = {
        name: torch.from_numpy(array).to(graph.source.device)
        for name, array in zip(names, (first, second), strict=True)
    }
    kinds = dict.fromkeys(names, ExtraKind(of=axis, to="edge"))
    return replace(graph, extra={**graph.extra, **extra}, kinds={**graph.kinds, **kinds})
