from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import GraphSpec, Nearest, Radius, StrictNearest, build_graph


@pytest.fixture
def batch(crystals):
    return CrystalBatch.from_crystals([crystals["triclinic"], crystals["heusler"]], dtype=torch.float64)


@pytest.mark.parametrize("spec", [Radius(5.0), Nearest(12), StrictNearest(12)])
def test_vectors_point_from_the_centre_to_the_neighbour(batch, spec):
    graph = build_graph(batch, spec=spec)
    assert isinstance(spec, GraphSpec)
    expected = batch.cart[graph.source] - batch.cart[graph.target]
    expected = expected + torch.einsum("ei,eij->ej", graph.image.double(), batch.cell[batch.crystal_idx[graph.target]])
    torch.testing.assert_close(graph.vectors(batch), expected)
    assert (batch.crystal_idx[graph.source] == batch.crystal_idx[graph.target]).all()


def test_vectors_are_differentiable_in_positions_and_cells(batch):
    graph = Radius(4.0).build(batch)
    cell, frac = batch.cell.clone().requires_grad_(), batch.frac.clone().requires_grad_()
    length = graph.vectors(batch.replace(cell=cell, frac=frac)).norm(dim=1).sum()
    gradients = torch.autograd.grad(length, [cell, frac])
    assert all(torch.isfinite(gradient).all() and gradient.abs().sum() > 0 for gradient in gradients)


def test_every_edge_of_a_radius_graph_has_its_reverse(batch):
    graph = Radius(5.0).build(batch)
    edges = set(zip(graph.source.tolist(), graph.target.tolist(), *graph.image.T.tolist(), strict=True))
    assert all((target, source, -a, -b, -c) in edges for source, target, a, b, c in edges)


def test_ties_between_species_are_kept_or_cut_as_a_whole(crystals):
    batch = CrystalBatch.from_crystals([crystals["heusler"]])
    whole = Nearest(12).build(batch)
    # Mn in a full Heusler has 8 Cu, then 6 Al: a dozen neighbours cut the second shell, 14 keep it
    assert torch.bincount(whole.target).tolist() == [14, 14, 14, 14]
    assert torch.bincount(StrictNearest(12).build(batch).target).tolist() == [12, 12, 12, 12]


@pytest.mark.parametrize("spec", [Nearest(12), StrictNearest(12)])
def test_two_atoms_have_an_edge_for_each_image_as_in_cgcnn(crystals, spec):
    """The multigraph of Xie and Grossman 2018: the one atom of fcc has twelve edges, all to itself, one an image."""
    graph = spec.build(CrystalBatch.from_crystals([crystals["fcc"]]))
    assert (graph.source == graph.target).all()
    assert len(graph.image.unique(dim=0)) == len(graph.source) == 12


def test_a_graph_with_a_skin_trims_to_the_graph_without(batch):
    wide, narrow = Radius(6.0).build(batch), Radius(5.0).build(batch)
    trimmed = wide.within(batch, cutoff=5.0)
    as_set = lambda g: set(zip(g.source.tolist(), g.target.tolist(), *g.image.T.tolist(), strict=True))  # noqa: E731
    assert as_set(trimmed) == as_set(narrow)


def test_an_isolated_atom_has_an_empty_radius_graph(crystals):
    graph = Radius(6.0).build(CrystalBatch.from_crystals([crystals["isolated"]]))
    assert graph.source.numel() == 0
    assert graph.image.shape == (0, 3)
    assert np.isfinite(graph.vectors(CrystalBatch.from_crystals([crystals["isolated"]])).numpy()).all()
