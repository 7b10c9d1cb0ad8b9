from __future__ import annotations

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.representations.spectra.raman import RamanConditions, RamanLines, raman_spectrum, reduce_raman
from euhedral.representations.spectra.spectrum import area

LINES = RamanLines([150.0, 520.7, 900.0], [4.0, 10.0, 2.0], ("Eg", "T2g", "A1g"), id="made")
GRID = np.arange(1.0, 2000.0, 0.5)


def test_the_area_of_a_line_is_its_activity():
    spectrum = raman_spectrum(LINES, grid=GRID, width=6.0)
    assert (spectrum.kind, spectrum.x_unit, spectrum.id) == ("raman", "1/cm", "made")
    # a Lorentzian of width w holds 2 / pi arctan(2 R / w) of its area within R
    near = area(spectrum, low=470.7, high=570.7)
    assert near == pytest.approx(10 * 2 / np.pi * np.arctan(100 / 6), rel=0.01)
    assert GRID[spectrum.y.argmax()] == pytest.approx(520.7, abs=0.5)


def test_laser_and_temperature_weigh_lines_as_the_equation_says():
    conditions = RamanConditions(laser=632.8, temperature=400.0)
    shift = np.array([150.0, 900.0])
    ratio = np.divide(*conditions.factor(shift))
    v0 = 1e7 / 632.8
    # 400 K are 278.0 / cm
    bose = [1 / (1 - np.exp(-v / (400 / 1.4387769))) for v in shift]
    expected = ((v0 - 150) / (v0 - 900)) ** 4 * (900 / 150) * bose[0] / bose[1]
    assert ratio == pytest.approx(expected, rel=1e-6)
    assert conditions.factor(np.array([1000.0]))[0] == 1.0


def test_heat_strengthens_low_shifts():
    cold, hot = (RamanConditions(temperature=t).factor(np.array([100.0]))[0] for t in (10.0, 600.0))
    assert hot > 3 * cold


def test_reducing_undoes_laser_and_temperature():
    conditions = RamanConditions(laser=785.0, temperature=77.0)
    wide = raman_spectrum(LINES, grid=GRID, width=2.0)
    measured = wide.replace(y=wide.y * conditions.factor(GRID))
    np.testing.assert_allclose(reduce_raman(measured, conditions=conditions).y, wide.y, rtol=1e-12)


def test_what_is_no_raman_line_is_refused():
    with pytest.raises(InvalidRequestError, match="leave out acoustic and imaginary modes"):
        RamanLines([0.0, 100.0], [1.0, 1.0])
    with pytest.raises(InvalidRequestError, match="activities are not negative"):
        RamanLines([100.0], [-1.0])
    with pytest.raises(InvalidRequestError, match="as many activities"):
        RamanLines([100.0], [1.0, 2.0])
    with pytest.raises(InvalidRequestError, match="width of Raman lines"):
        raman_spectrum(LINES, grid=GRID, width=0.0)
    with pytest.raises(InvalidRequestError, match="x must rise"):
        raman_spectrum(LINES, grid=GRID[::-1])
    with pytest.raises(InvalidRequestError, match="positive temperature"):
        RamanConditions(temperature=0.0)
    with pytest.raises(InvalidRequestError, match="lie between 0 and the 18797"):
        RamanConditions(laser=532.0).factor(np.array([20000.0]))
