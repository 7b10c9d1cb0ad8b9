"""GATGNN: local attention between neighbours, then global attention over a crystal's atoms.

Louis, Zhao, Nasiri, Wang, Song, Liu and Hu 2020, "Graph convolutional neural networks with global attention for improved
materials property prediction", doi:10.1039/D0CP01474E.

An augmented attention layer (AGAT) weighs neighbours by what both atoms are and how far apart they are; then one weight for each
atom, from its features and the crystal's composition, says how much it counts (GI-M1 of the paper, its default).

| paper and released code | here |
|---|---|
| AGAT, `GAT_Crystal`; `nl`, `heads`, `neurons` | `AugmentedAttention`; `n_layers`, `heads`, `width` |
| GI-M1, `COMPOSITION_Attention` | `GlobalAttention` |
| E, `global_feat` | `composition` |
| `max_num_nbr` | `neighbours` |
| `radius`, `step` | `reach`, `step` |

Departures:

- All atoms of the last shell are neighbours, and there is no cutoff: the Gaussians of a distance beyond the reach are nearly zero.
- GI-M2 to GI-M4 weigh atoms by k-means or spectral clusters of their places in the cell. These depend on the choice of the cell,
  so that they are not offered.
- Each element has a learnt vector beside its 92 properties, and the composition has 118 entries instead of 103.
- Equal atoms and equal edges are kept once, with their number (`representations.condensed`): the same numbers. The product
  with W over [x_j, e_ij] is taken as two, the first once an atom.
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
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_softmax
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class GATGNN(nn.Module):
    """Predict properties of crystals by attention to neighbours and to the atoms that count.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom, of an edge and of a head.
        n_layers: local attention layers.
        heads: of each.
        global_width: features in the global attention.
        n_hidden: dense layers after the weighted sum over the atoms.
        neighbours: how many, at the least; whole shells.
        reach: Angstrom, the longest distance that the Gaussians tell apart.
        step: Angstrom, between the Gaussians.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 64, n_layers: int = 3,
        heads: int = 4, global_width: int = 32, n_hidden: int = 2, neighbours: int = 12, reach: float = 8.0,
        step: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="GATGNN")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = Condensed(Nearest(k=neighbours))
        self.atoms = ElementEmbedding(width)
        self.basis = GaussianBasis(start=0.0, stop=reach, step=step)
        self.edges = nn.Linear(self.basis.size, width)
        self.layers = nn.ModuleList(AugmentedAttention(width, heads=heads) for _ in range(n_layers))
        self.norms = nn.ModuleList(RowBatchNorm(width) for _ in range(n_layers))
        self.global_attention = GlobalAttention(width, hidden_width=global_width)
        self.hidden = MLP([width] * (n_hidden + 1), activation=F.softplus, last=True)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        atoms = self.atom_features(batch, graph)
        weight = self.atom_weights(atoms, batch, graph)
        owner = RowIndex(batch.crystal_idx.index_select(0, graph.extra[ORBIT_ATOM]), n=len(batch))
        return self.hidden(owner.add(atoms * weight[:, None]))

    def atom_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(O, width) features of the orbits of atoms after all local layers."""
        extra, dtype = graph.extra, self.output.weight.dtype
        atoms = self.atoms(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        edges = F.leaky_relu(self.edges(self.basis(extra[DISTANCE].to(dtype))), 0.2)
        source = RowIndex(extra[EDGE_SOURCE], n=len(atoms))
        target = RowIndex(extra[EDGE_TARGET], n=len(atoms))
        count, size = extra[MULTIPLICITY].to(dtype), extra[ORBIT_COUNT].to(dtype)
        total = count * size.index_select(0, target.index)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            attended = layer(atoms, edges, source=source, target=target, count=count, total=total)
            atoms = F.softplus(norm(attended, size))
        return atoms

    def atom_weights(self, atoms: Tensor, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(O,) how much each orbit of atoms counts in its crystal, all its atoms together; they add up to 1.

        Args:
            atoms: (O, width) after the local layers.
            batch: the crystals.
            graph: their graph.
        """
        extra = graph.extra
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        size = extra[ORBIT_COUNT].to(atoms.dtype)
        share = composition(batch, dtype=atoms.dtype)
        return self.global_attention(atoms, share=share, owner=owner, size=size)


