from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Nearest, Radius
from euhedral.representations.lattice_edges import LatticeEdges, LatticeFrame, frame_cosines, frame_vectors
from euhedral.representations.lattice_vectors import class_vectors, frames, shortest_basis
from euhedral.representations.line_graph import LineGraph

SMALL = ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum"]


def zincblende():
    return Crystal(
        cell=2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.25] * 3], numbers=[31, 33]
    )


def low_symmetry_in_a_cubic_cell():
    return Crystal(
        cell=np.eye(3) * 5.0, frac=[[0.1, 0.2, 0.35], [0.6, 0.55, 0.8], [0.33, 0.9, 0.05]], numbers=[3, 8, 16]
    )


CASES = {"zincblende": zincblende(), "low": low_symmetry_in_a_cubic_cell()}


def case(crystals, name):
    return CASES.get(name) or crystals[name]


def rotation(seed):
    q = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return q * np.sign(np.linalg.det(q))


def disguised(crystal, *, seed, larger=None):
    """The same crystal in another cell, orientation, origin and order of atoms."""
    rng = np.random.default_rng(seed)
    other = crystal if larger is None else supercell(crystal, matrix=larger)
    other = with_cell(other, matrix=[[1, 2, 0], [0, 1, 0], [-3, 1, 1]])
    order = rng.permutation(len(other))
    return Crystal(
        cell=other.cell @ rotation(seed),
        frac=other.frac[order] + rng.random(3),
        numbers=other.numbers[order],
        id="other",
    )


def built(spec, crystals):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return batch, spec.build(batch)


def edge_features(batch, graph, extra):
    """(E, ...) sorted: what a network reads of each edge; rows of near-equal numbers are compared as a set."""
    rows = np.column_stack([
        batch.numbers[graph.target].numpy(), batch.numbers[graph.source].numpy(),
        graph.vectors(batch).norm(dim=1).numpy(), extra,
    ])  # fmt: skip
    return rows[np.lexsort(rows.round(5).T[::-1])]


@pytest.mark.parametrize("name", [*SMALL, *CASES])
@pytest.mark.parametrize("larger", [None, [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]])
def test_lattice_edges_do_not_depend_on_how_the_crystal_is_written(crystals, name, larger):
    crystal = case(crystals, name)
    batch, graph = built(LatticeEdges(), [crystal])
    assert graph.extra["lattice_edge"].sum() == 6 * len(crystal)
    other_batch, other = built(LatticeEdges(), [disguised(crystal, seed=1, larger=larger)])
    mine = edge_features(batch, graph, graph.extra["lattice_edge"].numpy())
    theirs = edge_features(other_batch, other, other.extra["lattice_edge"].numpy())
    copies = len(theirs) // len(mine)
    np.testing.assert_allclose(np.repeat(mine, copies, axis=0), theirs, atol=1e-6)


def test_the_edges_of_an_orthogonal_cell_are_the_published_six():
    crystal = Crystal(cell=np.diag([3.0, 4.0, 6.5]), frac=[[0.2, 0.3, 0.4]], numbers=[6])
    _, graph = built(LatticeEdges(), [crystal])
    own = graph.image[graph.extra["lattice_edge"]].abs().tolist()
    assert own == [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]]
    assert torch.equal(graph.target, graph.target.sort().values)


def test_the_six_lengths_tell_lattices_apart_and_change_gradually():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cell = rng.normal(size=(3, 3)) * 3.0
        if abs(np.linalg.det(cell)) < 1.0:
            continue
        lengths = [
            np.linalg.norm(class_vectors(shortest_basis(c, frac=np.zeros((1, 3)), numbers=np.array([6])).basis), axis=1)
            for c in (cell, cell + 1e-6 * rng.normal(size=(3, 3)))
        ]
        np.testing.assert_allclose(*lengths, atol=1e-4)
        # the squares of two singles' and pairs' sums: the longest follows from the others, in one of a few ways
        assert np.unique(lengths[0].round(6)).size >= 6


def test_a_cubic_lattice_has_24_frames_and_a_triclinic_one_one(crystals):
    count = {
        name: len(frames(shortest_basis(c.cell, frac=c.frac, numbers=c.numbers).basis))
        for name, c in ((n, crystals[n]) for n in ("one_atom", "hexagonal", "triclinic"))
    }
    assert count == {"one_atom": 24, "hexagonal": 12, "triclinic": 1}


