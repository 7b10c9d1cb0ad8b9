from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, element
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.representations.spectra.diffraction import Texture, mixture, powder_pattern, powder_patterns
from euhedral.representations.spectra.radiation import WAVELENGTHS, Electrons, Neutrons, XRays
from euhedral.representations.spectra.scattering import electron_table, neutron_table, xray_table


@pytest.fixture(scope="module")
def salt():
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    return Crystal(
        cell=5.64 * np.eye(3), frac=np.concatenate([corners, corners + np.array([0.5, 0, 0])]), numbers=[11] * 4 + [17] * 4, id="salt"
    )  # fmt: skip


def by_the_equation(crystal, *, wavelength, two_theta, factor, polarized, b=0.0):
    """All reflections one by one, F summed with complex exponentials: {angle: intensity}, merged within 1e-4 degrees."""
    longest = 2 * np.sin(np.radians(two_theta[1] / 2)) / wavelength
    limit = np.ceil(longest * np.linalg.norm(crystal.cell, axis=1)).astype(int)
    hkl = np.array([h for h in product(*(range(-n, n + 1) for n in limit)) if any(h)])
    g = np.linalg.norm(hkl @ np.linalg.inv(crystal.cell).T, axis=1)
    hkl, g = hkl[g <= longest], g[g <= longest]
    theta = np.arcsin(g * wavelength / 2)
    s2 = (g / 2) ** 2
    f = np.stack([factor(int(n), s2) for n in crystal.numbers], axis=1) * np.exp(-b * s2)[:, None]
    total = np.abs((f * np.exp(2j * np.pi * hkl @ crystal.frac.T)).sum(1)) ** 2
    total = total * (1 + polarized * np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    angles = np.degrees(2 * theta)
    kept = angles >= two_theta[0]
    return angles[kept], total[kept]


def assert_same(pattern, angles, total, *, near=1e-4):
    assert len(pattern) > 3
    sums = np.array([total[np.abs(angles - angle) < near].sum() for angle in pattern.two_theta])
    np.testing.assert_allclose(pattern.intensity, 100 * sums / sums.max(), rtol=2e-6, atol=1e-5)
    assert sums.sum() == pytest.approx(total.sum(), rel=1e-3)


def test_peaks_are_those_of_pymatgen(crystal):
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    from euhedral.core.bridges import to_pymatgen

    # 500 atoms have tens of thousands of reflections: seconds in pymatgen
    two_theta = (5.0, 25.0) if len(crystal) > 100 or crystal.id == "isolated" else (5.0, 90.0)
    ours = powder_pattern(crystal, two_theta=two_theta)
    theirs = XRDCalculator("CuKa").get_pattern(to_pymatgen(crystal), two_theta_range=two_theta)
    # each bins angles in its own way, so that peaks are compared by all that is within 0.0001 degrees
    for angle in theirs.x[theirs.y > 0.01]:
        expected = theirs.y[np.abs(theirs.x - angle) < 1e-4].sum()
        found = ours.intensity[np.abs(ours.two_theta - angle) < 1e-4].sum()
        assert found == pytest.approx(expected, rel=1e-6, abs=0.002)
    assert ours.intensity.sum() == pytest.approx(theirs.y.sum(), rel=1e-4)


def test_neutron_peaks_are_those_of_pymatgen(crystals):
    from pymatgen.analysis.diffraction.neutron import NDCalculator

    from euhedral.core.bridges import to_pymatgen

    # zinc and oxygen: the tables agree to four digits
    ours = powder_pattern(crystals["hexagonal"], radiation=Neutrons(1.54184), two_theta=(5.0, 90.0))
    theirs = NDCalculator(1.54184).get_pattern(to_pymatgen(crystals["hexagonal"]), two_theta_range=(5.0, 90.0))
    np.testing.assert_allclose(ours.two_theta, theirs.x, atol=1e-4)
    np.testing.assert_allclose(ours.intensity, theirs.y, atol=1e-3)


@pytest.mark.parametrize("name", ["triclinic", "hexagonal", "heusler"])
def test_neutron_intensities_follow_the_scattering_lengths(crystals, name):
    lengths = neutron_table().forward
    ours = powder_pattern(crystals[name], radiation=Neutrons(1.8), two_theta=(5.0, 120.0), thermal=0.4)
    expected = by_the_equation(
        crystals[name], wavelength=1.8, two_theta=(5.0, 120.0), polarized=0.0, b=0.4,
        factor=lambda number, s2: np.full_like(s2, lengths[number], dtype=complex),
    )  # fmt: skip
    assert_same(ours, *expected)


def test_absorbing_nuclei_scatter_with_a_complex_length(crystals):
    # CdS-like: the parts of cadmium's length out of phase are not lost, and depend on no choice of origin
    crystal = crystals["hexagonal"].replace(numbers=[48, 48, 16, 16], frac=crystals["hexagonal"].frac + 0.21)
    lengths = neutron_table().forward
    assert lengths[48].imag == pytest.approx(-1.2)
    expected = by_the_equation(
        crystal, wavelength=1.8, two_theta=(5.0, 120.0), polarized=0.0,
        factor=lambda number, s2: np.full_like(s2, lengths[number], dtype=complex),
    )  # fmt: skip
    assert_same(powder_pattern(crystal, radiation=Neutrons(1.8), two_theta=(5.0, 120.0)), *expected)


def test_electron_intensities_follow_the_electron_factors(crystals):
    from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS

    def factor(number, s2):
        a, b = np.array(ATOMIC_SCATTERING_PARAMS[SYMBOLS[number]]).T
        return (a * np.exp(-np.outer(s2, b))).sum(1)

    beam = Electrons(200.0)
    assert beam.wavelength == pytest.approx(0.025079, abs=2e-6)  # every textbook of electron microscopy
    ours = powder_pattern(crystals["triclinic"], radiation=beam, two_theta=(0.2, 1.5))
    expected = by_the_equation(
        crystals["triclinic"], wavelength=beam.wavelength, two_theta=(0.2, 1.5), polarized=0.0, factor=factor
    )
    assert_same(ours, *expected, near=6e-6)


def test_interpolated_factors_are_those_of_the_formula():
    from pymatgen.analysis.diffraction.xrd import ATOMIC_SCATTERING_PARAMS

    from euhedral.representations.spectra.diffraction_kernels import _factor

    table = xray_table()
    for symbol in ("H", "Li", "Cs", "U"):
        a, b = np.array(ATOMIC_SCATTERING_PARAMS[symbol]).T
        for s2 in np.random.default_rng(0).uniform(0, 4, 50):
            exact = SYMBOLS.index(symbol) - 41.78214 * s2 * (a * np.exp(-b * s2)).sum()
            assert _factor(table.samples[SYMBOLS.index(symbol)], table.step, s2) == pytest.approx(exact, abs=1e-6)


def test_factors_at_rest_are_the_electrons_and_the_known_lengths():
    assert xray_table().forward[26].real == 26.0
    assert neutron_table().forward[1].real == pytest.approx(-3.74, abs=0.01)
    # Mott-Bethe at s -> 0 has no X-ray limit; carbon's 2.5 Angstrom is tabulated by Doyle and Turner
    assert electron_table().forward[6].real == pytest.approx(2.5, abs=0.02)


def test_neutrons_and_x_rays_weigh_a_light_atom_differently(salt):
    hydride = salt.replace(
        numbers=[3] * 4 + [1] * 4
    )  # LiH: both lengths negative and close, so that odd peaks nearly vanish
    xray, neutron = powder_pattern(hydride), powder_pattern(hydride, radiation=Neutrons(1.54184), two_theta=(5, 90))
    ratio = {p.hkl[0].tolist() == [1, 1, 1] and p.intensity[0] / p.intensity[1] for p in (xray, neutron)}
    assert len(ratio) == 2
    # (111): b_Li - b_H against (200): b_Li + b_H; with the Lorentz factor and 8 to 6
    lengths = neutron_table().forward.real
    theta = np.radians(neutron.two_theta[:2] / 2)
    lorentz = 1 / (np.sin(theta) ** 2 * np.cos(theta))
    expected = 8 * (lengths[3] - lengths[1]) ** 2 * lorentz[0] / (6 * (lengths[3] + lengths[1]) ** 2 * lorentz[1])
    imaginary = neutron_table().forward.imag
    assert not imaginary[[1, 3]].any()
    assert neutron.intensity[0] / neutron.intensity[1] == pytest.approx(expected, rel=1e-9)


def test_face_centring_extinguishes_mixed_indices():
    cubic = Crystal(
        cell=4.05 * np.eye(3), frac=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], numbers=[13] * 4
    )
    pattern = powder_pattern(cubic)
    assert pattern.hkl[:4].tolist() == [[1, 1, 1], [2, 0, 0], [2, 2, 0], [3, 1, 1]]
    assert pattern.multiplicity[:4].tolist() == [8, 6, 12, 24]
    np.testing.assert_allclose(pattern.spacing[:2], [4.05 / np.sqrt(3), 4.05 / 2])


