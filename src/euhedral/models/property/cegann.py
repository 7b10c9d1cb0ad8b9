"""CEGANN: crystal edge graph attention neural network.

Banik, Dhabal, Chan, Manna, Cherukara, Molinero and Sankaranarayanan 2023, "CEGANN: Crystal Edge Graph Attention Neural Network for
multiscale classification of materials environment", doi:10.1038/s41524-023-00975-z.

Edges attend to the other edges of their atom under the angles between them, and angles are updated by their two edges. What the
edges and angles of an atom add up to is its environment. Environments are classified atom by atom (grain boundaries, phases that
grow), or their mean over a crystal is (space groups, dimensionality).

| released code | here |
|---|---|
| `neighbors` | `neighbours` |
| `bond_fea_len`, `angle_fea_len` | `width` |
| `n_conv_edge` | `n_layers` |
| `h_fea_edge`, `h_fea_angle` | `hidden_width` |
| `gbf_bond["dmax"]` | `reach` |
| `search_type`, "local" or "global" | `per_atom` of a target |

Departures:

- Edges begin with their two elements beside their length. The published network sees lengths and angles alone and so treats
  all chemistries alike; that is `elements` = False.
- The edges that an edge attends to are those of its own atom, as the paper says; the released code looks up those of the
  neighbouring atom by their rank.
- Whole shells of neighbours, where the released code cuts the last one, and an edge makes no angle with itself.
- Equal atoms, edges and angles are kept once, with their number (`representations.condensed_angles`): the same numbers, save that
  in training equal ones are dropped together.
- Numbers and spectra can be learnt as well as classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_max
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    ATOM_ORBIT,
    CondensedAngles,
)
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import EdgePairs
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class CEGANN(nn.Module):
    """Classify crystals, or each of their atoms, by lengths and angles; predict other properties too.

    Args:
        targets: what is predicted of a crystal or of its atoms: classes, numbers or spectra.
        width: features of an edge and of an angle, and Gaussians of lengths and cosines.
        n_layers: updates of edges; angles are updated between them.
        hidden_width: features of what edges, and of what angles, add up to.
        neighbours: of an atom, at the least; whole shells.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        dropout: share of features that is left out in training, before the sums and before the output.
        elements: tell elements apart.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 80, n_layers: int = 3,
        hidden_width: int = 128, neighbours: int = 12, reach: float = 8.0, dropout: float = 0.5, elements: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="CEGANN", per_atom=True)
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = CondensedAngles(EdgePairs(Nearest(k=neighbours), cutoff=float("inf")))
        self.length_basis = GaussianBasis(start=0.0, stop=reach, step=reach / (width - 1), gamma=(width / reach) ** 2)
        self.cosine_basis = GaussianBasis(start=-1.0, stop=1.0, step=2.0 / (width - 1), gamma=(width / 2.0) ** 2)
        self.centre = ElementEmbedding(width) if elements else None
        self.neighbour = ElementEmbedding(width) if elements else None
        self.edge_updates = nn.ModuleList(EdgeAttention(width) for _ in range(n_layers))
        self.angle_updates = nn.ModuleList(AngleUpdate(width) for _ in range(n_layers - 1))
        self.dropout = nn.Dropout(dropout)
        self.from_edges, self.from_angles = nn.Linear(width, hidden_width), nn.Linear(width, hidden_width)
        self.norm = nn.LayerNorm(2 * hidden_width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(2 * hidden_width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)}, or (N, ...) where each atom has one, in the target's unit; classes as logits."""
        environments = self.environments(batch, graph)
        found: dict[bool, dict[str, Tensor]] = {}
        if not all(kind.per_atom for kind in self.kinds.values()):
            found[False] = self._outputs(_mean(environments, batch, graph))
        if any(kind.per_atom for kind in self.kinds.values()):
            found[True] = {
                name: value.index_select(0, graph.extra[ATOM_ORBIT])
                for name, value in self._outputs(environments).items()
            }
        return {name: found[kind.per_atom][name] for name, kind in self.kinds.items()}

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, 2 hidden_width) the crystals as the last layer sees them."""
        return F.softplus(self.norm(_mean(self.environments(batch, graph), batch, graph)))

    def environments(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(O, 2 hidden_width) what the edges and angles of one atom of each orbit add up to."""
        extra, dtype = graph.extra, self.output.weight.dtype
        n_orbits, n_edges = len(extra[ORBIT_ATOM]), len(extra[DISTANCE])
        of_edge = RowIndex(extra[EDGE_TARGET], n=n_orbits)
        other, own = RowIndex(extra[ANGLE_FIRST], n=n_edges), RowIndex(extra[ANGLE_SECOND], n=n_edges)
        count, angle_count = extra[MULTIPLICITY].to(dtype)[:, None], extra[ANGLE_COUNT].to(dtype)[:, None]
        edges = self.length_basis(extra[DISTANCE].to(dtype))
        angles = self.cosine_basis(extra[ANGLE_COSINE].to(dtype))
        if self.centre is not None and self.neighbour is not None:
            numbers = batch.numbers.index_select(0, extra[ORBIT_ATOM])
            from_neighbour = self.neighbour(numbers.index_select(0, extra[EDGE_SOURCE]))
            edges = edges + of_edge.take(self.centre(numbers)) + from_neighbour
        for depth, update in enumerate(self.edge_updates):
            if depth:
                angles = self.angle_updates[depth - 1](edges, angles, own=own, other=other)
            edges = update(edges, angles, own=own, other=other, count=angle_count)
        of_edges = of_edge.add(count * F.softplus(self.from_edges(self.dropout(edges))))
        of_angles = own.add(angle_count * F.softplus(self.from_angles(self.dropout(angles))))
        return torch.cat([of_edges, of_edge.add(count * F.softplus(of_angles))], dim=1)

    def _outputs(self, environments: Tensor) -> dict[str, Tensor]:
        features = self.dropout(F.softplus(self.norm(environments)))
        return split_outputs(self.scaling(self.output(features)), kinds=self.kinds)


