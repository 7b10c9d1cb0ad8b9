"""iComFormer: edges as lengths and angles to a frame of lattice vectors (see the package for paper and departures)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.models.property.comformer.shared import TOLERANCE, LengthFeatures, Readout
from euhedral.nn.comformer_layers import NodeTransformer
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.distinct_lengths import EDGE_LENGTH, WithDistinctLengths, distinct_lengths
from euhedral.representations.frame_angles import (
    AXIS_COSINE,
    AXIS_COUNT,
    AXIS_EDGE,
    AXIS_NUMBER,
    EDGE_KIND,
    KIND_ANGLES,
    KIND_COUNT,
    KIND_EDGE,
    FrameAngles,
)
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.lattice_edges import LatticeFrame, frame_vectors
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

# Deviation of an edge update's first weights, times the root of how many numbers they add.
_INITIAL = 2.0


class IComFormer(nn.Module):
    """Predict properties of crystals from the lengths of edges and their angles to three lattice vectors.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom and of an edge, and Gaussians of a length.
        n_cosines: Gaussians of a cosine.
        n_layers: transformer layers; edges are updated by their angles after the first.
        neighbours: near ones, at the least; whole shells.
        span: -0.75 / length is expanded from minus this to 0, 1/Angstrom.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 256,
        n_cosines: int = 256, n_layers: int = 4, neighbours: int = 25, span: float = 4.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="iComFormer")
        self.targets = tuple(self.kinds)
        near = LatticeFrame(Undirected(Nearest(k=neighbours)))
        self.graph: GraphSpec = FrameAngles(WithDistinctLengths(near, tolerance=TOLERANCE), tolerance=TOLERANCE)
        self.atoms = ElementEmbedding(width)
        self.lengths = LengthFeatures(width, span=span)
        self.update = LatticeAttention(width, n_cosines=n_cosines)
        self.layers = nn.ModuleList(NodeTransformer(width, edge_width=width) for _ in range(n_layers))
        self.readout = Readout(width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        extra = graph.extra
        edges = self.lengths(distinct_lengths(graph, graph.vectors(batch).norm(dim=1)))
        lattice = self.lengths(frame_vectors(graph, batch).norm(dim=2).flatten())
        atoms = self.atoms(batch.numbers)
        ends = {"source": graph.source, "target": graph.target}
        atoms = self.layers[0](atoms, edges, rows=extra[EDGE_LENGTH], **ends)
        crystal = batch.crystal_idx.index_select(0, graph.target.index_select(0, extra[AXIS_EDGE]))
        edges = self.update(
            edges, lattice, extra[AXIS_COSINE].to(edges.dtype), angles=RowIndex(extra[KIND_ANGLES].flatten(), n=len(crystal)),
            edge_of_angle=RowIndex(extra[EDGE_LENGTH].index_select(0, extra[AXIS_EDGE]), n=len(edges)),
            axis_of_angle=RowIndex(3 * crystal + extra[AXIS_NUMBER], n=len(lattice)),
            edge_of_kind=RowIndex(extra[EDGE_LENGTH].index_select(0, extra[KIND_EDGE]), n=len(edges)),
            angle_counts=extra[AXIS_COUNT].to(edges.dtype), kind_counts=extra[KIND_COUNT].to(edges.dtype),
        )  # fmt: skip
        for layer in self.layers[1:]:
            atoms = layer(atoms, edges, rows=extra[EDGE_KIND], **ends)
        return self.readout(atoms, owner=batch.crystal_idx, n=len(batch))


class LatticeAttention(nn.Module):
    """Edges attend to the three lattice vectors under the angles to them.

    With queries, keys and values linear in the edge e, keys and values of vector k linear in its length by weights of its own,
    and t_k linear in features of the cosine,

        a_k = sigmoid(BN(q * K[k_e, k_k, t_k] / sqrt(width))),  e <- softplus(e + BN(W sum_k a_k * V[v_e, v_k, t_k])).

    Args:
        width: features of an edge.
        n_cosines: Gaussians of a cosine.
    """

    def __init__(self, width: int, *, n_cosines: int) -> None:
        super().__init__()
        self.width = width
        step = 2.0 / (n_cosines - 1)
        self.basis = GaussianBasis(start=-1.0, stop=1.0, step=step, gamma=1.0 / step)
        self.cosine = nn.Linear(n_cosines, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.axis_keys = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.axis_values = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.angle = nn.Linear(width, width, bias=False)
        self.key_first, self.key_last = nn.Linear(3 * width, width), nn.Linear(width, width)
        self.message_first, self.message_last = nn.Linear(3 * width, width), nn.Linear(width, width)
        self.attention_norm, self.norm = RowBatchNorm(width), RowBatchNorm(width)
        self.joined = nn.Linear(width, width)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=_INITIAL / math.sqrt(layer.in_features))

    def forward(
        self, edges: Tensor, lattice: Tensor, cosines: Tensor, *, angles: RowIndex, edge_of_angle: RowIndex,
        axis_of_angle: RowIndex, edge_of_kind: RowIndex, angle_counts: Tensor, kind_counts: Tensor,
    ) -> Tensor:  # fmt: skip
        """(K, width) distinct edges.

        Args:
            edges: (L, width) features of distinct lengths.
            lattice: (3 B, width) features of the lengths of lattice vectors, the three of a crystal together.
            cosines: (A,) of distinct angles.
            angles: (3 K,) the three angles of each distinct edge.
            edge_of_angle: (A,) its length.
            axis_of_angle: (A,) its lattice vector.
            edge_of_kind: (K,) the length of each distinct edge.
            angle_counts: (A,) how many angles of edges each stands for.
            kind_counts: (K,) how many edges each stands for.
        """
        by_axis = lattice.unflatten(0, (-1, 3)).unbind(1)
        keys = torch.stack([linear(one) for linear, one in zip(self.axis_keys, by_axis, strict=True)], dim=1)
        values = torch.stack([linear(one) for linear, one in zip(self.axis_values, by_axis, strict=True)], dim=1)
        turned = F.softplus(self.cosine(self.basis(cosines)))
        ends = {"edge": edge_of_angle, "axis": axis_of_angle}
        key = self._mixed(self.key_first, self.key(edges), keys.flatten(0, 1), turned, **ends)
        message = self._mixed(self.message_first, self.value(edges), values.flatten(0, 1), turned, **ends)
        score = edge_of_angle.take(self.query(edges)) * self.key_last(key) / math.sqrt(self.width)
        message = torch.sigmoid(self.attention_norm(score, angle_counts)) * self.message_last(message)
        total = self.joined(angles.take(message).unflatten(0, (-1, 3)).sum(1))
        return F.softplus(edge_of_kind.take(edges) + self.norm(total, kind_counts))

    def _mixed(
        self, first: nn.Linear, of_edge: Tensor, of_axis: Tensor, turned: Tensor, *, edge: RowIndex, axis: RowIndex
    ) -> Tensor:
        """SiLU of the first layer of [edge, axis, angle], each product once for what it depends on."""
        by_edge, by_axis, by_angle = first.weight.split(self.width, dim=1)
        mixed = F.linear(turned, by_angle @ self.angle.weight, first.bias)
        return F.silu(mixed + edge.take(F.linear(of_edge, by_edge)) + axis.take(F.linear(of_axis, by_axis)))
