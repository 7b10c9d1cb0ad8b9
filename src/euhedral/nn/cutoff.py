"""Functions that take a message to zero, smoothly, where the neighbour leaves the sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def polynomial_envelope(distance: Tensor, *, cutoff: float, exponent: int) -> Tensor:
    """One at distance 0, and zero with two zero derivatives at the cutoff.

    Args:
        distance: (...) Angstrom.
        cutoff: Angstrom.
        exponent: p, the lowest power; a larger one keeps the function near one for longer.

    Returns:
        (...) between 0 and 1.

    Source: Gasteiger, Gross and Guennemann 2020, arXiv:2003.03123, equation 8.
    """
    p = exponent
    x = distance / cutoff
    power = x**p
    value = 1.0 - 0.5 * (p + 1) * (p + 2) * power + p * (p + 2) * power * x - 0.5 * p * (p + 1) * power * x * x
    return torch.where(x < 1.0, value, torch.zeros_like(value))


def cosine_envelope(ratio: Tensor) -> Tensor:
    """One up to half the cutoff, then half a cosine down to zero at the cutoff (e3nn's `smooth_cutoff`).

    Args:
        ratio: (...) distance over the cutoff.

    Returns:
        (...) between 0 and 1.
    """
    return 0.5 * (1.0 - torch.cos(math.pi * (2.0 * ratio - 2.0).clamp(-1.0, 0.0)))
