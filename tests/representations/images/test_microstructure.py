"""Microstructures: areas, textures and masks are what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.representations.images.microstructure import Phase, Section, microstructure, steel
from euhedral.representations.images.sem_scenes import SCENES, scene
from euhedral.representations.images.tessellation import assign_phases, grains, power_diagram
from euhedral.representations.images.textures import Lamellar, Laths, Particles, Smooth, Tempered, clouds

PLAIN = Section(etching=0.0, shading=0.0, noise=0.0, blur=0.0)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_each_pixel_belongs_to_the_seed_of_least_power(spread):
    draw = rng(1)
    seeds, radius = draw.uniform(0, 40, (25, 2)), 6.0 * np.exp(draw.normal(0.0, spread, 25))
    owner = power_diagram((37, 45), seeds=seeds, radius=radius)
    rows, columns = np.indices((37, 45))
    power = (rows[..., None] - seeds[:, 0]) ** 2 + (columns[..., None] - seeds[:, 1]) ** 2 - radius**2
    assert np.allclose(np.take_along_axis(power, owner[..., None].astype(int), -1)[..., 0], power.min(-1))


def test_a_spread_of_radii_spreads_the_grains_and_relaxing_evens_them():
    def variation(**options):
        areas = np.bincount(grains((200, 200), n_grains=60, rng=rng(2), **options).ravel(), minlength=60)
        return areas.std() / areas.mean()

    assert variation(spread=0.5) > variation() > variation(relaxations=5)
    assert variation() == pytest.approx(0.53, abs=0.12)  # the variation of a Poisson-Voronoi tessellation


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.4, 0.2, 0.2, 0.2), (0.9, 0.1), (1.0,), (0.0, 1.0)])
def test_phases_have_the_area_asked_for(fractions):
    owner = grains((256, 256), n_grains=150, rng=rng(3), spread=0.3)
    phases = assign_phases(owner, fractions=fractions, rng=rng(4))
    shares = np.bincount(phases[owner].ravel(), minlength=len(fractions)) / owner.size
    assert shares == pytest.approx(fractions, abs=0.005)


def test_a_section_is_numbered_like_its_phases():
    phases = (Phase("dark", 0.3, Smooth(0.2, contrast=0.0)), Phase("bright", 0.7, Smooth(0.8, contrast=0.0)))
    image = microstructure(rng=rng(5), size=(120, 200), phases=phases, section=PLAIN, pixel_size=10.0)
    assert image.pixels.shape == (120, 200)
    assert image.classes == ("dark", "bright")
    assert np.array_equal(image.pixels, np.where(image.mask == 0, np.float32(0.2), np.float32(0.8)))
    assert np.bincount(image.mask.ravel()) / image.mask.size == pytest.approx([0.3, 0.7], abs=0.01)
    assert (image.pixel_size, image.unit) == (10.0, "nm")


def test_boundaries_are_etched_and_the_inside_is_not():
    phases = (Phase("ferrite", 1.0, Smooth(0.6, contrast=0.0)),)
    etched = Section(etching=0.3, boundary=1.0, shading=0.0, noise=0.0, blur=0.0)
    image = microstructure(rng=rng(6), size=200, phases=phases, section=etched, n_grains=20)
    owner = grains((200, 200), n_grains=20, rng=rng(6), spread=0.3, relaxations=1)
    edge = np.zeros(owner.shape, bool)
    edge[:, :-1] = owner[:, :-1] != owner[:, 1:]
    assert image.pixels[edge].mean() == pytest.approx(0.3, abs=0.05)
    assert image.pixels.max() == pytest.approx(0.6)
    assert np.median(image.pixels) == pytest.approx(0.6, abs=1e-3)


def test_noise_has_the_width_asked_for_and_shading_is_slow():
    phases = (Phase("ferrite", 1.0, Smooth(0.5, contrast=0.0)),)
    noisy = microstructure(rng=rng(7), size=200, phases=phases, section=Section(etching=0.0, shading=0.0, noise=0.05))
    assert noisy.pixels.std() == pytest.approx(0.05, rel=0.02)
    shaded = microstructure(rng=rng(7), size=200, phases=phases, section=Section(etching=0.0, shading=0.3, noise=0.0))
    assert shaded.pixels.std() > 0.02
    assert np.abs(np.diff(shaded.pixels, axis=0)).max() < 0.01


def test_clouds_have_unit_variance_and_the_scale_asked_for():
    draws = np.stack([clouds((96, 80), scale=4.0, rng=rng(seed)) for seed in range(60)])
    assert draws.mean() == pytest.approx(0.0, abs=0.05)
    assert (draws**2).mean() == pytest.approx(1.0, rel=0.06)
    for step in (2, 5, 8):
        correlation = (draws * np.roll(draws, step, axis=2)).mean()
        assert correlation == pytest.approx(np.exp(-(step**2) / (4 * 4.0**2)), abs=0.05)


def test_lamellae_repeat_at_their_spacing_or_wider():
    periods, shares = [], []
    for seed in range(12):
        level = Lamellar(spacing=8.0, fraction=0.3, bending=0.0).draw((256, 256), rng=rng(seed))
        power = np.abs(np.fft.fft2(level - level.mean())) ** 2
        row, column = np.unravel_index(power.argmax(), power.shape)
        periods.append(1.0 / np.hypot(np.fft.fftfreq(256)[row], np.fft.fftfreq(256)[column]))
        shares.append((level > 0.525).mean())
    assert min(periods) == pytest.approx(8.0, rel=0.06)
    assert max(periods) < 8.0 / np.sqrt(1.0 - 0.9**2) * 1.06
    assert np.mean(shares) == pytest.approx(0.3, abs=0.01)


def test_laths_lie_in_their_few_directions():
    level = Laths(directions=1, length=60.0, width=3.0).draw((300, 300), rng=rng(8))
    down, along = np.gradient(level)
    doubled = np.exp(2j * np.arctan2(down, along))
    strength = np.hypot(down, along)
    one = abs((strength * doubled).sum() / strength.sum())
    down, along = np.gradient(Laths(directions=8, length=60.0, width=3.0).draw((300, 300), rng=rng(8)))
    many = abs((np.hypot(down, along) * np.exp(2j * np.arctan2(down, along))).sum() / np.hypot(down, along).sum())
    assert one > 0.6
    assert many < 0.3


@pytest.mark.parametrize("aligned", [1.0, 3.0])
def test_particles_cover_the_area_asked_for(aligned):
    particles = Particles(radius=4.0, fraction=0.2, bright=1.0, dark=0.0, aligned=aligned)
    covered = np.mean([particles.draw((300, 300), rng=rng(seed)).mean() for seed in range(12)])
    assert covered == pytest.approx(0.2, abs=0.02)
    edges = [particles.draw((300, 300), rng=rng(seed))[:10].mean() for seed in range(40)]
    assert np.mean(edges) == pytest.approx(0.2, abs=0.04)  # as in the middle


def test_tempering_lowers_the_contrast_and_adds_particles():
    tempered = Tempered(laths=Laths(bright=0.5, dark=0.4), carbides=Particles(radius=1.5, fraction=0.1, bright=0.95))
    level = tempered.draw((200, 200), rng=rng(9))
    assert (level > 0.9).mean() == pytest.approx(0.1, abs=0.05)
    assert np.median(level) < 0.55


def test_the_constituents_of_a_steel_look_different():
    image = microstructure(rng=rng(10), size=512, section=PLAIN)
    assert image.classes == ("ferrite", "pearlite", "martensite", "tempered martensite", "bainite")
    spread = [image.pixels[image.mask == k].std() for k in range(5)]
    assert spread[0] < 0.08
    assert min(spread[1], spread[2]) > 0.12
    assert spread[3] < spread[2]


def test_the_same_seed_gives_the_same_section():
    one, two, three = (microstructure(rng=rng(seed), size=96, n_grains=12) for seed in (1, 1, 2))
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.mask, two.mask)
    assert not np.array_equal(one.mask, three.mask)


@pytest.mark.parametrize("label", SCENES)
def test_a_scene_carries_its_class_and_where_its_objects_are(label):
    for seed in range(6):
        image = scene(label, rng=rng(seed), size=(96, 128))
        assert image.label == label
        assert image.pixels.shape == (96, 128)
        assert 0.03 < image.mask.mean() < 0.97
        assert image.pixels[image.mask == 1].mean() > image.pixels[image.mask == 0].mean() + 0.15
        again = scene(label, rng=rng(seed), size=(96, 128))
        assert np.array_equal(image.pixels, again.pixels)
    assert not np.array_equal(image.pixels, scene(label, rng=rng(99), size=(96, 128)).pixels)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 0}, "pixels"),
        ({"n_grains": 0}, "grains"),
        ({"n_grains": 10_000}, "grains"),
        ({"spread": -1.0}, "spread"),
        ({"relaxations": -1}, "relaxations"),
        ({"phases": ()}, "add up to 1"),
        ({"phases": steel(ferrite=0.9)}, "add up to 1"),
        ({"phases": (Phase("a", 1.5, Smooth()), Phase("b", -0.5, Smooth()))}, "add up to 1"),
        ({"phases": (Phase("a", 0.5, Smooth()), Phase("a", 0.5, Smooth()))}, "name of its own"),
    ],
)
def test_impossible_sections_are_refused_in_one_line(changes, words):
    with pytest.raises(InvalidRequestError, match=words) as caught:
        microstructure(rng=rng(), **{"size": 32, **changes})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Lamellar(spacing=0.0), lambda: Lamellar(fraction=1.0), lambda: Laths(width=0.0), lambda: Laths(directions=0),
        lambda: Particles(radius=0.0), lambda: Particles(aligned=0.5), lambda: Section(noise=-0.1), lambda: Section(blur=np.nan),
    ],
)  # fmt: skip
def test_impossible_textures_and_sections_are_refused(build):
    with pytest.raises(InvalidRequestError):
        build()


def test_an_unknown_scene_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="fibres"):
        scene("fibers", rng=rng())
    with pytest.raises(InvalidRequestError, match="pixels"):
        scene("fibres", rng=rng(), size=0)
