"""Crystalformer: infinitely connected attention for periodic structure encoding.

Taniai, Igarashi, Suzuki, Chiba, Saito, Ushiku and Ono 2024, "Crystalformer: Infinitely Connected Attention for Periodic
Structure Encoding", ICLR, arXiv:2403.11686.

Every atom attends to all atoms and all their images. The weight of an image falls with its distance as a Gaussian, whose width
each query and head choose, and its value is the atom's plus a linear map of radial functions of the distance: a sum of learnt
potentials over the lattice (equations 4 to 9).

| paper and released code | here |
|---|---|
| X, `model_dim` | `width` |
| `num_layers`, `head_num`, `ff_dim`, `embedding_dim` | `n_layers`, `heads`, `feedforward`, `hidden_width` |
| exp(alpha_ij), the sum of phi_ij(n) | log Z, `gaussian_sums.log_gaussian_sums` |
| beta_ij, the mean of psi_ij(n) | `gaussian_sums.weighted_image_sums` times `RadialAttention.radial` |
| sigma_i, of equation 9 | `RadialAttention.widths` |
| r_0, `scale_real` | `scale_width` |
| rho > b, `gauss_lb_real` | `floor` |
| K, `value_pe_dist_real`, and r_max, `value_pe_dist_max` | `n_radial`, `longest` |
| c, `adaptive_cutoff_sigma` | `reach` |

There is no normalisation of layers: weights begin scaled as T-Fixup has them (Huang et al. 2020).

Departures:

- The images are those within `reach` of the widest possible Gaussian for every query, which makes a cell and its supercells the same
  to rounding; the released code takes two cells to each side at the least, and otherwise as many as 3.5 of each query's own width.
- Psi is averaged over the images of all atoms at once, not first over those of each: the map is linear, so that the numbers are
  the same.
- Equal atoms and equal images are worked on once, with their number (`condensed`): the same numbers.
- An embedding of all 118 elements replaces the map of 98 one-hot vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.errors import InvalidRequestError
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_softmax, segment_sum
from euhedral.representations.condensed import Condensed
from euhedral.representations.gaussian_images import GaussianImages
from euhedral.representations.gaussian_sums import log_gaussian_sums, weighted_image_sums
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

#: Names in `Graph.extra`.
PAIR: Final = "pair"
PAIR_SOURCE: Final = "pair_source"
PAIR_TARGET: Final = "pair_target"

# No image within reach is left out for its smallness.
_NOTHING_LEFT_OUT: Final = 1e-14


@dataclass(frozen=True)
class AttendedImages:
    """All images of all atoms within a radius of each atom, itself too, equal atoms and equal images once.

    Beside what `Condensed` gives, `extra` holds "pair" (E,), the pair of orbits that each edge joins, and "pair_source" and
    "pair_target" (P,), the orbits, all int64; pairs without an image within reach are not among them.

    Args:
        widest: Angstrom, of the widest Gaussian.
        reach: Angstrom.
    """

    widest: float
    reach: float

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the images and the pairs of a batch."""
        images = GaussianImages(widest=self.widest, error=_NOTHING_LEFT_OUT, reach=self.reach)
        graph = Condensed(images).build(batch)
        source, target = graph.extra[EDGE_SOURCE], graph.extra[EDGE_TARGET]
        n = len(graph.extra[ORBIT_ATOM])
        pairs, pair = torch.unique(target * n + source, return_inverse=True)
        to_orbit = ExtraKind(of="pair", to="orbit")
        added = {PAIR: pair, PAIR_SOURCE: pairs % n, PAIR_TARGET: pairs // n}
        kinds = {PAIR: ExtraKind(of="edge", to="pair"), PAIR_SOURCE: to_orbit, PAIR_TARGET: to_orbit}
        return replace(graph, extra={**graph.extra, **added}, kinds={**graph.kinds, **kinds})


class Crystalformer(nn.Module):
    """Predict properties of crystals by attention between all atoms and all their images.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom.
        n_layers: blocks of attention and feed-forward.
        heads: attentions of a block.
        feedforward: hidden features of the feed-forward part.
        hidden_width: features of a crystal after pooling.
        scale_width: Angstrom, of the Gaussian of a query that has no preference.
        floor: the largest width is `scale_width` over the root of it.
        n_radial: radial functions of the value encoding; 0 for attention without it.
        longest: Angstrom, centre of the last radial function.
        reach: how far images are looked for, in units of the largest width.

    Raises:
        InvalidRequestError: the width is no multiple of the heads, or the floor is not between 0 and 1.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 128, n_layers: int = 4,
        heads: int = 8, feedforward: int = 512, hidden_width: int = 128, scale_width: float = 1.4, floor: float = 0.5,
        n_radial: int = 64, longest: float = 14.0, reach: float = 3.5,
    ) -> None:  # fmt: skip
        super().__init__()
        if width % heads:
            raise InvalidRequestError(
                f"Crystalformer: a width of {width} cannot be shared by {heads} heads; choose a multiple"
            )
        if not 0.0 < floor < 1.0:
            raise InvalidRequestError(f"Crystalformer: the floor must be between 0 and 1, got {floor}")
        self.kinds = read_targets(targets, system="Crystalformer")
        self.targets = tuple(self.kinds)
        widest = scale_width / floor**0.5
        self.graph: GraphSpec = AttendedImages(widest=widest, reach=reach * widest)
        self.atoms = nn.Embedding(MAX_NUMBER + 1, width)
        step = longest / max(n_radial, 1)
        self.basis = GaussianBasis(start=step, stop=longest, step=step, gamma=0.5 / step**2) if n_radial else None
        self.blocks = nn.ModuleList(
            Block(width, heads=heads, feedforward=feedforward, scale_width=scale_width, floor=floor, n_radial=n_radial)
            for _ in range(n_layers)
        )
        self.hidden = nn.Linear(width, hidden_width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(hidden_width, n_outputs)
        self.scaling = TargetScaling(n_outputs)
        # Huang et al. 2020, "Improving Transformer Optimization Through Better Initialization", section 3.2
        nn.init.normal_(self.atoms.weight, std=width**-0.5 * (9.0 * n_layers) ** -0.25)
        with torch.no_grad():
            for block in self.blocks:
                for layer in (block.attention.value, block.attention.output, block.grow, block.shrink):  # type: ignore[union-attr]
                    layer.weight.mul_(0.67 * n_layers**-0.25)  # type: ignore[union-attr]

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, hidden_width) the crystals as the last layer sees them."""
        extra = graph.extra
        distance = extra[DISTANCE].to(batch.dtype)
        images = Images(
            squared=distance.square(), radial=self.basis(distance) if self.basis is not None else None,
            count=extra[MULTIPLICITY].to(batch.dtype), target=extra[EDGE_TARGET], pair=extra[PAIR],
            pair_source=extra[PAIR_SOURCE], pair_target=extra[PAIR_TARGET],
        )  # fmt: skip
        atoms = self.atoms(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        for block in self.blocks:
            atoms = block(atoms, images)
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        counted = atoms * extra[ORBIT_COUNT].to(batch.dtype)[:, None]
        return F.relu(self.hidden(segment_sum(counted, owner=owner, n=len(batch)) / batch.n_atoms[:, None]))


@dataclass(frozen=True, eq=False)
class Images:
    """What every block looks at.

    Args:
        squared: (E,) Angstrom^2, squared distance of each image.
        radial: (E, K) radial functions of it; None for no value encoding.
        count: (E,) how many equal images each stands for.
        target: (E,) int64, rising.
        pair: (E,) int64.
        pair_source: (P,) int64.
        pair_target: (P,) int64.
    """

    squared: Tensor
    radial: Tensor | None
    count: Tensor
    target: Tensor
    pair: Tensor
    pair_source: Tensor
    pair_target: Tensor


class Block(nn.Module):
    """x <- x + attention(x); x <- x + W relu(V x).

    Args:
        width: features of an atom.
        heads: of the attention.
        feedforward: features within.
        scale_width: Angstrom.
        floor: as in `Crystalformer`.
        n_radial: radial functions.
    """

    def __init__(
        self, width: int, *, heads: int, feedforward: int, scale_width: float, floor: float, n_radial: int
    ) -> None:
        super().__init__()
        self.attention = RadialAttention(width, heads=heads, scale_width=scale_width, floor=floor, n_radial=n_radial)
        self.grow, self.shrink = nn.Linear(width, feedforward), nn.Linear(feedforward, width)
        for layer in (self.grow, self.shrink):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, atoms: Tensor, images: Images) -> Tensor:
        """Update (N, width) atoms."""
        atoms = atoms + self.attention(atoms, images)
        return atoms + self.shrink(F.relu(self.grow(atoms)))


class RadialAttention(nn.Module):
    """softmax_(j, n) (q_i k_j / sqrt d - r^2 / 2 s_i^2) (v_j + W b(r)), r the distance of image n of atom j (equations 4 to 9).

    Args:
        width: features of an atom.
        heads: each with its own q, k, v, W and s.
        scale_width: Angstrom, the width s where the query's score is at its mean.
        floor: as in `Crystalformer`.
        n_radial: radial functions b; 0 for none.
    """

    width_shift: Tensor
    width_scale: Tensor

    def __init__(self, width: int, *, heads: int, scale_width: float, floor: float, n_radial: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.scale_width, self.floor = scale_width, floor
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.output = nn.Linear(width, width), nn.Linear(width, width)
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.width_score = nn.Parameter(torch.randn(heads, self.size) * self.size**-0.5)
        self.radial = nn.Parameter(torch.empty(heads, self.size, n_radial)) if n_radial else None
        if self.radial is not None:
            nn.init.xavier_uniform_(self.radial.view(width, n_radial), gain=n_radial**-0.5)
        # mean and spread of the scores in the first batch of a training; a spread of zero is not known yet
        self.register_buffer("width_shift", torch.zeros(()))
        self.register_buffer("width_scale", torch.zeros(()))

    def forward(self, atoms: Tensor, images: Images) -> Tensor:
        """(N, width) what each of (N, width) atoms gathers."""
        n = len(atoms)
        query, key, value = (f(atoms).view(n, self.heads, self.size) for f in (self.query, self.key, self.value))
        widths = self.widths(query).index_select(0, images.pair_target)
        logs, share = log_gaussian_sums(images.squared, pair=images.pair, width=widths, count=images.count)
        products = query.index_select(0, images.pair_target) * key.index_select(0, images.pair_source)
        logits = products.sum(2) * self.size**-0.5 + logs
        weight = segment_softmax(logits, owner=images.pair_target, n=n)
        gathered = weight[:, :, None] * value.index_select(0, images.pair_source)
        total = segment_sum(gathered, owner=images.pair_target, n=n)
        if self.radial is not None and images.radial is not None:
            of_image = share * weight.index_select(0, images.pair)
            mean = weighted_image_sums(of_image, basis=images.radial, pair=images.target, n_pairs=n)
            total = total + torch.einsum("nhk,hdk->nhd", mean, self.radial)
        return self.output(total.reshape(n, -1))

    def widths(self, query: Tensor) -> Tensor:
        """(N, H) Angstrom, width of the Gaussian of each of (N, H, d) queries."""
        score = (query * self.width_score).sum(2)
        if self.training and float(self.width_scale) == 0.0:
            with torch.no_grad():
                self.width_shift.copy_(score.mean())
                self.width_scale.copy_(score.std().clamp(min=1e-6))
        known = self.width_scale > 0.0
        score = (score - self.width_shift) / torch.where(known, self.width_scale, torch.ones_like(self.width_scale))
        # rho of equation 9: 1 at the mean, with slope 0.1, and never below the floor
        room = 1.0 - self.floor
        precision = 1.0 + room * F.elu(0.1 / room * score)
        return self.scale_width * torch.rsqrt(precision)
