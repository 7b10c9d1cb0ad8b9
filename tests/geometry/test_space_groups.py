"""The 230 space groups: operations, Wyckoff positions and asymmetric units, against their own definitions."""

from __future__ import annotations

import numpy as np
import pytest
from moyopy import Setting, operations_from_number

from euhedral.core.crystal import cell_from_parameters
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.geometry.space_groups import space_group, space_group_number
from euhedral.geometry.wyckoff import complete_lattice_parameters, wyckoff_positions

EVERY = range(1, 231)


def key(rotations, translations):
    whole = np.round(np.asarray(translations) * 24).astype(int) % 24
    return {(*row.ravel().tolist(), *shift.tolist()) for row, shift in zip(np.asarray(rotations), whole, strict=True)}


def region_volume(region):
    from scipy.optimize import linprog
    from scipy.spatial import ConvexHull, HalfspaceIntersection

    sides, offsets = -region[:, :-1], region[:, -1]
    size = sides.shape[1]
    inner = linprog(
        [0.0] * size + [-1.0],
        A_ub=np.column_stack([sides, np.linalg.norm(sides, axis=1)]),
        b_ub=offsets,
        bounds=[(None, None)] * size + [(0, None)],
    )
    corners = HalfspaceIntersection(np.column_stack([sides, -offsets]), inner.x[:size]).intersections
    return ConvexHull(corners).volume


@pytest.mark.parametrize("number", EVERY)
def test_operations_are_a_group_and_those_of_moyopy(number):
    group = space_group(number)
    theirs = operations_from_number(number, setting=Setting.standard())
    own = key(group.rotations, group.translations)
    assert own == key(theirs.rotations, theirs.translations)
    assert (group.rotations[0] == np.eye(3)).all()
    assert not group.translations[0].any()
    step = group.rotations[-1]
    assert key(group.rotations @ step, group.translations + group.rotations @ group.translations[-1]) == own
    assert (len(group) / len(group.point_rotations)) % 1 == 0


@pytest.mark.parametrize("number", EVERY)
def test_the_asymmetric_unit_holds_each_point_once_and_fills_its_share_of_the_cell(number):
    group = space_group(number)
    assert region_volume(group.region) * len(group) == pytest.approx(1.0, abs=1e-9)
    rng = np.random.default_rng(number)
    for point in rng.random((4, 3)):
        images = group.rotations @ point + group.translations
        images -= np.floor(images)
        shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
        inside = group.contains((images[:, None] + shifts).reshape(-1, 3))
        assert inside.sum() == 1


@pytest.mark.parametrize("number", EVERY)
def test_all_points_of_an_orbit_are_moved_to_one_place_of_the_asymmetric_unit(number):
    group = space_group(number)
    rng = np.random.default_rng(number)
    for position in group.positions:  # special ones lie on its surface, where several equivalents meet
        moved = group.into_region(position.orbit(rng.random(3))[:4])
        assert np.allclose(moved, moved[0], atol=1e-6)


def test_points_are_moved_into_the_asymmetric_unit_by_an_operation():
    rng = np.random.default_rng(0)
    for number in (1, 14, 70, 99, 148, 167, 194, 213, 214, 227, 230):
        group = space_group(number)
        points = rng.uniform(-1, 2, (5, 3))
        moved = group.into_region(points)
        assert group.contains(moved).all()
        for point, new in zip(points, moved, strict=True):
            images = group.rotations @ point + group.translations - new
            assert (np.abs(images - np.round(images)) < 1e-9).all(1).any()
    special = space_group(225).into_region(np.array([[0.5, 0.5, 0.0], [0.75, 0.25, 0.75], [1.0, 0.5, 0.5]]))
    assert np.allclose(special, [[0, 0, 0], [0.25, 0.25, 0.25], [0, 0, 0]])


@pytest.mark.parametrize("number", EVERY)
def test_a_site_has_as_many_operations_as_its_multiplicity_leaves(number):
    group = space_group(number)
    rng = np.random.default_rng(number)
    for position in group.positions:
        assert len(position.site_operators) * position.multiplicity == len(group)
        point = position.project(rng.random(3))
        kept = position.site_operators[:, :, :3] @ point + position.site_operators[:, :, 3]
        assert np.allclose(kept, point, atol=1e-9)
        linear, shift = position.projector[:, :3], position.projector[:, 3]
        assert np.linalg.matrix_rank(linear) == position.n_free
        assert np.allclose(linear @ point + shift, point)
        once = linear @ rng.random(3) + shift
        assert np.allclose(linear @ once + shift, once)
        assert np.allclose(position.project(once), once)


def test_the_nearest_point_of_a_position_is_nearest():
    rng = np.random.default_rng(5)
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for number, letter in ((166, "h"), (194, "k"), (227, "f"), (230, "g"), (14, "a"), (183, "e")):
        position = next(p for p in wyckoff_positions(number) if p.letter == letter)
        parameters = complete_lattice_parameters(np.array([5.1, 6.0, 8.4, 80, 99, 95.0]), space_group=number)
        cell = cell_from_parameters(parameters[:3], parameters[3:])
        point = rng.uniform(-2, 3, 3)
        found = position.nearest(point, cell=cell)
        reach = np.linalg.norm((found - point) @ cell)
        assert np.allclose(position.nearest(found, cell=cell), found, atol=1e-9)
        # on the position: projecting in some image of it moves nothing
        orbit = position.orbit(position.project(rng.random(3)))
        assert len(orbit) == position.multiplicity
        for free in rng.random((400, 3)):  # no sampled point of the position is nearer
            sampled = position.orbit(position.project(free))
            away = (sampled[:, None] + shifts - point).reshape(-1, 3) @ cell
            assert np.linalg.norm(away, axis=1).min() >= reach - 1e-9


def test_coordinates_are_written_as_in_the_printed_tables():
    table = {position.letter: position for position in wyckoff_positions(194)}
    assert table["k"].coordinates[0] == "x,2x,z"
    assert table["c"].coordinates == ("1/3,2/3,1/4", "2/3,1/3,3/4")
    assert space_group(14).operation_texts == ("x,y,z", "-x,y+1/2,-z+1/2", "-x,-y,-z", "x,-y+1/2,z+1/2")


def test_symbols_are_those_of_pymatgen():
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    for number in (*range(1, 3), *range(16, 231)):  # pymatgen writes monoclinic ones in full
        assert space_group(number).symbol == sg_symbol_from_int_number(number)
    assert space_group(14).symbol == "P2_1/c"
    assert space_group_number("F d -3 m") == 227
    assert [space_group_number(space_group(number).symbol) for number in EVERY] == list(EVERY)
    assert space_group(194).crystal_system == "Hexagonal"


def test_what_does_not_exist_is_refused():
    with pytest.raises(InvalidRequestError, match="0 does not exist"):
        space_group(0)
    with pytest.raises(UnknownNameError, match="Fm-3n"):
        space_group_number("Fm-3n")
