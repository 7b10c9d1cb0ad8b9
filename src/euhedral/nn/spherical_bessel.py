"""Spherical Bessel functions and the radial basis that they make within a sphere."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from euhedral.nn.cutoff import polynomial_envelope

# Terms of the power series, which serves below the degree plus one, where the recurrence loses digits.
_TERMS: Final = 24
_BISECTIONS: Final = 60


def spherical_bessel(degree: int, value: Tensor) -> Tensor:
    """Evaluate j_l for numbers that are not negative, in the precision of the numbers; differentiable.

    Args:
        degree: l.
        value: (...) float64 for full precision.

    Source: Abramowitz and Stegun 1964, 10.1.2 (series) and 10.1.19 (recurrence).
    """
    near = value < degree + 1.0
    small = torch.where(near, value, torch.ones_like(value))
    term = small**degree / math.prod(range(1, 2 * degree + 2, 2))
    series = term
    for k in range(1, _TERMS):
        term = -term * small.square() / (2.0 * k * (2 * degree + 2 * k + 1))
        series = series + term
    large = torch.where(near, torch.full_like(value, degree + 1.0), value)
    before, last = torch.cos(large) / large, torch.sin(large) / large
    for order in range(degree):
        before, last = last, (2 * order + 1) / large * last - before
    return torch.where(near, series, last)


def bessel_zeros(n_degrees: int, *, n_zeros: int) -> Tensor:
    """(n_degrees, n_zeros) float64 the first zeros of j_0, j_1, ...; those of each lie between those of the one before."""
    zeros = math.pi * torch.arange(1, n_zeros + n_degrees, dtype=torch.float64)
    found = [zeros[:n_zeros]]
    for degree in range(1, n_degrees):
        low, high = zeros[:-1].clone(), zeros[1:].clone()
        sign = spherical_bessel(degree, low).sign()
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            same = spherical_bessel(degree, middle).sign() == sign
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
        zeros = 0.5 * (low + high)
        found.append(zeros[:n_zeros])
    return torch.stack(found)


class SphericalBesselBasis(nn.Module):
    """j_l(z_ln r / c), zero at the cutoff, orthonormal in the unit sphere, times an envelope u(r) / r.

    The radial part of DimeNet's spherical basis; the angular part is the caller's.

    Source: Gasteiger, Gross and Guennemann 2020, arXiv:2003.03123, equations 6 and 8.

    Args:
        n_degrees: l = 0 to n_degrees - 1.
        n_zeros: functions of each degree.
        cutoff: Angstrom.
        exponent: of the polynomial envelope.
    """

    zeros: Tensor
    norms: Tensor

    def __init__(self, *, n_degrees: int, n_zeros: int, cutoff: float, exponent: int) -> None:
        super().__init__()
        self.cutoff, self.exponent = cutoff, exponent
        zeros = bessel_zeros(n_degrees, n_zeros=n_zeros)
        slopes = torch.stack([spherical_bessel(degree + 1, row) for degree, row in enumerate(zeros)])
        self.register_buffer("zeros", zeros, persistent=False)
        self.register_buffer("norms", math.sqrt(2.0) / slopes.abs(), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Expand (M,) distances in Angstrom into (M, n_degrees, n_zeros)."""
        ratio = distance / self.cutoff
        envelope = polynomial_envelope(distance, cutoff=self.cutoff, exponent=self.exponent) / ratio
        precise = ratio.double()
        values = [
            norm * spherical_bessel(degree, precise[:, None] * row)
            for degree, (row, norm) in enumerate(zip(self.zeros.double(), self.norms.double(), strict=True))
        ]
        return torch.stack(values, dim=1).to(distance.dtype) * envelope[:, None, None]
