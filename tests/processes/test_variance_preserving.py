from __future__ import annotations

import math
from itertools import pairwise

import torch

from euhedral.processes.variance_preserving import cosine_kept, deterministic_step, noise_in, noised


def test_the_cosine_schedule_goes_from_data_to_noise():
    time = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
    kept = cosine_kept(time)
    assert kept[0].item() == 1.0
    assert kept[-1].item() == 1e-5
    assert (kept.diff() < 0.0).all()
    half = math.cos((0.5 + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert math.isclose(kept[50].item(), half)


def test_noise_keeps_the_variance():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 100_000, generator=generator)
    for kept in (0.9, 0.5, 0.1):
        noisy = noised(clean, noise=noise, kept=torch.tensor(kept))
        assert abs(noisy.var().item() - 1.0) < 0.02


def test_noise_is_found_again_from_the_clean_data():
    clean, noise = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kept = torch.tensor(0.3, dtype=torch.float64)
    assert torch.allclose(noise_in(noised(clean, noise=noise, kept=kept), clean=clean, kept=kept), noise)


def test_steps_with_the_true_data_end_at_them():
    clean, value = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = torch.linspace(1.0, 0.0, 11, dtype=torch.float64)
    for now, then in pairwise(times):
        value = deterministic_step(value, clean=clean, kept=cosine_kept(now), kept_next=cosine_kept(then))
    assert torch.allclose(value, clean)