def test_bragg_s_law_holds_for_every_line(crystals):
    pattern = powder_pattern(crystals["hexagonal"], radiation=XRays.doublet("Cu"))
    angle = np.degrees(2 * np.arcsin(pattern.wavelength / (2 * pattern.spacing)))
    np.testing.assert_allclose(pattern.two_theta, angle)
    assert set(pattern.wavelength.tolist()) == {1.540562, 1.544390}


def test_each_line_of_a_doublet_makes_the_peaks_it_makes_alone(crystals):
    both = powder_pattern(crystals["triclinic"], radiation=XRays.doublet("Cu", ratio=0.4))
    assert (np.diff(both.two_theta) >= 0).all()
    for wavelength, weight in ((1.540562, 1.0), (1.544390, 0.4)):
        alone = powder_pattern(crystals["triclinic"], radiation=XRays.of(wavelength))
        own = both.wavelength == wavelength
        strong = both.intensity[own] > 0.01
        here, there = both.two_theta[own][strong], alone.two_theta
        at = np.abs(here[:, None] - there).argmin(1)
        np.testing.assert_allclose(here, there[at], atol=1e-9)
        scale = both.strength / alone.strength
        np.testing.assert_allclose(both.intensity[own][strong] * scale, weight * alone.intensity[at], rtol=1e-9)


