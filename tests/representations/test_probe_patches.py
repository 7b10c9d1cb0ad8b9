from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Nearest
from euhedral.representations.probe_patches import (
    PATCH,
    PATCH_VOLUME,
    SITE_ATOM,
    SITE_OF_ATOM,
    SITE_SHARE,
    VOID_FRACTION,
    WithProbePatches,
    probe_energies,
)
from euhedral.representations.space_groups import WithSpaceGroup
from euhedral.representations.uff import uff_lennard_jones

_BOLTZMANN = 8.617333e-5


def built(*crystals, spec=None):
    batch = CrystalBatch.from_crystals(list(crystals), dtype=torch.float64)
    return batch, (spec or WithProbePatches()).build(batch)


def held_of_all(graph):
    """(R, K) share of a crystal at each distance and energy."""
    volume = graph.extra[SITE_SHARE] * graph.extra[PATCH_VOLUME]
    return ((volume / volume.sum()) @ graph.extra[PATCH]).view(8, 16)


@pytest.mark.parametrize(
    ("symbol", "sigma", "kelvin"),
    [
        ("H", 2.57113, 22.14),
        ("C", 3.43085, 52.84),
        ("O", 3.11815, 30.19),
        ("Si", 3.82641, 202.29),
        ("Zn", 2.46155, 62.40),
    ],
)
def test_the_force_field_is_the_one_that_adsorption_is_simulated_with(symbol, sigma, kelvin):
    radii, depths = uff_lennard_jones()
    number = atomic_number(symbol)
    assert radii[number] == pytest.approx(sigma, abs=1e-5)
    assert depths[number] / _BOLTZMANN == pytest.approx(kelvin, abs=0.02)
    assert (radii[1:] > 2.0).all()
    assert (depths[1:] > 0.0).all()


@pytest.mark.parametrize("name", ["triclinic", "one_atom", "hexagonal", "vacuum"])
def test_energies_are_the_sum_over_all_images(name, crystals):
    crystal, cutoff = crystals[name], 9.0
    points = np.random.default_rng(0).uniform(-1.0, 2.0, (20, 3))
    sigma, epsilon = uff_lennard_jones()
    sigma = 0.5 * (sigma[crystal.numbers] + 3.73)
    epsilon = np.sqrt(epsilon[crystal.numbers] * 148.0 * _BOLTZMANN)
    steps = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)

    def pair(distance):
        return 4.0 * epsilon * ((sigma / distance) ** 12 - (sigma / distance) ** 6)

    expected = np.zeros(len(points))
    for i, point in enumerate(points):
        distance = np.linalg.norm((crystal.frac + steps - point) @ crystal.cell, axis=-1)
        # nearer than half a sigma it is as at half a sigma
        felt = pair(np.maximum(distance, 0.5 * sigma)) - pair(cutoff)
        expected[i] = felt[distance < cutoff].sum()
    np.testing.assert_allclose(probe_energies(crystal, points=points, cutoff=cutoff), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "vacuum", "isolated"])
def test_patches_share_all_space_among_the_atoms(name, crystals):
    batch, graph = built(crystals[name])
    volume = len(crystals[name]) * float((graph.extra[SITE_SHARE] * graph.extra[PATCH_VOLUME]).sum())
    assert volume == pytest.approx(abs(float(torch.linalg.det(batch.cell[0]))), rel=1e-9)
    assert torch.allclose(graph.extra[PATCH].sum(1), torch.ones(len(graph.extra[PATCH]), dtype=torch.float64))


def test_the_void_around_an_atom_begins_where_methane_touches_it(crystals):
    _, graph = built(crystals["isolated"].replace(cell=np.eye(3) * 16.0))
    sigma, _ = uff_lennard_jones()
    sphere = 4.0 / 3.0 * np.pi * (0.5 * (sigma[10] + 3.73)) ** 3
    assert float(graph.extra[VOID_FRACTION]) == pytest.approx(1.0 - sphere / 16.0**3, abs=2e-3)


def test_finer_points_hardly_change_what_is_in_a_crystal(crystals):
    coarse, fine = (built(crystals["vacuum"], spec=WithProbePatches(spacing=s))[1] for s in (1.0, 0.7))
    assert float(coarse.extra[VOID_FRACTION]) == pytest.approx(float(fine.extra[VOID_FRACTION]), abs=0.01)
    assert float((held_of_all(coarse) - held_of_all(fine)).abs().max()) < 0.02


def test_a_supercell_whose_atoms_are_a_little_off_holds_almost_the_same(crystals):
    crystal = crystals["triclinic"]
    whole = supercell(crystal, matrix=[2, 1, 1])
    rng = np.random.default_rng(1)
    moved = whole.replace(frac=whole.frac + rng.uniform(-0.005, 0.005, whole.frac.shape))
    (_, one), (batch, other) = built(crystal), built(moved)
    assert len(other.extra[SITE_ATOM]) == len(batch.numbers) == 6
    assert float((held_of_all(one) - held_of_all(other)).abs().max()) < 0.02


def test_atoms_of_a_class_share_a_patch_and_their_number_counts(crystals):
    batch, graph = built(crystals["heusler"], crystals["hexagonal"])
    site, first = graph.extra[SITE_OF_ATOM], graph.extra[SITE_ATOM]
    assert torch.equal(batch.numbers[first][site], batch.numbers)
    share = torch.bincount(site) / batch.n_atoms[batch.crystal_idx[first]]
    assert torch.allclose(graph.extra[SITE_SHARE], share.double())
    assert len(first) == 3 + 2


def test_graphs_with_patches_join_and_part(crystals):
    chosen = [crystals[name] for name in ("triclinic", "vacuum", "heusler")]
    rows = [GraphRows.of(graph, batch=batch) for batch, graph in (built(crystal) for crystal in chosen)]
    _, together = built(*chosen)
    joined = join_graphs(rows)
    for name, value in together.extra.items():
        assert torch.allclose(joined.graph.extra[name].double(), value.double())
    alone = joined.select(torch.tensor([2]))
    for name, value in rows[2].graph.extra.items():
        assert torch.equal(alone.extra[name], value)


def test_what_cannot_be_done_is_refused(crystals):
    for wrong in ({"radii": (1.0,)}, {"energies": (0.0, 1.0, 1.0)}, {"cutoff": 0.0}, {"spacing": float("nan")}):
        with pytest.raises(InvalidRequestError, match=next(iter(wrong))):
            WithProbePatches(**wrong)
    with pytest.raises(InvalidRequestError, match="space_group"):
        built(crystals["fcc"], spec=WithProbePatches(WithSpaceGroup(Nearest(k=12))))


def test_atoms_at_one_place_leave_the_energy_finite():
    twice = Crystal(cell=np.eye(3) * 4.0, frac=[[0, 0, 0], [0, 0, 0]], numbers=[6, 8], id="twice")
    assert np.isfinite(probe_energies(twice, points=[[0, 0, 0], [0.5, 0.5, 0.5]])).all()
