"""ALIGNN: atomistic line graph neural network.

Choudhary and DeCost 2021, "Atomistic Line Graph Neural Network for improved materials property predictions",
doi:10.1038/s41524-021-00650-1.

Edges of the crystal graph are the nodes of its line graph, and pairs of edges that meet at an atom are its edges, which know the
angle. Edge-gated convolutions run on the line graph and on the graph in turn, then on the graph alone; the mean over the
atoms goes through one linear layer.

| paper and released code | here |
|---|---|
| h, e, t | features of atoms, edges, paths (`nn.alignn_layers`) |
| `alignn_layers`, `gcn_layers` | `n_angle_layers`, `n_layers` |
| `hidden_features`, `embedding_features` | `width`, `embedding_width` |
| `edge_input_features`, `triplet_input_features` | `n_lengths`, `n_cosines` |
| `cutoff` of the Gaussians | `reach` |
| `max_neighbors` | `neighbours` |

Angles enter through the gates alone, which weigh other edges; where all edges of a crystal are alike, as in an element whose
neighbours are all at one distance, angles change nothing, in the published network as well.

Departures:

- Equal atoms, edges and paths are kept once, with their number (`representations.condensed_angles`): the same numbers with about a
  fifth of the paths of the Materials Project's small cells.
- Layer normalisation, as in the authors' later code, where the first release normalises over the batch: a crystal's value
  does not depend on its batch, in training either.
- The released graph keeps the 12 nearest neighbours and all that tie with the last, whatever their distance; its cutoff of 8
  Angstrom only begins the search for them, and so there is none here. The last shell's tolerance is 0.01 Angstrom.
- Each element has a learnt vector beside its 92 properties, so that all 118 can be told apart.
- What no later layer reads is not computed: features of paths after the last layer on angles, of edges after the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.alignn_layers import LineGraphNetwork, Links
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    CondensedAngles,
)
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import EdgePaths
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class ALIGNN(nn.Module):
    """Predict properties of crystals from distances and angles.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of atoms, edges and paths.
        n_angle_layers: layers on the line graph and the graph.
        n_layers: layers on the graph alone, after those.
        embedding_width: features between the two layers that embed lengths and cosines.
        n_lengths: Gaussians of a length.
        n_cosines: Gaussians of a cosine.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        neighbours: how many, at the least; whole shells.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 256, n_angle_layers: int = 4,
        n_layers: int = 4, embedding_width: int = 64, n_lengths: int = 80, n_cosines: int = 40, reach: float = 8.0,
        neighbours: int = 12,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="ALIGNN")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = CondensedAngles(EdgePaths(Undirected(Nearest(k=neighbours)), backtracking=True))
        self.network = LineGraphNetwork(
            width, n_angle_layers=n_angle_layers, n_layers=n_layers, embedding_width=embedding_width, n_lengths=n_lengths,
            n_cosines=n_cosines, reach=reach,
        )  # fmt: skip
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        extra, n_orbits, n_edges = graph.extra, len(graph.extra[ORBIT_ATOM]), len(graph.extra[DISTANCE])
        edges = Links.between(n_orbits, source=extra[EDGE_SOURCE], target=extra[EDGE_TARGET], count=extra[MULTIPLICITY])
        paths = Links.between(n_edges, source=extra[ANGLE_FIRST], target=extra[ANGLE_SECOND], count=extra[ANGLE_COUNT])
        return self.network(
            batch.numbers.index_select(0, extra[ORBIT_ATOM]), count=extra[ORBIT_COUNT], edges=edges, paths=paths,
            owner=batch.crystal_idx.index_select(0, extra[ORBIT_ATOM]), n=len(batch), lengths=extra[DISTANCE],
            cosines=extra[ANGLE_COSINE],
        )  # fmt: skip
