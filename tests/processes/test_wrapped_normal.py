from __future__ import annotations

import math

import torch

from euhedral.processes.wrapped_normal import geometric_sigma, mean_square_score, wrapped, wrapped_score


def fourier_score(offset: torch.Tensor, sigma: float) -> torch.Tensor:
    """The same score in closed form as a ratio of theta series, which converge where images do not."""
    n = torch.arange(1, 200, dtype=torch.float64)
    size = torch.exp(-2.0 * math.pi**2 * sigma**2 * n**2)
    phase = 2.0 * math.pi * n * offset[:, None]
    density = 1.0 + 2.0 * (size * torch.cos(phase)).sum(1)
    return -4.0 * math.pi * (size * n * torch.sin(phase)).sum(1) / density


def test_score_is_that_of_the_theta_series():
    offset = torch.linspace(-0.45, 0.45, 31, dtype=torch.float64)
    for sigma in (0.1, 0.2, 0.5):
        found = wrapped_score(offset, sigma=torch.full_like(offset, sigma))
        assert torch.allclose(found, fourier_score(offset, sigma), rtol=1e-8, atol=1e-8), sigma


def test_score_of_narrow_noise_is_that_of_a_normal():
    offset = torch.tensor([-0.02, 0.0, 0.01], dtype=torch.float64)
    sigma = torch.full_like(offset, 0.01)
    assert torch.allclose(wrapped_score(offset, sigma=sigma), -offset / 0.01**2)


def test_whole_turns_do_not_matter_and_the_far_side_pulls_nowhere():
    offset = torch.tensor([0.13, 1.13, -2.87, 0.5], dtype=torch.float64)
    score = wrapped_score(offset, sigma=torch.full_like(offset, 0.2))
    assert torch.allclose(score[:3], score[:1].expand(3))
    assert abs(score[3].item()) < 1e-9
    assert torch.allclose(wrapped(offset), torch.tensor([0.13, 0.13, 0.13, 0.5], dtype=torch.float64))


def test_wide_noise_has_no_score_left():
    offset = torch.tensor([0.1, 0.4], dtype=torch.float64)
    assert wrapped_score(offset, sigma=torch.full_like(offset, 3.0)).abs().max() < 1e-6


def test_mean_square_is_what_a_sample_says():
    generator = torch.Generator().manual_seed(0)
    sigma = torch.tensor([0.005, 0.1, 0.3], dtype=torch.float64)
    found = mean_square_score(sigma)
    for one, value in zip(sigma, found, strict=True):
        offset = one * torch.randn(200_000, dtype=torch.float64, generator=generator)
        sampled = wrapped_score(offset, sigma=one.expand_as(offset)).square().mean()
        assert abs(sampled - value) < 0.02 * value
    assert torch.allclose(found[0], torch.tensor(0.005**-2.0, dtype=torch.float64), rtol=1e-6)


def test_deviations_grow_by_equal_factors():
    sigma = geometric_sigma(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    assert torch.allclose(sigma, torch.tensor([0.005, 0.05, 0.5], dtype=torch.float64))
