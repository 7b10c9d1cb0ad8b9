"""Which symmetries of Box 1 of the review each representation has: one literal table, which the tests hold to be true.

A card names what a representation does not have, and why; all other symmetries it has, on every test crystal, and what it is
said to lack is really missing on at least one of them. The page on representations is made from the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.representations.composition_graph import CompositionGraph
from euhedral.representations.gaussian_images import GaussianImages
from euhedral.representations.gaussian_sums import log_gaussian_sums, pair_of_edge
from euhedral.representations.graphs import GraphSpec, Nearest, Radius, StrictNearest
from euhedral.representations.lattice_edges import (
    LATTICE_EDGE,
    LatticeEdges,
    LatticeFrame,
    frame_cosines,
)
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums, all_pairs
from euhedral.representations.line_graph import LineGraph
from euhedral.representations.potentials import POTNET_PROGRAM
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, quotient
from euhedral.testing.behaviours import Behaviour, CartesianTensor, Invariant, PerAtom, Text, Unordered
from euhedral.testing.invariance import Featuriser, OnBatch

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Card:
    """One representation and how it follows changes of a crystal.

    Args:
        name: what the page calls it.
        where: "module:name", relative to `euhedral`.
        features: what is tested: all that a network would read of it.
        expected: how each feature behaves.
        lacks: the symmetries that it does not have, by the name of the change, with the reason.
        blind: changes of the crystal itself that it does not see, with the reason.
        tolerance: the largest deviation that is rounding.
    """

    name: str
    where: str
    features: Featuriser
    expected: Mapping[str, Behaviour]
    lacks: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    blind: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    tolerance: float = 1e-7


def edges(spec: GraphSpec) -> Featuriser:
    """Features of a graph: the vectors of its edges with the elements at both ends, their lengths, neighbours of each atom."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        vectors = graph.vectors(batch)
        ends = torch.stack([batch.numbers[graph.source], batch.numbers[graph.target]], 1).double()
        return {
            "vectors": vectors,
            "lengths": torch.cat([vectors.norm(dim=1, keepdim=True), ends], 1),
            "neighbours": torch.bincount(graph.target, minlength=len(batch.frac)),
        }

    return OnBatch(features)


def lengths(spec: GraphSpec) -> Featuriser:
    """Features of a graph of which only the lengths of edges are meant."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        return {"lengths": graph.vectors(batch).norm(dim=1)}

    return OnBatch(features)


def angles(spec: LineGraph) -> Featuriser:
    """Features of a line graph: for each pair of bonds at an atom both lengths, the cosine between them and the three elements."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        vectors = graph.vectors(batch)[graph.extra["short_edge"]]
        source, target = (side[graph.extra["short_edge"]] for side in (graph.source, graph.target))
        first, second = graph.extra["angle_first"], graph.extra["angle_second"]
        length = vectors.norm(dim=1)
        cosine = (vectors[first] * vectors[second]).sum(1) / (length[first] * length[second])
        elements = batch.numbers[torch.stack([source[first], target[first], source[second]], 1)]
        return {"angles": torch.cat([torch.stack([length[first], length[second], cosine], 1), elements.double()], 1)}

    return OnBatch(features)


def lattice_edges(batch: CrystalBatch) -> dict[str, Any]:
    """Features of Matformer's graph: length, elements and kind of each edge."""
    graph = LatticeEdges().build(batch)
    ends = torch.stack([batch.numbers[graph.source], batch.numbers[graph.target], graph.extra[LATTICE_EDGE]], 1)
    return {"edges": torch.cat([graph.vectors(batch).norm(dim=1, keepdim=True), ends.double()], 1)}


def lattice_frame(batch: CrystalBatch) -> dict[str, Any]:
    """Features of ComFormer's graph: length, angles to the three lattice vectors and elements of edges, as a set and by atom."""
    graph = LatticeFrame().build(batch)
    ends = torch.stack([batch.numbers[graph.source], batch.numbers[graph.target]], 1).double()
    length, cosines = graph.vectors(batch).norm(dim=1), frame_cosines(graph, batch)
    # as a set the edges of one element and their mirror images are the same; gathered by atom they are not
    mixed = cosines @ torch.tensor([[1.3, -2.1, 0.8], [0.6, 1.7, -2.9]], dtype=torch.float64).T
    message = torch.sin(mixed + length[:, None]) * torch.exp(-length[:, None])
    empty = torch.zeros(len(batch.frac), 2, dtype=torch.float64)
    return {
        "edges": torch.cat([length[:, None], cosines, ends], 1),
        "atoms": empty.index_add_(0, graph.target, message * ends[:, :1]),
    }


def composition(batch: CrystalBatch) -> dict[str, Any]:
    """Features of a composition: each element and its share."""
    extra = CompositionGraph().build(batch).extra
    return {"elements": torch.stack([extra["element_number"].double(), extra["element_share"]], 1)}


def gaussian_sums(batch: CrystalBatch) -> dict[str, Any]:
    """Features of Crystalformer's sums of Gaussians: what each atom gathers from all others; copies share a sum."""
    graph = GaussianImages(error=1e-10).build(batch)
    pair, (source, target) = pair_of_edge(batch, graph=graph), all_pairs(batch)
    width = torch.full((len(source), 1), 1.4, dtype=torch.float64)
    logarithm, _ = log_gaussian_sums(graph.vectors(batch).square().sum(1), pair=pair, width=width)
    gathered = logarithm[:, 0].exp() * batch.numbers[source].sqrt()
    return {"gathered": torch.zeros(len(batch.frac), dtype=torch.float64).index_add_(0, target, gathered)}