class AugmentedAttention(nn.Module):
    """x_i <- mean over heads of sum_j a_ij z_j + b, with z_j = softplus(W [x_j, e_ij]) (AGAT).

    Weights a_ij are a softmax over the neighbours of softplus(BN(softplus(a . [z_i, z_j]))), z_i = softplus(W [x_i, e_ij]).

    Args:
        width: features of an atom, an edge and a head.
        heads: how many.
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.linear = nn.Linear(2 * width, heads * width, bias=False)
        self.score = nn.Parameter(torch.empty(2, heads, width))
        nn.init.xavier_uniform_(self.score.view(2 * heads, width))
        self.norm = RowBatchNorm(heads)
        self.bias = nn.Parameter(torch.zeros(width))

    def weights(
        self, atoms: Tensor, edges: Tensor, *, source: RowIndex, target: RowIndex, count: Tensor, total: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(E, heads) weights of edges, each standing for `count` (E,), and (E, heads, width) what is weighed.

        Args:
            atoms: (N, width).
            edges: (E, width).
            source: neighbours.
            target: centres.
            count: (E,) equal edges of an atom that an edge stands for.
            total: (E,) equal edges of the crystal that it stands for.
        """
        of_atom, of_edge = self.linear.weight.split(self.width, dim=1)
        own, along = F.linear(atoms, of_atom), F.linear(edges, of_edge)
        shape = (len(edges), self.heads, self.width)
        at_target = F.softplus(target.take(own) + along).view(shape)
        at_source = F.softplus(source.take(own) + along).view(shape)
        raw = (at_target * self.score[0]).sum(-1) + (at_source * self.score[1]).sum(-1)
        scores = F.softplus(self.norm(F.softplus(raw), total)) + count.log()[:, None]
        return segment_softmax(scores, owner=target.index, n=len(atoms)), at_source

    def forward(
        self, atoms: Tensor, edges: Tensor, *, source: RowIndex, target: RowIndex, count: Tensor, total: Tensor
    ) -> Tensor:
        """(N, width) updated atoms."""
        weight, value = self.weights(atoms, edges, source=source, target=target, count=count, total=total)
        return target.add((weight[:, :, None] * value).mean(1)) + self.bias


class GlobalAttention(nn.Module):
    """Weights of a crystal's atoms, a softmax of a score of their features and the composition (GI-M1).

    Args:
        width: features of an atom.
        hidden_width: of the network that scores.
    """

    def __init__(self, width: int, *, hidden_width: int) -> None:
        super().__init__()
        self.from_atom = nn.Linear(width, hidden_width)
        self.from_composition = nn.Linear(MAX_NUMBER + 1, hidden_width, bias=False)
        self.score = nn.Linear(hidden_width, 1, bias=False)  # a constant would drop out of the softmax

    def forward(self, atoms: Tensor, *, share: Tensor, owner: Tensor, size: Tensor) -> Tensor:
        """(O,) weights of (O, width) atoms, each of which stands for `size` (O,) equal ones; `share` is (B, elements)."""
        mixed = self.from_atom(atoms) + self.from_composition(share).index_select(0, owner)
        score = self.score(F.softplus(mixed))[:, 0] + size.log()
        return segment_softmax(score, owner=owner, n=len(share))


def composition(batch: CrystalBatch, *, dtype: torch.dtype) -> Tensor:
    """(B, 119) share of each element among a crystal's atoms, by atomic number."""
    place = batch.crystal_idx * (MAX_NUMBER + 1) + batch.numbers
    count = torch.bincount(place, minlength=len(batch) * (MAX_NUMBER + 1)).view(len(batch), -1)
    return count.to(dtype) / batch.n_atoms.to(dtype)[:, None]
