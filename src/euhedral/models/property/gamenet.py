"""GAME-Net: adsorption energies from a molecule and the metal atoms that it touches.

Pablo-Garcia, Morandi, Vargas-Hernandez, Jorner, Ivkovic, Lopez and Aspuru-Guzik 2023, "Fast evaluation of the adsorption energy
of organic molecules on metals via graph neural networks", doi:10.1038/s43588-023-00437-y.

Nodes are one-hot elements and edges carry nothing: which atoms touch is all that is known of the geometry, so that a guess of
the structure does as well as a relaxed one. Three GraphSAGE layers (Hamilton et al. 2017, arXiv:1706.02216) mix neighbours, and
one attention of a learnt query over all nodes (Baek et al. 2021, arXiv:2102.11533, equations 4 and 7) reads the graph out.

| paper and released code | here |
|---|---|
| `dim` | `width` |
| `n_conv` | `n_layers` |
| `n_linear` | `n_dense` |
| `voronoi_tol`, `scaling_factor` | `tolerance`, `stretch` |
| GMT with the pooling sequence `GMPool_I` | `QueryPooling` |

Departures:

- Atoms touch when they are close and no third atom is in the sphere between them; the paper asks for a common Voronoi facet. The
  sphere is the stricter rule, and no facet of vanishing area decides.
- All elements up to 118, where the paper has 19 of them.
- A crystal with no marked atom, which the paper does not have, is a graph of all its atoms.
- The target is what the labels are; the paper's is the slab's energy less the clean slab's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_mean, segment_softmax, segment_sum
from euhedral.representations.contacts import NODE_ATOM, NODE_SOURCE, NODE_TARGET, Contacts
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class GAMENet(nn.Module):
    """Predict properties of a molecule on a surface from who touches whom.

    Args:
        targets: what is predicted: numbers, classes or spectra.
        width: features of a node.
        n_dense: dense layers before the first messages.
        n_layers: rounds of messages.
        tolerance: Angstrom beyond the radii at which atoms still touch.
        stretch: of the covalent radii of the surface's elements.
    """

    scale: Literal["intensive", "extensive"] = "intensive"
    #: 1 for the atoms of the molecule, 0 for those of the surface
    site_inputs = ("adsorbate",)

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("adsorption_energy",), width: int = 160, n_dense: int = 0,
        n_layers: int = 3, tolerance: float = 0.5, stretch: float = 1.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="GAME-Net")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = Contacts(mask=self.site_inputs[0], tolerance=tolerance, stretch=stretch)
        self.input = nn.Linear(MAX_NUMBER, width)
        self.dense = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n_dense))
        self.layers = nn.ModuleList(NeighbourMean(width) for _ in range(n_layers))
        self.pooling = QueryPooling(width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the systems as the last layer sees them."""
        atom, source, target = graph.extra[NODE_ATOM], graph.extra[NODE_SOURCE], graph.extra[NODE_TARGET]
        # a one-hot vector times a matrix is a row of it
        table = F.relu(self.input.weight.t() + self.input.bias)
        nodes = table.index_select(0, batch.numbers.index_select(0, atom) - 1)
        for layer in self.dense:
            nodes = F.relu(layer(nodes))
        for layer in self.layers:
            nodes = F.relu(layer(nodes, source=source, target=target))
        return self.pooling(nodes, owner=batch.crystal_idx.index_select(0, atom), n=len(batch))


class NeighbourMean(nn.Module):
    """W_1 v_i + W_2 mean_j v_j over the neighbours j of i (GraphSAGE's mean aggregator, without its normalisation).

    Args:
        width: features of a node.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width, bias=False)
        self.others = nn.Linear(width, width, bias=False)

    def forward(self, nodes: Tensor, *, source: Tensor, target: Tensor) -> Tensor:
        """Map (M, width) nodes to (M, width) by edges (E,) and (E,)."""
        mean = segment_mean(nodes.index_select(0, source), owner=target, n=len(nodes))
        return self.own(nodes) + self.others(mean)


class QueryPooling(nn.Module):
    """o = q + softmax(q K^T / sqrt(d)) V and o + relu(W o), with a learnt query q: one multiset attention block.

    Args:
        width: features of a node.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.seed = nn.Parameter(nn.init.xavier_uniform_(torch.empty(1, width)))
        # a constant of the key would add the same to every score
        self.key = nn.Linear(width, width, bias=False)
        self.query, self.value, self.mix = (nn.Linear(width, width) for _ in range(3))

    def forward(self, nodes: Tensor, *, owner: Tensor, n: int) -> Tensor:
        """(n, width) from (M, width) nodes by owner (M,)."""
        nodes = self.first(nodes)
        query = self.query(self.seed)
        score = (nodes @ (query @ self.key.weight).t()) / nodes.shape[1] ** 0.5
        weight = segment_softmax(score, owner=owner, n=n)
        pooled = query + self.value(segment_sum(weight * nodes, owner=owner, n=n))
        return pooled + F.relu(self.mix(pooled))
