"""ETGNN: tensors from the directions of edges, with coefficients from an invariant network.

Zhong, Yu, Gong and Xiang 2023, "A General Tensor Prediction Framework Based on Graph Neural Networks",
doi:10.1021/acs.jpclett.3c01200 (arXiv:2201.05770).

A tensor of rank M is the mean over the atoms of products of M unit vectors along the edges of clusters at the atom, one edge or two,
each with a scalar coefficient (equations 1 and 2). Coefficients come from DimeNet++, whose messages know distances and
angles, so that the tensor turns with the crystal whatever the coefficients are.

| paper and released code | here |
|---|---|
| `hidden_channels` | `width` |
| `num_blocks` | `n_blocks` |
| `int_emb_size`, `basis_emb_size` | `narrow`, `basis_width` |
| `num_spherical`, `num_radial` | `n_degrees`, `n_radial` |
| `cutoff`, `envelope_exponent` | `cutoff`, `exponent` |
| `num_before_skip`, `num_after_skip` | `before`, `after` |
| r_c of clusters of two edges, `cutoff_triplet` | `pair_cutoff` |
| t of one edge and of two, `regression_edge`, `regression_triplet` | `Expansion.edge`, `Expansion.pair` |

Departures:

- The program knows rank 2 and 3, and gives clusters of two edges one product, e_k e_j (e_j). Here each cluster has one coefficient
  for each way to set its edges on the indices that the tensor's index symmetry leaves: three for an elastic tensor, which
  products of one edge alone would make obey the Cauchy relations.
- Coefficients go to zero smoothly at the cutoffs.
- The features of a cluster of two edges are made of theirs and the Legendre polynomials of the angle; the program carries them
  through the blocks.
- Messages meet through harmonics summed at atoms (`nn.directional_messages`), and equal messages are computed once
  (`representations.equal_edges`): the same numbers.
- Layers start as torch starts them, not orthogonal.
- Numbers, classes and spectra are learnt too, from atoms that messages are summed up in.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.bases import BesselBasis
from euhedral.nn.cartesian_irreps import index_orders
from euhedral.nn.cutoff import polynomial_envelope
from euhedral.nn.dense import MLP
from euhedral.nn.directional_messages import DirectionalInteraction, message_graph
from euhedral.nn.irreps import spherical_harmonics
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_mean, segment_sum
from euhedral.nn.spherical_bessel import SphericalBesselBasis
from euhedral.representations.equal_edges import CLASS_EDGE, CLASS_REVERSE, EDGE_CLASS, RadiusWithEqualEdges
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.representations.triplets import PAIR_FIRST, PAIR_SECOND, EdgePairs
from euhedral.tasks.targets import INVARIANT, CartesianTensor, TargetLike, read_targets, split_outputs

_DIELECTRIC = {"kind": "tensor", "name": "dielectric_tensor", "rank": 2, "symmetry": "ij=ji"}


class ETGNN(nn.Module):
    """Predict tensors, and other properties, as means over the atoms.

    Args:
        targets: what is predicted of a crystal: tensors, numbers, classes or spectra.
        width: features of a message.
        n_blocks: interaction blocks.
        narrow: features of a message while it meets others.
        basis_width: of the bottleneck through which bases go.
        n_degrees: Legendre polynomials of an angle.
        n_radial: radial functions of a message.
        cutoff: Angstrom.
        exponent: of the envelope.
        before: residual layers in a block before the old message is added.
        after: residual layers after that.
        pair_cutoff: Angstrom, of edges in clusters of two.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = (_DIELECTRIC,), width: int = 128, n_blocks: int = 4, narrow: int = 64,
        basis_width: int = 8, n_degrees: int = 7, n_radial: int = 6, cutoff: float = 6.0, exponent: int = 5, before: int = 1,
        after: int = 2, pair_cutoff: float = 3.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="ETGNN", kinds=(CartesianTensor, *INVARIANT))
        self.targets = tuple(self.kinds)
        lmax = n_degrees - 1
        self.graph: GraphSpec = EdgePairs(
            RadiusWithEqualEdges(cutoff=cutoff, rounds=n_blocks, lmax=lmax), cutoff=pair_cutoff
        )
        self.lmax, self.cutoff, self.pair_cutoff, self.exponent = lmax, cutoff, pair_cutoff, exponent
        self.elements = nn.Embedding(MAX_NUMBER + 1, width)
        self.radial = BesselBasis(size=n_radial, cutoff=cutoff, exponent=exponent + 1)
        self.spherical = SphericalBesselBasis(
            n_degrees=n_degrees, n_zeros=n_radial, cutoff=cutoff, exponent=exponent + 1
        )
        self.length = nn.Linear(n_radial, width)
        self.start = nn.Linear(3 * width, width)
        self.blocks = nn.ModuleList(
            DirectionalInteraction(
                width, narrow=narrow, n_radial=n_radial, basis_width=basis_width, n_degrees=n_degrees, before=before, after=after
            )
            for _ in range(n_blocks)
        )  # fmt: skip
        tensors = [kind for kind in self.kinds.values() if isinstance(kind, CartesianTensor)]
        self.expansions = nn.ModuleList(
            Expansion(kind.rank, symmetry=kind.symmetry, width=width, n_degrees=n_degrees) for kind in tensors
        )
        n_scalars = sum(kind.outputs for kind in self.kinds.values() if kind not in tensors)
        self.weight_of_length = nn.Linear(n_radial, width, bias=False) if n_scalars else None
        self.atoms = MLP([width, width, width, n_scalars], activation=F.silu) if n_scalars else None
        self.scaling = TargetScaling(sum(kind.outputs for kind in self.kinds.values()))

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit; tensors in the axes of the cells."""
        vectors = graph.vectors(batch)
        messages, radial, length = self._messages(batch, graph, vectors)
        parts: dict[str, Tensor] = {}
        if len(self.expansions):
            edges = _Edges(self, batch, graph, vectors, length)
            tensors = [name for name, kind in self.kinds.items() if isinstance(kind, CartesianTensor)]
            for name, expansion in zip(tensors, self.expansions, strict=True):
                parts[name] = expansion(messages, edges)
        if self.atoms is not None and self.weight_of_length is not None:
            values = self.atoms(self._summed(messages * self.weight_of_length(radial), batch, graph))
            values = segment_mean(values, owner=batch.crystal_idx, n=len(batch))
            names = [name for name in self.kinds if name not in parts]
            sizes = [self.kinds[name].outputs for name in names]
            parts.update(zip(names, values.split(sizes, dim=1), strict=True))
        joined = torch.cat([parts[name] for name in self.kinds], dim=1)
        return split_outputs(self.scaling(joined), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) mean over the atoms of the sums of their messages, each as strong as it is near."""
        messages, _, length = self._messages(batch, graph, graph.vectors(batch))
        near = polynomial_envelope(length, cutoff=self.cutoff, exponent=self.exponent)
        atoms = self._summed(messages * near[:, None], batch, graph)
        return segment_mean(atoms, owner=batch.crystal_idx, n=len(batch))

    def _summed(self, messages: Tensor, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, F) sums of (M, F) messages over the edges of each atom."""
        of_edge = messages.index_select(0, graph.extra[EDGE_CLASS])
        return segment_sum(of_edge, owner=graph.target, n=batch.numbers.shape[0])

    def _messages(self, batch: CrystalBatch, graph: Graph, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(M, width) messages, (M, n_radial) radial functions and (M,) Angstrom, of each class of equal edges."""
        first, which = graph.extra[CLASS_EDGE], graph.extra[EDGE_CLASS]
        length = segment_mean(vectors.norm(dim=1), owner=which, n=len(first))
        radial, spherical = self.radial(length), self.spherical(length)
        table = self.elements.weight
        target, source = (batch.numbers[index[first]] for index in (graph.target, graph.source))
        start = torch.cat([table[target], table[source], F.silu(self.length(radial))], dim=1)
        messages = F.silu(self.start(start))
        meeting = message_graph(
            target=graph.target, harmonics=spherical_harmonics(vectors, lmax=self.lmax), message=which,
            reverse=graph.extra[CLASS_REVERSE],
        )  # fmt: skip
        for block in self.blocks:
            messages = block(messages, radial, spherical, graph=meeting)
        return messages, radial, length