def test_the_choice_of_cell_and_origin_does_not_matter(crystals):
    heusler = crystals["heusler"]
    change = np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]])
    other = heusler.replace(cell=change @ heusler.cell, frac=(heusler.frac + 0.123) @ np.linalg.inv(change))
    first, second = powder_pattern(heusler), powder_pattern(other)
    np.testing.assert_allclose(first.two_theta, second.two_theta, atol=1e-8)
    np.testing.assert_allclose(first.intensity, second.intensity, rtol=1e-8)
    assert first.strength == pytest.approx(second.strength)


def test_a_left_handed_and_a_skewed_cell_give_the_same_pattern(crystals):
    triclinic = crystals["triclinic"]
    change = np.array([[0, 1, 0], [1, 0, 0], [3, -4, 1]])
    other = triclinic.replace(cell=change @ triclinic.cell, frac=triclinic.frac @ np.linalg.inv(change))
    first, second = powder_pattern(triclinic), powder_pattern(other)
    np.testing.assert_allclose(first.two_theta, second.two_theta, atol=1e-8)
    np.testing.assert_allclose(first.intensity, second.intensity, rtol=1e-7)


def test_a_supercell_has_the_same_pattern_and_strength_per_mass(crystals):
    one = crystals["hexagonal"]
    shifts = np.array(list(product(range(2), range(1), range(3))))
    many = Crystal(
        cell=one.cell * [[2], [1], [3]], frac=((one.frac[:, None] + shifts) / [2, 1, 3]).reshape(-1, 3),
        numbers=np.repeat(one.numbers, len(shifts)),
    )  # fmt: skip
    first, second = powder_pattern(one), powder_pattern(many)
    np.testing.assert_allclose(first.intensity, second.intensity, rtol=1e-8)
    assert first.strength == pytest.approx(second.strength)


