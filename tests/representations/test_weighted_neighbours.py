import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.representations.graphs import Nearest, StrictNearest
from euhedral.representations.lattice_edges import LatticeEdges
from euhedral.representations.weighted_neighbours import WeightedNeighbours, neighbour_weights

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
BCC = Crystal(cell=1.433 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1.0]]), frac=[[0, 0, 0]], numbers=[26], id="bcc")


def two(cell, place, numbers):
    return Crystal(cell=cell, frac=[[0, 0, 0], [place] * 3], numbers=numbers, id="two")


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


def counts(crystal, spec=None):
    graph = (spec or WeightedNeighbours()).build(batch_of(crystal))
    return torch.bincount(graph.target, minlength=len(crystal)).tolist()


@pytest.mark.parametrize(
    ("crystal", "expected"),
    [
        (BCC, [14]),
        (two(2.82 * FCC, 0.5, [11, 17]), [6, 6]),
        (two(2.705 * FCC, 0.25, [30, 16]), [4, 4]),
        (two(4.12 * np.eye(3), 0.5, [55, 17]), [8, 8]),
        (two(1.783 * FCC, 0.25, [6, 6]), [4, 4]),
    ],
    ids=["iron", "halite", "sphalerite", "caesium chloride", "diamond"],
)
def test_neighbours_are_those_of_the_textbook(crystal, expected):
    assert counts(crystal) == expected


def test_neighbours_of_the_fixed_crystals(crystals):
    assert counts(crystals["fcc"]) == [12]
    assert counts(crystals["hexagonal"]) == [4, 4, 4, 4]
    assert counts(crystals["vacuum"]) == [3, 3]
    assert counts(crystals["isolated"]) == [6]  # its own images, 40 Angstrom away


def test_atoms_of_another_electronegativity_are_preferred():
    ionic, metal = two(3.0 * np.eye(3), 0.5, [55, 17]), two(3.0 * np.eye(3), 0.5, [55, 55])
    # the second shell, caesium around caesium, is as near in both
    assert counts(ionic)[0] == 8
    assert counts(metal)[0] > 8


def test_weights_are_products_of_three_factors():
    # sodium (1.66 Angstrom, 0.93) with chlorine (1.02, 3.16) at 2.82, and with sodium at 3.988
    weight, complete = neighbour_weights(
        np.array([2.82, 3.988]), source=np.array([1, 0]), target=np.array([0, 0]), numbers=np.array([11, 17])
    )
    unlike = (1.0 + 3.0 * np.sqrt(2.23 / 3.3)) / 2.82
    alike = 0.5 * (1.0 + np.cos(np.pi * (3.988 - 3.32 - 0.5) / 0.5)) / 3.988
    assert weight == pytest.approx([1.0, alike / unlike])
    assert not complete.any()


def test_a_small_displacement_leaves_the_neighbours_as_they_are():
    large = supercell(BCC, matrix=(3, 3, 3))
    shift = np.random.default_rng(0).normal(size=(len(large), 3)) * 0.02
    disturbed = large.replace(frac=large.frac + shift @ np.linalg.inv(large.cell))

    def edges(crystal, spec):
        batch = batch_of(crystal)
        graph = spec.build(batch)
        # lattice vectors count from where an atom is, not from its wrapped coordinates
        moved = torch.from_numpy(np.round(crystal.frac - large.frac)).long()
        image = graph.image + moved[graph.source] - moved[graph.target]
        return set(map(tuple, torch.cat([graph.source[:, None], graph.target[:, None], image], dim=1).tolist()))

    assert edges(large, WeightedNeighbours()) == edges(disturbed, WeightedNeighbours())
    assert edges(large, StrictNearest(k=12)) != edges(disturbed, StrictNearest(k=12))


def test_the_cell_does_not_matter(crystals):
    crystal = crystals["triclinic"]
    own = counts(crystal)
    assert counts(with_cell(crystal, matrix=((1, 1, 0), (0, 1, 1), (0, 0, 1)))) == own
    assert counts(supercell(crystal, matrix=(2, 1, 1))) == [count for count in own for _ in range(2)]


def test_candidates_that_all_weigh_the_same_are_all_taken(crystals):
    assert counts(crystals["fcc"], WeightedNeighbours(candidates=Nearest(k=12))) == [12]


def test_extra_tensors_would_be_disordered(crystals):
    with pytest.raises(InvalidRequestError, match="extra tensors"):
        WeightedNeighbours(candidates=LatticeEdges()).build(batch_of(crystals["fcc"]))
