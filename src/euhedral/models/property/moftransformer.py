"""MOFTransformer: atoms of a framework and the energy of a guest in its pores, read by one transformer.

Kang, Park, Smit and Kim 2023, "A multi-modal pre-training transformer for universal transfer learning in metal-organic frameworks",
doi:10.1038/s42256-023-00628-2.

Local features are vectors of atoms, from gated convolutions over the crystal graph, one of each unique atom; global features are
patches of the energy of a methane molecule (UFF, Lennard-Jones) in the space between them, with the volume of the cell. Tokens of both
kinds, told apart by a learnt vector of their kind, attend to all others; the first, [CLS], is read by the head. Pre-training on
structures alone (`FrameworkTasks`, of a `Pretraining`) asks [CLS] for the void fraction, and every atom whether it belongs to metal
or linker. The frameworks with known uptake that the data hold are 100: too few to say how accurate it is.

| released code | here |
|---|---|
| `hid_dim`, `num_layers`, `num_heads`, `mlp_ratio` | `width`, `n_layers`, `heads`, `ratio` |
| `atom_fea_len`, `n_conv`, `max_nbr_atoms`, `radius` | `atom_width`, `n_convolutions`, `neighbours`, `reach` |
| `drop_rate` | `dropout` |
| 6^3 patches of 5^3 points, `img_size`, `patch_size` | a patch of each unique atom, `representations.probe_patches` |
| VFP, MOC | parts of `FrameworkTasks` |

Departures:

- Patches are not blocks of a grid along the cell's vectors, with a learnt vector of their place: they would change with the origin,
  the choice of the cell and its repetition. Each is the space nearest to an atom, and says how much of it is at which distance and
  energy: 128 numbers for 125. Energies run to 100 eV and not to 5,000 K, so that dense crystals differ too.
- Beside the patches stands one of the whole crystal, and volumes are per atom.
- A token weighs in attention as the share of the crystal's atoms that it stands for, all atoms and all patches as one [CLS]; in the
  paper each counts once, up to 300 atoms drawn at random. So a supercell gives the same, and so do nearly equal atoms.
- Unique are atoms that lengths and elements of the graph do not tell apart, and their mean is taken. Whole shells are
  neighbours, however far; the released code takes exactly twelve within 8 Angstrom.
- Keys have no constant, which changes no weight. Weights begin as PyTorch has them.
- Void is space where methane overlaps with no atom, whether or not it is reached from outside. Metal are metal atoms and their direct
  neighbours; the paper knows the building blocks. Topology, its third task, is left out: the net of a framework is known where it
  is assembled from blocks, and does not follow from a crystal without cutting it into such.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER, SYMBOLS, elements
from euhedral.errors import InvalidRequestError
from euhedral.metrics.validity import METALS
from euhedral.nn.dense import MLP
from euhedral.nn.gated_convolution import CountedEdges, GatedConvolution
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_mean, segment_sum
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.probe_patches import (
    PATCH,
    PATCH_VOLUME,
    SITE_ATOM,
    SITE_OF_ATOM,
    SITE_SHARE,
    VOID_FRACTION,
    WithProbePatches,
)
from euhedral.tasks.pretraining import PretrainingTask
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

# Angstrom^3; volumes of atoms are around it.
_USUAL_VOLUME: Final = 20.0
# Neighbours are atoms closer than this many times the sum of their covalent radii.
_BONDED: Final = 1.25


class MOFTransformer(nn.Module):
    """Predict properties of a framework from its atoms and from the energy in its pores.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of a token.
        n_layers: of the transformer.
        heads: of attention.
        ratio: features between the two dense layers of a block, in widths.
        atom_width: features of an atom in the convolutions, and of a distance.
        n_convolutions: over the crystal graph.
        neighbours: how many, at the least; whole shells.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        dropout: share of features dropped in training.

    Raises:
        InvalidRequestError: the heads do not part the width evenly.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 768, n_layers: int = 12,
        heads: int = 12, ratio: int = 4, atom_width: int = 64, n_convolutions: int = 3, neighbours: int = 12,
        reach: float = 8.0, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        if width % heads:
            raise InvalidRequestError(f"{heads} heads do not part {width} features evenly")
        self.kinds = read_targets(targets, system="MOFTransformer")
        self.targets = tuple(self.kinds)
        patches = WithProbePatches(Nearest(k=neighbours))
        self.graph: GraphSpec = patches
        self.element = nn.Embedding(MAX_NUMBER + 1, atom_width)
        self.distance = GaussianBasis(start=0.0, stop=reach, step=reach / (atom_width - 1))
        self.convolutions = nn.ModuleList(
            GatedConvolution(atom_width, edge_width=self.distance.size) for _ in range(n_convolutions)
        )
        self.atom = nn.Linear(atom_width, width)
        self.patch = nn.Linear(patches.width + 1, width)
        self.volume = nn.Linear(1, width)
        self.token = nn.Parameter(torch.empty(width))
        self.whole = nn.Parameter(torch.empty(width))
        #: of atoms with [CLS], and of patches with what is known of the whole crystal
        self.modality = nn.Embedding(2, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads=heads, ratio=ratio, dropout=dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)
        nn.init.normal_(self.token)
        nn.init.normal_(self.whole)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        token, _ = self.encoded(batch, graph)
        return torch.tanh(self.pool(token))

    def encoded(self, batch: CrystalBatch, graph: Graph) -> tuple[Tensor, Tensor]:
        """(B, width) the tokens [CLS] and (S, width) those of unique atoms, after the transformer."""
        n, extra = len(batch), graph.extra
        site_crystal = batch.crystal_idx.index_select(0, extra[SITE_ATOM])
        atoms = self.atom(self._unique_atoms(batch, graph))
        share, volume = extra[SITE_SHARE][:, None].to(atoms.dtype), extra[PATCH_VOLUME][:, None].to(atoms.dtype)
        held = extra[PATCH].to(atoms.dtype)
        # what a patch holds adds up to 1; this brings its numbers to order one
        size = held.shape[1] ** 0.5
        of_atom = segment_sum(share * volume, owner=site_crystal, n=n)  # Angstrom^3 per atom
        all_held = segment_sum(share * volume * held, owner=site_crystal, n=n) / of_atom
        sizes = (torch.cat([volume, of_atom]) / _USUAL_VOLUME).log()
        patches = self.patch(torch.cat([size * torch.cat([held, all_held]), sizes], dim=1))
        volumes = self.volume(sizes[len(held) :])
        here, there = self.modality.weight
        tokens = torch.cat([
            (self.token + here).expand(n, -1), atoms + here, patches[: len(held)] + there,
            patches[len(held) :] + self.whole + there, volumes + there,
        ])  # fmt: skip
        crystals = torch.arange(n, device=batch.device)
        owner = torch.cat([crystals, site_crystal, site_crystal, crystals, crystals])
        alone, shares = share.new_zeros(n), share[:, 0].log()
        seats = Seats.of(owner, weight=torch.cat([alone, shares, shares, alone, alone]), n=n)
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens = block(tokens, seats)
        return self.norm(tokens[:n]), self.norm(tokens[n : n + len(held)])

    def _unique_atoms(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(S, atom_width) features of the unique atoms after the convolutions."""
        atoms = self.element(batch.numbers)
        edges = self.distance(graph.vectors(batch).norm(dim=1))
        between = CountedEdges(
            source=RowIndex(graph.source, n=len(atoms)), target=RowIndex(graph.target, n=len(atoms))
        )  # fmt: skip
        for convolution in self.convolutions:
            atoms = convolution(atoms, edges, between)
        return segment_mean(atoms, owner=graph.extra[SITE_OF_ATOM], n=len(graph.extra[SITE_ATOM]))


@dataclass(frozen=True, eq=False)
class Seats:
    """Where tokens stand when those of each crystal are put in a row, filled up to the longest.

    Args:
        row: (M,) place of each token among B * T.
        shape: B and T.
        bias: (B, 1, 1, T) logarithm of how much each place counts as a key.
    """

    row: Tensor
    shape: tuple[int, int]
    bias: Tensor

    @classmethod
    def of(cls, owner: Tensor, *, weight: Tensor, n: int) -> Seats:
        """Seat tokens.

        Args:
            owner: (M,) the crystal of each.
            weight: (M,) logarithm of how much each counts.
            n: crystals.
        """
        count = torch.bincount(owner, minlength=n)
        order = torch.sort(owner, stable=True).indices
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=owner.device)
        longest = int(count.max())
        row = place + (longest * torch.arange(n, device=owner.device) - (count.cumsum(0) - count)).index_select(
            0, owner
        )
        bias = weight.new_full((n * longest,), float("-inf")).index_copy(0, row, weight)
        return cls(row=row, shape=(n, longest), bias=bias.view(n, 1, 1, longest))


class Block(nn.Module):
    """Attention of all tokens of a crystal to each other, and two dense layers, each after a normalisation.

    Args:
        width: features of a token.
        heads: of attention.
        ratio: features between the dense layers, in widths.
        dropout: share of features dropped in training.
    """

    def __init__(self, width: int, *, heads: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.dense_norm = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.query, self.value, self.mix = (nn.Linear(width, width) for _ in range(3))
        # a constant of the keys would add the same to all scores of a token
        self.key = nn.Linear(width, width, bias=False)
        self.dense = MLP([width, ratio * width, width], activation=F.gelu)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, seats: Seats) -> Tensor:
        """Update (M, width) tokens."""
        normal = self.norm(tokens)
        n, longest = seats.shape
        rows = torch.cat([self.query(normal), self.key(normal), self.value(normal)], dim=1)
        padded = rows.new_zeros(n * longest, rows.shape[1]).index_copy(0, seats.row, rows)
        query, key, value = padded.view(n, longest, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=seats.bias)
        seen = seen.transpose(1, 2).reshape(n * longest, -1).index_select(0, seats.row)
        tokens = tokens + self.dropout(self.mix(seen))
        return tokens + self.dropout(self.dense(self.dense_norm(tokens)))


class Pretraining(nn.Module):
    """A MOFTransformer with the heads that its pre-training needs; afterwards `network` is taken on.

    Args:
        network: to be pre-trained.
    """

    def __init__(self, network: MOFTransformer) -> None:
        super().__init__()
        self.network = network
        width = network.token.shape[0]
        self.void, self.metal = nn.Linear(width, 1), nn.Linear(width, 1)

    def forward(self, batch: CrystalBatch, graph: Graph) -> tuple[Tensor, Tensor]:
        """(B,) void fractions, and (S,) logits of unique atoms to belong to metal."""
        token, atoms = self.network.encoded(batch, graph)
        return self.void(torch.tanh(self.network.pool(token)))[:, 0], self.metal(atoms)[:, 0]


@dataclass(frozen=True)
class FrameworkTasks:
    """What pre-training makes small, of a `Pretraining`: the error of void fractions, and of which atoms are metal.

    The void fraction costs its square error, an atom a cross entropy.

    Args:
        weights: of both.
    """

    weights: tuple[float, float] = (1.0, 1.0)

    def __call__(self, model: Pretraining, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Return one number to make small."""
        void, logits = model(batch, graph)
        label = metal_part(batch, graph).to(logits.dtype).index_select(0, graph.extra[SITE_ATOM])
        loss = self.weights[0] * F.mse_loss(void, graph.extra[VOID_FRACTION].to(void.dtype))
        return loss + self.weights[1] * F.binary_cross_entropy_with_logits(logits, label)


def pretraining(config: Mapping[str, Any]) -> PretrainingTask:
    """What a `MOFTransformer` with these arguments learns first."""
    network = MOFTransformer(**config)
    return PretrainingTask(
        Pretraining(network), graph=network.graph, objective=FrameworkTasks(), prefix="network.", config=dict(config)
    )


def metal_part(batch: CrystalBatch, graph: Graph) -> Tensor:
    """(N,) bool which atoms are of a metal, or bonded to one: the metal clusters of a framework."""
    known = [symbol in METALS for symbol in SYMBOLS]
    radii = [0.0] + [element.covalent_radius for element in elements()]
    metal = torch.tensor(known, device=batch.device).index_select(0, batch.numbers)
    radius = batch.frac.new_tensor(radii).index_select(0, batch.numbers)
    with torch.no_grad():
        length = graph.vectors(batch).norm(dim=1)
    source, target = graph.source, graph.target
    bonded = metal[source] & (length < _BONDED * (radius[source] + radius[target]))
    return metal | (torch.bincount(target[bonded], minlength=len(metal)) > 0)
