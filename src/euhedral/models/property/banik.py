"""The transfer framework: a structure-aware network learnt on a large set, fine-tuned or read out on small ones.

The review describes it under the name of Banik et al. 2023 (doi:10.1038/s41524-023-00975-z, which is CEGANN, here `cegann`). What it
describes, a network for sparse data by deep transfer learning across diverse materials data, is the framework of Gupta,
Choudhary, DeCost, Tavazza, Campbell, Liao, Choudhary and Agrawal 2024, "Structure-aware graph neural network based deep transfer
learning framework for enhanced predictive analytics on diverse materials datasets", doi:10.1038/s41524-023-01185-3.

A line graph network (ALIGNN) learns one property of many crystals. Another property, of few crystals, is then learnt

- by fine-tuning, all weights going on from there: `EnsembleRecipe(system="banik", start=...)`;
- from extracted features: the means over a crystal's atoms, bonds and angles at a checkpoint of the network, which stays as it is:
  `EnsembleRecipe(system="banik", start=..., freeze=("encoder.*",))`.

| paper and released code | here |
|---|---|
| atom-, bond-, angle-based features x, y, z | `StructureEncoder`, three means of `width` numbers each |
| checkpoint | `checkpoint` |
| source model, target model | `start` of a recipe, what it trains |

Departures:

- The layers and the graph are those of `alignn`, with its departures; all three means go into a small network, also while the first
  property is learnt, so that nothing changes between the steps but the last layer. In the paper the source model is ALIGNN as
  published, whose last layer reads atoms only, and extracted features go into a separate program.
- Each property has a last layer of its own, by its name, so that another property begins with a new one instead of with one that
  may point the wrong way. The scaling of targets is always that of the new set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.nn.alignn_layers import EdgeGatedConvolution, Links, NormalisedLayers
from euhedral.nn.dense import MLP
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    EDGE_SOURCE,
    EDGE_TARGET,
    ORBIT_ATOM,
    ORBIT_COUNT,
    CondensedAngles,
)  # fmt: skip
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import EdgePaths
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class StructureTransfer(nn.Module):
    """Predict properties of crystals from features of atoms, bonds and angles that another property may have taught.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of atoms, bonds and angles.
        n_angle_layers: layers on the line graph and the graph.
        n_layers: layers on the graph alone, after those.
        checkpoint: the layer after which features are taken, counted from 1; None for the last.
        hidden_width: of the network that reads the features.
        n_hidden: its layers before the last.
        embedding_width: features between the two layers that embed lengths and cosines.
        n_lengths: Gaussians of a length.
        n_cosines: Gaussians of a cosine.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        neighbours: how many, at the least; whole shells.

    Raises:
        InvalidRequestError: there is no such checkpoint.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 256, n_angle_layers: int = 4,
        n_layers: int = 4, checkpoint: int | None = None, hidden_width: int = 256, n_hidden: int = 1,
        embedding_width: int = 64, n_lengths: int = 80, n_cosines: int = 40, reach: float = 8.0, neighbours: int = 12,
    ) -> None:  # fmt: skip
        super().__init__()
        depth = n_angle_layers + n_layers if checkpoint is None else checkpoint
        if not 1 <= depth <= n_angle_layers + n_layers:
            raise InvalidRequestError(
                f"the transfer framework has checkpoints 1 to {n_angle_layers + n_layers}, got {checkpoint}"
            )
        self.kinds = read_targets(targets, system="the transfer framework")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = CondensedAngles(EdgePaths(Undirected(Nearest(k=neighbours))))
        self.encoder = StructureEncoder(
            width, n_angle_layers=min(n_angle_layers, depth), n_layers=max(depth - n_angle_layers, 0),
            embedding_width=embedding_width, n_lengths=n_lengths, n_cosines=n_cosines, reach=reach,
        )  # fmt: skip
        self.head = MLP([3 * width] + [hidden_width] * n_hidden, activation=F.silu, last=True)
        read = hidden_width if n_hidden else 3 * width
        self.outputs = nn.ModuleDict({_key(name): nn.Linear(read, kind.outputs) for name, kind in self.kinds.items()})
        with torch.no_grad():
            for layer in self.outputs.children():  # small: a taken-over feature then soon points the right way
                cast("nn.Linear", layer).weight.mul_(0.1)
        self.scaling = TargetScaling(sum(kind.outputs for kind in self.kinds.values()))

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        latent = self.latent(batch, graph)
        outputs = torch.cat([self.outputs[_key(name)](latent) for name in self.kinds], dim=1)
        return split_outputs(self.scaling(outputs), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, hidden_width) the crystals as the last layer sees them."""
        return self.head(self.encoder(batch, graph))


class StructureEncoder(nn.Module):
    """Means over a crystal's atoms, bonds and angles after edge-gated convolutions on the line graph and the graph.

    Args:
        width: features of atoms, bonds and angles.
        n_angle_layers: layers on the line graph and the graph.
        n_layers: layers on the graph alone, after those.
        embedding_width: features between the two layers that embed lengths and cosines.
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
        self.lengths = GaussianBasis(start=0.0, stop=reach, step=step, gamma=1.0 / step)
        step = 2.0 / (n_cosines - 1)
        self.cosines = GaussianBasis(start=-1.0, stop=1.0, step=step, gamma=1.0 / step)
        self.bonds = NormalisedLayers([n_lengths, embedding_width, width])
        self.angles = NormalisedLayers([n_cosines, embedding_width, width])
        self.on_angles = nn.ModuleList(EdgeGatedConvolution(width, updates_links=True) for _ in range(n_angle_layers))
        self.on_bonds = nn.ModuleList(
            EdgeGatedConvolution(width, updates_links=True) for _ in range(n_angle_layers + n_layers)
        )

    def forward(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, 3 width) means of atoms, bonds and angles."""
        extra, dtype = graph.extra, self.atom_norm.weight.dtype
        bond_links = _links(
            extra[EDGE_SOURCE], extra[EDGE_TARGET], extra[MULTIPLICITY].to(dtype), n=len(extra[ORBIT_ATOM])
        )
        angle_links = _links(
            extra[ANGLE_FIRST], extra[ANGLE_SECOND], extra[ANGLE_COUNT].to(dtype), n=len(extra[DISTANCE])
        )
        atoms = F.silu(self.atom_norm(self.atoms(batch.numbers.index_select(0, extra[ORBIT_ATOM]))))
        bonds = self.bonds(self.lengths(extra[DISTANCE].to(dtype)))
        angles = self.angles(self.cosines(extra[ANGLE_COSINE].to(dtype)))
        for depth, on_bonds in enumerate(cast("list[EdgeGatedConvolution]", self.on_bonds)):
            if depth < len(self.on_angles):
                bonds, angles = self.on_angles[depth](bonds, angles, angle_links)
            atoms, bonds = on_bonds(atoms, bonds, bond_links)
        owner, often = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM]), extra[ORBIT_COUNT].to(dtype)
        means = []
        for rows, links in ((atoms, bond_links), (bonds, angle_links), (angles, None)):
            means.append(_mean(rows, owner=owner, often=often, n=len(batch)))
            if links is not None:  # what arrives at a row belongs to its crystal and is there as often for each
                owner = owner.index_select(0, links.target.index)
                often = often.index_select(0, links.target.index) * links.count
        return torch.cat(means, dim=1)


def _key(name: str) -> str:
    """A target's name as a module may have it."""
    return name.replace(".", "_")


def _links(source: Tensor, target: Tensor, count: Tensor, *, n: int) -> Links:
    return Links(source=RowIndex(source, n=n), target=RowIndex(target, n=n), count=count)


def _mean(rows: Tensor, *, owner: Tensor, often: Tensor, n: int) -> Tensor:
    """(n, F) means of (M, F) rows by owner, each row counted so often; zeros for one that owns nothing."""
    total = RowIndex(owner, n=n).add(torch.cat([rows * often[:, None], often[:, None]], dim=1))
    return total[:, :-1] / total[:, -1:].clamp(min=1.0)
