"""Dense layers one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with an activation between them, and none after the last unless asked for.

    Args:
        widths: features before the first layer, between layers, and after the last.
        activation: applied to features.
        last: whether the activation also follows the last layer.
        bias: whether the layers add a constant.
    """

    def __init__(
        self, widths: Sequence[int], *, activation: Callable[[Tensor], Tensor], last: bool = False, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o, bias=bias) for i, o in pairwise(widths))
        self.activation = activation
        self.last = last

    def forward(self, features: Tensor) -> Tensor:
        """Map (..., widths[0]) to (..., widths[-1])."""
        for depth, layer in enumerate(self.layers, start=1):
            features = layer(features)
            if self.last or depth < len(self.layers):
                features = self.activation(features)
        return features