def orbits(batch: CrystalBatch) -> dict[str, Any]:
    """Features of a quotient graph: elements, multiplicity and length of each of its edges."""
    reduced, graph = quotient(batch, Nearest().build(batch))
    ends = torch.stack([reduced.numbers[graph.source], reduced.numbers[graph.target]], 1).double()
    return {"edges": torch.cat([ends, torch.stack([graph.extra[MULTIPLICITY], graph.extra[DISTANCE]], 1)], 1)}


def sums(spec: PotentialSums) -> Featuriser:
    """Features of lattice sums: what each atom feels of all others, by potential; copies in a supercell share a sum."""

    def features(batch: CrystalBatch) -> dict[str, Any]:
        graph = spec.build(batch)
        felt = graph.extra[POTENTIAL_SUMS] * batch.numbers[graph.source, None].sqrt()
        empty = torch.zeros(len(batch.frac), felt.shape[1], dtype=torch.float64)
        return {"felt": empty.index_add_(0, graph.target, felt)}

    return OnBatch(features)


def wyckoff(crystal: Crystal) -> dict[str, Any]:
    """Features of a crystal as occupied Wyckoff positions: group, letters, elements, coordinates, metric of the cell."""
    form = from_crystal(crystal)
    return {
        "group": np.array(form.space_group),
        "letters": form.letters,
        "elements": form.numbers,
        "coordinates": _on_circle(form.frac),
        "cell": form.cell @ form.cell.T,
    }


def _on_circle(frac: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Write coordinates so that 0 and 1 are one point."""
    return np.exp(2j * np.pi * frac)


_EDGES: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "vectors": Unordered(CartesianTensor(rank=1)),
        "lengths": Unordered(Invariant()),
        "neighbours": PerAtom(Invariant()),
    }
)
_BY_LENGTH: Final[Mapping[str, Behaviour]] = MappingProxyType({"lengths": Unordered(Invariant())})
_WYCKOFF: Final[Mapping[str, Behaviour]] = MappingProxyType(
    {
        "group": Invariant(), "letters": Text(), "elements": Invariant(), "coordinates": Invariant(), "cell": Invariant(),
    }
)  # fmt: skip
_NO_ELEMENTS: Final = MappingProxyType({"elements": "lengths alone; a network reads the elements beside them"})

#: Every representation.
CARDS: Final[tuple[Card, ...]] = (
    Card("radius graph", "representations.graphs:Radius", edges(Radius(cutoff=4.5)), _EDGES),
    Card("k nearest, whole shells", "representations.graphs:Nearest", edges(Nearest(k=12)), _EDGES),
    Card(
        "k nearest, exactly", "representations.graphs:StrictNearest", lengths(StrictNearest(k=12)), _BY_LENGTH,
        blind=_NO_ELEMENTS,
    ),
    Card(
        "line graph", "representations.line_graph:LineGraph", angles(LineGraph(cutoff=5.0, bond_cutoff=3.2)),
        {"angles": Unordered(Invariant())},
    ),
    Card(
        "quotient graph", "representations.quotient:quotient", OnBatch(orbits),
        {"edges": Unordered(Invariant(), repeated=False)},
    ),
    Card(
        "lattice sums", "representations.lattice_sums:PotentialSums", sums(PotentialSums()),
        {"felt": PerAtom(Invariant())}, tolerance=1e-6,
    ),
    Card(
        "lattice sums as PotNet's program has them", "representations.potentials:POTNET_PROGRAM",
        sums(PotentialSums(potentials=POTNET_PROGRAM)), {"felt": PerAtom(Invariant())}, tolerance=1e-6,
        lacks={"supercell": "the decay of the Pauli term depends on the volume of the cell"},
    ),
    Card(
        "sums of Gaussians", "representations.gaussian_images:GaussianImages", OnBatch(gaussian_sums),
        {"gathered": PerAtom(Invariant())},
    ),
    Card(
        "lattice edges (Matformer)", "representations.lattice_edges:LatticeEdges", OnBatch(lattice_edges),
        {"edges": Unordered(Invariant())},
    ),
    Card(
        "lattice vectors (ComFormer)", "representations.lattice_edges:LatticeFrame", OnBatch(lattice_frame),
        # equally good frames are images under the crystal's own rotations, which permute its atoms
        {"edges": Unordered(Invariant()), "atoms": Unordered(Invariant())},
        lacks={"mirror": "the frame is right-handed, so that angles to it tell a crystal from its mirror image: SE(3)"},
    ),
    Card(
        "composition", "representations.composition_graph:CompositionGraph", OnBatch(composition),
        {"elements": Unordered(Invariant(), repeated=False)}, blind={"distances": "only the elements are read"},
    ),
    Card(
        "Wyckoff positions", "geometry.wyckoff_form:from_crystal", wyckoff, _WYCKOFF, tolerance=1e-6,
        lacks={"mirror": "the mirror image of a chiral crystal has another group or other coordinates"},
    ),
)  # fmt: skip


def cards() -> dict[str, Card]:
    """Return the cards by name."""
    return {card.name: card for card in CARDS}
