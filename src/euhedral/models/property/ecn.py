"""ECN: equivariant crystal networks, whose weights are tied by the crystal's own space group.

Kaba and Ravanbakhsh 2022, "Equivariant Networks for Crystal Structures", NeurIPS, arXiv:2211.15420.

The space group of a crystal permutes its atoms. A layer that sends messages through functions of its own for each orbit of pairs
of atoms commutes with these permutations, and is more expressive than one function for all pairs, which commutes with every
permutation of the atoms. A message goes through two layers of the weights of its orbit and a gate; messages between
atoms of one orbit have a second set of weights, whose messages are added.

| paper and released code | here |
|---|---|
| generators of the group, `LinearEquiv` | `representations.edge_orbits`, `OrbitLinear` |
| 8 cells of the 2 x 2 x 2 supercell, their pairs' orbits | `n_orbits` |
| `site_embedding`, `cell_dim` | `width` |
| `bond_embedding`, `bond_expansion` | `edge_width`, `n_radial` |
| `num_conv_layers`, `final_embedding` | `n_layers`, `hidden_width` |
| `max_distance`, `bond_width_factor` | `reach`, `overlap` |
| "identity" edges | `same_orbit` |

Departures:

- The released code lets the group of the Bravais lattice permute the 8 cells of a supercell, and one such group serves all
  crystals of a run. Here each crystal's own space group acts on its edges, found once; orbits are named by their rank by
  length, element and size, so that crystals of all groups share the weights of one network, and all from the last rank on
  share the last weights.
- The released code names the cell of an atom in its features, which breaks the translations of the lattice; here nothing does.
- A pair's message is made of its own features alone; in the released code it spreads over the cells of the supercell between
  the two layers.
- Neighbours are the 12 nearest in whole shells instead of those with bonds by Voronoi faces and covalent radii.
- Atoms and edges of one orbit are kept once, with their number: they cannot differ in a network that commutes with the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.dense import MLP
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.edge_orbits import ORBIT_RANK, SAME_ORBIT, WithEdgeOrbits
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class ECN(nn.Module):
    """Predict properties of crystals with weights for each orbit of pairs of atoms.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom.
        edge_width: features of an edge.
        n_layers: of messages.
        hidden_width: of the network after the layers.
        n_orbits: orbits that arrive at an atom and have weights of their own.
        neighbours: how many, at the least; whole shells.
        n_radial: Gaussians of a distance.
        reach: Angstrom, the longest distance that the Gaussians tell apart.
        overlap: width of a Gaussian over the share of the reach that each has.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 100, edge_width: int = 20,
        n_layers: int = 6, hidden_width: int = 100, n_orbits: int = 8, neighbours: int = 12, n_radial: int = 20,
        reach: float = 6.0, overlap: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="ECN")
        self.targets = tuple(self.kinds)
        self.n_orbits = n_orbits
        self.graph: GraphSpec = WithEdgeOrbits(Nearest(k=neighbours))
        self.embedding = nn.Embedding(MAX_NUMBER + 1, width)
        gamma = (overlap * reach / n_radial) ** -2
        self.basis = GaussianBasis(start=0.0, stop=reach, step=reach / (n_radial - 1), gamma=gamma)
        self.edges = nn.Linear(self.basis.size, edge_width)
        self.layers = nn.ModuleList(
            OrbitLayer(width, edge_width=edge_width, n_orbits=n_orbits) for _ in range(n_layers)
        )
        self.of_atoms = MLP([width, hidden_width, hidden_width], activation=F.silu)
        self.of_crystals = nn.Linear(hidden_width, hidden_width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(hidden_width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, hidden_width) the crystals as the last layer sees them."""
        extra, dtype = graph.extra, self.output.weight.dtype
        atoms = self.embedding(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        edges = OrbitEdges(graph, features=self.edges(self.basis(extra[DISTANCE].to(dtype))), n_orbits=self.n_orbits)
        for layer in self.layers:
            atoms = layer(atoms, edges)
        owner = RowIndex(batch.crystal_idx.index_select(0, extra[ORBIT_ATOM]), n=len(batch))
        total = owner.add(self.of_atoms(atoms) * extra[ORBIT_COUNT].to(dtype)[:, None])
        return F.silu(self.of_crystals(total / batch.n_atoms.to(dtype)[:, None]))


class OrbitEdges:
    """Edges sorted by the weights that they use: all of them, and once more those within an orbit of atoms.

    Args:
        graph: with the extra tensors of `WithEdgeOrbits`.
        features: (E, edge_width) of its edges.
        n_orbits: sets of weights.
    """

    def __init__(self, graph: Graph, *, features: Tensor, n_orbits: int) -> None:
        extra = graph.extra
        rank = extra[ORBIT_RANK].clamp(max=n_orbits - 1)
        every, within = torch.argsort(rank, stable=True), extra[SAME_ORBIT].nonzero()[:, 0]
        within = within.index_select(0, torch.argsort(rank.index_select(0, within), stable=True))
        order = torch.cat([every, within])
        n_atoms = len(extra[ORBIT_ATOM])
        self.n_within = len(within)
        self.source = RowIndex(extra[EDGE_SOURCE].index_select(0, order), n=n_atoms)
        self.target = RowIndex(extra[EDGE_TARGET].index_select(0, order), n=n_atoms)
        self.count = extra[MULTIPLICITY].to(features.dtype).index_select(0, order)
        self.features = features.index_select(0, order)
        label = torch.cat([rank.index_select(0, every), n_orbits + rank.index_select(0, within)])
        #: edges that use each set of weights: of all, and after these of those within an orbit
        self.runs: list[int] = torch.bincount(label, minlength=2 * n_orbits).tolist()


class OrbitLinear(nn.Module):
    """A linear layer with weights of its own for each label of its rows.

    Args:
        inputs: features before.
        outputs: features after.
        n_labels: how many.
    """

    def __init__(self, inputs: int, outputs: int, *, n_labels: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(n_labels, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(n_labels, outputs).uniform_(-bound, bound))

    def forward(self, rows: Tensor, runs: Sequence[int]) -> Tensor:
        """Map (M, inputs) rows, those of one label together, to (M, outputs); `runs` says how many each label has."""
        parts = rows.split(list(runs))
        return torch.cat([F.linear(part, self.weight[k], self.bias[k]) for k, part in enumerate(parts) if len(part)])


class OrbitLayer(nn.Module):
    """x_i <- x_i + f([sum_j g(m_ij), x_i]), m_ij = silu(V_o silu(W_o [x_i, x_j, e_ij])) with o the orbit of the pair.

    The gate is g(m) = sigmoid(a . m) m.

    Args:
        width: features of an atom.
        edge_width: features of an edge.
        n_orbits: sets of weights.
    """

    def __init__(self, width: int, *, edge_width: int, n_orbits: int) -> None:
        super().__init__()
        self.first = OrbitLinear(2 * width + edge_width, width, n_labels=2 * n_orbits)
        self.second = OrbitLinear(width, width, n_labels=2 * n_orbits)
        self.gate = nn.Linear(width, 1)
        self.gate_within = nn.Linear(width, 1)
        self.node = MLP([2 * width, width, width], activation=F.silu)

    def forward(self, atoms: Tensor, edges: OrbitEdges) -> Tensor:
        """Update (N, width) atoms."""
        if not len(edges.features):
            return atoms + self.node(torch.cat([torch.zeros_like(atoms), atoms], dim=1))
        pairs = torch.cat([edges.target.take(atoms), edges.source.take(atoms), edges.features], dim=1)
        message = F.silu(self.second(F.silu(self.first(pairs, edges.runs)), edges.runs))
        every, within = message.split([len(message) - edges.n_within, edges.n_within])
        gate = torch.sigmoid(torch.cat([self.gate(every), self.gate_within(within)]))
        total = edges.target.add(message * gate * edges.count[:, None])
        return atoms + self.node(torch.cat([total, atoms], dim=1))
