"""Pieces of crystal: as large, as oriented and as whole as they were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.images.specimen import Specimen, block, sheet, slab, whole, zone_frame


@pytest.mark.parametrize("zone_axis", [(0, 0, 1), (1, 1, 0), (1, 1, 1), (-2, 1, 3)])
def test_a_frame_is_right_handed_with_the_zone_axis_towards_the_observer(crystal, zone_axis):
    frame = zone_frame(crystal.cell, zone_axis=zone_axis)
    assert np.allclose(frame @ frame.T, np.eye(3))
    assert np.linalg.det(frame) == pytest.approx(1.0)
    toward = np.array(zone_axis) @ crystal.cell
    assert np.allclose(frame @ toward, [0.0, 0.0, np.linalg.norm(toward)])


def test_the_direction_to_the_right_can_be_chosen(crystals):
    cell = crystals["triclinic"].cell
    frame = zone_frame(cell, zone_axis=(0, 0, 1), right=(0, 1, 0))
    seen = frame @ cell[1]
    assert seen[0] > 0.0
    assert seen[1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("zone_axis", [(0, 0, 0), (1, 0), (0.5, 0, 1)])
def test_a_zone_axis_that_is_none_is_refused(crystals, zone_axis):
    with pytest.raises(InvalidRequestError, match=r"fcc.*zone axis"):
        zone_frame(crystals["fcc"].cell, zone_axis=zone_axis, id="fcc")


def test_a_right_along_the_beam_is_refused(crystals):
    with pytest.raises(InvalidRequestError, match="along the zone axis"):
        zone_frame(crystals["fcc"].cell, zone_axis=(1, 1, 0), right=(2, 2, 0))


def test_a_block_is_near_to_a_cube():
    crystal = Crystal(np.diag([2.0, 4.0, 8.0]), frac=[[0, 0, 0]], numbers=[29])
    piece = block(crystal, n_atoms=500)
    assert 500 <= len(piece) <= 700
    extent = np.ptp(piece.cart, axis=0) + np.diag(crystal.cell)
    assert extent.max() / extent.min() < 1.3
    assert np.allclose(piece.cart.min(0), -piece.cart.max(0))


def test_a_slab_has_the_density_of_its_crystal(crystal):
    lengths = (31.0, 27.0, 22.0) if len(crystal) < 100 else (60.0, 50.0, 40.0)
    if crystal.lengths.max() > 30.0:  # vacuum in between
        lengths = (400.0, 400.0, 400.0) if len(crystal) == 1 else (60.0, 50.0, 400.0)
    piece = slab(crystal, zone_axis=(1, 2, 1), width=lengths[0], height=lengths[1], thickness=lengths[2])
    assert len(piece) == pytest.approx(len(crystal) * np.prod(lengths) / crystal.volume, rel=0.15)
    seen = piece.cart @ zone_frame(crystal.cell, zone_axis=(1, 2, 1)).T
    assert (np.abs(seen) <= np.array(lengths) / 2 + 1e-5).all()


def test_the_atoms_of_a_slab_are_those_of_the_crystal_each_once(crystals):
    crystal = crystals["triclinic"]
    piece = slab(crystal, zone_axis=(0, 1, 1), width=20.0, height=18.0, thickness=15.0)
    frac = piece.cart @ np.linalg.inv(crystal.cell)
    away = frac[:, None] - crystal.frac[None]
    same = np.abs(away - np.round(away)).max(-1) < 1e-9
    assert (same.sum(1) == 1).all()
    assert np.array_equal(crystal.numbers[same.argmax(1)], piece.numbers)
    assert len(np.unique(np.round(piece.cart, 6), axis=0)) == len(piece)


def test_a_slab_of_whole_cells_holds_exactly_their_atoms(crystals):
    piece = slab(crystals["one_atom"], zone_axis=(0, 0, 1), width=5 * 3.35, height=4 * 3.35, thickness=3 * 3.35)
    assert len(piece) == 5 * 4 * 3


def test_a_sheet_is_one_layer_put_together_across_the_cells_face():
    layer = Crystal(np.diag([3.0, 3.0, 20.0]), frac=[[0, 0, 0.95], [0.5, 0.5, 0.05]], numbers=[42, 16])
    piece = sheet(layer, width=30.0, height=15.0)
    assert len(piece) == 2 * 10 * 5
    assert np.ptp(piece.cart[:, 2]) == pytest.approx(2.0)
    sulphur = piece.cart[piece.numbers == 16, 2]
    assert np.allclose(sulphur, 1.0)


def test_a_tilted_sheet_fills_the_view(crystals):
    piece = sheet(crystals["vacuum"], width=60.0, height=40.0, zone_axis=(0, 3, 1))
    seen = piece.cart @ zone_frame(crystals["vacuum"].cell, zone_axis=(0, 3, 1)).T
    for axis, length in enumerate((60.0, 40.0)):
        counts, _ = np.histogram(seen[:, axis], 4, (-length / 2, length / 2))
        assert counts.min() > 0.8 * counts.max()


def test_impossible_pieces_are_refused_in_one_line(crystals):
    fcc, layer = crystals["fcc"], crystals["vacuum"]
    for call, words in (
        (lambda: block(fcc, n_atoms=0), "1 to"),
        (lambda: slab(fcc, zone_axis=(0, 0, 1), width=-1.0, height=5.0, thickness=5.0), "positive"),
        (lambda: slab(fcc, zone_axis=(0, 0, 1), width=1e6, height=1e6, thickness=1e6), "ask for less"),
        (lambda: slab(crystals["isolated"], zone_axis=(0, 0, 1), width=5.0, height=5.0, thickness=5.0), "no atoms"),
        (lambda: sheet(layer, width=0.0, height=5.0), "positive"),
        (lambda: sheet(layer, width=10.0, height=5.0, zone_axis=(1, 0, 0)), "within the sheet"),
        (lambda: sheet(layer, width=1e6, height=1e6), "ask for less"),
        (lambda: Specimen(np.zeros((2, 2)), np.array([1, 1]), np.eye(3), id="x"), "coordinates"),
    ):
        with pytest.raises(InvalidRequestError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_whole_cell_is_centred(crystals):
    piece = whole(crystals["hexagonal"])
    assert np.allclose(piece.cart.min(0) + piece.cart.max(0), 0.0)
    assert np.array_equal(piece.numbers, crystals["hexagonal"].numbers)
