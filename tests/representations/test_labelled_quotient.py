from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.representations.bonds import (
    BondRule,
    CovalentRadii,
    EffectiveCoordination,
    MinimumDistance,
    NearestBonds,
)
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.labelled_quotient import BondGraph, LabelledQuotientGraph, labelled_quotient_graph

RULES = [
    EffectiveCoordination(),
    EffectiveCoordination(fictive_radii=True),
    MinimumDistance(),
    CovalentRadii(),
    NearestBonds(4),
]


def diamond():
    return Crystal(
        cell=1.7835 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.25] * 3], numbers=[6, 6]
    )


def bonds_by_element(crystal, graph):
    """(m, 3) sorted: elements of each bond, and its length to 1e-5 Angstrom."""
    length = np.linalg.norm(graph.vectors(crystal), axis=1).round(5)
    pairs = np.sort(np.stack([crystal.numbers[graph.source], crystal.numbers[graph.target]]), axis=0)
    rows = np.column_stack([*pairs, length])
    return rows[np.lexsort(rows.T[::-1])]


def test_diamond_is_two_atoms_with_four_bonds_and_a_three_dimensional_net():
    graph = labelled_quotient_graph(diamond())
    assert graph.source.tolist() == [0] * 4
    assert graph.target.tolist() == [1] * 4
    assert graph.image.tolist() == [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 0]]
    assert len(graph.tree.edge) == 1
    assert len(graph.cycle_vectors) == 3
    assert abs(round(np.linalg.det(graph.cycle_vectors))) == 1
    assert (graph.n_components, graph.dimensionality, graph.n_nets.tolist()) == (1, 3, [1])


def test_graphene_between_vacuum_is_a_sheet_and_a_far_atom_a_point(crystals):
    assert labelled_quotient_graph(crystals["vacuum"]).dimensions.tolist() == [2]
    alone = labelled_quotient_graph(crystals["isolated"])
    assert (alone.dimensions.tolist(), len(alone.source)) == ([0], 0)


def test_molecules_and_chains_are_told_apart():
    cell = np.diag([12.0, 12.0, 2.2])
    crystal = Crystal(cell=cell, frac=[[0, 0, 0], [0.5, 0.5, 0.3], [0.5, 0.55, 0.3]], numbers=[34, 1, 1])
    graph = labelled_quotient_graph(crystal, bonds=CovalentRadii())
    assert graph.dimensions.tolist() == [1, 0]
    assert graph.tree.component.tolist() == [0, 1, 1]


def test_two_nets_through_each_other_are_counted():
    """Bonds along twice the lattice vectors only: eight nets in one cell."""
    graph = LabelledQuotientGraph.from_bonds([14], source=[0] * 3, target=[0] * 3, image=2 * np.eye(3, dtype=int))
    assert graph.n_nets.tolist() == [8]
    assert graph.dimensionality == 3
    sheet = LabelledQuotientGraph.from_bonds([14], source=[0, 0], target=[0, 0], image=[[1, 1, 0], [1, -1, 0]])
    assert sheet.n_nets.tolist() == [2]


@pytest.mark.parametrize("rule", RULES)
def test_the_choice_of_cell_origin_and_order_does_not_matter(crystal, rule):
    assert isinstance(rule, BondRule)
    graph = labelled_quotient_graph(crystal, bonds=rule)
    changed = with_cell(crystal, matrix=[[1, 2, 0], [0, 1, 0], [-3, 0, 1]])
    rng = np.random.default_rng(1)
    order = rng.permutation(len(crystal))
    changed = changed.replace(frac=changed.frac[order] + [0.3, 0.77, 0.12], numbers=changed.numbers[order])
    other = labelled_quotient_graph(changed, bonds=rule)
    np.testing.assert_allclose(bonds_by_element(crystal, graph), bonds_by_element(changed, other), atol=1.1e-5)
    assert sorted(graph.dimensions) == sorted(other.dimensions)
    assert sorted(graph.n_nets) == sorted(other.n_nets)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "vacuum"])
def test_a_supercell_repeats_the_bonds(crystals, name):
    small = labelled_quotient_graph(crystals[name])
    large = labelled_quotient_graph(supercell(crystals[name], matrix=[[1, 1, 0], [-1, 1, 0], [0, 0, 3]]))
    assert len(large.source) == 6 * len(small.source)
    assert large.dimensionality == small.dimensionality


