from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.representations.graphs import Nearest, Radius, StrictNearest
from euhedral.representations.quotient import quotient


def reduced(crystals, spec=None):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    graph = (spec or Nearest()).build(batch)
    return batch, graph, *quotient(batch, graph)


def test_a_crystal_of_equal_atoms_becomes_one_node_with_one_edge_a_shell(crystals):
    _, _, small, edges = reduced([crystals["fcc"]], Radius(cutoff=4.5))
    assert small.numbers.tolist() == [13]
    a = 4.05
    assert edges.extra["distance"].tolist() == pytest.approx([a / 2**0.5, a])
    assert edges.extra["multiplicity"].tolist() == [12, 6]
    assert edges.extra["orbit_size"].tolist() == [1]


def test_a_heusler_crystal_has_three_nodes_and_tells_its_neighbours_apart(crystals):
    _, _, small, edges = reduced([crystals["heusler"]], Nearest(k=8))
    assert sorted(zip(small.numbers.tolist(), edges.extra["orbit_size"].tolist(), strict=True)) == [
        (13, 1),
        (25, 1),
        (29, 2),
    ]
    manganese = small.numbers.tolist().index(25)
    copper = small.numbers.tolist().index(29)
    mine = edges.target == manganese
    assert edges.source[mine].tolist() == [copper]
    assert edges.extra["multiplicity"][mine].tolist() == [8]


def test_atoms_of_a_crystal_without_symmetry_are_all_kept(crystals):
    batch, graph, small, edges = reduced([crystals["triclinic"]])
    assert torch.equal(small.numbers.sort().values, batch.numbers.sort().values)
    # there and back: an edge to an image of the atom itself has a partner of equal length
    assert edges.extra["multiplicity"].sum() == graph.source.numel()


@pytest.mark.parametrize("spec", [Nearest(), StrictNearest(), Radius(cutoff=5.0)])
def test_every_edge_of_every_atom_is_counted(crystals, spec):
    chosen = [crystals[name] for name in ("heusler", "hexagonal", "triclinic", "vacuum", "isolated", "one_atom")]
    batch, graph, small, edges = reduced(chosen, spec)
    total = edges.extra["multiplicity"] * edges.extra["orbit_size"][edges.target]
    assert total.sum() == graph.source.numel()
    atoms = torch.zeros(len(chosen), dtype=torch.float64).index_add_(0, small.crystal_idx, edges.extra["orbit_size"])
    assert torch.equal(atoms, batch.n_atoms.double())
    assert small.n_atoms.sum() == small.numbers.numel()


def test_equal_elements_in_unequal_surroundings_stay_apart():
    """Two chains of the same element; in one the atoms pair up, so that only colours of neighbours' neighbours differ."""
    cell = np.diag([30.0, 30.0, 24.0])
    frac = [[0, 0, z / 24] for z in (0, 3, 6, 9, 12, 15, 18, 21)]
    numbers = [6, 6, 6, 7, 6, 6, 6, 8]
    crystal = Crystal(cell=cell, frac=frac, numbers=numbers)
    _, _, small, edges = reduced([crystal], Radius(cutoff=3.5))
    # mirror images about N and O are equal: C next to O, the middle C, C next to N
    assert small.numbers.numel() == 5
    assert sorted(edges.extra["orbit_size"].tolist()) == [1, 1, 2, 2, 2]


def test_a_supercell_has_the_nodes_of_its_primitive_cell(crystals):
    small = crystals["hexagonal"]
    shifts = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 1, 3)
    large = Crystal(
        cell=small.cell * 2, frac=((small.frac + shifts) / 2).reshape(-1, 3), numbers=np.tile(small.numbers, 8)
    )
    _, _, one, edges = reduced([small])
    _, _, eight, more = reduced([large])
    assert one.numbers.numel() == eight.numbers.numel() == 2
    assert torch.equal(more.extra["orbit_size"], 8 * edges.extra["orbit_size"])
    assert torch.equal(more.extra["multiplicity"], edges.extra["multiplicity"])


def test_crystals_are_never_merged_with_each_other(crystals):
    _, _, small, _ = reduced([crystals["fcc"], crystals["fcc"], crystals["heusler"]])
    assert small.n_atoms.tolist() == [1, 1, 3]
    assert small.ids == ("fcc", "fcc", "heusler")
