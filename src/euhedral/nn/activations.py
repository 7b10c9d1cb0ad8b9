"""Activations that torch does not have."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def shifted_softplus(features: Tensor) -> Tensor:
    """ln(0.5 e^x + 0.5): a softplus that is zero at zero.

    Source: Schuett et al. 2018, arXiv:1712.06113, section II.
    """
    return F.softplus(features) - math.log(2.0)