def test_many_at_once_are_each_one_alone(crystals):
    chosen = [crystals[name] for name in ("triclinic", "fcc", "vacuum", "one_atom", "heusler")]
    for together, crystal in zip(powder_patterns(chosen), chosen, strict=True):
        alone = powder_pattern(crystal)
        assert together.id == crystal.id
        np.testing.assert_array_equal(together.two_theta, alone.two_theta)
        np.testing.assert_array_equal(together.intensity, alone.intensity)
        np.testing.assert_array_equal(together.hkl, alone.hkl)
    assert powder_patterns([]) == []


def test_heat_weakens_peaks_by_the_debye_waller_factor(crystals):
    cold, hot = (powder_pattern(crystals["fcc"], thermal=b) for b in (0.0, 1.5))
    ratio = hot.intensity * hot.strength / (cold.intensity * cold.strength)
    np.testing.assert_allclose(ratio, np.exp(-2 * 1.5 * (1 / (2 * cold.spacing)) ** 2), rtol=1e-9)


def test_heat_by_element_and_by_site_agree(salt):
    by_symbol = powder_pattern(salt, thermal={"Na": 1.2, "Cl": 0.7})
    by_site = powder_pattern(salt.replace(site={"b_iso": [1.2] * 4 + [0.7] * 4}), thermal="site")
    np.testing.assert_allclose(by_symbol.intensity, by_site.intensity, rtol=1e-12)
    assert not np.allclose(by_symbol.intensity, powder_pattern(salt, thermal=0.7).intensity, rtol=1e-3)


def test_a_monochromator_changes_the_polarization(crystals):
    plain, filtered = (
        powder_pattern(crystals["fcc"], radiation=XRays.of("CuKa", monochromator=angle)) for angle in (None, 26.6)
    )
    cosine2 = np.cos(np.radians(plain.two_theta)) ** 2
    expected = (1 + np.cos(np.radians(26.6)) ** 2 * cosine2) / (1 + cosine2)
    ratio = filtered.intensity * filtered.strength / (plain.intensity * plain.strength)
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


def test_texture_strengthens_its_axis_and_keeps_the_sum_over_directions(crystals):
    hexagonal = crystals["hexagonal"]
    plain, plates = powder_pattern(hexagonal), powder_pattern(hexagonal, texture=Texture((0, 0, 1), 0.6))
    of = {tuple(h): i for i, h in enumerate(plain.hkl.tolist())}
    gain = plates.intensity * plates.strength / (plain.intensity * plain.strength)
    # along the axis (r^2)^(-3/2), across it (1/r)^(-3/2)
    assert gain[of[0, 0, 2]] == pytest.approx(0.6**-3, rel=1e-9)
    assert gain[of[1, 0, 0]] == pytest.approx(0.6**1.5, rel=1e-9)
    assert powder_pattern(hexagonal, texture=Texture((0, 0, 1), 1.0)).intensity.tolist() == plain.intensity.tolist()


def test_texture_takes_its_axis_in_reciprocal_space(crystals):
    triclinic = crystals["triclinic"]
    plain, textured = powder_pattern(triclinic), powder_pattern(triclinic, texture=Texture((1, 2, 0), 0.7))
    reciprocal = np.linalg.inv(triclinic.cell).T
    g, axis = plain.hkl @ reciprocal, np.array([1, 2, 0]) @ reciprocal
    cosine2 = (g @ axis) ** 2 / ((g**2).sum(1) * (axis @ axis))
    expected = (0.49 * cosine2 + (1 - cosine2) / 0.7) ** -1.5
    single = plain.multiplicity == 2
    assert single.sum() > 50
    at = np.searchsorted(textured.two_theta, plain.two_theta - 1e-7)
    ratio = textured.intensity[at] * textured.strength / (plain.intensity * plain.strength)
    strong = single & (plain.intensity > 0.1)
    np.testing.assert_allclose(ratio[strong], expected[strong], rtol=1e-9)


