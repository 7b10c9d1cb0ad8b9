"""Distances as smooth histograms."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GaussianBasis(nn.Module):
    """Gaussians at equal steps; the width is the step.

    Source: Xie and Grossman 2018, doi:10.1103/PhysRevLett.120.145301, supplement.

    Args:
        start: Angstrom, centre of the first.
        stop: Angstrom, centre of the last.
        step: Angstrom, between two centres.
    """

    centres: Tensor

    def __init__(self, *, start: float, stop: float, step: float) -> None:
        super().__init__()
        self.step = step
        count = round((stop - start) / step) + 1
        self.register_buffer("centres", start + step * torch.arange(count, dtype=torch.float64), persistent=False)

    @property
    def size(self) -> int:
        """How many functions."""
        return self.centres.numel()

    def forward(self, distance: Tensor) -> Tensor:
        """Expand (M,) distances in Angstrom into (M, size)."""
        offset = (distance[:, None] - self.centres.to(distance.dtype)) / self.step
        return torch.exp(-offset * offset)
