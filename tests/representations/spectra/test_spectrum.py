from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.representations.spectra.spectrum import (
    Repair,
    Spectrum,
    area,
    crop,
    normalize,
    rebin,
    resample,
    smooth,
)


@pytest.fixture
def dos():
    x = np.linspace(0.0, 30.0, 61)
    return Spectrum(x, np.exp(-((x - 12) ** 2) / 20), kind="phonon dos", x_unit="THz", id="salt", metadata={"bins": 61})


def test_a_spectrum_does_not_change(dos):
    with pytest.raises(ValueError, match="read-only"):
        dos.y[0] = 1.0
    with pytest.raises(TypeError):
        dos.metadata["bins"] = 3
    assert len(dos) == 61
    assert repr(dos) == "<Spectrum 'salt' phonon dos, 61 points, 0 to 30 THz>"


def test_a_spectrum_can_be_copied_and_sent(dos):
    for other in (copy.deepcopy(dos), pickle.loads(pickle.dumps(dos))):
        np.testing.assert_array_equal(other.y, dos.y)
        assert dict(other.metadata) == {"bins": 61}


@pytest.mark.parametrize(("x", "y", "match"), [
    ([], [], "at least one"),
    ([1.0, 2.0], [1.0], "as many x as y"),
    ([[1.0, 2.0]], [[1.0, 2.0]], "as many x as y"),
    ([1.0, 2.0, 3.0], [0.0, np.nan, np.nan], "2 of 3 values of y are missing or infinite, the first at point 1"),
    ([1.0, np.inf, 3.0], [0.0, 1.0, 2.0], "values of x are missing"),
    ([1.0, 3.0, 2.0], [0.0, 1.0, 2.0], "3 is followed by 2 at point 2"),
    ([1.0, 1.0], [0.0, 1.0], "1 is followed by 1"),
    ([1.0, 2.0], [0.0, -1.0], "phonon dos has no negative values, but y is -1 at x = 2"),
    (["a", "b"], [0.0, 1.0], "x must be numbers"),
])  # fmt: skip
def test_what_is_no_spectrum_is_refused_by_name(x, y, match):
    with pytest.raises(InvalidRequestError, match=f"spectrum 'odd': .*{match}"):
        Spectrum(x, y, kind="phonon dos", id="odd")


def test_an_unknown_kind_names_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean phonon dos"):
        Spectrum([1.0], [1.0], kind="phonon-dos")


def test_only_what_is_asked_for_is_repaired():
    x, y = [3.0, 1.0, 2.0, 1.0, np.nan], [30.0, 10.0, -2.0, 14.0, 5.0]
    fixed = Spectrum.from_points(x, y, kind="raman", repair=Repair("sort", "drop", "clip"))
    np.testing.assert_array_equal(fixed.x, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(fixed.y, [12.0, 0.0, 30.0])
    for repair, match in (
        (Repair("sort", "drop"), "negative"), (Repair("sort", negative="clip"), "missing"), (Repair("refuse", "drop", "clip"), "rise"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequestError, match=match):
            Spectrum.from_points(x, y, kind="raman", repair=repair)


def test_differences_may_be_negative():
    assert Spectrum([1.0, 2.0], [-1.0, 1.0], kind="infrared").y[0] == -1.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=30, unique=True),
    st.lists(st.floats(-5, 105), min_size=2, max_size=12, unique=True),
    st.randoms(),
)
def test_rebinning_keeps_the_area_between_its_edges(xs, edges, random):
    xs, edges = np.sort(xs), np.sort(edges)
    if np.diff(xs).min() < 1e-6 or np.diff(edges).min() < 1e-6:
        return
    spectrum = Spectrum(xs, [random.random() for _ in xs], kind="electron dos")
    bins = rebin(spectrum, edges=edges)
    assert (bins.y * np.diff(edges)).sum() == pytest.approx(area(spectrum, low=edges[0], high=edges[-1]), abs=1e-9)


def test_rebinning_a_line_gives_its_means():
    line = Spectrum([0.0, 10.0], [0.0, 10.0], kind="electron dos")
    bins = rebin(line, edges=[0.0, 2.0, 6.0, 10.0, 12.0])
    np.testing.assert_allclose(bins.y, [1.0, 4.0, 8.0, 0.0])
    np.testing.assert_allclose(bins.x, [1.0, 4.0, 8.0, 11.0])


def test_resampling_reads_between_points_and_refuses_beyond(dos):
    found = resample(dos, grid=[0.25, 12.0])
    assert found.y[0] == pytest.approx((dos.y[0] + dos.y[1]) / 2)
    with pytest.raises(InvalidRequestError, match="covers 0 to 30, but points from 12 to 40"):
        resample(dos, grid=[12.0, 40.0])
    assert resample(dos, grid=[12.0, 40.0], outside=0.0).y[1] == 0.0


def test_normalizing_sets_maximum_or_area(dos):
    assert normalize(dos).y.max() == 1.0
    assert area(normalize(dos, to="area", value=6.0)) == pytest.approx(6.0)
    with pytest.raises(InvalidRequestError, match="its maximum is 0"):
        normalize(Spectrum([1.0, 2.0], [0.0, 0.0]))


def test_cropping_keeps_the_range(dos):
    assert crop(dos, low=5.0, high=10.0).x.tolist() == dos.x[10:21].tolist()
    with pytest.raises(InvalidRequestError, match="no point lies in 31 to inf"):
        crop(dos, low=31.0)


def test_smoothing_keeps_a_cubic_and_quiets_noise(dos):
    x = np.linspace(0.0, 1.0, 50)
    cubic = Spectrum(x, 1 + x - 2 * x**2 + 3 * x**3)
    np.testing.assert_allclose(smooth(cubic).y, cubic.y, atol=1e-12)
    noise = Spectrum(x, np.random.default_rng(0).normal(size=50))
    assert smooth(noise, window=21).y.std() < 0.6 * noise.y.std()
    with pytest.raises(InvalidRequestError, match="odd window"):
        smooth(cubic, window=10)
    with pytest.raises(InvalidRequestError, match="not evenly spaced"):
        smooth(Spectrum(np.geomspace(1, 10, 30), np.ones(30)))


def test_impossible_bins_are_refused(dos):
    with pytest.raises(InvalidRequestError, match="two edges that rise"):
        rebin(dos, edges=[1.0, 1.0])
