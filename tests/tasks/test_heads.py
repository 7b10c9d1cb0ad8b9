"""Heads: densities that are densities, and draws that follow them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from euhedral.tasks.heads import Categorical, GaussianMixture, VonMisesMixture, sample_categories, sample_von_mises


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_von_mises_mixture_integrates_to_one():
    head = VonMisesMixture(components=4)
    x = torch.linspace(0, 1, 20001, dtype=torch.float64)[:-1]
    for seed in range(3):
        parameters = 2 * torch.randn(1, head.n_parameters, generator=rng(seed), dtype=torch.float64)
        density = head.log_prob(parameters.expand(len(x), -1), x, allowed=None).exp()
        assert density.mean().item() == pytest.approx(1.0, abs=1e-6)


def test_one_von_mises_component_agrees_with_scipy():
    head = VonMisesMixture(components=1)
    kappa, place = 3.7, 0.8
    parameters = torch.tensor([[0.0, place, math.log(kappa)]], dtype=torch.float64)
    x = torch.rand(50, generator=rng(), dtype=torch.float64)
    expected = stats.vonmises.logpdf(2 * np.pi * x.numpy() - place, kappa) + math.log(2 * math.pi)
    assert np.allclose(head.log_prob(parameters.expand(50, -1), x, allowed=None), expected, atol=1e-10)


@pytest.mark.parametrize("kappa", [0.05, 1.0, 20.0, 5000.0])
def test_von_mises_draws_have_the_right_mean_resultant(kappa):
    angle = sample_von_mises(torch.full((20000,), kappa, dtype=torch.float64), rng=rng())
    expected = stats.vonmises.stats(kappa, moments="m") * 0 + np.exp(
        np.log(stats.vonmises.expect(np.cos, args=(kappa,)))
    )
    assert angle.cos().mean().item() == pytest.approx(float(expected), abs=0.015)
    assert abs(angle.sin().mean().item()) < 0.02


def test_draws_of_a_von_mises_mixture_follow_its_density():
    head = VonMisesMixture(components=2)
    parameters = torch.tensor([[0.0, 1.0, 0.6, 4.5, math.log(8.0), math.log(30.0)]])
    draws = head.sample(parameters.expand(20000, -1), allowed=None, rng=rng(), temperature=1.0, top_p=1.0)
    assert draws.min() >= 0
    assert draws.max() < 1
    histogram = torch.histc(draws, bins=20, min=0, max=1) / len(draws)
    x = (torch.arange(2000) + 0.5) / 2000
    density = head.log_prob(parameters.expand(2000, -1), x, allowed=None).exp().view(20, 100).mean(1) / 20
    assert torch.allclose(histogram, density, atol=0.012)


def test_a_concentration_without_limit_is_cut():
    head = VonMisesMixture(components=1, max_concentration=100.0)
    sharp, limit = torch.tensor([[0.0, 0.0, 50.0]]), torch.tensor([[0.0, 0.0, math.log(100.0)]])
    x = torch.zeros(1)
    assert head.log_prob(sharp, x, allowed=None) == pytest.approx(head.log_prob(limit, x, allowed=None).item())


def test_a_gaussian_mixture_counts_only_the_dimensions_that_are_free():
    head = GaussianMixture(components=1, dimensions=3, min_width=0.0)
    parameters = torch.tensor([[0.0, 1.0, 2.0, 3.0, 0.0, math.log(0.5), 0.0]])
    value = torch.tensor([[1.5, 2.5, 99.0]])
    free = torch.tensor([[True, True, False]])
    expected = stats.norm.logpdf(1.5, 1.0, 1.0) + stats.norm.logpdf(2.5, 2.0, 0.5)
    assert head.log_prob(parameters, value, allowed=free).item() == pytest.approx(expected, abs=1e-5)


def test_a_gaussian_mixture_is_one_joint_density():
    head = GaussianMixture(components=2, dimensions=2, min_width=0.0)
    mean = [0.0, 0.0, 5.0, 5.0]
    parameters = torch.tensor([[0.0, 0.0, *mean, 0.0, 0.0, 0.0, 0.0]])
    corner = head.log_prob(parameters, torch.tensor([[0.0, 5.0]]), allowed=None)
    centre = head.log_prob(parameters, torch.tensor([[0.0, 0.0]]), allowed=None)
    assert corner < centre - 10  # a product of one-dimensional mixtures would have them equal
    draws = head.sample(parameters.expand(2000, -1), allowed=None, rng=rng(), temperature=1.0, top_p=1.0)
    assert ((draws[:, 0] > 2.5) == (draws[:, 1] > 2.5)).float().mean() > 0.97


def test_forbidden_categories_have_no_probability_and_are_never_drawn():
    head = Categorical(5)
    parameters = torch.randn(1, 5, generator=rng())
    allowed = torch.tensor([[True, False, True, False, True]])
    total = sum(head.log_prob(parameters, torch.tensor([k]), allowed=allowed).exp().item() for k in range(5))
    assert total == pytest.approx(1.0)
    assert head.log_prob(parameters, torch.tensor([1]), allowed=allowed).item() == -math.inf
    draws = head.sample(
        parameters.expand(500, -1), allowed=allowed.expand(500, -1), rng=rng(), temperature=3.0, top_p=1.0
    )
    assert set(draws.tolist()) == {0, 2, 4}


def test_top_p_keeps_the_smallest_set_that_holds_the_share():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().expand(2000, -1)
    for top_p, kept in ((0.4, {0}), (0.6, {0, 1}), (0.9, {0, 1, 2}), (1.0, {0, 1, 2, 3})):
        assert set(sample_categories(logits, rng=rng(), temperature=1.0, top_p=top_p).tolist()) == kept


def test_temperature_flattens():
    logits = torch.tensor([[0.9, 0.1]]).log().expand(20000, -1)
    hot = sample_categories(logits, rng=rng(), temperature=2.0, top_p=1.0).float().mean().item()
    assert hot == pytest.approx(1 / (1 + 3), abs=0.015)  # sqrt(9) : 1
