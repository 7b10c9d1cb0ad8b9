"""Expansions of distances and angles in smooth functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from euhedral.nn.cutoff import polynomial_envelope


class BesselBasis(nn.Module):
    """Radial Bessel functions of order zero with learnt frequencies, times an envelope.

    Source: Gasteiger, Gross and Guennemann 2020, arXiv:2003.03123, equations 7 and 8.

    Args:
        size: how many functions.
        cutoff: Angstrom.
        exponent: of the polynomial envelope.
    """

    def __init__(self, *, size: int, cutoff: float, exponent: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.exponent = exponent
        self.frequencies = nn.Parameter(math.pi * torch.arange(1, size + 1, dtype=torch.float32))

    def forward(self, distance: Tensor) -> Tensor:
        """Expand (M,) distances in Angstrom into (M, size)."""
        envelope = polynomial_envelope(distance, cutoff=self.cutoff, exponent=self.exponent)
        scale = math.sqrt(2.0 / self.cutoff) * envelope / distance
        return scale[:, None] * torch.sin(torch.outer(distance / self.cutoff, self.frequencies))


class FourierBasis(nn.Module):
    """Sines and cosines of an angle with learnt frequencies, and a constant.

    Source: Deng et al. 2023, doi:10.1038/s42256-023-00716-3, equation 1.

    Args:
        size: how many functions; odd.
    """

    def __init__(self, *, size: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.arange(1, (size - 1) // 2 + 1, dtype=torch.float32))

    def forward(self, angle: Tensor) -> Tensor:
        """Expand (M,) angles in radians into (M, size): the constant, the sines, the cosines."""
        phase = torch.outer(angle, self.frequencies)
        constant = torch.full_like(angle, math.sqrt(0.5))[:, None]
        return torch.cat([constant, phase.sin(), phase.cos()], dim=1) / math.sqrt(math.pi)
