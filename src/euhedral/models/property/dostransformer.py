"""DOSTransformer: spectra by attention between the atoms of a crystal and levels of energy.

Lee, Noh, Kim, Hyun, Na and Park 2023, "Density of States Prediction of Crystalline Materials via Prompt-guided Multi-Modal
Transformer", doi:10.48550/arXiv.2311.12856 (NeurIPS 2023).

A density of states is a function of the energy as much as of the crystal. Each level of energy is a learnt vector. Levels
attend to the atoms that a graph network has made (cross-attention), then, joined with the crystal as a whole and a prompt that
says which crystal system it belongs to, to each other (self-attention), then once more to the atoms; each gives one number.

| paper and released code | here |
|---|---|
| H, `hidden` | `width` |
| L', `layers` of the processor | `n_layers` |
| L1, L2, L3, `transformer` | `n_attentions`, of each of the three stacks |
| E^0, energy embeddings | `levels` |
| P, prompts, `n_hidden // 2` | `prompts` |
| beta, weight of the loss with prompts | `beta` |
| sum pooling, `GN_decoder` | `whole` |

Departures:

- The released network for phonons gives the components of edge vectors to dense layers, so that a spectrum changes when the
  crystal is turned; here an edge is its length, in Gaussians. A neighbour's weight in the mean of the messages falls to zero
  at the cutoff, as the features do in the released code, so that a shell at the very cutoff does not decide.
- The crystal as a whole is the mean over its atoms and not their sum, which a supercell would change.
- The paper predicts with and without a prompt and adds both losses, the first times `beta`. Here a crystal gets its prompt
  in training with probability beta / (1 + beta), or none; the expectation of the loss is the same, up to a factor, in half of the
  time. Both ways share the layer that joins levels, crystal and prompt. Predictions have the prompt, as in the paper.
- The released code pads crystals of a batch with atoms of zeros that take part in attention; here they do not.
- Equal atoms and equal edges are kept once, with their number (`representations.condensed`): n equal atoms weigh in a softmax
  as one whose logit is larger by log n.
- Levels attend to levels as they are in the same layer, as the paper's equation says; in the released code to those before the
  first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import elements
from euhedral.nn.cutoff import cosine_envelope
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Radius
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.space_groups import CRYSTAL_SYSTEM, CRYSTAL_SYSTEMS, WithSpaceGroup
from euhedral.tasks.targets import Spectrum, TargetLike, read_targets, split_outputs


class DOSTransformer(nn.Module):
    """Predict spectra of crystals, each point of which attends to the atoms.

    Args:
        targets: spectra.
        width: features of atoms, edges and levels.
        n_layers: of the graph network.
        n_attentions: layers of each of the three stacks of attention.
        cutoff: Angstrom.
        step: Angstrom, between the Gaussians of a length.
        beta: weight of the loss with prompts beside that without.
        symprec: Angstrom, within which the crystal system is found.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = (Spectrum("phonon_dos", size=51),), width: int = 256, n_layers: int = 3,
        n_attentions: int = 2, cutoff: float = 4.0, step: float = 0.2, beta: float = 1.0, symprec: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="DOSTransformer", kinds=(Spectrum,))
        self.targets = tuple(self.kinds)
        n_levels = sum(kind.outputs for kind in self.kinds.values())
        self.graph: GraphSpec = WithSpaceGroup(Condensed(Radius(cutoff=cutoff)), symprec=symprec)
        self.beta = beta
        self.network = GraphNetwork(width, n_layers=n_layers, cutoff=cutoff, step=step)
        self.levels = nn.Parameter(torch.randn(n_levels, width))
        self.prompts = nn.Embedding(len(CRYSTAL_SYSTEMS), width // 2)
        self.whole = nn.Linear(width, width)
        self.joined = nn.Linear(2 * width + width // 2, width)
        self.first = AttentionStack(width, n_layers=n_attentions)
        self.among_levels = AttentionStack(width, n_layers=n_attentions)
        self.last = AttentionStack(width, n_layers=n_attentions)
        self.output = nn.Linear(width, 1)
        self.scaling = TargetScaling(n_levels)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, size)} in the target's unit."""
        levels = self.level_features(batch, graph)
        return split_outputs(self.scaling(self.output(levels).squeeze(2)), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) mean over the levels of what the last layer sees of each."""
        return self.level_features(batch, graph).mean(1)

    def level_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, L, width) the levels after all attention."""
        atoms, before = self._before_last(batch, graph)
        return self.last(before, atoms.rows, atoms.log_count)

    def level_attention(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(O, L) share of the last attention that each level gives to each orbit of atoms, all its atoms together.

        Orbits are those of `graph.extra["orbit_atom"]`; the shares of one crystal's orbits add up to one.
        """
        atoms, before = self._before_last(batch, graph)
        weights = self.last.weights(before, atoms.rows, atoms.log_count)
        return weights.transpose(1, 2)[atoms.crystal, atoms.place]

    def _before_last(self, batch: CrystalBatch, graph: Graph) -> tuple[Padded, Tensor]:
        extra, dtype = graph.extra, self.levels.dtype
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        count = extra[ORBIT_COUNT].to(dtype)
        rows = self.network(batch.numbers.index_select(0, extra[ORBIT_ATOM]), graph)
        atoms = Padded.of(rows, count=count, owner=owner, n=len(batch))
        levels = self.first(self.levels.expand(len(batch), -1, -1), atoms.rows, atoms.log_count)
        mean = RowIndex(owner, n=len(batch)).add(rows * count[:, None]) / batch.n_atoms.to(dtype)[:, None]
        prompt = self.prompts(extra[CRYSTAL_SYSTEM])
        if self.training:
            given = torch.rand(len(batch), 1, device=prompt.device) < self.beta / (1.0 + self.beta)
            prompt = prompt * given.to(dtype)
        width = mean.shape[1]
        of_level, of_crystal = self.joined.weight.split([width, width + prompt.shape[1]], dim=1)
        crystal = F.linear(torch.cat([self.whole(mean), prompt], dim=1), of_crystal, self.joined.bias)
        levels = F.leaky_relu(F.linear(levels, of_level) + crystal[:, None])
        return atoms, self.among_levels(levels, None, None)


@dataclass(frozen=True, eq=False)
class Padded:
    """The orbits of atoms of each crystal, filled up to the largest number of them.

    Args:
        rows: (B, M, F) their features; zeros where a crystal has no more.
        log_count: (B, 1, M) logarithm of how many atoms each stands for; minus infinity where there is none.
        crystal: (O,) whose each is.
        place: (O,) its place among those of its crystal.
    """

    rows: Tensor
    log_count: Tensor
    crystal: Tensor
    place: Tensor

    @classmethod
    def of(cls, rows: Tensor, *, count: Tensor, owner: Tensor, n: int) -> Padded:
        """Pad (O, F) rows of n crystals; those of one crystal stand together."""
        sizes = torch.bincount(owner, minlength=n)
        place = torch.arange(len(owner), device=owner.device) - (sizes.cumsum(0) - sizes).index_select(0, owner)
        most = int(sizes.max())
        flat = owner * most + place
        padded = rows.new_zeros(n * most, rows.shape[1]).index_copy(0, flat, rows)
        log_count = rows.new_full((n * most,), -torch.inf).index_copy(0, flat, count.log())
        return cls(rows=padded.view(n, most, -1), log_count=log_count.view(n, 1, most), crystal=owner, place=place)


class AttentionStack(nn.Module):
    """Layers of attention with one head, each normalised before it is used, and a normalisation at the end.

    Args:
        width: features.
        n_layers: how many.
    """

    def __init__(self, width: int, *, n_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(AttentionLayer(width) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, rows: Tensor, keys: Tensor | None, bias: Tensor | None) -> Tensor:
        """Update (B, L, F) rows by (B, M, F) keys, or by each other where none are given.

        Args:
            rows: what attends.
            keys: what is attended to.
            bias: (B, 1, M) added to the logits.
        """
        for layer in self.layers:
            rows = layer(rows, rows if keys is None else keys, bias)
        return self.norm(rows)

    def weights(self, rows: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
        """(B, L, M) the weights of the last layer."""
        *earlier, last = cast("list[AttentionLayer]", self.layers)
        for layer in earlier:
            rows = layer(rows, keys, bias)
        return last.weights(last.attention_norm(rows), last.attention_norm(keys), bias)


class AttentionLayer(nn.Module):
    """x <- x + W softmax(q(x) k(y) / sqrt F + bias) v(y), then x <- x + dense(x) (section 4.2).

    Args:
        width: F, features.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        # a constant added to all keys cancels in the softmax
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.dense_norm = nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, rows: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
        """Update (B, L, F) rows by (B, M, F) keys."""
        queries, keys = self.attention_norm(rows), self.attention_norm(keys)
        rows = rows + self.out(self.weights(queries, keys, bias) @ self.value(keys))
        return rows + self.dense(self.dense_norm(rows))

    def weights(self, rows: Tensor, keys: Tensor, bias: Tensor | None) -> Tensor:
        """(B, L, M) weights that add up to one for each of the normalised rows."""
        logits = self.query(rows) @ self.key(keys).transpose(1, 2) * rows.shape[2] ** -0.5
        return torch.softmax(logits if bias is None else logits + bias, dim=2)


class GraphNetwork(nn.Module):
    """Atoms and edges that update each other, each by a small network and added to what was (section 4.1).

    Args:
        width: features of atoms and edges.
        n_layers: updates.
        cutoff: Angstrom.
        step: Angstrom, between the Gaussians of a length.
    """

    masses: Tensor

    def __init__(self, width: int, *, n_layers: int, cutoff: float, step: float) -> None:
        super().__init__()
        masses = torch.tensor([0.0, *(element.mass for element in elements())], dtype=torch.float64)
        self.register_buffer("masses", masses, persistent=False)
        self.cutoff = cutoff
        self.basis = GaussianBasis(start=0.0, stop=cutoff, step=step)
        # a one-hot vector with the atom's mass for the one, so that a row of this table is scaled by it
        self.elements = nn.Embedding(len(masses), width)
        bound = (len(masses) - 1) ** -0.5
        nn.init.uniform_(self.elements.weight, -bound, bound)
        self.atom_encoder = nn.Sequential(nn.PReLU(), nn.Linear(width, width))
        self.edge_encoder = nn.Sequential(nn.Linear(self.basis.size, width), nn.PReLU(), nn.Linear(width, width))
        self.edge_updates = nn.ModuleList(_update(3 * width, width) for _ in range(n_layers))
        self.atom_updates = nn.ModuleList(_update(2 * width, width) for _ in range(n_layers))

    def forward(self, numbers: Tensor, graph: Graph) -> Tensor:
        """(O, width) features of the orbits of atoms with these atomic numbers."""
        extra, dtype, n = graph.extra, self.elements.weight.dtype, len(numbers)
        itself = torch.arange(n, device=numbers.device)
        source = RowIndex(torch.cat([extra[EDGE_SOURCE], itself]), n=n)
        target = RowIndex(torch.cat([extra[EDGE_TARGET], itself]), n=n)
        # each atom is its own neighbour too, at distance zero
        distance = torch.cat([extra[DISTANCE].to(dtype), torch.zeros(n, dtype=dtype, device=numbers.device)])
        count = torch.cat([extra[MULTIPLICITY].to(dtype), torch.ones(n, dtype=dtype, device=numbers.device)])
        share = count * cosine_envelope(distance / self.cutoff)
        share = share / target.take(target.add(share[:, None]))[:, 0]
        mass = self.masses.index_select(0, numbers).to(dtype)
        atoms = self.atom_encoder(self.elements(numbers) * mass[:, None])
        edges = self.edge_encoder(self.basis(distance))
        for of_edges, of_atoms in zip(self.edge_updates, self.atom_updates, strict=True):
            change = of_edges(torch.cat([source.take(atoms), target.take(atoms), edges], dim=1))
            atoms = atoms + of_atoms(torch.cat([atoms, target.add(change * share[:, None])], dim=1))
            edges = edges + change
        return atoms


def _update(given: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(given, 2 * width), nn.LayerNorm(2 * width), nn.PReLU(), nn.Linear(2 * width, width))
