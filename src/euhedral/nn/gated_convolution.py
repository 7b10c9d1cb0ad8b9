"""The gated graph convolution of CGCNN on tensors: messages of the neighbours, each through a gate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex


@dataclass(frozen=True, eq=False)
class CountedEdges:
    """Edges between atoms, each of which may stand for several equal ones.

    Args:
        source: the neighbours.
        target: the centres.
        of_edge: (E,) how many neighbours of one atom each edge stands for; None where all are given.
        of_atom: (N,) how many atoms each stands for; None where all are given.
    """

    source: RowIndex
    target: RowIndex
    of_edge: Tensor | None = None
    of_atom: Tensor | None = None


class GatedConvolution(nn.Module):
    """v_i <- softplus(v_i + BN(sum_j sigmoid(z_ij W_f) * softplus(z_ij W_s))), z_ij = [v_i, v_j, u_ij].

    Source: Xie and Grossman 2018, doi:10.1103/PhysRevLett.120.145301, equation 5.

    Args:
        width: features of an atom.
        edge_width: features of an edge.
    """

    def __init__(self, width: int, *, edge_width: int) -> None:
        super().__init__()
        self.width = width
        self.gate_and_core = nn.Linear(2 * width + edge_width, 2 * width)
        self.edge_norm = RowBatchNorm(2 * width)
        self.atom_norm = RowBatchNorm(width)

    def forward(self, atoms: Tensor, edges: Tensor, between: CountedEdges) -> Tensor:
        """Update (N, width) atoms by (E, edge_width) edges."""
        centre, neighbour, edge = self.gate_and_core.weight.split([self.width, self.width, edges.shape[1]], dim=1)
        mixed = F.linear(edges, edge, self.gate_and_core.bias)
        mixed = mixed + between.target.take(F.linear(atoms, centre)) + between.source.take(F.linear(atoms, neighbour))
        count = between.of_edge
        if count is not None and between.of_atom is not None:
            count = count * between.of_atom.index_select(0, between.target.index)
        gate, core = self.edge_norm(mixed, count).chunk(2, dim=1)
        message = torch.sigmoid(gate) * F.softplus(core)
        if between.of_edge is not None:
            message = message * between.of_edge[:, None]
        return F.softplus(atoms + self.atom_norm(between.target.add(message), between.of_atom))
