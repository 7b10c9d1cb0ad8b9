"""Graphs kept with a data set: what is cut out is what would be built."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import ExtraKind, Graph, Nearest, Radius, StrictNearest
from euhedral.representations.line_graph import LineGraph


@dataclass(frozen=True)
class Everything:
    """A graph with a tensor of each kind, so that no shift can be forgotten."""

    def build(self, batch):
        graph = Radius(4.0).build(batch)
        crystal = batch.crystal_idx[graph.target]
        # rows of an axis of its own: two for each edge, pointing to edge, atom, crystal and each other
        edge = torch.arange(len(graph.source)).repeat_interleave(2)
        extra = {
            "volume": batch.volume,
            "weight": batch.numbers.double(),
            "length": graph.vectors(batch).norm(dim=1, keepdim=True),
            "crystal_of_edge": crystal,
            "row_edge": edge,
            "row_ends": torch.stack([graph.source[edge], graph.target[edge]], dim=1),
            "row_partner": torch.arange(len(edge)) ^ 1,
            "row_none": torch.where((graph.source == graph.target)[edge], -1, edge),
            "edge_first_row": 2 * torch.arange(len(graph.source)),
            "crystal_first_atom": batch.offsets[:-1],
        }
        kinds = {
            "volume": ExtraKind(of="crystal"),
            "weight": ExtraKind(of="atom"),
            "length": ExtraKind(of="edge"),
            "crystal_of_edge": ExtraKind(of="edge", to="crystal"),
            "row_edge": ExtraKind(of="row", to="edge"),
            "row_ends": ExtraKind(of="row", to="atom"),
            "row_partner": ExtraKind(of="row", to="row"),
            "row_none": ExtraKind(of="row", to="edge"),
            "edge_first_row": ExtraKind(of="edge", to="row"),
            "crystal_first_atom": ExtraKind(of="crystal", to="atom"),
        }
        return replace(graph, extra=extra, kinds=kinds)


SPECS = [Radius(4.0), Nearest(12), StrictNearest(12), LineGraph(cutoff=5.0, bond_cutoff=3.0), Everything()]
NAMES = ("isolated", "triclinic", "fcc", "heusler", "vacuum", "hexagonal", "one_atom")


def assert_equal(one: Graph, other: Graph):
    assert one.kinds == other.kinds
    assert one.extra.keys() == other.extra.keys()
    for name in ("source", "target", "image"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    for name, tensor in one.extra.items():
        assert tensor.dtype == other.extra[name].dtype
        assert torch.equal(tensor, other.extra[name]), name


def rows_of(spec, crystals):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return GraphRows.of(spec.build(batch), batch=batch)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: type(spec).__name__)
@pytest.mark.parametrize("picked", [[3, 0, 5, 4], [6], [0], [2, 2, 1], [0, 1, 2, 3, 4, 5, 6]])
def test_what_is_cut_out_of_joined_graphs_is_what_would_be_built(crystals, spec, picked):
    chosen = [crystals[name] for name in NAMES]
    whole = join_graphs([rows_of(spec, [crystal]) for crystal in chosen])
    assert_equal(whole.graph, rows_of(spec, chosen).graph)
    assert_equal(whole.select(torch.tensor(picked)), rows_of(spec, [chosen[i] for i in picked]).graph)


def test_parts_of_any_size_join_to_the_same_graph(crystals):
    spec = LineGraph(cutoff=5.0, bond_cutoff=3.0)
    chosen = [crystals[name] for name in NAMES]
    parts = join_graphs([rows_of(spec, chosen[:3]), rows_of(spec, chosen[3:4]), rows_of(spec, chosen[4:])])
    assert_equal(parts.graph, rows_of(spec, chosen).graph)
    again = join_graphs(
        [rows_of(spec, chosen[:1]), join_graphs([rows_of(spec, chosen[1:5]), rows_of(spec, chosen[5:])])]
    )
    assert_equal(again.graph, parts.graph)


def test_a_trimmed_graph_keeps_what_belongs_to_its_edges(crystals):
    batch = CrystalBatch.from_crystals([crystals["triclinic"]], dtype=torch.float64)
    graph = Radius(5.0).build(batch)
    length = graph.vectors(batch).norm(dim=1)
    graph = replace(graph, extra={"length": length}, kinds={"length": ExtraKind(of="edge")})
    trimmed = graph.within(batch, cutoff=4.0)
    assert torch.equal(trimmed.extra["length"], length[length <= 4.0])
    with pytest.raises(InvalidRequestError, match="point to edges"):
        LineGraph(cutoff=5.0, bond_cutoff=3.0).build(batch).within(batch, cutoff=4.0)


@pytest.mark.parametrize(
    ("extra", "kinds", "message"),
    [
        ({"a": torch.zeros(1)}, {}, "'a' does not say what its rows are"),
        ({}, {"a": ExtraKind(of="edge")}, "a is declared but not there"),
        ({"a": torch.zeros(3)}, {"a": ExtraKind(of="edge", to="atom")}, "expected whole numbers"),
        ({"a": torch.zeros(3, dtype=torch.int64)}, {"a": ExtraKind(of="edge", to="moon")}, "point to 'moon'"),
        ({"a": torch.zeros(3)}, {"a": ExtraKind(of="row")}, "row belong to no crystal"),
        ({"a": torch.zeros(3)}, {"a": ExtraKind(of="edge")}, "has 3 rows, expected 12"),
        ({"a": torch.zeros(12)}, {"a": ExtraKind(of="edge", major=True)}, "must be bool"),
    ],
)
def test_a_tensor_that_cannot_be_placed_is_named(crystals, extra, kinds, message):
    batch = CrystalBatch.from_crystals([crystals["fcc"]])
    with pytest.raises(InvalidRequestError, match=message):
        GraphRows.of(replace(Nearest(12).build(batch), extra=extra, kinds=kinds), batch=batch)


def test_rows_out_of_order_are_refused(crystals):
    batch = CrystalBatch.from_crystals([crystals["fcc"], crystals["fcc"]])
    graph = Nearest(12).build(batch)
    swapped = replace(graph, source=graph.source.flip(0), target=graph.target.flip(0))
    with pytest.raises(InvalidRequestError, match="order of the crystals"):
        GraphRows.of(swapped, batch=batch)


def test_graphs_of_different_specs_cannot_be_joined(crystals):
    chosen = [crystals["fcc"]]
    with pytest.raises(InvalidRequestError, match="same extra tensors"):
        join_graphs([rows_of(Radius(4.0), chosen), rows_of(Everything(), chosen)])
    with pytest.raises(InvalidRequestError, match="at least one graph"):
        join_graphs([])
