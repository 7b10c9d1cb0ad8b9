from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.xrd import WAVELENGTHS, powder_pattern, profile


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


def test_face_centring_extinguishes_mixed_indices(crystals):
    cubic = Crystal(
        cell=4.05 * np.eye(3), frac=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], numbers=[13] * 4
    )
    pattern = powder_pattern(cubic)
    assert pattern.hkl[:4].tolist() == [[1, 1, 1], [2, 0, 0], [2, 2, 0], [3, 1, 1]]
    assert pattern.multiplicity[:4].tolist() == [8, 6, 12, 24]
    np.testing.assert_allclose(pattern.spacing[:2], [4.05 / np.sqrt(3), 4.05 / 2])


def test_bragg_s_law_holds(crystals):
    pattern = powder_pattern(crystals["hexagonal"], wavelength=WAVELENGTHS["MoKa"])
    angle = np.degrees(2 * np.arcsin(WAVELENGTHS["MoKa"] / (2 * pattern.spacing)))
    np.testing.assert_allclose(pattern.two_theta, angle)


def test_the_choice_of_cell_and_origin_does_not_matter(crystals):
    heusler = crystals["heusler"]
    change = np.array([[1, 1, 0], [0, 1, 0], [0, 2, 1]])
    other = heusler.replace(cell=change @ heusler.cell, frac=(heusler.frac + 0.123) @ np.linalg.inv(change))
    first, second = powder_pattern(heusler), powder_pattern(other)
    np.testing.assert_allclose(first.two_theta, second.two_theta, atol=1e-8)
    np.testing.assert_allclose(first.intensity, second.intensity, rtol=1e-8)


def test_a_profile_has_the_peaks_in_its_places_and_widths(crystals):
    pattern = powder_pattern(crystals["fcc"])
    grid = np.arange(10, 90, 0.01)
    curve = profile(pattern, grid=grid, width=0.2)
    assert curve.max() == pytest.approx(100.0)
    assert grid[curve.argmax()] == pytest.approx(pattern.two_theta[pattern.intensity.argmax()], abs=0.006)
    above = grid[(curve > 50.0)]
    assert above.max() - above.min() == pytest.approx(0.2, abs=0.02)


def test_a_range_without_peaks_is_an_empty_pattern(crystals):
    pattern = powder_pattern(crystals["fcc"], two_theta=(5.0, 6.0))
    assert len(pattern) == 0
    np.testing.assert_array_equal(profile(pattern, grid=[5.0, 5.5]), [0.0, 0.0])


def test_what_cannot_be_computed_is_said(crystals):
    with pytest.raises(InvalidRequestError, match="tabulated for Og"):
        powder_pattern(crystals["fcc"].replace(numbers=[118]))
    with pytest.raises(InvalidRequestError, match="positive wavelength"):
        powder_pattern(crystals["fcc"], wavelength=0.0)
    with pytest.raises(InvalidRequestError, match="0 <= from < to"):
        powder_pattern(crystals["fcc"], two_theta=(90.0, 5.0))
