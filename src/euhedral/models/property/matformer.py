"""Matformer: periodic graph transformer.

Yan, Liu, Lin and Ji 2022, "Periodic Graph Transformers for Crystal Material Property Prediction", NeurIPS, arXiv:2209.11807.

Beside its near neighbours each atom has edges to its own copies along the shortest lattice vectors, whose lengths tell the
lattice: the repeating pattern that a few near neighbours may not show. Atoms attend to what edges bring, feature by feature and
without a softmax, so that the number of edges still counts; the mean over the atoms goes through a small network.

| paper and released code | here |
|---|---|
| `node_features`, `edge_features`, `fc_features` | `width` |
| `conv_layers` | `n_layers` |
| `node_layer_head` | `heads` |
| `max_neighbors` | `neighbours` |
| `use_lattice` | `lattice_edges` |
| `vmax` of the Gaussians | `reach` |

Departures:

- The copies are those along the shortest vectors of the lattice of all translations (`representations.lattice_edges`), so that
  neither the choice of the cell nor a supercell matters; the released code takes the vectors of the cell as given.
- Equal atoms and equal edges are kept once, with their number (`representations.condensed`): the same numbers. A lattice edge
  that is as long as a neighbour's of the same kind is one edge that counts twice.
- Each element has a learnt vector beside its 92 properties, so that all 118 can be told apart.
- Products over [v_i, v_j, e_ij] are taken as three, those of atoms once an atom and those of edges once a distinct length: the
  same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.lattice_edges import LatticeEdges
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class Matformer(nn.Module):
    """Predict properties of crystals from distances, those to an atom's own copies among them.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom, of an edge and after pooling, and Gaussians of a length.
        n_layers: layers of attention.
        heads: attentions beside one another in a layer.
        neighbours: near ones, at the least; whole shells.
        lattice_edges: join each atom with its copies; without them the network sees near neighbours only.
        reach: Angstrom, the longest length that the Gaussians tell apart.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 128, n_layers: int = 5, heads: int = 4,
        neighbours: int = 12, lattice_edges: bool = True, reach: float = 8.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="Matformer")
        self.targets = tuple(self.kinds)
        near = Undirected(Nearest(k=neighbours))
        self.graph: GraphSpec = Condensed(Unmarked(LatticeEdges(near)) if lattice_edges else near)
        self.atoms = ElementEmbedding(width)
        step = reach / (width - 1)
        self.basis = GaussianBasis(start=0.0, stop=reach, step=step, gamma=1.0 / step)
        self.edges = nn.Sequential(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, width))
        self.layers = nn.ModuleList(PeriodicAttention(width, heads=heads) for _ in range(n_layers))
        self.hidden = nn.Linear(width, width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        extra, dtype = graph.extra, self.output.weight.dtype
        count, n_orbits = extra[ORBIT_COUNT].to(dtype), len(extra[ORBIT_ATOM])
        source, target = RowIndex(extra[EDGE_SOURCE], n=n_orbits), RowIndex(extra[EDGE_TARGET], n=n_orbits)
        lengths, place = torch.unique(extra[DISTANCE].to(dtype), return_inverse=True)
        edges, places = self.edges(self.basis(lengths)), RowIndex(place, n=len(lengths))
        atoms = self.atoms(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        multiplicity = extra[MULTIPLICITY].to(dtype)
        for layer in self.layers:
            atoms = layer(atoms, edges, places, source=source, target=target, multiplicity=multiplicity, count=count)
        crystals = RowIndex(batch.crystal_idx.index_select(0, extra[ORBIT_ATOM]), n=len(batch))
        pooled = crystals.add(atoms * count[:, None]) / batch.n_atoms.to(dtype)[:, None]
        return F.silu(self.hidden(pooled))


class PeriodicAttention(nn.Module):
    """Attention in which every feature has a weight of its own.

    With q, k, v and e linear in atoms and edges, in each head

        a_ij = [q_i, q_i, q_i] * [k_i, k_j, e_ij] / sqrt(3 width),
        m_ij = LN(W_m (sigmoid(LN(a_ij)) * W_u [v_i, v_j, e_ij])),
        x_i <- W_s x_i + silu(BN(W_o concat_h sum_j m_ij)).

    Args:
        width: features of an atom, of an edge and of a head.
        heads: how many; they share W_u and W_m.
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.query, self.key, self.value = (nn.Linear(width, heads * width) for _ in range(3))
        self.edge = nn.Linear(width, heads * width, bias=False)
        self.update = nn.Linear(3 * width, 3 * width)
        self.score_norm = nn.LayerNorm(3 * width)
        self.message, self.message_norm = nn.Linear(3 * width, width), nn.LayerNorm(width)
        self.joined, self.skip = nn.Linear(heads * width, width), nn.Linear(width, width)
        self.norm = RowBatchNorm(width)

    def forward(
        self, atoms: Tensor, edges: Tensor, places: RowIndex, *, source: RowIndex, target: RowIndex, multiplicity: Tensor,
        count: Tensor,
    ) -> Tensor:  # fmt: skip
        """Update (N, width) atoms by E edges.

        Args:
            atoms: features of atoms.
            edges: (L, width) features of edges, those of equal ones once.
            places: which of these each edge has.
            source: the atom that each edge comes from.
            target: the atom that each edge goes to.
            multiplicity: (E,) how many equal edges to an atom each stands for.
            count: (N,) how many equal atoms each stands for.
        """
        heads, width = self.heads, self.width
        query, key, value = (layer(atoms).unflatten(1, (heads, width)) for layer in (self.query, self.key, self.value))
        along = self.edge(edges)
        # [k_i, k_j, e_ij] * q_i: the first part once an atom
        by_own = target.take((query * key).flatten(1)).unflatten(1, (heads, width))
        asked = target.take(query.flatten(1)).unflatten(1, (heads, width))
        by_other = asked * source.take(key.flatten(1)).unflatten(1, (heads, width))
        by_edge = asked * places.take(along).unflatten(1, (heads, width))
        score = torch.cat([by_own, by_other, by_edge], dim=2) / math.sqrt(3 * width)
        own, other, edge = self.update.weight.split(width, dim=1)
        update = F.linear(along.unflatten(1, (heads, width)), edge, self.update.bias)
        update = places.take(update.flatten(1)).unflatten(1, (heads, 3 * width))
        update = update + target.take(F.linear(value, own).flatten(1)).view_as(update)
        update = update + source.take(F.linear(value, other).flatten(1)).view_as(update)
        message = self.message_norm(self.message(torch.sigmoid(self.score_norm(score)) * update))
        total = self.joined(target.add(message.flatten(1) * multiplicity[:, None]))
        return self.skip(atoms) + F.silu(self.norm(total, count))


@dataclass(frozen=True)
class Unmarked:
    """A graph of which only lengths matter: its extra tensors are left out.

    Args:
        edges: the graph.
    """

    edges: GraphSpec

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch."""
        return replace(self.edges.build(batch), extra={}, kinds={})
