"""A graph in which edges that messages cannot tell apart are named, so that their features are computed once.

Symmetry makes most edges of a crystal images of each other. Networks whose edges know lengths, elements and angles give all of
them the same features. Which they are is found by running one fixed function of that kind in double precision: edges to which it
gives the same numbers are equal, and no symmetry analysis is needed. (`quotient` does the same for atoms and distances.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.representations.graphs import ExtraKind, Graph, Radius
from euhedral.representations.orbits import grouped
from euhedral.representations.quotient import distinct_values

#: Names in `Graph.extra`.
CLASS_EDGE: Final = "class_edge"
CLASS_REVERSE: Final = "class_reverse"
EDGE_CLASS: Final = "edge_class"

_KINDS: Final = {
    CLASS_EDGE: ExtraKind(of="class", to="edge"),
    CLASS_REVERSE: ExtraKind(of="class", to="edge"),
    EDGE_CLASS: ExtraKind(of="edge", to="class"),
}
_CHANNELS: Final = 2
# Numbers held at once while the function runs, about 100 MB.
_CHUNK: Final = 12_000_000


@dataclass(frozen=True)
class RadiusWithEqualEdges:
    """All neighbours within a radius, and which edges are equal.

    `extra` holds, for M classes of equal edges, "class_edge" (M,) int64, one edge of each, whose source is as early an atom as
    any, so that these sources are few, and "class_reverse" (M,), the edge opposite to that; and "edge_class" (E,) int64. Edges of different crystals are in different classes, and so are the
    two directions of an edge unless they are equal too.

    Args:
        cutoff: Angstrom.
        rounds: of messages after which edges must still be equal.
        lmax: degree of the angular functions that messages know.
        tolerance: difference of the fixed function, whose values and slopes per Angstrom are of the order of one, below which
            edges are equal.
    """

    cutoff: float
    rounds: int
    lmax: int
    tolerance: float = 1e-5

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch and their classes; no gradient flows through these."""
        from euhedral.representations.line_graph_kernels import reverse_edges

        graph = Radius(self.cutoff).build(batch)
        source, target, image = (tensor.cpu().numpy() for tensor in (graph.source, graph.target, graph.image))
        start = np.searchsorted(target, np.arange(batch.numbers.shape[0] + 1))
        reverse = reverse_edges(source, target, image, start)
        with torch.no_grad():
            marks = self._marks(graph, batch=batch, reverse=torch.from_numpy(reverse)).numpy()
        crystal = batch.crystal_idx.cpu().numpy()[target]
        numbers = batch.numbers.cpu().numpy()
        labels = [distinct_values(column, crystal, tolerance=self.tolerance)[0] for column in marks.T]
        order = np.argsort(source, kind="stable")
        first, place = grouped(*(label[order] for label in labels), numbers[source[order]], numbers[target[order]])
        first, which = order[first], np.empty_like(place)
        which[order] = place
        arrays = {CLASS_EDGE: first, CLASS_REVERSE: reverse[first], EDGE_CLASS: which}
        extra = {name: torch.from_numpy(array).to(batch.device) for name, array in arrays.items()}
        return replace(graph, extra=extra, kinds=_KINDS)

    def _marks(self, graph: Graph, *, batch: CrystalBatch, reverse: Tensor) -> Tensor:
        """(E, channels + 1) float64: the fixed function of each edge, and its length."""
        vectors = graph.vectors(batch).double().cpu()
        numbers, source, target = batch.numbers.cpu(), graph.source.cpu(), graph.target.cpu()
        offsets = batch.offsets.cpu()
        ends = torch.searchsorted(target, offsets)
        step = _CHUNK // (_CHANNELS * (self.lmax + 1) ** 2)
        found, begin = [vectors.new_zeros(0, _CHANNELS + 1)], 0
        while begin < len(batch):
            stop = max(int(torch.searchsorted(ends, ends[begin] + step, right=True)) - 1, begin + 1)
            edges = slice(int(ends[begin]), int(ends[stop]))
            atoms = slice(int(offsets[begin]), int(offsets[stop]))
            found.append(
                _fixed_function(
                    vectors[edges], numbers=numbers[atoms], source=source[edges] - atoms.start, target=target[edges] - atoms.start,
                    reverse=reverse[edges] - edges.start, cutoff=self.cutoff, rounds=self.rounds, lmax=self.lmax,
                )
            )  # fmt: skip
            begin = stop
        return torch.cat(found)


def _fixed_function(
    vectors: Tensor, *, numbers: Tensor, source: Tensor, target: Tensor, reverse: Tensor, cutoff: float, rounds: int, lmax: int,
) -> Tensor:  # fmt: skip
    """(E, channels + 1) the function after some rounds of messages with angles, and the length."""
    rng = torch.Generator().manual_seed(0)
    kinds = torch.randn(MAX_NUMBER + 1, 2 * _CHANNELS, dtype=torch.float64, generator=rng)
    rates, phases, shares = torch.randn(3, lmax + 1, _CHANNELS, dtype=torch.float64, generator=rng)
    length = vectors.norm(dim=1)
    near = (1.0 - (length / cutoff).square()).clamp(min=0.0) ** 3
    degree = torch.arange(lmax + 1).repeat_interleave(2 * torch.arange(lmax + 1) + 1)
    harmonics = _harmonics(vectors / length[:, None], lmax=lmax)
    radial = near[:, None, None] * torch.sin(length[:, None, None] * rates + phases)
    own, other = kinds[numbers].split(_CHANNELS, dim=1)
    mark = torch.sin(own[target] + other[source] + length[:, None])
    for _ in range(rounds):
        sent = (mark[:, None] * radial).index_select(1, degree) * harmonics[:, :, None]
        around = sent.new_zeros(len(numbers), *sent.shape[1:]).index_add(0, target, sent)
        seen = around.index_select(0, source) * harmonics.index_select(0, reverse)[:, :, None]
        mark = torch.sin(1.7 * mark + 0.3 * (seen * shares.index_select(0, degree)).sum(1))
    return torch.cat([mark, length[:, None]], dim=1)


def _harmonics(direction: Tensor, *, lmax: int) -> Tensor:
    """(E, (lmax + 1)^2) real harmonics, scaled so that those of one degree at two directions multiply to P_l of the angle.

    Source: Press et al. 2007, Numerical Recipes, section 6.7, with the powers of the sine taken into those of x + iy.
    """
    x, y, z = direction.T
    turns = [(torch.ones_like(x), torch.zeros_like(x))]
    for _ in range(lmax):
        cosine, sine = turns[-1]
        turns.append((x * cosine - y * sine, x * sine + y * cosine))
    rows: dict[tuple[int, int], Tensor] = {}
    for order in range(lmax + 1):
        before, last = torch.zeros_like(z), torch.full_like(z, float(math.prod(range(1, 2 * order, 2))))
        for degree in range(order, lmax + 1):
            factor = math.sqrt(
                (2.0 if order else 1.0) * math.factorial(degree - order) / math.factorial(degree + order)
            )
            rows[degree, order] = factor * turns[order][0] * last
            rows[degree, -order] = factor * (turns[order][1] if order else turns[0][0]) * last
            before, last = last, ((2 * degree + 1) * z * last - (degree + order) * before) / (degree + 1 - order)
    return torch.stack([rows[key] for key in sorted(rows)], dim=1)
