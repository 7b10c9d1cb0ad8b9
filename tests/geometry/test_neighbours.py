from __future__ import annotations

import itertools

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.geometry.neighbours import nearest_neighbours, neighbours_within


def brute_force(crystal, cutoff, reach):
    """Every pair by looking at all images up to a reach along each axis."""
    images = np.array(list(itertools.product(*(range(-r, r + 1) for r in reach))))
    found = set()
    for i, j in itertools.product(range(len(crystal)), repeat=2):
        vectors = (crystal.frac[j] - crystal.frac[i] + images) @ crystal.cell
        lengths = np.linalg.norm(vectors, axis=1)
        for image, length in zip(images, lengths, strict=True):
            if length <= cutoff and not (i == j and not image.any()):
                found.add((i, j, *map(int, image)))
    return found


def as_set(found):
    return set(zip(found.target.tolist(), found.source.tolist(), *found.image.T.tolist(), strict=True))


@pytest.mark.parametrize("name", ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum"])
@pytest.mark.parametrize("cutoff", [2.0, 5.5])
def test_neighbours_are_those_of_brute_force(crystals, name, cutoff):
    crystal = crystals[name]
    spacing = 1.0 / np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)
    reach = np.ceil(cutoff / spacing).astype(int) + 1
    found = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=cutoff)
    assert as_set(found) == brute_force(crystal, cutoff, reach)
    assert len(as_set(found)) == len(found)


def test_a_very_skewed_cell_has_the_neighbours_of_its_reduced_form(crystals):
    from euhedral.geometry.cells import with_cell

    crystal = crystals["triclinic"]
    skewed = with_cell(crystal, matrix=[[1, 7, 0], [0, 1, 0], [5, 0, 1]])
    a, b = (
        np.sort(neighbours_within(c.cell[None], frac=c.frac, n_atoms=[3], cutoff=6.0).distance)
        for c in (crystal, skewed)
    )
    np.testing.assert_allclose(a, b, atol=1e-9)


def test_images_and_distances_belong_together_when_coordinates_are_not_wrapped(crystals):
    rng = np.random.default_rng(0)
    for name in ("triclinic", "large"):
        crystal = crystals[name]
        frac = crystal.frac + rng.integers(-3, 4, crystal.frac.shape)
        found = neighbours_within(crystal.cell[None], frac=frac, n_atoms=[len(crystal)], cutoff=5.0)
        vectors = (frac[found.source] - frac[found.target] + found.image) @ crystal.cell
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), found.distance, atol=1e-10)
        wrapped = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=5.0)
        np.testing.assert_allclose(np.sort(found.distance), np.sort(wrapped.distance), atol=1e-10)


def test_large_cells_agree_with_vesin(crystals):
    from vesin import NeighborList

    crystal = crystals["large"]
    found = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=6.0)
    i, j, shift = NeighborList(cutoff=6.0, full_list=True).compute(
        points=crystal.cart, box=crystal.cell, periodic=True, quantities="ijS"
    )
    assert as_set(found) == set(zip(i.tolist(), j.tolist(), *shift.astype(int).T.tolist(), strict=True))


@pytest.mark.parametrize(
    "cell",
    [
        [[30.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 4.0]],
        [[12.0, 0.0, 0.0], [17.0, 9.0, 0.0], [-25.0, 11.0, 8.0]],
        [[5.0, -6.0, 1.0], [20.0, 9.0, -14.0], [-3.0, 2.0, 40.0]],
        [[0.0, 9.0, 5.0], [8.0, 0.0, 6.0], [7.0, 9.5, 0.0]],
    ],
)
@pytest.mark.parametrize("cutoff", [0.8, 3.1, 8.7])
def test_many_atoms_in_a_cell_of_any_shape_agree_with_vesin(cell, cutoff):
    from vesin import NeighborList

    rng = np.random.default_rng(3)
    cell = np.array(cell)
    frac = rng.random((90, 3)) + rng.integers(-2, 3, (90, 3))
    found = neighbours_within(cell[None], frac=frac, n_atoms=[90], cutoff=cutoff)
    i, j, shift = NeighborList(cutoff=cutoff, full_list=True).compute(
        points=frac @ cell, box=cell, periodic=True, quantities="ijS"
    )
    assert as_set(found) == set(zip(i.tolist(), j.tolist(), *shift.astype(int).T.tolist(), strict=True))
    assert len(found) == len(i)


@pytest.mark.parametrize("n_atoms", [30, 90])
def test_nearest_neighbours_of_uneven_atoms_are_found_however_far(n_atoms):
    # a dense droplet and one atom far from it, so that no one radius suits both
    rng = np.random.default_rng(4)
    cell = np.diag([60.0, 50.0, 55.0])
    frac = np.concatenate([0.5 + rng.uniform(-0.06, 0.06, (n_atoms - 1, 3)), [[-0.02, 1.03, 0.0]]])
    found = nearest_neighbours(cell[None], frac=frac, n_atoms=[n_atoms], k=5, tie=0.0)
    offsets = np.array(list(itertools.product(range(-3, 4), repeat=3)))
    for atom in range(n_atoms):
        vectors = (frac[:, None] + offsets[None] - frac[atom]).reshape(-1, 3) @ cell
        expected = np.sort(np.linalg.norm(vectors, axis=1))[1:6]
        np.testing.assert_allclose(found.distance[found.target == atom], expected, atol=1e-9)