def test_a_mixture_weighs_phases_by_mass_and_volume(crystals, salt):
    metal = crystals["fcc"]
    patterns = powder_patterns([metal, salt])
    mixed = mixture(patterns, weights=[1.0, 3.0])
    assert (np.diff(mixed.two_theta) >= 0).all()
    # integrated intensity of a phase per volume of it: sum of m |F|^2 L P over V^2; the volume of a weight W is W V / M
    parts = []
    for crystal, pattern, weight in zip((metal, salt), patterns, (1.0, 3.0), strict=True):
        mass = sum(element(int(n)).mass for n in crystal.numbers)
        cell_strength = pattern.strength * crystal.volume * mass
        parts.append(cell_strength / crystal.volume**2 * (weight * crystal.volume / mass))
    expected = np.array(parts) / max(parts) * 100
    for pattern, height in zip(patterns, expected, strict=True):
        strongest = pattern.two_theta[pattern.intensity.argmax()]
        assert mixed.intensity[mixed.two_theta == strongest][0] == pytest.approx(height)
    with pytest.raises(InvalidRequestError, match="2 phases needs as many weights"):
        mixture(patterns, weights=[1.0])
    with pytest.raises(InvalidRequestError, match="none negative"):
        mixture(patterns, weights=[1.0, -1.0])


def test_a_range_without_peaks_is_an_empty_pattern(crystals):
    pattern = powder_pattern(crystals["fcc"], two_theta=(5.0, 6.0))
    assert len(pattern) == 0
    assert pattern.strength == 0.0


def test_angles_up_to_180_degrees_are_finite(crystals):
    pattern = powder_pattern(crystals["fcc"], two_theta=(0.0, 180.0))
    assert np.isfinite(pattern.intensity).all()
    assert pattern.two_theta.max() <= 180.0


@pytest.mark.parametrize(("request_", "match"), [
    ({"two_theta": (90.0, 5.0)}, "0 <= from < to"),
    ({"thermal": {"Fe": 1.0}}, "no B for Al"),
    ({"thermal": "site"}, r"site\['b_iso'\]"),
    ({"thermal": -1.0}, "not negative"),
    ({"radiation": XRays.of(0.2), "two_theta": (5.0, 90.0)}, "reaches at 47.16 degrees"),
])  # fmt: skip
def test_what_cannot_be_computed_is_said(crystals, request_, match):
    with pytest.raises(InvalidRequestError, match=match):
        powder_pattern(crystals["fcc"], **request_)


def test_elements_without_a_factor_are_named(crystals):
    unknown = crystals["fcc"].replace(numbers=[118])
    with pytest.raises(InvalidRequestError, match="'fcc': no X-ray scattering factor is tabulated for Og"):
        powder_patterns([crystals["heusler"], unknown])
    with pytest.raises(InvalidRequestError, match="no neutron scattering factor is tabulated for Po"):
        powder_pattern(crystals["one_atom"], radiation=Neutrons())


def test_impossible_light_is_refused():
    with pytest.raises(InvalidRequestError, match="positive Angstrom"):
        XRays.of(-1.54)
    with pytest.raises(InvalidRequestError, match="positive Angstrom"):
        Neutrons(float("nan"))
    with pytest.raises(InvalidRequestError, match="positive voltage"):
        Electrons(0.0)
    with pytest.raises(UnknownNameError, match="did you mean CuKa"):
        XRays.of("CuK")
    with pytest.raises(UnknownNameError, match="no X-ray anode named 'Pb'"):
        XRays.doublet("Pb")
    with pytest.raises(InvalidRequestError, match="other than"):
        Texture((0, 0, 0), 0.5)
    with pytest.raises(InvalidRequestError, match="monochromator"):
        XRays(monochromator=-3.0)
    assert XRays.of("CuKa").lines[0].wavelength == WAVELENGTHS["CuKa"]


def test_a_cell_with_too_many_reflections_is_refused_at_once(crystals):
    huge = crystals["fcc"].replace(cell=np.eye(3) * 3000.0)
    with pytest.raises(InvalidRequestError, match="reflections lie below 90 degrees"):
        powder_pattern(huge)
