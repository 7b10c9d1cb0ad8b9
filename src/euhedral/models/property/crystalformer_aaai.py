"""CrystalFormer: a conformal crystal graph transformer.

Wang, Kong, Gregoire and Gomes 2024, "Conformal Crystal Graph Transformer with Robust Encoding of Periodic Invariance", AAAI,
doi:10.1609/aaai.v38i1.27781.

Neighbours are chosen by weights of distance, radii and electronegativity, so that no cell boundary and no small displacement
changes them (`weighted_neighbours`). Layers of attention over neighbours alternate with layers of attention over the neighbours'
neighbours, k -> j -> i, whose query and key hold the two edges of the path. Edge vectors are kept by a map that keeps angles, so
that the product of query and key knows the angle at j.

| paper | here |
|---|---|
| w^r, w^d, w^e | `weighted_neighbours.neighbour_weights` |
| node-aware layer | `NodeAttention` |
| edge-aware layer, [h_i, e_ij] and [h_k, e_jk] | `PathAttention` |
| H, the harmonic map that stands for a conformal one | the identity, see below |
| jumping knowledge | `join` |

Departures:

- The authors published no code, and this was written after the paper's abstract and published summaries of its method, not after its
  text: widths, depth, training and the exact form of the weights are ours, the last after CrystalNN, whose weights they resemble.
- A linear map that keeps angles is a factor times an isometry, and leaves <H u, H v> = s^2 <u, v> whatever the isometry is. The
  paper brings a free map near to such a one by a penalty, its Dirichlet energy on the graph; here the product is taken as
  it is for an exact one, with channels of query and key as the factors. The result turns with nothing, to rounding.
- Equal atoms, edges and paths are worked on once, with their number (`condensed_angles`): the same numbers.
- Besides weighing a path, its cosine multiplies a part of the path's message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.nn.dense import MLP
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_softmax, segment_sum
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
from euhedral.representations.weighted_neighbours import WeightedNeighbours
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class ConformalCrystalFormer(nn.Module):
    """Predict properties of crystals by attention over neighbours and over the neighbours' neighbours.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom and of an edge.
        n_blocks: of one layer over neighbours and one over paths.
        heads: attentions of a layer.
        channels: of each head, by which query and key hold the direction of their edge; 0 for attention without angles.
        candidates: nearest atoms among which neighbours are chosen.
        longest: Angstrom, centre of the last Gaussian of a distance.
        step: Angstrom, between two.

    Raises:
        InvalidRequestError: the width is no multiple of the heads.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 128, n_blocks: int = 3,
        heads: int = 4, channels: int = 16, candidates: int = 36, longest: float = 8.0, step: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        if width % heads:
            raise InvalidRequestError(
                f"CrystalFormer: a width of {width} cannot be shared by {heads} heads; choose a multiple"
            )
        self.kinds = read_targets(targets, system="CrystalFormer")
        self.targets = tuple(self.kinds)
        near = Undirected(WeightedNeighbours(candidates=Nearest(k=candidates)))
        self.graph: GraphSpec = CondensedAngles(EdgePaths(edges=near))
        self.atoms = ElementEmbedding(width)
        self.basis = GaussianBasis(start=0.0, stop=longest, step=step)
        self.edges = MLP([self.basis.size, width, width], activation=F.silu)
        self.blocks = nn.ModuleList(Block(width, heads=heads, channels=channels) for _ in range(n_blocks))
        self.join = nn.Linear((n_blocks + 1) * width, width)
        self.hidden = nn.Linear(width, width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        extra = graph.extra
        edges = self.edges(self.basis(extra[DISTANCE].to(batch.dtype)))
        edge_count, second = extra[MULTIPLICITY].to(batch.dtype), extra[ANGLE_SECOND]
        path_count = edge_count.index_select(0, second) * extra[ANGLE_COUNT].to(batch.dtype)
        paths = Paths(
            source=extra[EDGE_SOURCE], target=extra[EDGE_TARGET], log_count=edge_count.log(), first=extra[ANGLE_FIRST],
            second=second, cosine=extra[ANGLE_COSINE].to(batch.dtype), log_path_count=path_count.log(),
        )  # fmt: skip
        atoms = self.atoms(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        seen = [atoms]
        for block in self.blocks:
            atoms = block(atoms, edges, paths)
            seen.append(atoms)
        joined = F.silu(self.join(torch.cat(seen, dim=1))) * extra[ORBIT_COUNT].to(batch.dtype)[:, None]
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        return F.silu(self.hidden(segment_sum(joined, owner=owner, n=len(batch)) / batch.n_atoms[:, None]))


@dataclass(frozen=True, eq=False)
class Paths:
    """Which atoms and edges the attentions join; in a softmax, n equal terms are one whose logit is larger by log n.

    Args:
        source: (E,) int64.
        target: (E,) int64.
        log_count: (E,) logarithm of how many equal edges each stands for.
        first: (T,) int64, the edge k -> j of each path.
        second: (T,) int64, the edge j -> i.
        cosine: (T,) of the angle at j.
        log_path_count: (T,) logarithm of how many equal paths each stands for.
    """

    source: Tensor
    target: Tensor
    log_count: Tensor
    first: Tensor
    second: Tensor
    cosine: Tensor
    log_path_count: Tensor


class Block(nn.Module):
    """Attention over neighbours, then over paths, each followed by a dense network; all with residuals, normalised before.

    Args:
        width: features of an atom and of an edge.
        heads: of both attentions.
        channels: as in `ConformalCrystalFormer`.
    """

    def __init__(self, width: int, *, heads: int, channels: int) -> None:
        super().__init__()
        self.over_neighbours = NodeAttention(width, heads=heads)
        self.over_paths = PathAttention(width, heads=heads, channels=channels)
        self.dense = nn.ModuleList(MLP([width, 2 * width, width], activation=F.silu) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))

    def forward(self, atoms: Tensor, edges: Tensor, paths: Paths) -> Tensor:
        """Update (N, width) atoms by (E, width) edges and T paths."""
        atoms = atoms + self.over_neighbours(self.norms[0](atoms), edges, paths)
        atoms = atoms + self.dense[0](self.norms[1](atoms))
        atoms = atoms + self.over_paths(self.norms[2](atoms), edges, paths)
        return atoms + self.dense[1](self.norms[3](atoms))


class NodeAttention(nn.Module):
    """softmax_j (q(h_i) k(h_j, e_ij) / sqrt d) v(h_j, e_ij).

    Args:
        width: features of an atom and of an edge.
        heads: of the attention.
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.of_source = nn.Linear(width, 2 * width, bias=False)
        self.of_edge = nn.Linear(width, 2 * width)

    def forward(self, atoms: Tensor, edges: Tensor, paths: Paths) -> Tensor:
        """(N, width) what each of (N, width) atoms gathers over (E, width) edges."""
        n, shape = len(atoms), (-1, self.heads, self.size)
        both = self.of_source(atoms).index_select(0, paths.source) + self.of_edge(edges)
        key, value = (part.view(shape) for part in both.chunk(2, dim=1))
        query = self.query(atoms).view(shape).index_select(0, paths.target)
        logits = (query * key).sum(2) * self.size**-0.5 + paths.log_count[:, None]
        weight = segment_softmax(logits, owner=paths.target, n=n)
        total = segment_sum(weight[:, :, None] * value, owner=paths.target, n=n)
        return self.output(total.flatten(1))


class PathAttention(nn.Module):
    """Attention of atom i over paths k -> j -> i, with the cosine c of the angle at j.

    softmax_(j, k) ((q(h_i, e_ij) k(h_k, e_jk) + c a(h_i, e_ij) b(h_k, e_jk)) / sqrt d) (v(h_k, e_jk) + c w(h_k, e_jk))

    Args:
        width: features of an atom and of an edge.
        heads: of the attention.
        channels: of a and b in each head; 0 for no cosine at all.
    """

    def __init__(self, width: int, *, heads: int, channels: int) -> None:
        super().__init__()
        self.heads, self.size, self.channels = heads, width // heads, channels
        # of each head: q and a of the edge that arrives; k and b, v, and w of the edge before it
        both = self.size + channels
        values = self.size * (2 if channels else 1)
        self.of_centre, self.of_last = nn.Linear(width, heads * both, bias=False), nn.Linear(width, heads * both)
        self.of_start = nn.Linear(width, heads * (both + values), bias=False)
        self.of_first = nn.Linear(width, heads * (both + values))
        self.output = nn.Linear(width, width)

    def forward(self, atoms: Tensor, edges: Tensor, paths: Paths) -> Tensor:
        """(N, width) what each of (N, width) atoms gathers over T paths."""
        n, first, second, cosine = len(atoms), paths.first, paths.second, paths.cosine[:, None]
        owner = paths.target.index_select(0, second)
        query = self.of_centre(atoms).index_select(0, paths.target) + self.of_last(edges)
        key = self.of_start(atoms).index_select(0, paths.source) + self.of_first(edges)
        key, value = key.view(len(edges), self.heads, -1).split(
            [self.size + self.channels, self.size * (2 if self.channels else 1)], dim=2
        )
        products = query.view(len(edges), self.heads, -1).index_select(0, second) * key.index_select(0, first)
        logits = products[:, :, : self.size].sum(2)
        if self.channels:
            logits = logits + cosine * products[:, :, self.size :].sum(2)
        weight = segment_softmax(logits * self.size**-0.5 + paths.log_path_count[:, None], owner=owner, n=n)
        plain, *turned = value.index_select(0, first).split(self.size, dim=2)
        message = weight[:, :, None] * plain
        for part in turned:
            message = message + (weight * cosine)[:, :, None] * part
        return self.output(segment_sum(message, owner=owner, n=n).flatten(1))
