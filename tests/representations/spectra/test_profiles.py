from __future__ import annotations

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.diffraction import mixture, powder_pattern, powder_patterns
from euhedral.representations.spectra.profiles import (
    ConstantShape,
    InstrumentShape,
    Phase,
    Shift,
    measured,
    profile,
)
from euhedral.representations.spectra.radiation import WAVELENGTHS, XRays

GRID = np.arange(10.0, 90.0, 0.01)


def full_width(x, y):
    above = x[y >= y.max() / 2]
    return above.max() - above.min()


def test_a_profile_has_the_peaks_in_their_places_and_widths(crystals):
    pattern = powder_pattern(crystals["fcc"])
    curve = profile(pattern, grid=GRID, shape=ConstantShape(width=0.2))
    assert curve.max() == pytest.approx(100.0)
    assert GRID[curve.argmax()] == pytest.approx(pattern.two_theta[pattern.intensity.argmax()], abs=0.006)
    assert full_width(GRID, curve) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("mixing", [0.0, 0.3, 1.0])
def test_the_area_of_a_line_is_its_intensity(crystals, mixing):
    pattern = powder_pattern(crystals["fcc"], two_theta=(30.0, 50.0))
    wide = np.arange(-400.0, 500.0, 0.01)
    curve = profile(pattern, grid=wide, shape=ConstantShape(width=0.4, mixing=mixing))
    first, second = pattern.two_theta
    near = [np.trapezoid(np.where(np.abs(wide - c) < 1.5, curve, 0.0), wide) for c in (first, second)]
    assert near[0] / near[1] == pytest.approx(pattern.intensity[0] / pattern.intensity[1], rel=0.02)
    # an even mixing of closed forms: height 1 has area pi/2 w (Lorentzian) or sqrt(pi / ln 2) / 2 w (Gaussian)
    alone = profile(
        powder_pattern(crystals["fcc"], two_theta=(30.0, 40.0)), grid=wide, shape=ConstantShape(0.4, mixing)
    )
    lorentz, gauss = np.pi / 2, np.sqrt(np.pi / np.log(2)) / 2
    shape = 0.4 * 100 / (mixing / lorentz + (1 - mixing) / gauss)
    assert np.trapezoid(alone, wide) == pytest.approx(shape, rel=2e-3)


def test_small_grains_widen_peaks_by_scherrers_law(crystals):
    pattern = powder_pattern(crystals["fcc"])
    width, share = InstrumentShape(w=1e-12, size=100.0).widths(pattern)
    expected = np.degrees(0.9 * WAVELENGTHS["CuKa"] / (100.0 * np.cos(np.radians(pattern.two_theta / 2))))
    np.testing.assert_allclose(width, expected, rtol=1e-5)
    np.testing.assert_allclose(share, 1.0, rtol=1e-4)


def test_strain_widens_peaks_with_the_tangent(crystals):
    pattern = powder_pattern(crystals["fcc"])
    width, _ = InstrumentShape(w=1e-12, strain=0.002).widths(pattern)
    np.testing.assert_allclose(width, np.degrees(4 * 0.002 * np.tan(np.radians(pattern.two_theta / 2))), rtol=1e-5)


def test_the_instrument_is_gaussian_with_caglioti_s_width(crystals):
    pattern = powder_pattern(crystals["fcc"])
    width, share = InstrumentShape(u=0.02, v=-0.01, w=0.008).widths(pattern)
    t = np.tan(np.radians(pattern.two_theta / 2))
    np.testing.assert_allclose(width, np.sqrt(0.02 * t**2 - 0.01 * t + 0.008))
    np.testing.assert_allclose(share, 0.0, atol=1e-12)


def test_both_widths_together_are_that_of_the_convolution(crystals):
    pattern = powder_pattern(crystals["fcc"], two_theta=(30.0, 40.0))
    shape = InstrumentShape(w=0.09, size=300.0)
    width, share = shape.widths(pattern)
    x = np.linspace(-20.0, 20.0, 8001)
    lorentz = np.degrees(0.9 * WAVELENGTHS["CuKa"] / (300.0 * np.cos(np.radians(pattern.two_theta[0] / 2))))
    voigt = np.convolve(np.exp(-4 * np.log(2) * (x / 0.3) ** 2), 1 / (1 + (2 * x / lorentz) ** 2), mode="same")
    assert full_width(x, voigt) == pytest.approx(width[0], abs=0.012)
    ours = profile(pattern, grid=x + pattern.two_theta[0], shape=shape)
    assert np.abs(ours / ours.max() - voigt / voigt.max()).max() < 0.015
    assert 0.0 < share[0] < 1.0


