"""Normal noise on a circle of circumference one, as fractional coordinates live on (Jiao et al. 2023, arXiv:2309.04475)."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

# Images on each side. Offsets are within half a turn and deviations up to 1, so that what is left out is below exp(-40).
_IMAGES: Final = 10
# Deviations beyond which the density is flat to 1e-8.
_WIDEST: Final = 1.0
_POINTS: Final = 512


def geometric_sigma(time: Tensor, *, least: float = 0.005, most: float = 0.5) -> Tensor:
    """Deviations that grow by equal factors: least at time 0, most at time 1.

    Args:
        time: (...) from 0 to 1.
        least: in turns.
        most: in turns.
    """
    return least * (most / least) ** time


def wrapped(value: Tensor) -> Tensor:
    """Bring (...) offsets into [-0.5, 0.5] by whole turns."""
    return value - value.round()


def wrapped_score(offset: Tensor, *, sigma: Tensor) -> Tensor:
    """Derivative of the logarithm of a wrapped normal density.

    Args:
        offset: (...) from the centre, in turns; any whole turns may be added.
        sigma: (...) its deviation before it is wrapped, positive.

    Returns:
        (...) in inverse turns.

    Source: Jiao et al. 2023, appendix B.1.
    """
    sigma = sigma.clamp(max=_WIDEST)
    images = torch.arange(-_IMAGES, _IMAGES + 1, dtype=offset.dtype, device=offset.device)
    there = wrapped(offset)[..., None] + images
    variance = sigma.square()[..., None]
    weight = torch.softmax(-0.5 * there.square() / variance, dim=-1)
    return -(weight * there / variance).sum(-1)


def mean_square_score(sigma: Tensor) -> Tensor:
    """Expectation of the squared score under the density itself, by which losses at different noise are made comparable.

    Args:
        sigma: (...) positive.

    Returns:
        (...) 1 / sigma^2 where the noise is small, and less where it has gone round.
    """
    flat = sigma.reshape(-1)[:, None]
    nodes = (torch.arange(_POINTS, dtype=sigma.dtype, device=sigma.device) + 0.5) / _POINTS
    # both tails alike; where the noise is narrow the points are where it is
    reach = (8.0 * flat).clamp(max=0.5)
    offset = nodes * reach
    images = torch.arange(-_IMAGES, _IMAGES + 1, dtype=sigma.dtype, device=sigma.device)
    width = flat.clamp(max=_WIDEST)
    power = -0.5 * ((offset[..., None] + images) / width[..., None]).square()
    density = torch.exp(power).sum(-1) / (width * math.sqrt(2.0 * math.pi))
    squares = density * wrapped_score(offset, sigma=flat.expand_as(offset)).square()
    return (2.0 * squares.mean(1) * reach[:, 0]).reshape(sigma.shape)
