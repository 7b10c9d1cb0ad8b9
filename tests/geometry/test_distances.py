from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.geometry.distances import closest_pair, shortest_distances


def test_the_closest_pair_is_found_across_the_boundary():
    crystal = Crystal(
        cell=np.diag([4.0, 5, 6]), frac=[[0.02, 0.5, 0.5], [0.97, 0.5, 0.5], [0.5, 0, 0]], numbers=[3, 8, 9]
    )
    pair = closest_pair(crystal)
    assert (pair.first, pair.second, pair.symbols) == (0, 1, ("Li", "O"))
    assert pair.distance == pytest.approx(0.2)
    assert str(pair) == "Li (atom 1) and O (atom 2) are 0.200 Å apart"


def test_a_lone_atom_is_paired_with_its_own_image(crystals):
    assert closest_pair(crystals["one_atom"]).distance == pytest.approx(3.35)
    assert closest_pair(crystals["isolated"]).distance == pytest.approx(40.0)


def test_many_at_once_are_as_one_by_one(crystals):
    several = list(crystals.values())
    np.testing.assert_allclose(shortest_distances(several), [closest_pair(crystal).distance for crystal in several])
    assert shortest_distances([]).shape == (0,)


def test_two_atoms_in_one_place_are_no_distance_apart():
    crystal = Crystal(cell=np.eye(3) * 4, frac=[[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]], numbers=[1, 1])
    assert closest_pair(crystal).distance == 0.0
