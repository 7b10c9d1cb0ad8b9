"""Compiled parts of pair potentials: V(r) = int_0^inf w(t) exp(-t r^2) dt, cut at t = alpha^2.

Kinds are those of `representations.potentials`: 0 a power 1 / r^n with parameter n, 1 a screened exp(-k r) / r and 2 an
exponential exp(-k r) with parameter k.
"""

from __future__ import annotations

import math

from numba import njit

from euhedral.representations.gamma_kernels import exponential_integral, upper_gamma_ratio

_POWER, _SCREENED = 0, 1
_FAR_EXPONENT = 700.0


@njit(cache=True, nogil=True, error_model="numpy")
def narrow(kind, parameter, alpha, r):
    """int_(alpha^2)^inf w(t) exp(-t r^2) dt, for r > 0."""
    if kind == _POWER:
        if parameter == 1.0:
            return math.erfc(alpha * r) / r
        return upper_gamma_ratio(0.5 * parameter, alpha * alpha * r * r) / r**parameter
    x, b = alpha * r, 0.5 * parameter / alpha
    near = math.exp(-parameter * r) * math.erfc(x - b)
    # the other term is below exp(-x^2 - b^2), and its factors overflow only where that is nothing
    far = math.exp(parameter * r) * math.erfc(x + b) if x * x + b * b < _FAR_EXPONENT else 0.0
    if kind == _SCREENED:
        return 0.5 * (near + far) / r
    return 0.5 * (near - far)


@njit(cache=True, nogil=True, error_model="numpy")
def wide(kind, parameter, alpha, k2):
    """int_0^(alpha^2) w(t) (pi / t)^(3/2) exp(-k^2 / 4 t) dt; at k = 0, continued in n where the integral diverges."""
    quarter = 0.25 / (alpha * alpha)
    if kind == _POWER:
        if parameter == 1.0 and k2 > 0.0:
            return 4.0 * math.pi * math.exp(-k2 * quarter) / k2
        s = 0.5 * parameter
        p = s - 0.5
        integral = exponential_integral(p, k2 * quarter) if k2 > 0.0 else 1.0 / (p - 1.0)
        return math.pi**1.5 * alpha ** (parameter - 3.0) / math.gamma(s) * integral
    q = k2 + parameter * parameter
    screened = 4.0 * math.pi * math.exp(-q * quarter) / q
    if kind == _SCREENED:
        return screened
    return parameter * screened * (2.0 / q + 2.0 * quarter)


@njit(cache=True, nogil=True, error_model="numpy")
def at_itself(kind, parameter, alpha):
    """int_0^(alpha^2) w(t) dt: what the reciprocal sum holds of an atom's action on itself."""
    if kind == _POWER:
        return alpha**parameter / math.gamma(0.5 * parameter + 1.0)
    b = 0.5 * parameter / alpha
    if kind == _SCREENED:
        return 2.0 * alpha / 1.7724538509055159 * math.exp(-b * b) - parameter * math.erfc(b)
    return math.erfc(b)
