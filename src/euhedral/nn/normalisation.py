"""Normalisation over the rows of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes any number of rows, each of which may stand for several equal ones.

    A single row has no spread, and none are nothing to learn from: both are normalised by what was seen before.
    """

    def forward(self, rows: Tensor, count: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Normalise (M, C) rows; `count` (M,) is how many each stands for."""
        if not self.training or rows.shape[0] < 2:
            return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        if count is None:
            return super().forward(rows)
        total = count.sum()
        mean = (count @ rows) / total
        centred = rows - mean
        variance = (count @ centred.square()) / total
        with torch.no_grad():
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            share = 1.0 / int(self.num_batches_tracked) if self.momentum is None else self.momentum  # type: ignore[arg-type]
            self.running_mean.lerp_(mean, share)  # type: ignore[union-attr]
            self.running_var.lerp_(variance * total / (total - 1.0).clamp(min=1.0), share)  # type: ignore[union-attr]
        return centred * (self.weight * torch.rsqrt(variance + self.eps)) + self.bias
