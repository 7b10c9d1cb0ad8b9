from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.geometry.cells import supercell, with_cell
from euhedral.geometry.matching import Matcher
from euhedral.geometry.matching_kernels import assignment
from euhedral.geometry.primitive_kernels import shrunk

MATCHER = Matcher()


def shaken(crystal, *, by, rng):
    return crystal.replace(frac=crystal.frac + rng.normal(0, by, crystal.frac.shape) @ np.linalg.inv(crystal.cell))


@pytest.fixture(scope="module")
def ordinary(crystals):
    return [crystals[name] for name in ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum")]


def test_a_crystal_matches_itself_however_it_is_described(ordinary):
    rng = np.random.default_rng(0)
    for crystal in ordinary:
        rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        order = rng.permutation(len(crystal))
        turned = Crystal(
            cell=crystal.cell @ rotation, frac=crystal.frac[order] + [0.3, 0.1, 0.7], numbers=crystal.numbers[order]
        )
        skewed = with_cell(turned, matrix=[[1, 2, 0], [0, 1, 0], [1, 0, 1]])
        for other in (turned, skewed, supercell(turned, matrix=[2, 1, 1])):
            assert MATCHER.displacement(crystal, other) == pytest.approx(0.0, abs=1e-6)


def test_volume_does_not_matter_and_shape_does(crystals):
    heusler = crystals["heusler"]
    assert MATCHER.matches(heusler, heusler.replace(cell=heusler.cell * 1.3))
    stretched = heusler.replace(cell=heusler.cell @ np.diag([1.0, 1.0, 1.8]))
    assert not MATCHER.matches(heusler, stretched)


def test_exchanged_elements_are_another_crystal(crystals):
    heusler = crystals["heusler"]
    inverse = heusler.replace(numbers=[29, 13, 25, 29])
    assert not MATCHER.matches(heusler, inverse)
    assert not MATCHER.matches(heusler, heusler.replace(numbers=[25, 13, 28, 28]))


def test_displacements_are_those_of_pymatgen(crystals):
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    rng = np.random.default_rng(1)
    oracle = StructureMatcher()
    for name in ("triclinic", "heusler", "hexagonal"):
        for by in (0.05, 0.2, 0.6):
            first, second = crystals[name], shaken(crystals[name], by=by, rng=rng)
            a, b = (Structure(c.cell, c.numbers.tolist(), c.frac) for c in (first, second))
            assert MATCHER.matches(first, second) == oracle.fit(a, b)
            expected = oracle.get_rms_dist(a, b)
            ours = MATCHER.displacement(first, second)
            if expected is not None and ours is not None:
                assert ours <= expected[0] + 1e-3


def test_a_repeated_cell_is_recognised_when_its_atoms_are_shaken(ordinary):
    rng = np.random.default_rng(4)
    for crystal in ordinary:
        for matrix in ([2, 1, 1], [[1, 1, 0], [0, 2, 0], [1, 0, -1]], [3, 1, 2]):
            larger = shaken(supercell(crystal, matrix=matrix), by=0.02, rng=rng)
            assert MATCHER.displacement(crystal, larger) == pytest.approx(0.0, abs=0.03)


def test_an_ordered_supercell_is_not_the_disordered_average_of_its_halves(crystals):
    # twice the cell, but one of the halves holds another element: nothing repeats
    doubled = supercell(crystals["fcc"], matrix=[1, 1, 2])
    ordered = doubled.replace(numbers=[13, 29])
    cell, frac, _ = shrunk(ordered.cell.copy(), ordered.frac.copy(), ordered.numbers.copy(), 0.25)
    assert len(frac) == 2
    np.testing.assert_array_equal(cell, ordered.cell)
    # and displaced by more than the tolerance it repeats no longer
    dimer = doubled.replace(frac=doubled.frac + np.array([[0, 0, 0], [0.1, 0.1, 0.0]]))
    assert len(shrunk(dimer.cell.copy(), dimer.frac.copy(), dimer.numbers.copy(), 0.25)[1]) == 2


def test_the_reduced_cell_keeps_the_density_and_the_distances(crystals):
    from euhedral.geometry.neighbours import neighbours_within

    for name in ("triclinic", "heusler", "hexagonal", "vacuum"):
        crystal = crystals[name]
        larger = supercell(crystal, matrix=[[2, 1, 0], [0, 1, 0], [1, 0, 3]])
        cell, frac, kind = shrunk(larger.cell.copy(), larger.frac.copy(), larger.numbers.copy(), 0.25)
        assert sorted(kind) == sorted(crystal.numbers)
        assert abs(np.linalg.det(cell)) == pytest.approx(crystal.volume)
        ours, theirs = (
            np.sort(neighbours_within(c[None], frac=f, n_atoms=[len(f)], cutoff=6.1).distance)
            for c, f in ((cell, frac), (crystal.cell, crystal.frac))
        )
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_groups_are_led_by_their_first(crystals):
    rng = np.random.default_rng(2)
    hexagonal, heusler = crystals["hexagonal"], crystals["heusler"]
    listed = [
        hexagonal,
        heusler,
        shaken(hexagonal, by=0.02, rng=rng),
        crystals["fcc"],
        shaken(heusler, by=0.02, rng=rng),
    ]
    assert MATCHER.groups(listed) == [[0, 2], [1, 4], [3]]


def test_the_assignment_is_the_cheapest():
    rng = np.random.default_rng(3)
    for n in (1, 2, 5, 12):
        cost = rng.random((n, n))
        rows, columns = linear_sum_assignment(cost)
        assert cost[np.arange(n), assignment(cost)].sum() == pytest.approx(cost[rows, columns].sum())


def test_the_verdict_does_not_depend_on_who_is_named_first():
    """Tb Cd3 twice, 120 degrees and 113.7: one lattice can be laid over the other, the other not over the one."""
    first = Crystal(
        cell=cell_from_parameters([6.66790378, 6.66790378, 4.995282], [90.0, 90.0, 119.99999782]),
        frac=[[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75], [0.831, 0.662, 0.25], [0.831, 0.169, 0.25], [0.338, 0.169, 0.25], [0.169, 0.338, 0.75], [0.169, 0.831, 0.75], [0.662, 0.831, 0.75]],
        numbers=[65, 65, 48, 48, 48, 48, 48, 48],
    )  # fmt: skip
    rng = np.random.default_rng(4)
    for _ in range(40):
        strain = np.eye(3) + rng.uniform(-0.09, 0.09, (3, 3))
        other = first.replace(cell=first.cell @ strain, frac=first.frac + rng.normal(scale=0.02, size=(8, 3)))
        assert Matcher().matches(first, other) == Matcher().matches(other, first)
