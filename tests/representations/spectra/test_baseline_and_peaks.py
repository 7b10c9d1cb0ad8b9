from __future__ import annotations

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.baseline import asymmetric_least_squares, snip, subtract
from euhedral.representations.spectra.peaks import find_peaks, fit_peaks
from euhedral.representations.spectra.similarity import cosine, pearson
from euhedral.representations.spectra.spectrum import Spectrum

X = np.arange(10.0, 60.0, 0.02)
BACKGROUND = 300.0 + 400.0 * np.exp(-(X - 10) / 15)


def lines(centres, heights, width=0.2):
    return sum(h / (1 + (2 * (X - c) / width) ** 2) for c, h in zip(centres, heights, strict=True))


@pytest.fixture(scope="module")
def pattern():
    mean = BACKGROUND + lines([21.3, 28.4, 28.9, 47.0], [900.0, 2000.0, 700.0, 400.0])
    return Spectrum(X, np.random.default_rng(1).poisson(mean), kind="powder pattern", x_unit="degree", id="made")


@pytest.mark.parametrize("estimate", [
    lambda s: asymmetric_least_squares(s, smoothness=1e7, asymmetry=0.01), lambda s: snip(s, half_window=60)
])  # fmt: skip
def test_a_baseline_is_what_lies_under_the_peaks(pattern, estimate):
    smooth_pattern = pattern.replace(y=BACKGROUND + lines([21.3, 28.4, 47.0], [900.0, 2000.0, 400.0]))
    found = estimate(smooth_pattern)
    assert np.abs(found / BACKGROUND - 1).max() < 0.06
    assert (found[np.abs(X - 28.4) < 0.2] < 1.06 * BACKGROUND[np.abs(X - 28.4) < 0.2]).all()


def test_asymmetric_least_squares_minimizes_its_sum():
    # against a dense solution of the same equations
    rng = np.random.default_rng(0)
    spectrum = Spectrum(np.arange(40.0), rng.normal(size=40))
    found = asymmetric_least_squares(spectrum, smoothness=30.0, asymmetry=0.1)
    second = np.diff(np.eye(40), 2, axis=0)
    weights = np.where(spectrum.y < found, 0.9, 0.1)
    np.testing.assert_allclose(
        np.linalg.solve(np.diag(weights) + 30.0 * second.T @ second, weights * spectrum.y), found, atol=1e-9
    )


def test_subtracting_a_baseline_leaves_no_negative_counts(pattern):
    left = subtract(pattern, baseline=snip(pattern))
    assert left.y.min() == 0.0
    with pytest.raises(InvalidRequestError, match="baseline has shape"):
        subtract(pattern, baseline=np.zeros(3))


def test_peaks_are_found_between_the_points(pattern):
    clean = pattern.replace(y=lines([21.307, 28.4, 47.0], [900.0, 2000.0, 400.0]))
    peaks = find_peaks(clean)
    np.testing.assert_allclose(peaks.x, [21.307, 28.4, 47.0], atol=1e-3)
    np.testing.assert_allclose(peaks.height, [900, 2000, 400], rtol=5e-3)
    np.testing.assert_allclose(peaks.width, 0.2, rtol=0.1)
    assert len(find_peaks(clean, prominence=0.3)) == 2
    assert len(find_peaks(clean, min_distance=10.0)) == 2
    assert len(find_peaks(clean, min_width=0.5)) == 0


def test_a_flat_spectrum_has_no_peaks():
    assert len(find_peaks(Spectrum([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]))) == 0
    assert len(find_peaks(Spectrum([1.0], [1.0]))) == 0


def test_fits_find_centres_areas_and_widths_within_their_errors(pattern):
    fitted = fit_peaks(pattern, at=[21.25, 28.35, 28.95, 47.05], width=0.25)
    true = np.array([21.3, 28.4, 28.9, 47.0])
    assert (np.abs(fitted.centre - true) < 5 * fitted.centre_error).all()
    assert (fitted.centre_error < 0.01).all()
    np.testing.assert_allclose(fitted.area[1], 2000 * np.pi / 2 * 0.2, rtol=0.05)
    np.testing.assert_allclose(fitted.width, 0.2, rtol=0.15)
    assert fitted.mixing[1] > 0.8
    assert fitted.residual < 0.02


def test_a_gaussian_is_fitted_as_a_gaussian():
    y = 50 * np.exp(-4 * np.log(2) * ((X - 30) / 0.4) ** 2)
    fitted = fit_peaks(Spectrum(X, y), at=30.1, width=0.3)
    assert fitted.mixing[0] == pytest.approx(0.0, abs=1e-4)
    assert fitted.area[0] == pytest.approx(50 * 0.4 * np.sqrt(np.pi / np.log(2)) / 2, rel=3e-4)
    assert fitted.width[0] == pytest.approx(0.4, rel=3e-4)


def test_fits_without_ground_are_refused(pattern):
    with pytest.raises(InvalidRequestError, match="centres within 10 to"):
        fit_peaks(pattern, at=[70.0], width=0.2)
    with pytest.raises(InvalidRequestError, match="too few for 6 parameters"):
        fit_peaks(pattern, at=[30.0], width=0.01)
    with pytest.raises(InvalidRequestError, match="positive width"):
        fit_peaks(pattern, at=[30.0], width=0.0)


def test_bad_parameters_are_refused(pattern):
    with pytest.raises(InvalidRequestError, match="asymmetry between 0 and 1"):
        asymmetric_least_squares(pattern, asymmetry=1.0)
    with pytest.raises(InvalidRequestError, match="at least one point"):
        snip(pattern, half_window=0)
    with pytest.raises(InvalidRequestError, match="use asymmetric_least_squares"):
        snip(Spectrum([1.0, 2.0], [-1.0, 1.0]))
    with pytest.raises(InvalidRequestError, match="share from 0 to 1"):
        find_peaks(pattern, prominence=3.0)


def test_scores_tell_shapes_apart(pattern):
    assert cosine(pattern, pattern.replace(y=3 * pattern.y)) == pytest.approx(1.0)
    assert pearson(pattern, pattern.replace(y=pattern.y + 500)) == pytest.approx(1.0)
    assert cosine(pattern, pattern.replace(y=pattern.y + 5000)) < 0.99
    left, right = (Spectrum(X, lines([c], [1.0], 0.1), x_unit="degree") for c in (20.0, 40.0))
    assert cosine(left, right) < 0.01
    assert pearson(left, right) < 0.01
    coarse = Spectrum(X[::3], pattern.y[::3], x_unit="degree")
    assert cosine(pattern, coarse) > 0.99


def test_what_cannot_be_compared_is_refused(pattern):
    with pytest.raises(InvalidRequestError, match="in degree and eV"):
        cosine(pattern, Spectrum(X, X, x_unit="eV"))
    with pytest.raises(InvalidRequestError, match="share no stretch"):
        cosine(pattern, Spectrum([100.0, 101.0], [1.0, 1.0]))
    with pytest.raises(InvalidRequestError, match="zero or constant"):
        pearson(pattern, Spectrum(X, np.ones_like(X)))
