from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Nearest, Radius, StrictNearest
from euhedral.representations.lattice_edges import LatticeFrame
from euhedral.representations.line_graph import LineGraph
from euhedral.representations.triplets import EdgePairs, EdgePaths, pair_cosines, path_cosines
from euhedral.representations.undirected import Undirected

SMALL = ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum"]


def built(spec, crystals):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return batch, spec.build(batch)


def angle_at(middle, one, other):
    u, v = one - middle, other - middle
    return u @ v / np.linalg.norm(u) / np.linalg.norm(v)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("spec", [Radius(4.0), StrictNearest(5)])
@pytest.mark.parametrize("backtracking", [False, True])
def test_paths_are_all_ways_of_two_steps_but_back(crystals, name, spec, backtracking):
    batch, graph = built(EdgePaths(spec, backtracking=backtracking), [crystals[name]])
    edges = list(zip(graph.source.tolist(), graph.target.tolist(), map(tuple, graph.image.tolist()), strict=True))
    expected, cosines = [], []
    cart, cell = batch.cart.numpy(), batch.cell[0].numpy()
    for (second, (j, i, out)), (first, (k, middle, into)) in itertools.product(enumerate(edges), repeat=2):
        if middle != j:
            continue
        there = tuple(a + b for a, b in zip(out, into, strict=True))
        if backtracking or not (k == i and not any(there)):
            expected.append((first, second))
            cosines.append(angle_at(cart[j] + np.array(out) @ cell, cart[k] + np.array(there) @ cell, cart[i]))
    found = list(zip(graph.extra["path_first"].tolist(), graph.extra["path_second"].tolist(), strict=True))
    assert found == expected
    np.testing.assert_allclose(path_cosines(graph, batch).numpy(), cosines, atol=1e-12)


def test_another_image_of_the_same_atom_is_no_way_back(crystals):
    """An atom of a simple cubic crystal whose six neighbours are all itself: five ways on from each."""
    batch, graph = built(EdgePaths(Nearest(6)), [crystals["one_atom"]])
    assert len(graph.extra["path_first"]) == 6 * 5
    values, counts = path_cosines(graph, batch).round().unique(return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {-1.0: 6, 0.0: 24}


@pytest.mark.parametrize("name", SMALL)
def test_pairs_are_those_of_the_line_graph(crystals, name):
    """CHGNet's angles, in terms of all edges and not of the short ones."""
    batch, graph = built(EdgePairs(Radius(5.0), cutoff=3.0), [crystals[name]])
    _, line = built(LineGraph(cutoff=5.0, bond_cutoff=3.0), [crystals[name]])
    assert torch.equal(graph.extra["pair_first"], line.extra["short_edge"][line.extra["angle_first"]])
    assert torch.equal(graph.extra["pair_second"], line.extra["short_edge"][line.extra["angle_second"]])
    assert (graph.vectors(batch).norm(dim=1)[graph.extra["pair_first"]] <= 3.0).all()


def test_diamond_has_only_tetrahedral_angles():
    from euhedral.core.crystal import Crystal

    crystal = Crystal(
        cell=1.7835 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.25] * 3], numbers=[6, 6]
    )
    batch, pairs = built(EdgePairs(Radius(3.0), cutoff=1.7), [crystal])
    assert pair_cosines(pairs, batch).numpy() == pytest.approx(np.full(24, -1 / 3))
    batch, paths = built(EdgePaths(Nearest(4)), [crystal])
    assert path_cosines(paths, batch).numpy() == pytest.approx(np.full(24, -1 / 3))
    batch, line = built(EdgePaths(Nearest(4), backtracking=True), [crystal])
    assert sorted(path_cosines(line, batch).numpy().round(6)) == pytest.approx([-1 / 3] * 24 + [1.0] * 8, abs=1e-5)


def test_cosines_are_differentiable(crystals):
    for spec, cosines in ((EdgePaths(Radius(3.5)), path_cosines), (EdgePairs(Radius(4.0), cutoff=3.5), pair_cosines)):
        batch, graph = built(spec, [crystals["triclinic"]])
        frac = batch.frac.clone().requires_grad_()
        weights = torch.arange(len(graph.extra[next(iter(graph.extra))]), dtype=torch.float64).sin()
        loss = lambda x, g=graph, b=batch, w=weights, c=cosines: (c(g, b.replace(frac=x)) * w).sum()  # noqa: E731
        assert torch.autograd.gradcheck(loss, (frac,))


@pytest.mark.parametrize(
    "spec",
    [
        EdgePaths(Radius(4.0)),
        EdgePairs(EdgePaths(Nearest(6)), cutoff=3.0),
        EdgePaths(LatticeFrame(Nearest(4)), backtracking=True),
        EdgePaths(Undirected(Nearest(6))),
    ],
    ids=["paths", "both", "lattice", "undirected"],
)
def test_triplets_are_joined_and_cut_with_their_graphs(crystals, spec):
    chosen = [crystals[name] for name in SMALL]
    whole = join_graphs([GraphRows.of(graph, batch=batch) for batch, graph in (built(spec, [c]) for c in chosen)])
    picked = [5, 1, 3, 0, 4]
    cut, (_, direct) = whole.select(torch.tensor(picked)), built(spec, [chosen[i] for i in picked])
    assert cut.extra.keys() == direct.extra.keys()
    for name, tensor in direct.extra.items():
        torch.testing.assert_close(cut.extra[name], tensor)


def test_an_undirected_graph_has_the_reverse_of_every_edge_once(crystals):
    batch, graph = built(Undirected(StrictNearest(5)), [crystals[name] for name in SMALL])
    edges = list(zip(graph.source.tolist(), graph.target.tolist(), *graph.image.T.tolist(), strict=True))
    assert len(set(edges)) == len(edges)
    assert all((t, s, -a, -b, -c) in set(edges) for s, t, a, b, c in edges)
    _, directed = built(StrictNearest(5), [crystals[name] for name in SMALL])
    theirs = set(zip(directed.source.tolist(), directed.target.tolist(), *directed.image.T.tolist(), strict=True))
    assert theirs < set(edges)
    assert all((t, s, -a, -b, -c) in theirs for s, t, a, b, c in set(edges) - theirs)
    assert torch.equal(graph.target, graph.target.sort().values)
    nearer = graph.vectors(batch).norm(dim=1)
    assert nearer.min() > 0


def test_many_triplets_of_a_large_cell_are_found_and_too_many_refused(crystals):
    large = supercell(crystals["large"], matrix=[2, 2, 2])
    batch, graph = built(EdgePairs(Radius(5.0), cutoff=4.0), [large])
    counts = torch.bincount(graph.target[graph.vectors(batch).norm(dim=1) <= 4.0])
    assert len(graph.extra["pair_first"]) == int((counts * (counts - 1)).sum())
    with pytest.raises(InvalidRequestError, match=r"pairs of edges, at most 2e\+08 fit"):
        built(EdgePaths(Radius(12.0)), [large])


def test_what_cannot_be_is_refused(crystals):
    with pytest.raises(InvalidRequestError, match="cutoff of pairs"):
        built(EdgePairs(Radius(4.0), cutoff=0.0), [crystals["fcc"]])
    with pytest.raises(InvalidRequestError, match="has paths already"):
        built(EdgePaths(EdgePaths(Radius(4.0))), [crystals["fcc"]])
    with pytest.raises(InvalidRequestError, match="cannot be made undirected"):
        built(Undirected(EdgePaths(Radius(4.0))), [crystals["fcc"]])
