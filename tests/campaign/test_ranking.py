"""Ranking: the chance of being stable and on target, with candidates competing against each other."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.campaign.goal import Goal
from euhedral.campaign.ranking import METASTABLE, StabilityModel, distances_among, plausibility, score
from euhedral.data.references import reference_phases
from euhedral.simulation.references import ReferenceHull
from euhedral.tasks.property import Prediction


@pytest.fixture(scope="module")
def oxides():
    """The hull without Mg-O phases, and two crystals of the composition MgO."""
    hull = ReferenceHull.shipped(exclude_systems=("Mg-O",))
    rock_salt = next(c for c in reference_phases().within(["Mg", "O"]) if len(set(c.numbers.tolist())) == 2)
    stretched = rock_salt.replace(cell=1.1 * rock_salt.cell, id="stretched")
    return hull, [rock_salt, stretched]


def _corner_energy(hull, crystal, *, formation):
    zero = hull.formation_energies([crystal], energies_per_atom=[0.0])[0]
    return formation - zero


def test_only_the_lower_of_two_polymorphs_is_on_the_hull_of_both(oxides):
    hull, crystals = oxides
    energies = [_corner_energy(hull, crystals[0], formation=-0.5), _corner_energy(hull, crystals[1], formation=-0.3)]
    assert (hull.distances(crystals, energies_per_atom=energies) < 0.0).all()
    among = distances_among(
        crystals, energies_per_atom=energies, converged=[True, True], hull=hull, elements=["Mg", "O"]
    )
    np.testing.assert_allclose(among, [0.0, 0.2], atol=1e-6)


def test_what_did_not_converge_competes_with_nobody(oxides):
    hull, crystals = oxides
    energies = [_corner_energy(hull, crystals[0], formation=-0.5), _corner_energy(hull, crystals[1], formation=-0.3)]
    among = distances_among(
        crystals, energies_per_atom=energies, converged=[False, True], hull=hull, elements=["Mg", "O"]
    )
    np.testing.assert_allclose(among, [-0.2, 0.0], atol=1e-6)


def test_a_hole_in_the_potential_does_not_push_the_others_down(oxides):
    hull, crystals = oxides
    energies = [_corner_energy(hull, crystals[0], formation=-9.0), _corner_energy(hull, crystals[1], formation=-0.3)]
    among = distances_among(
        crystals, energies_per_atom=energies, converged=[True, True], hull=hull, elements=["Mg", "O"]
    )
    assert among[1] == pytest.approx(0.0, abs=1e-6)


def test_the_score_is_the_product_of_stability_and_target():
    stability = StabilityModel(bias=0.0, width=0.05)
    gap = Prediction(
        target="band_gap", value=np.array([2.0, 1.0]), lower=np.array([1.0, 0.0]), upper=np.array([3.0, 2.0]),
        coverage=0.9, novelty=np.zeros(2),
    )  # fmt: skip
    distance = np.array([METASTABLE, METASTABLE])
    chances = score(distance, stability=stability, goals=[Goal("band_gap", lower=1.0)], predictions=[gap])
    np.testing.assert_allclose(chances, [0.5 * 0.95, 0.5 * 0.5], atol=1e-3)


def test_a_candidate_without_an_energy_has_no_chance():
    chances = score([np.nan, 0.0], stability=StabilityModel(bias=0.0, width=0.05), goals=[], predictions=[])
    assert chances[0] == 0.0
    assert chances[1] > 0.9


def test_near_the_hull_the_proposer_decides_and_far_from_it_the_energy():
    early, late = plausibility([0.01, 0.0], places=[0, 40])
    assert early > late
    low, high = plausibility([0.0, 0.2], places=[40, 0])
    assert low > high
    assert plausibility([np.nan], places=[0])[0] == 0.0
