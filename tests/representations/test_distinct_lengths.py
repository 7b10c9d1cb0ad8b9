from __future__ import annotations

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.distinct_lengths import (
    EDGE_LENGTH,
    LENGTH_EDGE,
    WithDistinctLengths,
    distinct_lengths,
)
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Nearest, Radius

NAMES = ("fcc", "hexagonal", "triclinic", "isolated")


def test_every_edge_has_its_length_and_no_two_crystals_share_one(crystals):
    batch = CrystalBatch.from_crystals([crystals[name] for name in ("fcc", "hexagonal", "fcc")], dtype=torch.float64)
    graph = WithDistinctLengths(Nearest(k=18)).build(batch)
    distance = graph.vectors(batch).norm(dim=1)
    found = distinct_lengths(graph, distance)
    assert torch.allclose(found[graph.extra[EDGE_LENGTH]], distance, atol=1e-7)
    assert torch.equal(graph.extra[EDGE_LENGTH][graph.extra[LENGTH_EDGE]], torch.arange(len(found)))
    owner = batch.crystal_idx[graph.target[graph.extra[LENGTH_EDGE]]]
    assert torch.equal(owner, owner.sort().values)
    assert torch.equal(owner[graph.extra[EDGE_LENGTH]], batch.crystal_idx[graph.target])


def test_the_shells_of_a_cubic_lattice_are_its_only_lengths(crystals):
    batch = CrystalBatch.from_crystals([crystals["fcc"]], dtype=torch.float64)
    graph = WithDistinctLengths(Nearest(k=42)).build(batch)
    side = 4.05
    found = distinct_lengths(graph, graph.vectors(batch).norm(dim=1))
    expected = side * torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64).sqrt()
    assert len(graph.source) == 42
    assert torch.allclose(found, expected)


def test_lengths_of_joined_and_cut_graphs_are_those_of_graphs_built_anew(crystals):
    chosen = [crystals[name] for name in NAMES]
    spec = WithDistinctLengths(Radius(5.0))
    batches = [CrystalBatch.from_crystals([one], dtype=torch.float64) for one in chosen]
    rows = join_graphs([GraphRows.of(spec.build(batch), batch=batch) for batch in batches])
    cut = rows.select(torch.tensor([2, 3, 0]))
    anew = spec.build(CrystalBatch.from_crystals([chosen[2], chosen[3], chosen[0]], dtype=torch.float64))
    assert torch.equal(cut.extra[EDGE_LENGTH], anew.extra[EDGE_LENGTH])
    assert torch.equal(cut.extra[LENGTH_EDGE], anew.extra[LENGTH_EDGE])


def test_derivatives_by_a_strain_are_exact(crystals):
    batch = CrystalBatch.from_crystals([crystals["hexagonal"]], dtype=torch.float64)
    graph = WithDistinctLengths(Nearest(k=12)).build(batch)
    strain = torch.zeros((), dtype=torch.float64, requires_grad=True)
    larger = batch.replace(cell=batch.cell * (1.0 + strain))
    distance = graph.vectors(larger).norm(dim=1)
    shared = distinct_lengths(graph, distance).cos()[graph.extra[EDGE_LENGTH]].sum()
    (found,) = torch.autograd.grad(shared, strain, retain_graph=True)
    (expected,) = torch.autograd.grad(distance.cos().sum(), strain)
    assert torch.allclose(found, expected)


def test_lengths_are_found_once(crystals):
    batch = CrystalBatch.from_crystals([crystals["fcc"]], dtype=torch.float64)
    with pytest.raises(InvalidRequestError, match="already"):
        WithDistinctLengths(WithDistinctLengths()).build(batch)


def test_a_crystal_without_edges_has_no_lengths(crystals):
    graph = WithDistinctLengths(Radius(3.0)).build(CrystalBatch.from_crystals([crystals["isolated"]]))
    assert len(graph.extra[LENGTH_EDGE]) == len(graph.extra[EDGE_LENGTH]) == 0
