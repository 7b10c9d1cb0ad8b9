"""Incomplete gamma functions against SciPy and mpmath."""

import mpmath
import numpy as np
import pytest
from scipy import special

from euhedral.representations.gamma_kernels import exponential_integral, upper_gamma_ratio


@pytest.mark.parametrize("s", [0.005, 0.5, 0.75, 1.0, 1.5, 2.25, 3.0, 4.5, 6.0, 7.3, 15.0])
def test_upper_gamma_ratio_is_scipys(s):
    x = np.concatenate([[0.0], np.geomspace(1e-6, 60.0, 60)])
    ours = np.array([upper_gamma_ratio(s, value) for value in x])
    np.testing.assert_allclose(ours, special.gammaincc(s, x), rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize("p", [-0.49, -0.3, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.75, 5.5, 6.0, 14.5])
def test_exponential_integral_is_that_of_mpmath(p):
    x = np.geomspace(1e-5, 60.0, 40)
    ours = np.array([exponential_integral(p, value) for value in x])
    exact = np.array([float(mpmath.expint(p, value)) for value in x])
    np.testing.assert_allclose(ours, exact, rtol=2e-12)


def test_exponential_integral_near_whole_orders_keeps_ten_digits():
    # the nearest orders that potentials may ask for: exponents 0.01 from a whole number
    for p in (0.995, 1.005, 1.995, 2.005, 5.005):
        for x in (1e-3, 0.1, 0.9):
            assert exponential_integral(p, x) == pytest.approx(float(mpmath.expint(p, x)), rel=1e-10)
