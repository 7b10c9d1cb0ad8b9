"""From a network's numbers of order one to a property's unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TargetScaling(nn.Module):
    """Mean and standard deviation of each output over the training labels; part of the weights.

    Args:
        n_outputs: how many.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_outputs))
        self.register_buffer("std", torch.ones(n_outputs))

    def set(self, *, mean: Tensor, std: Tensor) -> None:
        """Take mean and deviation (n_outputs,) as they are."""
        with torch.no_grad():
            self.mean.copy_(mean)
            self.std.copy_(std)

    def forward(self, scaled: Tensor) -> Tensor:
        """Bring (..., n_outputs) numbers of order one to the targets' units."""
        return scaled * self.std + self.mean
