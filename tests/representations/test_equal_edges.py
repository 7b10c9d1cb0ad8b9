from __future__ import annotations

import torch

from euhedral.core.batch import CrystalBatch
from euhedral.representations.equal_edges import CLASS_EDGE, CLASS_REVERSE, EDGE_CLASS, RadiusWithEqualEdges
from euhedral.representations.graph_rows import GraphRows, join_graphs

SPEC = RadiusWithEqualEdges(cutoff=4.5, rounds=3, lmax=4)


def build(crystals):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return batch, SPEC.build(batch)


def test_a_cubic_crystal_has_one_class_for_each_shell(crystals):
    batch, graph = build([crystals["fcc"]])
    assert len(graph.source) == 12 + 6
    assert len(graph.extra[CLASS_EDGE]) == 2
    lengths = graph.vectors(batch).norm(dim=1)
    for number in range(2):
        assert lengths[graph.extra[EDGE_CLASS] == number].std() < 1e-9


def test_a_crystal_without_symmetry_has_a_class_for_each_direction_of_each_edge(crystals):
    _, graph = build([crystals["triclinic"]])
    # an edge from an atom to its own image and the reverse are told apart too: nothing maps one on the other
    assert len(graph.extra[CLASS_EDGE]) == len(graph.source)


def test_classes_are_named_by_an_edge_and_know_the_edge_opposite(crystals):
    batch, graph = build([crystals["hexagonal"], crystals["heusler"]])
    first, opposite = graph.extra[CLASS_EDGE], graph.extra[CLASS_REVERSE]
    assert torch.equal(graph.extra[EDGE_CLASS][first], torch.arange(len(first)))
    assert torch.equal(graph.source[first], graph.target[opposite])
    assert torch.allclose(graph.vectors(batch)[first], -graph.vectors(batch)[opposite])
    # Zn and O of wurtzite, Mn, Al and Cu of the Heusler crystal: one source of each
    assert len(set(graph.source[first].tolist())) == 2 + 3


def test_edges_of_one_length_in_different_surroundings_are_different():
    """Two chains of equal steps, one straight at its end and one bent."""
    from euhedral.core.crystal import Crystal

    places = torch.tensor([[0.0, 0, 0], [1.5, 0, 0], [3.0, 0, 0], [10.0, 0, 0], [11.5, 0, 0], [11.5, 1.5, 0]]) / 20.0
    crystal = Crystal(cell=20.0 * torch.eye(3).numpy(), frac=places.numpy() + 0.1, numbers=[8] * 6)
    spec = RadiusWithEqualEdges(cutoff=2.0, rounds=2, lmax=2)
    batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64)
    graph = spec.build(batch)
    which = graph.extra[EDGE_CLASS]
    straight, bent = which[graph.target < 3], which[graph.target >= 3]
    assert not set(straight.tolist()) & set(bent.tolist())
    no_angles = RadiusWithEqualEdges(cutoff=2.0, rounds=2, lmax=0).build(batch)
    assert len(no_angles.extra[CLASS_EDGE]) < len(graph.extra[CLASS_EDGE])


def test_a_supercell_has_the_classes_of_its_cell(crystals):
    from euhedral.geometry.cells import supercell

    _, one = build([crystals["hexagonal"]])
    _, many = build([supercell(crystals["hexagonal"], matrix=[2, 1, 2])])
    assert len(many.source) == 4 * len(one.source)
    assert len(many.extra[CLASS_EDGE]) == len(one.extra[CLASS_EDGE])


def test_classes_of_joined_and_cut_graphs_are_those_of_graphs_built_anew(crystals):
    chosen = [crystals[name] for name in ("fcc", "hexagonal", "isolated", "triclinic")]
    rows = join_graphs([GraphRows.of(graph, batch=batch) for batch, graph in (build([one]) for one in chosen)])
    cut = rows.select(torch.tensor([3, 1]))
    _, anew = build([chosen[3], chosen[1]])
    for name in (CLASS_EDGE, CLASS_REVERSE, EDGE_CLASS):
        assert torch.equal(cut.extra[name], anew.extra[name]), name