class _Edges:
    """What expansions read: directions, how near edges and pairs are, Legendre polynomials, and whose they are."""

    def __init__(self, model: ETGNN, batch: CrystalBatch, graph: Graph, vectors: Tensor, length: Tensor) -> None:
        which = graph.extra[EDGE_CLASS]
        self.which = which
        self.direction = F.normalize(vectors, dim=1)
        self.near = polynomial_envelope(length, cutoff=model.cutoff, exponent=model.exponent).index_select(0, which)
        self.first, self.second = graph.extra[PAIR_FIRST], graph.extra[PAIR_SECOND]
        close = polynomial_envelope(length, cutoff=model.pair_cutoff, exponent=model.exponent)
        close = close.index_select(0, which)
        self.close = close[self.first] * close[self.second]
        self.angle = legendre((self.direction[self.first] * self.direction[self.second]).sum(1), lmax=model.lmax)
        self.crystal = batch.crystal_idx[graph.target]
        self.n_atoms = batch.n_atoms.to(vectors.dtype)


class Expansion(nn.Module):
    """A tensor as a sum of products of edge directions, those of one edge and those of two edges of an atom.

    Args:
        rank: of the tensor.
        symmetry: of its indices.
        width: features of an edge.
        n_degrees: Legendre polynomials of the angle between two edges.
    """

    def __init__(self, rank: int, *, symmetry: str, width: int, n_degrees: int) -> None:
        super().__init__()
        self.rank = rank
        self.words = arrangements(rank, symmetry=symmetry)
        self.edge = MLP([width, width, width, 1], activation=F.silu)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.angle = nn.Linear(n_degrees, width, bias=False)
        self.pair = MLP([width, width, max(len(self.words), 1)], activation=F.silu) if self.words else None

    def forward(self, messages: Tensor, edges: _Edges) -> Tensor:
        """(B, 3^rank) means over the atoms, from (M, width) features of equal edges."""
        n = len(edges.n_atoms)
        single = self.edge(messages)[:, 0].index_select(0, edges.which) * edges.near
        product = _product([edges.direction] * self.rank)
        total = segment_sum(single[:, None] * product, owner=edges.crystal, n=n)
        if self.pair is not None:
            first, second = edges.which[edges.first], edges.which[edges.second]
            features = self.first(messages).index_select(0, first) + self.second(messages).index_select(0, second)
            strength = self.pair(F.silu(features + self.angle(edges.angle))) * edges.close[:, None]
            one, other = edges.direction[edges.first], edges.direction[edges.second]
            for place, words in enumerate(self.words):
                product = sum(_product([other if letter else one for letter in word]) for word in words) / len(words)
                value = strength[:, place, None] * product
                total = total + segment_sum(value, owner=edges.crystal[edges.first], n=n)
        return total / edges.n_atoms[:, None]


