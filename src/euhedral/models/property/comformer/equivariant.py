"""eComFormer: edges as vectors, through spherical harmonics (see the package for paper and departures)."""

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
from euhedral.nn.irreps import spherical_harmonics
from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.distinct_lengths import EDGE_LENGTH, WithDistinctLengths, distinct_lengths
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.lattice_edges import LatticeFrame
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class EComFormer(nn.Module):
    """Predict properties of crystals from the vectors of edges, by spherical harmonics.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom and of an edge, and Gaussians of a length.
        n_layers: transformer layers; the equivariant update follows the first.
        scalars: of an atom in the equivariant update.
        channels: vectors, and rank-2 tensors, of an atom there.
        neighbours: near ones, at the least; whole shells.
        span: -0.75 / length is expanded from minus this to 0, 1/Angstrom.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 256, n_layers: int = 3,
        scalars: int = 64, channels: int = 8, neighbours: int = 25, span: float = 4.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="eComFormer")
        self.targets = tuple(self.kinds)
        near = LatticeFrame(Undirected(Nearest(k=neighbours)))
        self.graph: GraphSpec = WithDistinctLengths(near, tolerance=TOLERANCE)
        self.atoms = ElementEmbedding(width)
        self.lengths = LengthFeatures(width, span=span)
        self.update = EquivariantUpdate(width, scalars=scalars, channels=channels)
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
        vectors, rows = graph.vectors(batch), graph.extra[EDGE_LENGTH]
        edges = self.lengths(distinct_lengths(graph, vectors.norm(dim=1)))
        # images of one atom at one length send the same, but in the update
        n_atoms, n_lengths = len(batch.numbers), len(edges)
        key = (graph.target * n_atoms + graph.source) * n_lengths + rows
        key, count = torch.unique(key, return_counts=True)
        once = {
            "rows": key % n_lengths, "source": key // n_lengths % n_atoms, "target": key // (n_lengths * n_atoms),
            "count": count.to(edges.dtype),
        }  # fmt: skip
        atoms = self.layers[0](self.atoms(batch.numbers), edges, **once)
        harmonics = spherical_harmonics(vectors, lmax=2)
        atoms = self.update(atoms, edges, harmonics, rows=rows, source=graph.source, target=graph.target)
        for layer in self.layers[1:]:
            atoms = layer(atoms, edges, **once)
        return self.readout(atoms, owner=batch.crystal_idx, n=len(batch))


class EquivariantUpdate(nn.Module):
    """Scalars to scalars, vectors and tensors of rank 2 by harmonics of edges, and these to scalars again.

    Both are means over an atom's edges of tensor products with the harmonics Y of degrees 0 to 2, weighted by functions of the
    length. Normalisation is e3nn's "component": each sum is divided by the root of how many numbers it adds.

    Args:
        width: features of an atom and of an edge.
        scalars: of an atom between.
        channels: vectors, and tensors, of an atom between.
    """

    def __init__(self, width: int, *, scalars: int, channels: int) -> None:
        super().__init__()
        self.scalars, self.channels = scalars, channels
        self.enter, self.skip = nn.Linear(width, scalars), nn.Linear(width, width)
        n_weights = scalars * (scalars + 2 * channels)
        self.out_weights, self.back_weights = (
            nn.Sequential(nn.Linear(width, width), nn.Softplus(), nn.Linear(width, n_weights)) for _ in range(2)
        )
        self.norm = RowBatchNorm(scalars)
        self.leave = nn.Linear(scalars, width)

    def forward(
        self, atoms: Tensor, edges: Tensor, harmonics: Tensor, *, rows: Tensor, source: Tensor, target: Tensor
    ) -> Tensor:
        """Update (N, width) atoms.

        Args:
            atoms: (N, width).
            edges: (L, width) features of distinct lengths.
            harmonics: (E, 9).
            rows: (E,) int64 the length of each edge.
            source: (E,) int64 which atom sends.
            target: (E,) int64 which atom receives.
        """
        shells, shell = torch.unique(target * len(edges) + rows, return_inverse=True)
        of_shell, senders = RowIndex(shell, n=len(shells)), RowIndex(source, n=len(atoms))
        owner, length = RowIndex(shells // len(edges), n=len(atoms)), RowIndex(shells % len(edges), n=len(edges))
        share = 1.0 / torch.bincount(target, minlength=len(atoms)).clamp(min=1).to(atoms.dtype)[:, None]

        scalars = self.enter(atoms)
        spread = (senders.take(scalars)[:, None] * harmonics[:, :, None]).flatten(1)
        spread = of_shell.add(spread).unflatten(1, (9, self.scalars))
        weights = length.take(self.out_weights(edges) / math.sqrt(self.scalars)).unflatten(1, (self.scalars, -1))
        to_scalar, to_vector, to_tensor = weights.split([self.scalars, self.channels, self.channels], dim=2)
        made = [spread[:, :1] @ to_scalar, spread[:, 1:4] @ to_vector, spread[:, 4:] @ to_tensor]
        scalar, vector, tensor = (share * owner.add(part.flatten(1)) for part in made)

        vector, tensor = (
            (senders.take(part).unflatten(1, (-1, self.channels)) * degree[:, :, None]).sum(1)
            / math.sqrt(degree.shape[1])
            for part, degree in ((vector, harmonics[:, 1:4]), (tensor, harmonics[:, 4:]))
        )
        back = of_shell.add(torch.cat([senders.take(scalar + scalars), vector, tensor], dim=1))
        n_added = self.scalars + 2 * self.channels
        weights = length.take(self.back_weights(edges) / math.sqrt(n_added)).unflatten(1, (n_added, self.scalars))
        found = share * owner.add((back[:, None] @ weights).squeeze(1))
        return F.softplus(self.leave(F.softplus(self.norm(found)))) + self.skip(atoms)
