"""Dark-field images against the closed forms of incoherent imaging, and the truth that comes with them."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.errors import InvalidRequestError
from euhedral.representations.images.columns import BACKGROUND
from euhedral.representations.images.defects import Displacements, Substitutions, Vacancies, with_defects
from euhedral.representations.images.probe import AberrationFreeProbe, GaussianProbe
from euhedral.representations.images.scan import Scan
from euhedral.representations.images.specimen import Specimen, sheet, slab
from euhedral.representations.images.stem import CROSS_SECTION, stem_image

YANG = ("W", "W: V", "Se2", "Se2: Se", "Se2: empty")


def atoms(places, numbers):
    places = np.asarray(places, dtype=float)
    cart = np.column_stack([places, np.zeros(len(places))]) if places.shape[1] == 2 else places
    return Specimen(cart, np.array(numbers), np.eye(3), id="atoms")


@pytest.fixture(scope="module")
def layer():
    height = 1.67 / 25
    return Crystal(
        cell_from_parameters([3.28, 3.28, 25], [90, 90, 120]),
        frac=[[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5 + height], [2 / 3, 1 / 3, 0.5 - height]],
        numbers=[74, 34, 34],
        id="WSe2",
    )


@pytest.fixture(scope="module")
def wse2(layer):
    return sheet(layer, width=46.0, height=46.0)


DEFECTS = (Substitutions(0.1, by=("V",), element="W"), Vacancies(0.15, element="Se"))


def total(image):
    return float(image.pixels.sum(dtype=np.float64)) * image.pixel_size**2


def test_isolated_columns_are_as_bright_as_the_power_of_their_atomic_numbers():
    image = stem_image(atoms([[-5, 0], [5, 0]], [6, 79]), scan=Scan((61, 201), 0.1))
    carbon, gold = image.pixels[30, 50], image.pixels[30, 150]
    assert gold / carbon == pytest.approx((79 / 6) ** 1.7, rel=1e-5)
    other = stem_image(atoms([[-5, 0], [5, 0]], [6, 79]), scan=Scan((61, 201), 0.1), exponent=2.0)
    assert other.pixels[30, 150] / other.pixels[30, 50] == pytest.approx((79 / 6) ** 2, rel=1e-5)


def test_a_column_is_as_bright_as_its_atoms_together():
    cart = [[-5, 0, 0], *[[5, 0, 2.0 * k] for k in range(7)]]
    image = stem_image(atoms(cart, [26] * 8), scan=Scan((61, 201), 0.1))
    assert image.pixels[30, 150] / image.pixels[30, 50] == pytest.approx(7.0, rel=1e-5)


@pytest.mark.parametrize("probe", [GaussianProbe(1.2), AberrationFreeProbe(30.0, 200.0, source_fwhm=0.8)])
def test_the_whole_image_adds_up_to_the_cross_sections(probe):
    image = stem_image(atoms([[0.03, 0.51], [1.3, -2.2]], [38, 8]), scan=Scan(241, 0.1), probe=probe)
    expected = CROSS_SECTION * (38**1.7 + 8**1.7)
    assert total(image) == pytest.approx(expected, rel=0.002 if isinstance(probe, GaussianProbe) else 0.02)


def test_removing_an_atom_removes_its_intensity_and_no_other(wse2):
    scan = Scan(300, 0.1)
    gone = int(np.argmin(np.linalg.norm(wse2.cart - [0.5, 0.5, 1.67], axis=1)))
    _, record = with_defects(wse2, defects=[Vacancies(0.0)], rng=np.random.default_rng(0))
    kept, after = record.kept.copy(), record.after.copy()
    kept[gone], after[gone] = False, 0
    broken = type(record)(kept, record.before, after, record.shift)
    full, less = (stem_image(wse2, scan=scan, defects=d) for d in ((), broken))
    lost = full.pixels.astype(np.float64) - less.pixels
    assert lost.sum() * 0.01 == pytest.approx(CROSS_SECTION * 34**1.7, rel=1e-4)
    row, column = np.unravel_index(lost.argmax(), lost.shape)
    assert (column - 149.5) * 0.1 == pytest.approx(wse2.cart[gone, 0], abs=0.06)
    assert (149.5 - row) * 0.1 == pytest.approx(wse2.cart[gone, 1], abs=0.06)


def test_a_gaussian_probe_has_its_width():
    image = stem_image(atoms([[0, 0]], [79]), scan=Scan(101, 0.05), probe=GaussianProbe(1.0))
    line = image.pixels[50]
    assert line[60] / line[50] == pytest.approx(0.5, rel=1e-4)  # half a width from the middle
    assert line[50] == pytest.approx(CROSS_SECTION * 79**1.7 * 4 * np.log(2) / np.pi, rel=1e-5)


def test_a_perfect_lens_makes_airy_rings():
    probe = AberrationFreeProbe(25.0, 300.0)
    wavelength, angle = 0.019687, 0.025
    radius = np.linspace(0.01, 3.0, 200)
    from scipy.special import j1

    x = 2 * np.pi * angle * radius / wavelength
    airy = np.pi * (angle / wavelength) ** 2 * (2 * j1(x) / x) ** 2
    assert probe.profile(radius) == pytest.approx(airy, rel=1e-3, abs=1e-5 * airy[0])
    half = 0.5145 * wavelength / angle / 2
    assert probe.profile(np.array([half]))[0] == pytest.approx(airy[0] / 2, rel=0.01)


def test_a_source_widens_the_probe_and_keeps_its_intensity():
    sharp, wide = (AberrationFreeProbe(25.0, 300.0, source_fwhm=s) for s in (0.0, 1.0))
    radius = np.linspace(0.0, 8.0, 8001)
    inside = [np.trapezoid(2 * np.pi * radius * p.profile(radius), radius) for p in (sharp, wide)]
    assert inside == pytest.approx([1.0, 1.0], abs=0.02)
    assert wide.profile(np.zeros(1))[0] < 0.6 * sharp.profile(np.zeros(1))[0]


def test_dose_makes_poisson_noise():
    specimen, scan = atoms([[0, 0]], [79]), Scan(200, 0.05)
    rng = np.random.default_rng(3)
    counts = np.stack(
        [stem_image(specimen, scan=scan, dose=4e5, background=0.01, rng=rng).pixels[80:120, 80:120] for _ in range(150)]
    )
    expected = 4e5 * 0.05**2 * stem_image(specimen, scan=scan, background=0.01).pixels[80:120, 80:120]
    assert np.array_equal(counts, np.round(counts))
    assert counts.mean(0) == pytest.approx(expected, rel=0.1)
    assert counts.mean() == pytest.approx(expected.mean(), rel=0.003)
    assert (counts.var(0, ddof=1) / counts.mean(0)).mean() == pytest.approx(1.0, abs=0.03)


def test_no_dose_means_no_electrons():
    image = stem_image(atoms([[0, 0]], [79]), scan=Scan(20, 0.1), dose=0.0, rng=np.random.default_rng(0))
    assert not image.pixels.any()


def test_the_five_site_types_of_a_doped_sheet_are_told_apart(wse2):
    image = stem_image(wse2, scan=Scan(400, 0.1), defects=DEFECTS, classes=YANG, rng=np.random.default_rng(1))
    assert image.classes == (BACKGROUND, *YANG)
    assert set(image.labels) == {1, 2, 3, 4, 5}
    at = np.round(image.positions).astype(int)
    bright = image.pixels[tuple(at.T)]
    inner = ((image.positions > 5) & (image.positions < 395)).all(1)
    means = [bright[inner & (image.labels == k)].mean() for k in range(1, 6)]
    assert means[0] > means[2] > means[3] > means[4]  # W, Se2, Se, nothing
    assert means[1] < means[0]  # V for W
    ratio = (23 / 74) ** 1.7
    assert means[1] / means[0] == pytest.approx(ratio, abs=0.05)
    # as many of each kind as the defects asked for
    kinds = np.bincount(image.labels, minlength=6)
    assert kinds[2] / kinds[1:3].sum() == pytest.approx(0.1, abs=0.04)
    assert (kinds[4] + 2 * kinds[5]) / (2 * kinds[3:6].sum()) == pytest.approx(0.15, abs=0.04)


def test_the_mask_agrees_with_the_positions_under_drift(wse2):
    scan = Scan(380, 0.1, drift=(2.5, -2.0), wander=0.005)
    rng = np.random.default_rng(2)
    image = stem_image(wse2, scan=scan, defects=[*DEFECTS, Displacements(0.03)], rng=rng, disc=0.6)
    at = np.round(image.positions).astype(int)
    assert len(at) > 150
    assert np.array_equal(image.mask[tuple(at.T)], image.labels)
    inner = ((image.positions > 10) & (image.positions < 370)).all(1)
    rows, columns = np.indices(image.mask.shape)
    covered = np.zeros(image.mask.shape, bool)
    for row, column in image.positions:
        covered |= np.hypot(rows - row, columns - column) <= 6.0
    assert (covered == (image.mask > 0))[12:-12, 12:-12].mean() > 0.98
    # and with the picture: a column that holds atoms is brighter in its middle than at its rim
    filled = inner & (image.labels != image.classes.index("Se2: empty"))
    middle = image.pixels[tuple(at[filled].T)]
    rim = image.pixels[tuple((at[filled] + [0, 6]).T)]
    assert (middle > rim).mean() > 0.97


def test_where_discs_overlap_the_nearer_column_has_the_pixel():
    image = stem_image(atoms([[-0.35, 0.0], [0.35, 0.0]], [6, 79]), scan=Scan(101, 0.02), disc=0.5)
    carbon, gold = image.classes.index("C"), image.classes.index("Au")
    rows, columns = np.nonzero(image.mask)
    assert (image.mask[rows, columns] == np.where(columns < 50, carbon, gold))[columns != 50].all()
    assert (image.mask == carbon)[:, :50].sum() == (image.mask == gold)[:, 51:].sum()


def test_drift_moves_the_bottom_of_the_picture_and_not_the_top():
    places = [[0.0, 8.0], [0.0, -8.0]]
    still, drifting = (
        stem_image(atoms(places, [79, 79]), scan=Scan(201, 0.1, drift=drift)).positions
        for drift in ((0.0, 0.0), (1.0, 0.0))
    )
    # the beam moves to the right over the specimen, which is seen to move to the left
    assert still[:, 1].tolist() == [100.0, 100.0]
    left = dict(np.round(drifting - [0.0, 100.0], 9).tolist())
    assert left[20.0] == pytest.approx(-1.0 * 20 / 201 / 0.1)
    assert left[180.0] == pytest.approx(-1.0 * 180 / 201 / 0.1)


def test_jitter_and_wander_have_the_width_asked_for():
    rng = np.random.default_rng(4)
    jitter = Scan((4000, 8), 0.1, jitter=0.05).shifts(rng=rng)
    assert jitter[:, 0].std() == pytest.approx(0.05, rel=0.05)
    assert not jitter[:, 1].any()
    assert np.corrcoef(jitter[1:, 0], jitter[:-1, 0])[0, 1] == pytest.approx(0.0, abs=0.06)
    walk = np.diff(Scan((4000, 8), 0.1, wander=0.02).shifts(rng=rng), axis=0)
    assert walk.std(0) == pytest.approx([0.02, 0.02], rel=0.05)


def test_a_slab_shows_its_columns_with_all_their_atoms():
    salt = Crystal(
        4.2 * np.eye(3),
        frac=[[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]],
        numbers=[12] * 4 + [8] * 4,
        id="MgO",
    )  # fmt: skip
    piece = slab(salt, zone_axis=(1, 1, 0), width=40.0, height=40.0, thickness=6 * 4.2 * np.sqrt(2))
    image = stem_image(piece, scan=Scan(200, 0.15), zone_axis=(1, 1, 0))
    assert image.classes == (BACKGROUND, "Mg12", "O12")  # along [110] columns are of one element
    spacing = np.sort(np.linalg.norm(image.positions[50] - image.positions, axis=1))[1] * 0.15
    assert spacing == pytest.approx(4.2 * np.sqrt(2) / 4, abs=1e-6)


def test_a_tilted_sheet_shows_its_two_sides_apart(layer):
    tilted = sheet(layer, width=40.0, height=40.0, zone_axis=(4, 0, 1))
    image = stem_image(tilted, scan=Scan(200, 0.15), zone_axis=(4, 0, 1))
    assert {"Se", "W"} <= set(image.classes)


def test_the_same_seed_gives_the_same_picture(wse2):
    scan = Scan(100, 0.2, drift=(1.0, 1.0), wander=0.01, jitter=0.02)
    one, two, three = (
        stem_image(wse2, scan=scan, defects=DEFECTS, dose=1e4, rng=np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.mask, two.mask)
    assert not np.array_equal(one.pixels, three.pixels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dose": -1.0}, "dose"),
        ({"dose": float("inf")}, "dose"),
        ({"dose": 10.0}, "rng"),
        ({"defects": DEFECTS}, "rng"),
        ({"scan": Scan(10, 0.1, jitter=0.1)}, "rng"),
        ({"background": -0.1}, "background"),
        ({"exponent": float("nan")}, "exponent"),
        ({"disc": 0.0}, "disc"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"zone_axis": (0, 0, 0)}, "zone axis"),
        ({"classes": ("W",)}, "Se2"),
    ],
)
def test_impossible_requests_are_refused_in_one_line(wse2, changes, words):
    with pytest.raises(InvalidRequestError, match=words) as caught:
        stem_image(wse2, **{"scan": Scan(30, 0.2), **changes})
    assert "\n" not in str(caught.value)


def test_a_view_without_atoms_and_a_foreign_record_are_refused(wse2):
    with pytest.raises(InvalidRequestError, match="no atom"):
        stem_image(atoms([[50.0, 50.0]], [6]), scan=Scan(20, 0.1))
    _, record = with_defects(atoms([[0.0, 0.0]], [6]), defects=[], rng=np.random.default_rng(0))
    with pytest.raises(InvalidRequestError, match="record"):
        stem_image(wse2, scan=Scan(20, 0.1), defects=record)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Scan(0), lambda: Scan(10, 0.0), lambda: Scan(10, jitter=-1.0), lambda: Scan(10, drift=(np.inf, 0.0)),
        lambda: GaussianProbe(0.0), lambda: AberrationFreeProbe(-1.0), lambda: AberrationFreeProbe(kilovolts=0.0),
    ],
)  # fmt: skip
def test_impossible_instruments_are_refused(build):
    with pytest.raises(InvalidRequestError):
        build()
