"""Noise that keeps the variance: x_t = sqrt(kept) x_0 + sqrt(1 - kept) noise (Ho, Jain and Abbeel 2020, arXiv:2006.11239)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine_kept(time: Tensor, *, offset: float = 0.008, least: float = 1e-5) -> Tensor:
    """Share of the variance that is still the data's, "alpha bar".

    Args:
        time: (...) from 0, the data, to 1, noise.
        offset: s, so that the first steps are not too small.
        least: what is kept at the end, so that nothing is divided by zero.

    Returns:
        (...) from 1 down to `least`.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17.
    """
    angle = (time + offset) / (1.0 + offset) * (math.pi / 2.0)
    kept = torch.cos(angle).square() / math.cos(offset / (1.0 + offset) * math.pi / 2.0) ** 2
    return kept.clamp(least, 1.0)


def noised(clean: Tensor, *, noise: Tensor, kept: Tensor) -> Tensor:
    """Add noise to data, both (...), the share `kept` (...) of whose variance stays (equation 4)."""
    return kept.sqrt() * clean + (1.0 - kept).sqrt() * noise


def noise_in(noisy: Tensor, *, clean: Tensor, kept: Tensor) -> Tensor:
    """Tell the noise in noisy data from an estimate of the clean ones; `kept` must be below 1."""
    return (noisy - kept.sqrt() * clean) / (1.0 - kept).sqrt()


def deterministic_step(noisy: Tensor, *, clean: Tensor, kept: Tensor, kept_next: Tensor) -> Tensor:
    """Go to a smaller noise along the direction that an estimate of the clean data gives.

    Args:
        noisy: (...) now.
        clean: (...) the estimate.
        kept: (...) now, below 1.
        kept_next: (...) after the step.

    Source: Song, Meng and Ermon 2021, arXiv:2010.02502, equation 12 with sigma = 0.
    """
    return noised(clean, noise=noise_in(noisy, clean=clean, kept=kept), kept=kept_next)