@pytest.mark.parametrize("name", [*SMALL, *CASES])
@pytest.mark.parametrize(
    "spec", [LatticeFrame(), LatticeFrame(Radius(6.0), self_edges=False)], ids=["nearest", "radius"]
)
@pytest.mark.parametrize("larger", [None, [[1, 1, 0], [-1, 1, 0], [0, 0, 1]]])
def test_frames_do_not_depend_on_how_the_crystal_is_written(crystals, name, spec, larger):
    crystal = case(crystals, name)
    batch, graph = built(spec, [crystal])
    mine = edge_features(batch, graph, frame_cosines(graph, batch).numpy())
    for seed in (1, 2):
        other_batch, other = built(spec, [disguised(crystal, seed=seed, larger=larger)])
        theirs = edge_features(other_batch, other, frame_cosines(other, other_batch).numpy())
        np.testing.assert_allclose(np.repeat(mine, len(theirs) // max(len(mine), 1), axis=0), theirs, atol=1e-6)
        frame = frame_vectors(graph, batch)[0]
        np.testing.assert_allclose(frame.norm(dim=1), frame_vectors(other, other_batch)[0].norm(dim=1), atol=1e-9)


@pytest.mark.parametrize("name", [*SMALL, *CASES])
def test_frames_follow_the_published_conventions(crystals, name):
    crystal = case(crystals, name)
    batch, graph = built(LatticeFrame(), [crystal])
    a, b, c = frame_vectors(graph, batch)[0].numpy()
    assert np.linalg.norm(a) <= np.linalg.norm(b) * 1.001 <= np.linalg.norm(c) * 1.003
    assert a @ b >= -1e-3
    assert a @ c >= -1e-3
    assert np.cross(a, b) @ c == pytest.approx(crystal.volume)
    coefficients = graph.extra["lattice_frame"][0]
    torch.testing.assert_close(coefficients, coefficients.round(), atol=1e-9, rtol=0)


def test_a_crystal_and_its_mirror_image_are_told_apart():
    crystal = low_symmetry_in_a_cubic_cell()
    mirrored = crystal.replace(frac=-crystal.frac)
    one, other = (
        edge_features(batch, graph, frame_cosines(graph, batch).numpy())
        for batch, graph in (built(LatticeFrame(), [c]) for c in (crystal, mirrored))
    )
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(np.sort(one[:, 2]), np.sort(other[:, 2]), atol=1e-9)


def test_self_edges_of_a_frame_are_its_vectors_and_their_opposites(crystals):
    batch, graph = built(LatticeFrame(), [crystals["hexagonal"], supercell(crystals["fcc"], matrix=[2, 2, 1])])
    own = graph.extra["lattice_edge"]
    frame = frame_vectors(graph, batch)
    expected = torch.cat([frame, -frame], dim=1)[batch.crystal_idx].flatten(0, 1)
    torch.testing.assert_close(graph.vectors(batch)[own], expected, atol=1e-9, rtol=0)


def test_cosines_are_differentiable_in_cell_and_positions(crystals):
    batch, graph = built(LatticeFrame(), [crystals["triclinic"]])
    cell, frac = batch.cell.clone().requires_grad_(), batch.frac.clone().requires_grad_()
    weights = torch.linspace(0.1, 1.0, 3, dtype=torch.float64)
    value = (frame_cosines(graph, batch.replace(cell=cell, frac=frac)) ** 3 * weights).sum()
    gradients = torch.autograd.grad(value, [cell, frac])
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in gradients)


@pytest.mark.parametrize("spec", [LatticeEdges(), LatticeFrame()])
def test_graphs_with_the_lattice_are_joined_and_cut(crystals, spec):
    chosen = [crystals[name] for name in SMALL]
    whole = join_graphs([GraphRows.of(graph, batch=batch) for batch, graph in (built(spec, [c]) for c in chosen)])
    picked = [4, 0, 2]
    cut, (_, direct) = whole.select(torch.tensor(picked)), built(spec, [chosen[i] for i in picked])
    assert torch.equal(cut.source, direct.source)
    assert torch.equal(cut.image, direct.image)
    for name, tensor in direct.extra.items():
        torch.testing.assert_close(cut.extra[name], tensor)


def test_coordinates_need_not_be_wrapped(crystals):
    batch = CrystalBatch.from_crystals([crystals["heusler"]], dtype=torch.float64)
    shift = torch.tensor([[3, 0, -1], [0, 0, 0], [-2, 5, 1], [0, 1, 0]])
    moved = batch.replace(frac=batch.frac + shift)
    one, other = LatticeFrame().build(batch), LatticeFrame().build(moved)
    torch.testing.assert_close(frame_cosines(one, batch).sum(0), frame_cosines(other, moved).sum(0), atol=1e-6, rtol=0)


def test_lattice_edges_refuse_a_graph_that_they_would_disorder(crystals):
    with pytest.raises(InvalidRequestError, match="extra tensors"):
        built(LatticeEdges(LineGraph(cutoff=5.0, bond_cutoff=3.0)), [crystals["fcc"]])
    _, graph = built(LatticeFrame(LatticeEdges(Nearest(8)), self_edges=False), [crystals["fcc"]])
    assert set(graph.extra) == {"lattice_edge", "lattice_frame"}
