"""Sums, means, extremes and softmax over the rows that belong together: edges of an atom, atoms of a crystal."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_sum(values: Tensor, *, owner: Tensor, n: int) -> Tensor:
    """(n, ...) sums of (M, ...) values by owner (M,); zero for one that owns nothing."""
    return values.new_zeros(n, *values.shape[1:]).index_add(0, owner, values)


def segment_mean(values: Tensor, *, owner: Tensor, n: int) -> Tensor:
    """(n, ...) means of (M, ...) values by owner (M,); zero for one that owns nothing."""
    count = torch.bincount(owner, minlength=n).clamp(min=1).to(values.dtype)
    return segment_sum(values, owner=owner, n=n) / count.reshape(-1, *[1] * (values.dim() - 1))


def segment_max(values: Tensor, *, owner: Tensor, n: int) -> Tensor:
    """(n, ...) largest of (M, ...) values by owner (M,); zero for one that owns nothing."""
    index = owner.reshape(-1, *[1] * (values.dim() - 1)).expand_as(values)
    return values.new_zeros(n, *values.shape[1:]).scatter_reduce(0, index, values, reduce="amax", include_self=False)


def segment_softmax(scores: Tensor, *, owner: Tensor, n: int) -> Tensor:
    """(M, ...) weights that add up to 1 over the rows of each owner.

    Args:
        scores: (M, ...).
        owner: (M,) int64.
        n: how many owners.
    """
    # the maximum only keeps the exponentials in range; no gradient belongs to it
    highest = segment_max(scores.detach(), owner=owner, n=n)
    weights = torch.exp(scores - highest.index_select(0, owner))
    return weights / segment_sum(weights, owner=owner, n=n).index_select(0, owner)
