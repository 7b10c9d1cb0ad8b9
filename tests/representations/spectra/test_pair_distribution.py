from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.pair_distribution import Blur, pair_distribution
from euhedral.representations.spectra.radiation import Neutrons, XRays
from euhedral.representations.spectra.scattering import neutron_table

REFERENCE = Path(__file__).parents[2] / "data" / "pdffit2_1.5.1.npz"
MEASUREMENTS = {
    "xray": (XRays(), Blur()),
    "neutron": (Neutrons(), Blur(q_damp=0.03, q_broad=0.01, delta2=0.8)),
    "cut": (Neutrons(), Blur(q_max=18.0, q_damp=0.03, delta1=0.2)),
}


def shell(distribution, low, high):
    r = distribution.r
    return np.trapezoid(np.where((r >= low) & (r <= high), distribution.radial, 0.0), r)


@pytest.fixture(scope="module")
def salt():
    return Crystal(
        cell=2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), frac=[[0, 0, 0], [0.5] * 3], numbers=[11, 17]
    )


def test_shells_hold_the_neighbours_counted_by_hand(crystals):
    # fcc aluminium: 12 at a / sqrt(2), 6 at a, 24 at a sqrt(3/2)
    found = pair_distribution(crystals["fcc"], r=np.arange(0.5, 8.0, 0.002), thermal=0.05)
    for distance, count in ((4.05 / 2**0.5, 12), (4.05, 6), (4.05 * 1.5**0.5, 24)):
        assert shell(found, distance - 0.3, distance + 0.3) == pytest.approx(count, rel=1e-4)


def test_shells_are_weighted_by_scattering_lengths(salt):
    # the first shell is 6 unlike pairs, the second 12 like ones
    r = np.arange(0.5, 6.0, 0.002)
    for radiation, na, cl in ((XRays(), 11.0, 17.0), (Neutrons(), *neutron_table().forward.real[[11, 17]])):
        found = pair_distribution(salt, r=r, radiation=radiation, thermal=0.05)
        mean = ((na + cl) / 2) ** 2
        assert shell(found, 2.6, 3.0) == pytest.approx(6 * na * cl / mean, rel=1e-4)
        assert shell(found, 3.8, 4.2) == pytest.approx(12 * (na**2 + cl**2) / 2 / mean, rel=1e-4)


@pytest.mark.parametrize("key", [
    "triclinic_xray", "hexagonal_xray", "hexagonal_neutron", "hexagonal_cut", "heusler_xray", "heusler_neutron"
])  # fmt: skip
def test_it_is_what_pdffit2_computes(crystals, key):
    name, measurement = key.split("_")
    with np.load(REFERENCE) as reference:
        r, expected = reference["r"], reference[key]
    radiation, blur = MEASUREMENTS[measurement]
    found = pair_distribution(crystals[name], r=r, radiation=radiation, thermal=0.5, blur=blur).reduced
    # pdffit2 cuts ripples off near the end of its own grid
    inside = r < (12.0 if measurement == "cut" else 18.0)
    tolerance = 5e-3 if measurement == "cut" else 5e-4  # its lengths have three digits, ours four
    assert np.abs(found - expected)[inside].max() < tolerance * np.abs(expected).max()


def test_far_away_density_is_the_mean(crystals):
    found = pair_distribution(crystals["triclinic"], r=np.arange(18.0, 22.0, 0.01), thermal=3.0)
    assert found.relative.mean() == pytest.approx(1.0, abs=0.01)
    assert found.density == pytest.approx(3 / crystals["triclinic"].volume)


def test_below_the_first_neighbour_nothing_is_found(crystals):
    found = pair_distribution(crystals["hexagonal"], r=np.arange(0.05, 1.3, 0.01), thermal=0.3)
    np.testing.assert_allclose(found.relative, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.reduced, -4 * np.pi * found.r * found.density)


def test_an_end_of_the_measurement_makes_ripples_of_its_wavelength(crystals):
    r = np.arange(0.3, 2.0, 0.01)
    ripples = pair_distribution(crystals["fcc"], r=r, thermal=0.3, blur=Blur(q_max=12.0)).reduced
    ripples += 4 * np.pi * r * 4 / 4.05**3
    upward = r[1:][(ripples[:-1] < 0) & (ripples[1:] >= 0)]
    assert np.diff(upward).mean() == pytest.approx(2 * np.pi / 12.0, rel=0.05)


def test_the_choice_of_cell_does_not_matter(crystals):
    change = np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]])
    one = crystals["hexagonal"]
    other = one.replace(cell=change @ one.cell, frac=(one.frac + 0.3) @ np.linalg.inv(change))
    r = np.arange(0.5, 12.0, 0.05)
    np.testing.assert_allclose(
        pair_distribution(one, r=r).reduced, pair_distribution(other, r=r).reduced, rtol=1e-9, atol=1e-9
    )


def test_heat_is_given_by_element_and_widens_its_pairs(salt):
    r = np.arange(2.0, 3.5, 0.001)
    found = pair_distribution(salt, r=r, thermal={"Na": 1.0, "Cl": 0.4})
    weights = found.radial / found.radial.sum()
    inside = np.abs(r - 2.82) < 0.6
    variance = (weights * (r - 2.82) ** 2)[inside].sum()
    assert variance == pytest.approx(1.4 / (8 * np.pi**2), rel=0.02)


def test_a_spectrum_comes_out(salt):
    spectrum = pair_distribution(salt.replace(id="salt"), r=np.arange(1.0, 5.0, 0.1)).spectrum()
    assert (spectrum.kind, spectrum.x_unit, spectrum.id) == ("pair distribution", "Angstrom", "salt")


@pytest.mark.parametrize(("request_", "match"), [
    ({"r": [0.0, 1.0]}, "positive and rise"),
    ({"r": [2.0, 1.0]}, "positive and rise"),
    ({"r": [1.0], "thermal": 0.0}, "pairs have no width"),
    ({"r": [1.0, 4.0], "blur": Blur(delta2=40.0)}, "leave pairs at"),
])  # fmt: skip
def test_what_cannot_be_computed_is_said(salt, request_, match):
    with pytest.raises(InvalidRequestError, match=match):
        pair_distribution(salt, **request_)


def test_impossible_measurements_and_elements_are_refused(crystals):
    with pytest.raises(InvalidRequestError, match="q_max is positive"):
        Blur(q_max=0.0)
    with pytest.raises(InvalidRequestError, match="tabulated for Po"):
        pair_distribution(crystals["one_atom"], r=[3.0], radiation=Neutrons())
