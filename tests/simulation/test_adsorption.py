"""The search for the lowest adsorption configuration, on a surface whose best site is known."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.simulation.adsorption import anomaly_of, find_adsorption
from euhedral.simulation.placements import ADSORBATE, FIXED, Molecule, Surface, placements
from euhedral.simulation.relax import Relaxation, relax

SPACING = 2.5


def close_packed(*, layers=3, repeat=2, shift=0.0, vacuum=12.0):
    """An fcc(111) slab; its upper layer has on-top, bridge and hollow sites."""
    across = SPACING * np.array([[1, 0, 0], [0.5, np.sqrt(3) / 2, 0]])
    step = (across[0] + across[1]) / 3 - np.array([0, 0, SPACING * np.sqrt(2 / 3)])
    grid = [i * across[0] + j * across[1] for i in range(repeat) for j in range(repeat)]
    positions = np.array([layer * step + point for layer in range(layers) for point in grid])
    height = layers * SPACING * np.sqrt(2 / 3) + vacuum
    cell = np.array([repeat * across[0], repeat * across[1], [0, 0, height]])
    frac = positions @ np.linalg.inv(cell) + [0, 0, shift]
    return Crystal(cell=cell, frac=frac, numbers=[29] * len(frac), id="Cu(111)")


def distances_to_slab(crystal):
    apart = crystal.frac[:-1] - crystal.frac[-1]
    return np.sort(np.linalg.norm((apart - np.round(apart)) @ crystal.cell, axis=1))


ATOM = Molecule(numbers=[29], positions=[[0.0, 0.0, 0.0]])


def test_triangulation_gives_one_top_three_bridges_and_two_hollows_for_each_surface_atom():
    for shift in (0.0, 0.45):  # with the vacuum in the middle of the cell too
        surface = Surface.of(close_packed(repeat=2, shift=shift))
        kinds = [kind for kind, _ in surface.sites(alike=True)]
        assert [kinds.count(kind) for kind in ("on-top", "bridge", "hollow")] == [4, 12, 8]
        # all atoms and all bridges are alike; one hollow has an atom of the second layer below it and one has not
        assert [kind for kind, _ in surface.sites()] == ["on-top", "bridge", "hollow", "hollow"]
        assert surface.top.tolist() == [0, 1, 2, 3]


def test_a_placed_molecule_touches_the_surface_and_is_not_inside():
    surface = Surface.of(close_packed())
    water = Molecule(numbers=[8, 1, 1], positions=[[0, 0, 0], [0.76, 0, 0.59], [-0.76, 0, 0.59]])
    radius = {8: 0.66, 1: 0.31, 29: 1.32}
    made = list(placements(surface, water, n_random=5, turns_per_site=1, contact=1.1, rng=np.random.default_rng(0)))
    assert len(made) == 2 * 4 + 5
    for _, crystal in made:
        gaps = []
        for atom in range(12, 15):
            apart = crystal.frac[:12] - crystal.frac[atom]
            apart = np.linalg.norm((apart - np.round(apart)) @ crystal.cell, axis=1).min()
            gaps.append(apart / (radius[29] + radius[int(crystal.numbers[atom])]))
        assert min(gaps) == pytest.approx(1.1, abs=1e-2)


def test_a_flat_molecule_also_begins_lying_with_its_middle_over_each_site():
    surface = Surface.of(close_packed())
    angle = np.arange(6) * np.pi / 3.0
    ring = 0.8 * np.stack([np.cos(angle), np.zeros(6), np.sin(angle)], axis=1)  # in a plane across the surface
    ring_molecule = Molecule(numbers=[6] * 6, positions=ring)
    made = list(
        placements(surface, ring_molecule, n_random=0, turns_per_site=2, contact=1.1, rng=np.random.default_rng(0))
    )
    flat = [(kind, crystal) for kind, crystal in made if np.ptp(crystal.cart[12:, 2]) < 1e-6]
    assert [kind for kind, _ in flat] == ["on-top"] * 2 + ["bridge"] * 2 + ["hollow"] * 4
    for (_, site), (_, crystal) in zip(surface.sites(), flat[::2], strict=True):
        whole = crystal.frac[12:] - np.round(crystal.frac[12:] - crystal.frac[12])
        middle = whole.mean(0) - site @ np.linalg.inv(crystal.cell)
        assert np.abs(middle - np.round(middle))[:2].max() < 1e-6


def test_the_lowest_of_all_attempts_is_a_hollow_site(potential):
    search = find_adsorption(potential, close_packed(), ATOM, rng=np.random.default_rng(1), n_random=12, fmax=1e-3)
    best = search.best()[0]
    nearest = distances_to_slab(best.relaxation.crystal)
    assert np.ptp(nearest[:3]) < 0.05
    assert nearest[3] > 1.2 * nearest[0]
    on_top = [attempt for attempt in search.attempts if attempt.site == "on-top"]
    assert all(attempt.adsorption_energy > best.adsorption_energy + 0.1 for attempt in on_top)
    assert best.adsorption_energy == pytest.approx(
        best.relaxation.energy - search.slab.energy - search.molecule.energy, abs=1e-12
    )
    assert len(search.attempts) == 4 + 12
    energies = [attempt.adsorption_energy for attempt in search.best(100)]
    assert energies == sorted(energies)
    # all were relaxed in common batches
    assert potential.largest_batch > 10


def test_atoms_below_the_free_layer_stay(potential):
    search = find_adsorption(potential, close_packed(), ATOM, rng=np.random.default_rng(1), n_random=1, fmax=1e-2)
    for attempt in search.attempts:
        moved = attempt.relaxation.crystal.frac - attempt.start.frac
        moved -= np.round(moved)
        assert np.abs(moved[4:12]).max() < 1e-12
        assert np.abs(moved[:4]).max() > 1e-5


def test_fixed_atoms_end_where_a_search_over_the_others_alone_ends(potential):
    slab = close_packed()
    fixed = np.arange(len(slab)) >= 4
    result = relax(potential, [slab.replace(site={FIXED: fixed})], fmax=1e-4, cell=False, fixed=FIXED)[0]
    assert result.converged
    assert result.energy < result.start_energy - 1e-3
    # by symmetry the upper layer moves as one, along the normal: a line search finds the same
    lower = []
    for drop in np.linspace(-0.3, 0.3, 61):
        frac = slab.frac + np.where(fixed, 0.0, drop)[:, None] * [0, 0, 1 / slab.cell[2, 2]]
        lower.append(relax(potential, [slab.replace(frac=frac)], steps=0, cell=False)[0].energy)
    assert result.energy == pytest.approx(min(lower), abs=2e-3)
    with pytest.raises(InvalidRequestError, match="cell=False"):
        relax(potential, [slab], fixed=FIXED)
    assert "which atoms stay" in relax(potential, [slab], cell=False, fixed=FIXED)[0].reason


def test_what_is_no_adsorption_is_named():
    surface = Surface.of(close_packed())
    pair = Molecule(numbers=[8, 6], positions=[[0, 0, 0], [0, 0, 1.15]])
    start = surface.placed(pair, at=surface.sites()[0][1], turn=np.eye(3), contact=1.1)

    def judged(change):
        positions = start.frac @ start.cell
        change(positions)
        end = start.replace(frac=positions @ np.linalg.inv(start.cell))
        return anomaly_of(start, Relaxation(end, energy=-1.0, start_energy=0.0, converged=True, steps=1))

    def lifted(positions):
        positions[12:] += [0, 0, 3.0]

    def split(positions):
        positions[13] += [0, 0, 2.0]

    def torn(positions):
        positions[0] += [0, 0, 1.4]

    def sunk(positions):
        positions[12:] -= [0, 0, 5.5]

    assert judged(lambda _: None) == ""
    assert [judged(change) for change in (lifted, split, torn, sunk)] == [
        "desorbed", "dissociated", "reconstructed", "intercalated",
    ]  # fmt: skip
    assert start.site[ADSORBATE].tolist() == [0.0] * 12 + [1.0] * 2


def test_a_bulk_crystal_has_no_surface(potential):
    bulk = Crystal(cell=np.eye(3) * 3.6, frac=[[0, 0, 0]], numbers=[29], id="bulk")
    with pytest.raises(InvalidRequestError, match="vacuum"):
        find_adsorption(potential, bulk, ATOM, rng=np.random.default_rng(0))
