"""Diffraction images against the closed forms of kinematic diffraction."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.images.defects import Displacements, Vacancies, with_defects
from euhedral.representations.images.diffraction_image import diffraction_image, fingerprint, zero_layer
from euhedral.representations.images.form_factors import form_factor
from euhedral.representations.images.specimen import Specimen, block, slab
from euhedral.representations.spectra.radiation import Electrons, Line, Neutrons, XRays

SIDE = 4.0
CORNERS = {
    "simple": [[0, 0, 0]],
    "body": [[0, 0, 0], [0.5, 0.5, 0.5]],
    "face": [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]],
}
PRESENT = {
    "simple": lambda hkl: np.ones(len(hkl), bool),
    "body": lambda hkl: hkl.sum(1) % 2 == 0,
    "face": lambda hkl: (hkl % 2 == hkl[:, :1] % 2).all(1),
}


def cubic(kind, number=26):
    sites = CORNERS[kind]
    return Crystal(SIDE * np.eye(3), frac=sites, numbers=[number] * len(sites), id=kind)


def factor(table, *, number, q):
    """The real part, which is all but for neutrons and absorbing nuclei."""
    return form_factor(table, number=number, q=np.asarray(q)).real


def on_spots(positions, image, within=1):
    """Highest pixel near each position, and how far it is."""
    found = []
    for row, column in np.round(positions).astype(int):
        top, left = max(row - within, 0), max(column - within, 0)
        part = image.pixels[top : row + within + 1, left : column + within + 1]
        found.append(part.max())
    return np.array(found)


# 1/(4 Å) is 25 pixels of 0.01 1/Å, and an odd size has a pixel on the direct beam: spots fall on the middles of pixels
GRID = {"size": 161, "step": 0.01}


@pytest.mark.parametrize("kind", CORNERS)
@pytest.mark.parametrize("zone_axis", [(0, 0, 1), (1, 1, 0), (1, 1, 1)])
def test_spots_are_on_the_reciprocal_lattice_and_only_where_the_lattice_allows(kind, zone_axis):
    crystal = cubic(kind)
    # whole periods along the beam: a broken one has columns of unequal height, and spots where the lattice has none
    thickness = 2 * SIDE * np.linalg.norm(zone_axis)
    piece = slab(crystal, zone_axis=zone_axis, width=22 * SIDE, height=22 * SIDE, thickness=thickness)
    light = XRays.of(0.05)
    image = diffraction_image(piece, zone_axes=[zone_axis], beam=10.0, flat=True, radiation=light, **GRID)
    hkl, positions = zero_layer(crystal.cell, zone_axis=zone_axis, **GRID)
    allowed = positions[PRESENT[kind](hkl)]
    expected = allowed[(allowed > 7).all(1) & (allowed < 153).all(1)]
    pixels = image.pixels[5:-5, 5:-5]
    around = [np.roll(image.pixels, shift, (0, 1))[5:-5, 5:-5] for shift in [(0, 1), (0, -1), (1, 0), (-1, 0)]]
    peaks = np.argwhere((pixels >= np.max(around, axis=0)) & (pixels > 1e-3 * pixels.max())) + 5
    assert np.abs(peaks[:, None] - allowed[None]).max(-1).min(1).max() <= 1.0  # every peak is a point that is allowed
    assert np.abs(expected[:, None] - peaks[None]).max(-1).min(1).max() <= 1.0  # and every such point is a peak
    assert len(expected) >= 7


def test_absent_reflections_are_dark():
    for kind, cells in (("body", 10), ("face", 10)):
        piece = block(cubic(kind), n_atoms=cells**3 * len(CORNERS[kind]))
        image = diffraction_image(piece, flat=True, **GRID)
        hkl, positions = zero_layer(SIDE * np.eye(3), zone_axis=(0, 0, 1), **GRID)
        values = image.pixels[tuple(np.round(positions).astype(int).T)]
        assert values[~PRESENT[kind](hkl)].max() < 1e-10 * values.max()


def test_the_strength_of_a_spot_is_the_square_of_all_atoms_form_factors():
    piece = block(cubic("face", number=29), n_atoms=500)
    radiation = Electrons(300.0)
    image = diffraction_image(piece, flat=True, radiation=radiation, b_factor=0.6, **GRID)
    g = 2 / SIDE
    strength = factor(radiation.table(), number=29, q=[g])[0] * np.exp(-0.6 * g**2 / 4)
    assert image.pixels[80, 80 + 50] == pytest.approx((len(piece) * strength) ** 2, rel=1e-5)


def test_two_elements_add_with_their_phases():
    salt = Crystal(
        SIDE * np.eye(3),
        frac=[*CORNERS["face"], *(np.array(CORNERS["face"]) + np.eye(3)[0] / 2)],
        numbers=[11] * 4 + [17] * 4,
    )
    piece = block(salt, n_atoms=8 * 5**3)
    image = diffraction_image(piece, zone_axes=[(1, 1, 0)], right=(0, 0, 1), flat=True, size=401, step=0.0025, radiation=XRays.of(0.5))  # fmt: skip
    hkl, positions = zero_layer(salt.cell, zone_axis=(1, 1, 0), size=401, step=0.0025, right=(0, 0, 1))
    for row in ((0, 0, 2), (1, -1, 1)):
        q = np.array([np.linalg.norm(row) / SIDE])
        sodium, chlorine = (factor(XRays.of(0.5).table(), number=n, q=q)[0] for n in (11, 17))
        sign = 1.0 if row[0] % 2 == 0 else -1.0
        spot = np.flatnonzero((hkl == row).all(1))[0]
        value = on_spots(positions[spot : spot + 1], image, within=0)[0]
        assert value == pytest.approx((4 * 125 * (sodium + sign * chlorine)) ** 2, rel=0.02)


def test_a_flat_sphere_gives_friedels_inversion_and_a_curved_one_does_not(crystals):
    piece = slab(crystals["triclinic"], zone_axis=(0, 0, 1), width=30.0, height=30.0, thickness=60.0)
    flat = diffraction_image(piece, flat=True, **GRID).pixels
    assert np.allclose(flat, flat[::-1, ::-1], rtol=1e-4, atol=1e-6 * flat.max())
    curved = diffraction_image(piece, radiation=Electrons(30.0), **GRID).pixels
    other = curved[::-1, ::-1]
    assert (np.abs(curved - other) / (curved + other))[curved > 1e-4 * curved.max()].max() > 0.1


def test_the_pattern_of_a_rotated_crystal_is_rotated():
    rng = np.random.default_rng(2)
    cart, numbers = rng.normal(0.0, 8.0, (60, 3)), rng.choice([8, 22, 38], 60)
    turned = cart @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])  # a quarter turn, counter-clockwise
    one, two = (
        diffraction_image(Specimen(c, numbers, np.eye(3)), size=(80, 80), step=0.015, radiation=Electrons(60.0)).pixels
        for c in (cart, turned)
    )
    assert np.allclose(np.rot90(one), two, rtol=1e-4, atol=1e-6 * one.max())
    assert not np.allclose(one, two, rtol=0.1)


def test_the_pattern_does_not_depend_on_the_orientation_of_the_cell(crystals):
    crystal = crystals["triclinic"]
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    other = crystal.replace(cell=crystal.cell @ turn)
    one, two = (
        diffraction_image(block(c, n_atoms=200), zone_axes=[(1, 1, 1), (0, 1, 2)], size=60, step=0.02).pixels
        for c in (crystal, other)
    )
    assert np.allclose(one, two, rtol=1e-4, atol=1e-6 * one.max())


def test_a_pattern_knows_neither_the_order_nor_the_place_of_the_atoms(crystals):
    piece = block(crystals["hexagonal"], n_atoms=150)
    rng = np.random.default_rng(3)
    order = rng.permutation(len(piece))
    moved = Specimen(piece.cart[order] + rng.normal(0.0, 3.0, 3), piece.numbers[order], piece.cell)
    mirrored = Specimen(piece.cart * [1, 1, -1], piece.numbers, piece.cell)
    for radiation in (Electrons(), XRays.of(1.2)):
        one, two = (
            diffraction_image(p, size=51, step=0.02, radiation=radiation).pixels.astype(float) for p in (piece, moved)
        )
        assert np.allclose(one, two, rtol=1e-4, atol=1e-6 * one.max())
    # on a curved sphere the two sides of a polar crystal differ
    other = diffraction_image(mirrored, size=51, step=0.02, radiation=XRays.of(1.2)).pixels
    assert not np.allclose(one, other, rtol=0.05, atol=1e-4 * one.max())


def test_vacancies_keep_the_spots_and_lower_them_by_the_square_of_what_is_left():
    piece = block(cubic("face"), n_atoms=16_000)
    left, _ = with_defects(piece, defects=[Vacancies(0.25)], rng=np.random.default_rng(5))
    _, positions = zero_layer(SIDE * np.eye(3), zone_axis=(0, 0, 1), **GRID)
    perfect, broken = (diffraction_image(p, flat=True, **GRID).pixels for p in (piece, left))
    at = tuple(np.round(positions).astype(int).T)
    strong = perfect[at] > 1e-6 * perfect.max()
    assert strong.sum() >= 9
    assert broken[at][strong] / perfect[at][strong] == pytest.approx(0.75**2, rel=0.03)
    # what the spots lose is spread between them: on average N c (1 - c) f^2
    q = np.hypot(*np.meshgrid(*[np.arange(60, 75) * 0.01] * 2))
    lost = (broken - 0.75**2 * perfect)[5:20, 5:20][::-1, ::-1] / factor(Electrons().table(), number=26, q=q) ** 2
    assert lost.mean() == pytest.approx(len(piece) * 0.25 * 0.75, rel=0.35)


def test_displacements_damp_as_debye_and_waller():
    piece = block(cubic("simple"), n_atoms=20**3)
    sigma = 0.15
    moved, _ = with_defects(piece, defects=[Displacements(sigma)], rng=np.random.default_rng(6))
    perfect, shaken = (diffraction_image(p, flat=True, **GRID).pixels for p in (piece, moved))
    thermal = diffraction_image(piece, flat=True, b_factor=8 * np.pi**2 * sigma**2, **GRID).pixels
    for order in (1, 2, 3):
        g = order / SIDE
        at = (80, 80 + 25 * order)
        expected = np.exp(-4 * np.pi**2 * sigma**2 * g**2)
        assert shaken[at] / perfect[at] == pytest.approx(expected, rel=0.05)
        assert thermal[at] / perfect[at] == pytest.approx(expected, rel=1e-5)


def test_the_curved_ewald_sphere_is_summed_exactly_at_small_and_large_angles():
    rng = np.random.default_rng(8)
    cart, numbers = rng.normal([0.0, 0.0, 5.0], [6.0, 6.0, 20.0], (40, 3)), rng.choice([14, 79], 40)
    piece = Specimen(cart, numbers, np.eye(3))
    for radiation, step in ((Electrons(54.0), 0.02), (XRays.of(0.05), 0.1), (XRays.of(1.5), 0.03)):
        image = diffraction_image(piece, size=(21, 31), step=step, radiation=radiation).pixels
        for row, column in ((0, 0), (3, 28), (10, 15), (20, 30)):
            x, y = (column - 15) * step, (10 - row) * step
            inverse = 1 / radiation.lines[0].wavelength
            z = inverse - np.sqrt(inverse**2 - x**2 - y**2)
            q = np.array([x, y, z])
            factors = np.array([factor(radiation.table(), number=n, q=[np.linalg.norm(q)])[0] for n in numbers])
            direct = abs((factors * np.exp(2j * np.pi * cart @ q)).sum()) ** 2
            assert image[row, column] == pytest.approx(direct, rel=1e-4, abs=1e-7 * float(image.max()))


def test_a_gaussian_beam_gives_gaussian_spots_of_the_inverse_width():
    piece = slab(cubic("simple"), zone_axis=(0, 0, 1), width=160.0, height=160.0, thickness=SIDE)
    image = diffraction_image(piece, beam=14.0, flat=True, size=61, step=0.001, radiation=Electrons()).pixels
    # |FT exp(-r^2 / 2 w^2)|^2 falls as exp(-4 pi^2 w^2 q^2); the form factor is flat over so small a range
    q = (np.arange(61) - 30) * 0.001
    assert image[30] / image[30, 30] == pytest.approx(np.exp(-4 * np.pi**2 * 14.0**2 * q**2), abs=2e-3)


def test_each_zone_axis_has_its_channel_and_the_stop_is_dark(crystals):
    piece = block(crystals["heusler"], n_atoms=300)
    axes = [(0, 0, 1), (1, 1, 0), (1, 1, 1)]
    image = diffraction_image(piece, zone_axes=axes, size=101, step=0.01, beam_stop=0.1)
    assert image.pixels.shape == (3, 101, 101)
    for channel, axis in zip(image.pixels, axes, strict=True):
        alone = diffraction_image(piece, zone_axes=[axis], size=101, step=0.01, beam_stop=0.1).pixels
        assert np.array_equal(channel, alone)
        assert not channel[45:56, 50].any()
        assert channel[50, 62] > 0.0


def test_form_factors_in_the_forward_direction():
    for number in (6, 26, 79):
        assert factor(XRays.of(1.0).table(), number=number, q=np.zeros(1))[0] == number
    # Doyle and Turner 1968: f_e(0) of carbon is 2.51 and of iron 7.17 Angstrom
    assert factor(Electrons().table(), number=6, q=np.zeros(1))[0] == pytest.approx(2.51, abs=0.01)
    assert factor(Electrons().table(), number=26, q=np.zeros(1))[0] == pytest.approx(7.17, abs=0.02)


def test_form_factors_between_the_points_of_the_table_are_those_of_the_formula():
    text = files("euhedral.representations.spectra").joinpath("scattering_factors.json").read_text(encoding="utf-8")
    q = np.random.default_rng(7).uniform(0.0, 4.0, 500)
    for symbol, number in (("C", 6), ("Fe", 26), ("U", 92)):
        a, b = np.array(json.loads(text)["elements"][symbol]).T
        expected = (a * np.exp(-b * (q[:, None] / 2) ** 2)).sum(1)
        assert factor(Electrons().table(), number=number, q=q) == pytest.approx(expected, abs=2e-7 * expected.max())


def test_a_fingerprint_has_three_channels_in_a_ring_and_knows_no_scale():
    piece = block(cubic("face"), n_atoms=256)
    image = fingerprint(piece)
    assert image.pixels.shape == (3, 64, 64)
    assert image.pixels.min() == 0.0
    assert image.pixels.max() == 1.0
    radius = np.hypot(*np.meshgrid(*[np.arange(64) - 31.5] * 2))
    assert not image.pixels[:, (radius <= 10.0) | (radius >= 30.0)].any()
    larger = Specimen(1.7 * piece.cart, piece.numbers, piece.cell)
    assert np.allclose(fingerprint(larger).pixels, image.pixels, atol=1e-5)


def test_the_channels_of_a_cube_are_the_same_picture_turned():
    red, green, blue = fingerprint(block(cubic("face"), n_atoms=500)).pixels
    assert np.allclose(red, np.rot90(green), atol=1e-5)
    # about z the cube shows its face: a half turn of 45 and -45 degrees is the same picture
    assert np.allclose(blue, np.rot90(blue), atol=1e-5)
    assert not np.allclose(red, blue, atol=0.1)


def test_a_fingerprint_outlives_a_quarter_of_vacancies():
    fcc, bcc = (block(cubic(kind), n_atoms=500) for kind in ("face", "body"))
    broken, _ = with_defects(fcc, defects=[Vacancies(0.25)], rng=np.random.default_rng(9))
    a, b, c = (fingerprint(p).pixels.ravel() for p in (fcc, broken, bcc))
    assert np.corrcoef(a, b)[0, 1] > 0.95
    assert np.corrcoef(a, c)[0, 1] < 0.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zone_axes": [(0, 0, 0)]}, "zone axis"),
        ({"zone_axes": []}, "zone axis"),
        ({"size": 0}, "pixels"),
        ({"size": (10, -1)}, "pixels"),
        ({"step": 0.0}, "step"),
        ({"step": float("nan")}, "step"),
        ({"b_factor": -1.0}, "B factor"),
        ({"beam": 0.0}, "beam"),
        ({"beam_stop": -0.1}, "stop"),
        ({"radiation": XRays.of(1.54), "step": 0.02}, "Ewald"),
        ({"step": 0.2}, "known up to"),
    ],
)
def test_impossible_requests_are_refused_in_one_line(crystals, changes, words):
    piece = block(crystals["fcc"], n_atoms=8)
    with pytest.raises(InvalidRequestError, match=words) as caught:
        diffraction_image(piece, **{"size": 64, **changes})
    assert "\n" not in str(caught.value)


def test_neutrons_see_nuclei_and_a_doublet_is_the_weighted_mean_of_its_lines():
    piece = block(cubic("simple"), n_atoms=27)
    image = diffraction_image(piece, radiation=Neutrons(0.1), size=101, step=0.01, flat=True).pixels
    assert image[50, 50] == pytest.approx((27 * 9.45) ** 2, rel=1e-3)  # Sears 1992: iron scatters with 9.45 fm
    assert image[50, 75] == pytest.approx(image[50, 50], rel=1e-5)  # and alike in all directions
    both = diffraction_image(piece, radiation=XRays((Line(0.6), Line(0.9, 0.5))), size=41, step=0.01).pixels
    one, two = (diffraction_image(piece, radiation=XRays.of(w), size=41, step=0.01).pixels for w in (0.6, 0.9))
    assert np.allclose(both, (one + 0.5 * two) / 1.5, rtol=1e-5)
    assert not np.allclose(one, two, rtol=1e-2)


def test_an_element_without_scattering_factor_is_named():
    oganesson = Crystal(SIDE * np.eye(3), frac=[[0, 0, 0]], numbers=[118], id="heavy")
    with pytest.raises(InvalidRequestError, match=r"'heavy'.*Og"):
        diffraction_image(block(oganesson, n_atoms=8), size=16)


def test_an_impossible_fingerprint_is_refused():
    piece = block(cubic("face"), n_atoms=30)
    with pytest.raises(InvalidRequestError, match="ring"):
        fingerprint(piece, ring=(5.0, 5.0))
    with pytest.raises(InvalidRequestError, match="ring"):
        fingerprint(piece, ring=(100.0, 101.0))
    with pytest.raises(InvalidRequestError, match="two atoms"):
        fingerprint(Specimen(np.zeros((1, 3)), np.array([6]), np.eye(3)))
    with pytest.raises(InvalidRequestError, match="one place"):
        fingerprint(Specimen(np.zeros((2, 3)), np.array([6, 6]), np.eye(3)))
