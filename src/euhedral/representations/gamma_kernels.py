"""Incomplete gamma functions and exponential integrals of real order, compiled.

SciPy's cannot be called from compiled loops. Accuracy is about 1e-13 relative for the arguments that lattice sums use.
"""

from __future__ import annotations

import math

from numba import njit

_EULER = 0.5772156649015329
_TINY = 1e-300
_EPS = 1e-16
_MOST_TERMS = 10_000
_UPWARD_BELOW = 3.0


@njit(cache=True, nogil=True, error_model="numpy")
def upper_gamma_fraction(s, x):
    """exp(x) x^(-s) Gamma(s, x) by Lentz's continued fraction, for x > 0 and not small beside s; s may be negative."""
    b = x + 1.0 - s
    c = 1.0 / _TINY
    d = 1.0 / b if b != 0.0 else 1.0 / _TINY
    h = d
    for m in range(1, _MOST_TERMS):
        a = -m * (m - s)
        b += 2.0
        d = a * d + b
        d = _TINY if abs(d) < _TINY else d
        c = b + a / c
        c = _TINY if abs(c) < _TINY else c
        d = 1.0 / d
        change = c * d
        h *= change
        if abs(change - 1.0) < _EPS:
            break
    return h


@njit(cache=True, nogil=True, error_model="numpy")
def upper_gamma_ratio(s, x):
    """Gamma(s, x) / Gamma(s) for s > 0, x >= 0 (DLMF 8.2.4)."""
    twice = 2.0 * s
    if twice == math.floor(twice):
        # Q(s + 1, x) = Q(s, x) + x^s exp(-x) / Gamma(s + 1), from Q(1/2, x) = erfc(sqrt x) or Q(1, x) = exp(-x)
        order, decay = 1.0, math.exp(-x)
        result = term = decay
        if int(twice) % 2 == 1:
            order = 0.5
            root = math.sqrt(x)
            result = math.erfc(root)
            term = decay / (root * 1.7724538509055159) if x > 0.0 else 0.0
            if x == 0.0:
                return 1.0
        while order < s - 0.25:
            term *= x / order
            result += term
            order += 1.0
        return result
    if x < s + 1.0:
        term = 1.0 / s
        total = term
        for m in range(1, _MOST_TERMS):
            term *= x / (s + m)
            total += term
            if term < total * _EPS:
                break
        return 1.0 - total * math.exp(-x + s * math.log(x) - math.lgamma(s)) if x > 0.0 else 1.0
    return math.exp(-x + s * math.log(x) - math.lgamma(s)) * upper_gamma_fraction(s, x)


@njit(cache=True, nogil=True, error_model="numpy")
def exponential_integral(p, x):
    """E_p(x) = int_1^inf v^(-p) exp(-x v) dv for real p and x > 0 (DLMF 8.19.3; series 8.19.8 and 8.19.10)."""
    if p >= 0.5 and p + 0.5 == math.floor(p + 0.5) and x < _UPWARD_BELOW:
        # E_(p+1) = (exp(-x) - x E_p) / p, from E_1/2; errors grow as x^m / (1/2)_m, which stays small
        root, decay = math.sqrt(x), math.exp(-x)
        result, order = 1.7724538509055159 / root * math.erfc(root), 0.5
        while order < p - 0.25:
            result = (decay - x * result) / order
            order += 1.0
        return result
    if x >= 1.0:
        return math.exp(-x) * upper_gamma_fraction(1.0 - p, x)
    whole = p == math.floor(p)
    if whole and p < 1.0:
        # E_0 = exp(-x) / x and, downwards, E_(p-1) = (exp(-x) + (1 - p) E_p) / x: all terms positive
        result = math.exp(-x) / x
        order = 0.0
        while order > p:
            order -= 1.0
            result = (math.exp(-x) - order * result) / x
        return result
    skipped = int(p) - 1 if whole else -1
    total, term = 0.0, 1.0
    for m in range(_MOST_TERMS):
        if m > 0:
            term *= -x / m
        if m == skipped:
            harmonic = -_EULER
            for j in range(1, m + 1):
                harmonic += 1.0 / j
            total += term * (harmonic - math.log(x))
        else:
            total -= term / (m - p + 1.0)
        if m > skipped and abs(term) < _EPS * abs(total):
            break
    return total if whole else total + math.gamma(1.0 - p) * x ** (p - 1.0)
