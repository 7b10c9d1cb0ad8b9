"""Normalisation over the rows of a batch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class RowBatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes any number of rows.

    A single row has no spread, and none are nothing to learn from: both are normalised by what was seen before.
    """

    def forward(self, rows: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise (M, C) rows."""
        if self.training and rows.shape[0] > 1:
            return super().forward(rows)
        return F.batch_norm(rows, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