def test_ties_are_broken_by_source_and_then_image():
    # atoms on whole and half coordinates of a cubic cell: distances tie to the last bit
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    found = nearest_neighbours(np.eye(3)[None] * 4.0, frac=frac, n_atoms=[4], k=7, tie=0.0, strict=True)
    for atom in range(4):
        edges = [
            (d, s, tuple(image))
            for d, s, image in zip(
                found.distance[found.target == atom],
                found.source[found.target == atom],
                found.image[found.target == atom].tolist(),
                strict=True,
            )
        ]
        assert len(edges) == 7
        assert edges == sorted(edges)


def test_a_crowded_cell_makes_the_lists_grow():
    # all atoms in one corner: far more pairs than the mean density lets expect
    rng = np.random.default_rng(5)
    frac = rng.uniform(0.0, 0.05, (40, 3))
    cells = np.stack([np.eye(3) * 50.0] * 3)
    found = neighbours_within(cells, frac=np.concatenate([frac] * 3), n_atoms=[40, 40, 40], cutoff=6.0)
    assert len(found) == 3 * 40 * 39
    alone = neighbours_within(cells[:1], frac=frac, n_atoms=[40], cutoff=6.0)
    np.testing.assert_array_equal(found.distance[40 * 39 : 2 * 40 * 39], alone.distance)


def test_a_batch_has_the_neighbours_of_its_crystals(crystals):
    chosen = [crystals[name] for name in ("triclinic", "isolated", "heusler", "large")]
    cells = np.stack([c.cell for c in chosen])
    frac, counts = np.concatenate([c.frac for c in chosen]), [len(c) for c in chosen]
    together = neighbours_within(cells, frac=frac, n_atoms=counts, cutoff=5.0)
    alone = [neighbours_within(c.cell[None], frac=c.frac, n_atoms=[len(c)], cutoff=5.0) for c in chosen]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    np.testing.assert_array_equal(
        together.source, np.concatenate([a.source + o for a, o in zip(alone, offsets[:-1], strict=True)])
    )
    np.testing.assert_array_equal(together.image, np.concatenate([a.image for a in alone]))
    assert (np.diff(together.target) >= 0).all()


def test_shells_of_fcc_are_taken_whole(crystals):
    fcc = crystals["fcc"]
    for k, expected in ((1, 12), (12, 12), (13, 18), (18, 18), (19, 42)):
        found = nearest_neighbours(fcc.cell[None], frac=fcc.frac, n_atoms=[1], k=k, tie=1e-3)
        assert len(found) == expected


def test_the_strict_rule_takes_exactly_k_and_fewer_only_within_its_radius(crystals):
    heusler, isolated = crystals["heusler"], crystals["isolated"]
    cells, frac = np.stack([heusler.cell, isolated.cell]), np.concatenate([heusler.frac, isolated.frac])
    found = nearest_neighbours(cells, frac=frac, n_atoms=[4, 1], k=10, tie=0.0, strict=True, largest=8.0)
    assert np.bincount(found.target, minlength=5).tolist() == [10, 10, 10, 10, 0]


def test_nearest_neighbours_are_the_head_of_all_neighbours(crystals):
    for name in ("triclinic", "vacuum", "large"):
        crystal = crystals[name]
        nearest = nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], k=12, tie=1e-6)
        everything = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=9.0)
        for atom in range(0, len(crystal), 50):
            head = np.sort(everything.distance[everything.target == atom])[:12]
            own = nearest.distance[nearest.target == atom]
            np.testing.assert_allclose(own[:12], head, atol=1e-10)
            assert (np.diff(own) >= -1e-9).all()


def test_an_isolated_atom_finds_its_own_images_when_asked_for_the_nearest(crystals):
    isolated = crystals["isolated"]
    found = nearest_neighbours(isolated.cell[None], frac=isolated.frac, n_atoms=[1], k=6, tie=1e-3)
    np.testing.assert_allclose(found.distance, 40.0)
    assert len(found) == 6


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf"), 1e6])
def test_an_absurd_radius_is_refused(crystals, cutoff):
    crystal = crystals["fcc"]
    with pytest.raises(InvalidRequestError, match="cutoff"):
        neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[1], cutoff=cutoff)


def test_no_neighbours_at_all_is_refused(crystals):
    crystal = crystals["fcc"]
    with pytest.raises(InvalidRequestError, match="at least 1"):
        nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[1], k=0, tie=0.0)


def test_more_neighbours_than_time_and_memory_allow_are_refused(crystals):
    crystal = crystals["fcc"]
    with pytest.raises(InvalidRequestError, match="k must be at most 10000 neighbours, got 10000000000"):
        nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[1], k=10**10, tie=0.0)
    with pytest.raises(InvalidRequestError, match="too many pairs"):
        nearest_neighbours(np.eye(3)[None] * 99.0, frac=np.zeros((6000, 3)), n_atoms=[6000], k=10**4, tie=0.0)


@pytest.mark.parametrize(("tie", "largest"), [(-1.0, 8.0), (float("nan"), 8.0), (0.0, 0.0), (0.0, float("nan"))])
def test_an_impossible_tie_or_radius_is_refused(crystals, tie, largest):
    crystal = crystals["fcc"]
    with pytest.raises(InvalidRequestError, match="radius"):
        nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[1], k=1, tie=tie, largest=largest)


def test_many_nearest_neighbours_are_sorted(crystals):
    crystal = crystals["triclinic"]
    found = nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[3], k=150, tie=1e-6)
    for atom in range(3):
        own = found.distance[found.target == atom]
        assert len(own) >= 150
        assert (np.diff(own) >= 0.0).all()
