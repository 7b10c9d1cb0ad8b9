"""Message passing on a graph and on its line graph in turn: the body of ALIGNN, which its variants for spectra share.

Source: Choudhary and DeCost 2021, doi:10.1038/s41524-021-00650-1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex

# Of the sum of gates, where all of them are shut.
_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Links:
    """The L links of a graph: edges between atoms, or paths between edges.

    Args:
        source: which node each comes from.
        target: which node it goes to.
        count: (L,) how many equal links each stands for.
    """

    source: RowIndex
    target: RowIndex
    count: Tensor

    @classmethod
    def between(cls, n: int, *, source: Tensor, target: Tensor, count: Tensor) -> Links:
        """Index the links between n nodes by (L,) sources and targets."""
        return cls(RowIndex(source, n=n), RowIndex(target, n=n), count)


class NormalisedLayers(nn.Module):
    """Linear layers, each followed by layer normalisation and SiLU.

    Args:
        widths: features before the first layer, between layers, and after the last.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[1:])

    def forward(self, features: Tensor) -> Tensor:
        """Map (M, widths[0]) to (M, widths[-1])."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            features = F.silu(norm(layer(features)))
        return features


class EdgeGatedConvolution(nn.Module):
    """Nodes take the mean of their neighbours, weighted by gates that links learn (equations 1 to 3).

    With m_ij = A h_i + B h_j + C e_ij, gates are g_ij = sigmoid(m_ij), and

        h_i <- h_i + silu(LN(U h_i + sum_j g_ij V h_j / sum_j g_ij)),  e_ij <- e_ij + silu(LN(m_ij)).

    All products are taken before nodes' features go to links.

    Args:
        width: features of a node and of a link.
        updates_links: whether a later layer reads the links.
    """

    def __init__(self, width: int, *, updates_links: bool) -> None:
        super().__init__()
        self.width = width
        self.from_source = nn.Linear(width, 2 * width, bias=False)
        self.from_target = nn.Linear(width, 2 * width, bias=False)
        self.from_link = nn.Linear(width, width)
        self.node_norm = nn.LayerNorm(width)
        self.link_norm = nn.LayerNorm(width) if updates_links else None

    def forward(self, nodes: Tensor, features: Tensor, links: Links) -> tuple[Tensor, Tensor]:
        """Update (N, width) nodes and (L, width) features of links."""
        source_gate, message = self.from_source(nodes).chunk(2, dim=1)
        target_gate, own = self.from_target(nodes).chunk(2, dim=1)
        mixed = links.source.take(source_gate) + links.target.take(target_gate) + self.from_link(features)
        gate = torch.sigmoid(mixed) * links.count.to(mixed.dtype)[:, None]
        total = links.target.add(gate * links.source.take(message))
        mean = total / (links.target.add(gate) + _EPSILON)
        nodes = nodes + F.silu(self.node_norm(own + mean))
        if self.link_norm is not None:
            features = features + F.silu(self.link_norm(mixed))
        return nodes, features


class LineGraphNetwork(nn.Module):
    """Atoms, edges and paths of two edges, updated in turn (equations 4 and 5), then atoms and edges alone.

    A layer on angles first updates edges by paths, then atoms by edges.

    Args:
        width: features of atoms, edges and paths.
        n_angle_layers: layers on angles.
        n_layers: layers on edges alone, after those.
        embedding_width: features of edges and paths between the two layers of their embeddings.
        n_lengths: Gaussians of a length.
        n_cosines: Gaussians of a cosine.
        reach: Angstrom, the longest length that the Gaussians tell apart.
    """

    def __init__(
        self, width: int, *, n_angle_layers: int, n_layers: int, embedding_width: int, n_lengths: int, n_cosines: int,
        reach: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.atoms = ElementEmbedding(width)
        self.atom_norm = nn.LayerNorm(width)
        step = reach / (n_lengths - 1)
        self.length_basis = GaussianBasis(start=0.0, stop=reach, step=step, gamma=1.0 / step)
        step = 2.0 / (n_cosines - 1)
        self.cosine_basis = GaussianBasis(start=-1.0, stop=1.0, step=step, gamma=1.0 / step)
        self.edges = NormalisedLayers([n_lengths, embedding_width, width])
        self.paths = NormalisedLayers([n_cosines, embedding_width, width])
        self.on_paths = nn.ModuleList(
            EdgeGatedConvolution(width, updates_links=depth < n_angle_layers) for depth in range(1, n_angle_layers + 1)
        )
        n_edge_layers = n_angle_layers + n_layers
        self.on_edges = nn.ModuleList(
            EdgeGatedConvolution(width, updates_links=depth < n_edge_layers) for depth in range(1, n_edge_layers + 1)
        )

    def forward(
        self, numbers: Tensor, *, count: Tensor, owner: Tensor, n: int, lengths: Tensor, cosines: Tensor, edges: Links, paths: Links,
    ) -> Tensor:  # fmt: skip
        """(n, width) means of the atoms of each crystal.

        Args:
            numbers: (N,) atomic numbers.
            count: (N,) how many equal atoms each stands for.
            owner: (N,) int64 the crystal of each.
            n: crystals.
            lengths: (E,) Angstrom.
            cosines: (T,) of the angles between the two edges of each path.
            edges: from atom to atom.
            paths: from edge to edge.
        """
        dtype = self.atom_norm.weight.dtype
        atoms = F.silu(self.atom_norm(self.atoms(numbers)))
        along = self.edges(self.length_basis(lengths.to(dtype)))
        around = self.paths(self.cosine_basis(cosines.to(dtype)))
        for depth, on_edges in enumerate(self.on_edges):
            if depth < len(self.on_paths):
                along, around = self.on_paths[depth](along, around, paths)
            atoms, along = on_edges(atoms, along, edges)
        crystals, count = RowIndex(owner, n=n), count.to(dtype)[:, None]
        return crystals.add(atoms * count) / crystals.add(count)
