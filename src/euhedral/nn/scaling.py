"""From a network's numbers of order one to a property's unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TargetScaling(nn.Module):
    """Mean and standard deviation of each target over the training labels; part of the weights.

    Args:
        n_targets: how many.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_targets: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_targets))
        self.register_buffer("std", torch.ones(n_targets))

    def fit(self, labels: Tensor) -> None:
        """Take mean and deviation from labels (M, T); NaN where one is not known. A constant target keeps deviation 1."""
        known = ~torch.isnan(labels)
        count = known.sum(0).clamp(min=1)
        values = torch.where(known, labels, torch.zeros_like(labels)).double()
        mean = values.sum(0) / count
        deviation = torch.where(known, labels.double() - mean, torch.zeros_like(values))
        std = (deviation.square().sum(0) / count).sqrt()
        with torch.no_grad():
            self.mean.copy_(mean)
            self.std.copy_(torch.where(std > 0.0, std, torch.ones_like(std)))

    def forward(self, scaled: Tensor) -> Tensor:
        """Bring (..., T) numbers of order one to the targets' units."""
        return scaled * self.std + self.mean