def arrangements(rank: int, *, symmetry: str) -> list[list[tuple[int, ...]]]:
    """List the ways to set two edges, 0 and 1, on the indices of a tensor.

    Ways that the index symmetry makes equal are one, with all its orders; so are ways that differ by an exchange of the edges,
    since every pair of edges occurs in both orders.

    Args:
        rank: of the tensor.
        symmetry: of its indices.
    """
    orders = index_orders(rank, symmetry=symmetry)
    found: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for word in itertools.product((0, 1), repeat=rank):
        if len(set(word)) == 2:
            alike = sorted({tuple(word[i] for i in order) for order in orders})
            swapped = sorted({tuple(1 - letter for letter in other) for other in alike})
            found.setdefault(min(alike[0], swapped[0]), min(alike, swapped))
    return list(found.values())


def legendre(cosine: Tensor, *, lmax: int) -> Tensor:
    """(T, lmax + 1) Legendre polynomials of (T,) cosines, scaled as spherical harmonics of order zero."""
    values = [torch.ones_like(cosine), cosine]
    for degree in range(1, lmax):
        values.append(((2 * degree + 1) * cosine * values[-1] - degree * values[-2]) / (degree + 1))
    scaled = [math.sqrt((2 * degree + 1) / (4.0 * math.pi)) * value for degree, value in enumerate(values[: lmax + 1])]
    return torch.stack(scaled, dim=1)


def _product(vectors: list[Tensor]) -> Tensor:
    """(M, 3^n) the outer product of n vectors (M, 3) each, flattened."""
    result = vectors[0]
    for vector in vectors[1:]:
        result = (result[:, :, None] * vector[:, None]).flatten(1)
    return result