def test_a_doublet_splits_a_peak_at_high_angles(crystals):
    pattern = powder_pattern(crystals["fcc"], radiation=XRays.doublet("Cu"), two_theta=(80.0, 84.0))
    grid = np.arange(81.0, 84.0, 0.002)
    curve = profile(pattern, grid=grid, shape=ConstantShape(width=0.05))
    tops = grid[1:-1][(curve[1:-1] > curve[:-2]) & (curve[1:-1] > curve[2:])]
    assert len(tops) == 2
    assert curve[np.searchsorted(grid, tops[1])] == pytest.approx(50, abs=3)


def test_shifts_move_angles_as_the_circle_and_the_sample_do():
    angles = np.array([20.0, 120.0])
    np.testing.assert_allclose(Shift(zero=0.05).apply(angles) - angles, 0.05)
    moved = Shift(displacement=1e-3).apply(angles) - angles
    np.testing.assert_allclose(moved, -np.degrees(2e-3 * np.cos(np.radians([10.0, 60.0]))))


def test_a_measurement_is_peaks_background_and_noise(crystals):
    pattern = powder_pattern(crystals["fcc"])
    mean = measured([Phase(pattern)], grid=GRID, background=[50.0, -20.0, 5.0], counts=2000.0)
    assert mean.kind == "powder pattern"
    assert mean.y.max() == pytest.approx(2000 + 50, rel=0.02)
    unit = 2 * (GRID - GRID[0]) / (GRID[-1] - GRID[0]) - 1
    below = 50 - 20 * unit + 5 * (2 * unit**2 - 1)
    assert (mean.y >= below).all()
    away = np.abs(GRID[:, None] - pattern.two_theta).min(1) > 5
    np.testing.assert_allclose(mean.y[away], below[away], atol=1.5)
    counted = measured(
        [Phase(pattern)], grid=GRID, background=[50.0, -20.0, 5.0], counts=2000.0, rng=np.random.default_rng(0)
    )
    assert (counted.y == np.round(counted.y)).all()
    scaled = (counted.y - mean.y) / np.sqrt(mean.y)  # Poisson: variance is the mean
    assert scaled.mean() == pytest.approx(0.0, abs=0.05)
    assert scaled.std() == pytest.approx(1.0, abs=0.03)
    again = measured(
        [Phase(pattern)], grid=GRID, background=[50.0, -20.0, 5.0], counts=2000.0, rng=np.random.default_rng(0)
    )
    np.testing.assert_array_equal(counted.y, again.y)


def test_an_impurity_is_a_phase_of_small_weight(crystals):
    patterns = powder_patterns([crystals["fcc"], crystals["hexagonal"]])
    together = measured([Phase(patterns[0], 0.95), Phase(patterns[1], 0.05)], grid=GRID)
    mixed = profile(mixture(patterns, weights=[0.95, 0.05]), grid=GRID)
    np.testing.assert_allclose(together.y / together.y.max(), mixed / 100.0, atol=1e-9)
    assert together.y[np.searchsorted(GRID, patterns[1].two_theta[2])] > 0.005 * together.y.max()


def test_a_range_without_peaks_is_flat(crystals):
    pattern = powder_pattern(crystals["fcc"], two_theta=(5.0, 6.0))
    np.testing.assert_array_equal(profile(pattern, grid=[5.0, 5.5]), [0.0, 0.0])
    np.testing.assert_array_equal(measured([Phase(pattern)], grid=[5.0, 5.5], background=[3.0]).y, [3.0, 3.0])


def test_what_cannot_be_drawn_is_said(crystals):
    pattern = powder_pattern(crystals["fcc"])
    with pytest.raises(InvalidRequestError, match="rising angles"):
        profile(pattern, grid=[5.0, 5.0])
    with pytest.raises(InvalidRequestError, match="positive width"):
        ConstantShape(width=0.0)
    with pytest.raises(InvalidRequestError, match="give no width at"):
        profile(pattern, grid=GRID, shape=InstrumentShape(u=0.0, v=-1.0, w=0.01))
    with pytest.raises(InvalidRequestError, match="positive grain size"):
        InstrumentShape(size=-1.0)
    with pytest.raises(InvalidRequestError, match="falls to -5 counts"):
        measured([Phase(pattern)], grid=GRID, background=[0.0, 5.0])
    with pytest.raises(InvalidRequestError, match="phases with weights"):
        measured([], grid=GRID)
    with pytest.raises(InvalidRequestError, match="highest point"):
        measured([Phase(pattern)], grid=GRID, counts=0.0)
