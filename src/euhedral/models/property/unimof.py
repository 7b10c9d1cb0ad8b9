"""Uni-MOF: gas uptake of frameworks from a transformer that was pre-trained on structures alone.

Wang, Liu, Wang, Zhang, Cheng, Zheng, Gao and Ke 2024, "A comprehensive transformer-based approach for high-accuracy gas
adsorption predictions in metal-organic frameworks", doi:10.1038/s41467-024-46276-x; its network is Uni-Mol's (Zhou et al. 2023,
ICLR, "Uni-Mol: a universal 3D molecular representation learning framework").

Attention between atoms is biased by Gaussians of their distance, scaled and shifted by the pair of elements; the scores of each
layer are the bias of the next. A token [CLS] looks at all atoms and all atoms look at it; beside it stand the gas, the pressure
(its logarithm) and the temperature, each in bins and as numbers. Pre-training hides elements and moves atoms
(`MaskedDenoising`), and asks for the elements, the distances and the coordinates.

| released code | here |
|---|---|
| `encoder_layers`, `encoder_embed_dim`, `encoder_ffn_embed_dim` | `n_layers`, `width`, `hidden_width` |
| `encoder_attention_heads`, K of `gbf` | `heads`, `n_gaussians` |
| `hidden_dim`, `bins` | `condition_width`, `n_bins` |
| `mask_prob`, `noise` | `mask`, `noise` |

Departures:

- Atoms attend to all atoms and images within a radius and not to each atom of the given cell once, and the token does not attend to
  itself: so a supercell gives the same. Weights begin as PyTorch has them, not as BERT's.
- Hydrogen is kept. The gas is a learnt vector; the six numbers of each gas that the paper adds are not in the data.
- Pre-training leaves out the lattice's lengths, which depend on the choice of cell, and the two penalties of norms (0.01). It keeps
  the neighbours that atoms had before they were moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.errors import InvalidRequestError
from euhedral.nn.dense import MLP
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_softmax, segment_sum
from euhedral.representations.graphs import Graph, GraphSpec, Radius
from euhedral.tasks.pretraining import PretrainingTask
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

# Angstrom by which the sphere is wider than its name, so that a shell at a round distance is inside it as a whole.
_MARGIN: Final = 1e-4
_CONDITIONS: Final = ("gas", "temperature", "pressure")
_GASES: Final = 500
# log10 of bar, and K: the ranges of the released code
_LOG_PRESSURE: Final = (-4.0, 6.0)
_TEMPERATURE: Final = (100.0, 400.0)


class UniMOF(nn.Module):
    """Predict properties of a framework, and of a gas in it under given conditions.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        inputs: those of "gas" (a whole number), "temperature" (K) and "pressure" (bar) that are given.
        width: features of an atom.
        n_layers: of the transformer.
        heads: of attention.
        hidden_width: between the two dense layers of a block.
        n_gaussians: of a distance.
        cutoff: Angstrom, to which atoms see each other.
        condition_width: features of a condition.
        n_bins: of pressure and of temperature.
        dropout: share of features dropped in training.
        head_dropout: the same before the last layers.

    Raises:
        InvalidRequestError: an input is none of the three.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), inputs: Sequence[str] = (),
        width: int = 512, n_layers: int = 8, heads: int = 64, hidden_width: int = 2048, n_gaussians: int = 128,
        cutoff: float = 5.0, condition_width: int = 128, n_bins: int = 32, dropout: float = 0.1, head_dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        if not set(inputs) <= set(_CONDITIONS):
            raise InvalidRequestError(f"Uni-MOF is given {', '.join(_CONDITIONS)} or some of them, got {tuple(inputs)}")
        self.kinds = read_targets(targets, system="Uni-MOF")
        self.targets = tuple(self.kinds)
        self.inputs = tuple(inputs)
        self.graph: GraphSpec = Radius(cutoff=cutoff + _MARGIN)
        #: row 0 is the mask's
        self.embedding = nn.Embedding(MAX_NUMBER + 1, width)
        self.token = nn.Parameter(torch.empty(1, width))
        self.first_norm, self.last_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.distances = PairGaussians(n_gaussians, longest=cutoff)
        self.bias = MLP([n_gaussians, n_gaussians, heads], activation=F.gelu)
        #: of the atoms' scores for the token; one of its scores for atoms, of which all are alike, would change nothing
        self.token_bias = nn.Parameter(torch.zeros(1, heads))
        self.layers = nn.ModuleList(
            BiasedBlock(width, heads=heads, hidden_width=hidden_width, dropout=dropout) for _ in range(n_layers)
        )
        self.conditions = Conditions(self.inputs, width=condition_width, n_bins=n_bins) if inputs else None
        own = self.conditions.size if self.conditions is not None else 0
        self.dropout, self.head_dropout = nn.Dropout(dropout), nn.Dropout(head_dropout)
        self.hidden = nn.Linear(width + own, 2 * condition_width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(2 * condition_width, n_outputs)
        self.scaling = TargetScaling(n_outputs)
        nn.init.normal_(self.token)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        features = self.head_dropout(self.latent(batch, graph))
        return split_outputs(self.scaling(self.output(features)), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, 2 condition_width) framework and conditions as the last layer sees them."""
        nodes, _, _ = self.encoded(batch, graph, vectors=graph.vectors(batch))
        token = nodes[len(batch.numbers) :]
        if self.conditions is not None:
            token = torch.cat([token, self.conditions(batch)], dim=1)
        return torch.tanh(self.hidden(self.head_dropout(token)))

    def encoded(self, batch: CrystalBatch, graph: Graph, *, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the transformer.

        Args:
            batch: its numbers may be 0, which is the mask.
            graph: which atoms see each other.
            vectors: (E, 3) Angstrom, of the edges.

        Returns:
            (N + B, width) atoms and then tokens; (E, heads) scores of the edges at the end, and before the first layer.
        """
        n, numbers = len(batch.numbers), batch.numbers
        atoms = torch.arange(n, device=batch.device)
        of_atom = n + batch.crystal_idx
        target = torch.cat([graph.target, atoms, of_atom, atoms])
        source = torch.cat([graph.source, atoms, atoms, of_atom])
        pair = torch.cat([numbers[graph.target], numbers]) * (MAX_NUMBER + 1)
        pair = pair + torch.cat([numbers[graph.source], numbers])
        length = torch.cat([vectors.norm(dim=1), vectors.new_zeros(n)])
        kinds = torch.cat([torch.zeros_like(self.token_bias).expand(n, -1), self.token_bias.expand(n, -1)])
        first = torch.cat([self.bias(self.distances(length, pair=pair)), kinds])
        nodes = torch.cat([self.embedding(numbers), self.token.expand(len(batch), -1)])
        nodes, scores = self.dropout(self.first_norm(nodes)), first
        # images of one atom have the same key and value, so these are multiplied once a pair of nodes and not once an edge
        pairs, pair_of_edge = torch.unique(target * len(nodes) + source, return_inverse=True)
        ends = (pairs // len(nodes), pairs % len(nodes))
        for layer in self.layers:
            nodes, scores = layer(nodes, scores, target=target, pair_of_edge=pair_of_edge, pairs=ends)
        n_edges = len(graph.source)
        return self.last_norm(nodes), scores[:n_edges], first[:n_edges]


class PairGaussians(nn.Module):
    """exp(-((a_ij d + b_ij - m_k) / s_k)^2 / 2) / (sqrt(2 pi) s_k), a and b of each pair of elements, m and s learnt.

    Args:
        size: how many.
        longest: Angstrom, where the centres end at first.
    """

    def __init__(self, size: int, *, longest: float) -> None:
        super().__init__()
        self.stretch = nn.Parameter(torch.ones((MAX_NUMBER + 1) ** 2))
        self.shift = nn.Parameter(torch.zeros((MAX_NUMBER + 1) ** 2))
        self.centre = nn.Parameter(torch.linspace(0.0, longest, size))
        self.spread = nn.Parameter(torch.full((size,), longest / size))

    def forward(self, length: Tensor, *, pair: Tensor) -> Tensor:
        """(E, size) from (E,) lengths and (E,) numbers of ordered pairs of elements."""
        moved = self.stretch.index_select(0, pair) * length + self.shift.index_select(0, pair)
        spread = self.spread.abs() + 1e-5
        return torch.exp(-0.5 * ((moved[:, None] - self.centre) / spread) ** 2) / (2.5066283 * spread)


class BiasedBlock(nn.Module):
    """Attention along edges whose scores are kept for the next block, and two dense layers, each after a normalisation.

    Args:
        width: features of a node.
        heads: of attention.
        hidden_width: between the dense layers.
        dropout: share of features dropped in training.
    """

    def __init__(self, width: int, *, heads: int, hidden_width: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise InvalidRequestError(f"{heads} heads do not part {width} features evenly")
        self.heads = heads
        self.norm, self.dense_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.value, self.mix = (nn.Linear(width, width) for _ in range(3))
        # a constant of the keys would add the same to all scores of a node
        self.key = nn.Linear(width, width, bias=False)
        self.dense = MLP([width, hidden_width, width], activation=F.gelu)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, nodes: Tensor, scores: Tensor, *, target: Tensor, pair_of_edge: Tensor, pairs: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Map (M, width) nodes and (E, heads) scores of edges to new ones.

        Args:
            nodes: features.
            scores: of attention.
            target: (E,) node that looks.
            pair_of_edge: (E,) which of the pairs an edge joins.
            pairs: (P,) node that looks and (P,) node that is looked at.
        """
        normal, (looks, seen) = self.norm(nodes), pairs
        form = (-1, self.heads, nodes.shape[1] // self.heads)
        query, key, value = (layer(normal) for layer in (self.query, self.key, self.value))
        product = (query.index_select(0, looks) * key.index_select(0, seen)).view(form).sum(-1) / form[2] ** 0.5
        scores = scores + product.index_select(0, pair_of_edge)
        weight = self.dropout(segment_softmax(scores, owner=target, n=len(nodes)))
        weight = segment_sum(weight, owner=pair_of_edge, n=len(looks))
        message = (weight[:, :, None] * value.index_select(0, seen).view(form)).flatten(1)
        nodes = nodes + self.dropout(self.mix(segment_sum(message, owner=looks, n=len(nodes))))
        return nodes + self.dropout(self.dense(self.dense_norm(nodes))), scores


class Conditions(nn.Module):
    """The gas as a learnt vector; pressure and temperature in bins and as numbers.

    Args:
        names: those that are given.
        width: features of each.
        n_bins: of pressure and of temperature.
    """

    def __init__(self, names: Sequence[str], *, width: int, n_bins: int) -> None:
        super().__init__()
        self.gas = nn.Embedding(_GASES, width) if "gas" in names else None
        self.continuous = tuple(name for name in names if name != "gas")
        self.n_bins = n_bins
        self.bins = nn.ModuleDict({name: nn.Embedding(n_bins, width) for name in self.continuous})
        n = len(self.continuous)
        self.together = MLP([n, max(n, 8), width], activation=F.relu) if n else None
        self.size = width * ((self.gas is not None) + n + (n > 0))

    def forward(self, batch: CrystalBatch) -> Tensor:
        """(B, size) of a batch's inputs; values outside the ranges count as at their ends."""
        parts, numbers = [], []
        for name in self.continuous:
            value = batch.inputs[name]
            low, high = _LOG_PRESSURE if name == "pressure" else _TEMPERATURE
            if name == "pressure":
                value = value.clamp(min=10.0**low).log10()
            share = ((value - low) / (high - low)).clamp(0.0, 1.0)
            numbers.append(share)
            parts.append(self.bins[name]((share * self.n_bins).long().clamp(max=self.n_bins - 1)))
        if self.together is not None:
            parts.append(self.together(torch.stack(numbers, dim=1)))
        if self.gas is not None:
            parts.append(self.gas(batch.inputs["gas"].round().long().clamp(0, _GASES - 1)))
        return torch.cat(parts, dim=1)


class Pretraining(nn.Module):
    """A Uni-MOF with the heads that its pre-training needs; afterwards `network` is taken on.

    Args:
        network: to be pre-trained.
    """

    def __init__(self, network: UniMOF) -> None:
        super().__init__()
        self.network = network
        width, heads = network.embedding.embedding_dim, network.token_bias.shape[1]
        self.element = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, MAX_NUMBER + 1)
        )
        self.distance = nn.Sequential(nn.Linear(heads, heads), nn.GELU(), nn.LayerNorm(heads), nn.Linear(heads, 1))
        self.pull = MLP([heads, heads, 1], activation=F.gelu)


@dataclass(frozen=True)
class MaskedDenoising:
    """What pre-training makes small, of a `Pretraining`: elements, distances and coordinates of some atoms.

    Of each crystal some atoms are drawn; their elements are hidden and they are moved. The element costs a cross entropy, the
    distances to neighbours and the position, moved back by sum_j (x_j - x_i) c_ij / n_i, cost a Huber loss, Angstrom.

    Args:
        mask: share of the atoms.
        noise: Angstrom, the largest move along each axis.
    """

    mask: float = 0.15
    noise: float = 1.0

    def __call__(self, model: Pretraining, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Return one number to make small."""
        draw = torch.rand(len(batch.numbers), device=batch.device)
        hidden = draw < self.mask
        hidden[batch.offsets[:-1]] |= segment_sum(hidden.long(), owner=batch.crystal_idx, n=len(batch)) == 0
        move = (2.0 * torch.rand_like(batch.frac) - 1.0) * self.noise * hidden[:, None]
        clean = graph.vectors(batch)
        vectors = clean + move[graph.source] - move[graph.target]
        masked = batch.replace(numbers=torch.where(hidden, 0, batch.numbers))
        nodes, scores, first = model.network.encoded(masked, graph, vectors=vectors)
        loss = F.cross_entropy(model.element(nodes[: len(hidden)][hidden]), batch.numbers[hidden])
        pull = model.pull(scores - first) * vectors
        count = torch.bincount(graph.target, minlength=len(hidden)).clamp(min=1).to(pull.dtype)
        back = segment_sum(pull, owner=graph.target, n=len(hidden)) / count[:, None]
        loss = loss + F.smooth_l1_loss((move + back)[hidden], torch.zeros_like(move[hidden]))
        edges = hidden[graph.target]
        if bool(edges.any()):
            loss = loss + F.smooth_l1_loss(model.distance(scores[edges])[:, 0], clean[edges].norm(dim=1))
        return loss


def pretraining(config: Mapping[str, Any]) -> PretrainingTask:
    """What a `UniMOF` with these arguments learns first."""
    network = UniMOF(**config)
    return PretrainingTask(
        Pretraining(network), graph=network.graph, objective=MaskedDenoising(), prefix="network.", config=dict(config)
    )
