"""Graphs whose edges go both ways."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph, GraphSpec, Nearest


@dataclass(frozen=True)
class Undirected:
    """Edges of a graph and the reverse of each: an edge that one of its atoms sees is an edge of both.

    Of two atoms one may be among the nearest of the other and not the other way round. ALIGNN, Matformer and ComFormer join both
    then, with their `Nearest` (Choudhary and DeCost 2021, doi:10.1038/s41524-021-00650-1). What is added to a target stands
    after its other edges.

    Args:
        edges: which atoms are neighbours.
    """

    edges: GraphSpec = field(default_factory=Nearest)

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch.

        Raises:
            InvalidRequestError: the graph has extra tensors, which new edges would disorder.
        """
        from euhedral.representations.line_graph_kernels import reverse_edges

        graph = self.edges.build(batch)
        if graph.extra:
            raise InvalidRequestError(
                f"a graph with extra tensors ({', '.join(graph.extra)}) cannot be made undirected; add those afterwards"
            )
        source, target, image = (tensor.cpu().numpy() for tensor in (graph.source, graph.target, graph.image))
        start = np.searchsorted(target, np.arange(batch.numbers.shape[0] + 1))
        alone = torch.from_numpy(reverse_edges(source, target, image, start) < 0).to(batch.device)
        new_target = torch.cat([graph.target, graph.source[alone]])
        order = torch.sort(new_target, stable=True).indices
        return Graph(
            source=torch.cat([graph.source, graph.target[alone]])[order],
            target=new_target[order],
            image=torch.cat([graph.image, -graph.image[alone]])[order],
        )
