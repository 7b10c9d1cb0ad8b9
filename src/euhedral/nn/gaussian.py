"""Distances as smooth histograms."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GaussianBasis(nn.Module):
    """Gaussians exp(-gamma (d - centre)^2) at equal steps.

    Args:
        start: centre of the first, in the unit of what is expanded.
        stop: centre of the last.
        step: between two centres.
        gamma: sharpness; where none is given the width is the step, gamma = 1 / step^2.

    Source: Xie and Grossman 2018, doi:10.1103/PhysRevLett.120.145301, supplement; Schuett et al. 2018, arXiv:1712.06113,
    equation 5.
    """

    centres: Tensor

    def __init__(self, *, start: float, stop: float, step: float, gamma: float | None = None) -> None:
        super().__init__()
        self.gamma = 1.0 / step**2 if gamma is None else gamma
        count = round((stop - start) / step) + 1
        self.register_buffer("centres", start + step * torch.arange(count, dtype=torch.float64), persistent=False)

    @property
    def size(self) -> int:
        """How many functions."""
        return self.centres.numel()

    def forward(self, value: Tensor) -> Tensor:
        """Expand (M,) distances into (M, size)."""
        offset = value[:, None] - self.centres.to(value.dtype)
        return torch.exp(-self.gamma * offset * offset)