class EdgeAttention(nn.Module):
    """e_ij <- softplus(LN(e_ij + sum_k softplus(LN(alpha_jk W z_jk)))), z_jk = [e_ij, e_ik, a_jik], over the edges of one atom.

    alpha is the softmax over k of a leaky linear score of z.

    Args:
        width: features of an edge and of an angle.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = AngleMix(width)
        self.message_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, edges: Tensor, angles: Tensor, *, own: RowIndex, other: RowIndex, count: Tensor) -> Tensor:
        """Update (E, width) edges by (T, width) angles, each of which stands for `count` (T, 1) equal ones."""
        mixed, score = self.mix(edges, angles, own=own, other=other)
        # the maximum only keeps the exponentials in range; no gradient belongs to it
        highest = segment_max(score.detach(), owner=own.index, n=len(edges))
        weight = torch.exp(score - highest.index_select(0, own.index))
        attention = weight / own.take(own.add(weight * count))
        message = F.softplus(self.message_norm(attention * mixed))
        return F.softplus(self.norm(edges + own.add(count * message)))


class AngleUpdate(nn.Module):
    """a_jik <- softplus(LN(a_jik + s W z_jk)), z_jk = [e_ij, e_ik, a_jik] and s a leaky linear score of it.

    Args:
        width: features of an edge and of an angle.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = AngleMix(width)
        self.norm = nn.LayerNorm(width)

    def forward(self, edges: Tensor, angles: Tensor, *, own: RowIndex, other: RowIndex) -> Tensor:
        """Update (T, width) angles by the (E, width) edges that form them."""
        mixed, score = self.mix(edges, angles, own=own, other=other)
        return F.softplus(self.norm(angles + score * mixed))


class AngleMix(nn.Module):
    """A linear map of [e_ij, e_ik, a_jik] and a leaky score of it; the products with edges are taken once an edge.

    Args:
        width: features of an edge and of an angle.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.linear = nn.Linear(3 * width, width + 1)

    def forward(self, edges: Tensor, angles: Tensor, *, own: RowIndex, other: RowIndex) -> tuple[Tensor, Tensor]:
        """(T, width) mixed features and (T, 1) scores of angles."""
        from_own, from_other, from_angle = self.linear.weight.split(self.width, dim=1)
        mixed = F.linear(angles, from_angle, self.linear.bias)
        mixed = mixed + own.take(F.linear(edges, from_own)) + other.take(F.linear(edges, from_other))
        return mixed[:, :-1], F.leaky_relu(mixed[:, -1:])


def _mean(values: Tensor, batch: CrystalBatch, graph: Graph) -> Tensor:
    """(B, F) average of (O, F) over the atoms of each crystal."""
    crystals = RowIndex(batch.crystal_idx.index_select(0, graph.extra[ORBIT_ATOM]), n=len(batch))
    count = graph.extra[ORBIT_COUNT].to(values.dtype)[:, None]
    return crystals.add(values * count) / crystals.add(count)