@pytest.mark.parametrize("name", ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum"])
@pytest.mark.parametrize("fictive", [False, True])
def test_effective_coordination_gives_the_bonds_of_pymatgen(crystals, name, fictive, monkeypatch):
    from pymatgen.core import local_env

    from euhedral.core.bridges import to_pymatgen

    # the same radii on both sides: pymatgen takes ionic or atomic ones where it has them
    monkeypatch.setattr(local_env, "_get_radius", local_env._get_default_radius)
    crystal = crystals[name]
    structure = to_pymatgen(crystal)
    finder = local_env.EconNN(use_fictive_radius=fictive)
    found = [(atom, info) for atom in range(len(crystal)) for info in finder.get_nn_info(structure, atom)]
    expected = LabelledQuotientGraph.from_bonds(
        crystal.numbers,
        source=[atom for atom, _ in found],
        target=[info["site_index"] for _, info in found],
        image=[info["image"] for _, info in found],
    )
    graph = labelled_quotient_graph(crystal, bonds=EffectiveCoordination(fictive_radii=fictive))
    np.testing.assert_array_equal(graph.image, expected.image)
    np.testing.assert_array_equal(graph.source, expected.source)
    np.testing.assert_array_equal(graph.target, expected.target)


def test_bonds_are_one_whichever_end_they_are_seen_from():
    one = LabelledQuotientGraph.from_bonds(
        [11, 17], source=[1, 0, 0], target=[0, 1, 0], image=[[1, 0, 0], [2, 0, 0], [0, -1, 3]]
    )
    assert one.source.tolist() == [0, 0, 0]
    assert one.target.tolist() == [0, 1, 1]
    assert one.image.tolist() == [[0, 1, -3], [-1, 0, 0], [2, 0, 0]]
    twice = LabelledQuotientGraph.from_bonds(
        [11, 17],
        source=np.r_[one.source, one.target],
        target=np.r_[one.target, one.source],
        image=np.r_[one.image, -one.image],
    )
    np.testing.assert_array_equal(twice.image, one.image)


def test_cycles_close_in_the_crystal_too(crystals):
    """Walking the tree and a chord ends at the lattice vector that the cycle says."""
    crystal = crystals["hexagonal"]
    graph = labelled_quotient_graph(crystal)
    reached = (crystal.frac + graph.tree.cell) @ crystal.cell
    walk = reached[graph.source] + graph.vectors(crystal) - reached[graph.target]
    closes = np.zeros((len(graph.source), 3))
    closes[graph.chords] = graph.cycle_vectors @ crystal.cell
    np.testing.assert_allclose(walk, closes, atol=1e-9)


def test_every_atom_of_a_thousand_in_rock_salt_has_six_bonds():
    salt = Crystal(
        cell=2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.5] * 3], numbers=[11, 17]
    )
    graph = labelled_quotient_graph(supercell(salt, matrix=[8, 8, 8]))
    assert (np.bincount(np.r_[graph.source, graph.target]) == 6).all()
    assert graph.dimensions.tolist() == [3]


def test_the_bonds_of_a_batch_are_edges_there_and_back(crystals):
    chosen = [crystals[name] for name in ("triclinic", "isolated", "fcc", "heusler", "vacuum")]
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    shift = torch.randint(-2, 3, batch.frac.shape, generator=torch.Generator().manual_seed(0))
    moved = batch.replace(frac=batch.frac + shift)
    for each in (batch, moved):
        graph = BondGraph().build(each)
        vectors = graph.vectors(each)
        ends = torch.zeros((int(graph.extra["bond"].max()) + 1, 3), dtype=torch.float64)
        torch.testing.assert_close(ends.index_add(0, graph.extra["bond"], vectors), ends, atol=1e-9, rtol=0)
        nets = [labelled_quotient_graph(c) for c in chosen]
        forward = torch.from_numpy(np.concatenate([net.vectors(c) for net, c in zip(nets, chosen, strict=True)]))
        torch.testing.assert_close(vectors[graph.extra["bond_edge"]], forward, atol=1e-9, rtol=0)
        assert torch.equal(graph.extra["bond"][graph.extra["bond_edge"]], torch.arange(len(forward)))
    parts = [(b, BondGraph().build(b)) for b in (CrystalBatch.from_crystals([c], dtype=torch.float64) for c in chosen)]
    cut = join_graphs([GraphRows.of(g, batch=b) for b, g in parts]).select(torch.tensor([4, 1, 0]))
    direct = BondGraph().build(CrystalBatch.from_crystals([chosen[i] for i in (4, 1, 0)], dtype=torch.float64))
    for name in ("source", "target", "image"):
        assert torch.equal(getattr(cut, name), getattr(direct, name))
    assert all(torch.equal(cut.extra[name], direct.extra[name]) for name in direct.extra)


def test_what_cannot_be_is_refused(crystals):
    with pytest.raises(InvalidRequestError, match="names atom 5, expected 0 to 1"):
        LabelledQuotientGraph.from_bonds([1, 1], source=[0], target=[5], image=[[0, 0, 0]])
    with pytest.raises(InvalidRequestError, match="bonded to itself"):
        LabelledQuotientGraph.from_bonds([1], source=[0], target=[0], image=[[0, 0, 0]])
    with pytest.raises(InvalidRequestError, match="do not belong together"):
        LabelledQuotientGraph.from_bonds([1], source=[0], target=[0, 0], image=[[0, 0, 1]])
    with pytest.raises(InvalidRequestError, match="atoms are not those"):
        labelled_quotient_graph(crystals["fcc"]).vectors(crystals["heusler"])
    with pytest.raises(InvalidRequestError, match="least weight"):
        labelled_quotient_graph(crystals["fcc"], bonds=EffectiveCoordination(least_weight=0.0))
    with pytest.raises(InvalidRequestError, match="cutoff"):
        labelled_quotient_graph(crystals["fcc"], bonds=CovalentRadii(stretch=0.0))
    with pytest.raises(InvalidRequestError, match="tolerance"):
        labelled_quotient_graph(crystals["fcc"], bonds=MinimumDistance(tolerance=-1.0))
