"""Distributions that an autoregressive model draws its next token from: categories, angles, vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

_LOG_TAU: Final = math.log(2.0 * math.pi)


class Head(Protocol):
    """A family of distributions over one token, its parameters given by a network."""

    #: how many numbers the network gives for one token
    n_parameters: int

    def log_prob(self, parameters: Tensor, value: Tensor, *, allowed: Tensor | None) -> Tensor:
        """Compute (M,) log densities of (M, ...) values; `allowed` is what `sample` was or would be given."""
        ...

    def sample(
        self, parameters: Tensor, *, allowed: Tensor | None, rng: torch.Generator, temperature: float, top_p: float
    ) -> Tensor:
        """Draw (M, ...) values."""
        ...

    def initial_bias(self, *, rng: torch.Generator) -> Tensor:
        """Return (n_parameters,) where training starts; components of a mixture start apart."""
        ...


def sample_categories(logits: Tensor, *, rng: torch.Generator, temperature: float, top_p: float) -> Tensor:
    """Draw (M,) categories from (M, n) logits, among the most probable that together hold `top_p`.

    Logits of -inf are never drawn. The nucleus is cut before the temperature is applied.
    """
    if top_p < 1.0:
        ordered, order = logits.softmax(-1).sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= top_p
        outside[:, 0] = False
        logits = logits.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)
    weights = (logits / temperature).softmax(-1)
    return torch.multinomial(weights, 1, generator=rng)[:, 0]


@dataclass(frozen=True)
class Categorical:
    """One of n categories; `allowed` (M, n) is the grammar's mask, in training as in sampling."""

    n: int

    @property
    def n_parameters(self) -> int:
        """One logit for each category."""
        return self.n

    def _logits(self, parameters: Tensor, allowed: Tensor | None) -> Tensor:
        return parameters if allowed is None else parameters.masked_fill(~allowed, -torch.inf)

    def log_prob(self, parameters: Tensor, value: Tensor, *, allowed: Tensor | None) -> Tensor:
        """Compute (M,) log probabilities of (M,) int64 categories."""
        return F.log_softmax(self._logits(parameters, allowed), -1).gather(-1, value[:, None])[:, 0]

    def sample(
        self, parameters: Tensor, *, allowed: Tensor | None, rng: torch.Generator, temperature: float, top_p: float
    ) -> Tensor:
        """Draw (M,) int64 categories; each row of `allowed` must allow one at least."""
        return sample_categories(self._logits(parameters, allowed), rng=rng, temperature=temperature, top_p=top_p)

    def initial_bias(self, *, rng: torch.Generator) -> Tensor:  # noqa: ARG002 - one interface for all heads
        """Return (n,) zeros."""
        return torch.zeros(self.n)


@dataclass(frozen=True)
class VonMisesMixture:
    """A mixture of von Mises distributions of one coordinate in [0, 1), with density in fractional units.

    Args:
        components: how many.
        max_concentration: upper limit of kappa, so that a coordinate that is always the same has a finite density.
    """

    components: int
    max_concentration: float = 1.0e4

    @property
    def n_parameters(self) -> int:
        """Weight, place and log concentration of each component."""
        return 3 * self.components

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits, place, log_kappa = parameters.split(self.components, -1)
        return logits, place, log_kappa.clamp(-3.0, math.log(self.max_concentration)).exp()

    def log_prob(self, parameters: Tensor, value: Tensor, *, allowed: Tensor | None) -> Tensor:  # noqa: ARG002
        """Compute (M,) log densities of (M,) fractional coordinates."""
        logits, place, kappa = self._split(parameters)
        # cos(d) - 1 = -2 sin^2(d / 2) keeps its digits when kappa is large; i0e(k) = exp(-k) I0(k)
        half = torch.sin(math.pi * value[:, None] - 0.5 * place)
        each = -2.0 * kappa * half.square() - torch.special.i0e(kappa).log()
        return torch.logsumexp(F.log_softmax(logits, -1) + each, -1)  # 2 pi of the angle and 1 / 2 pi of I0 cancel

    def sample(
        self, parameters: Tensor, *, allowed: Tensor | None, rng: torch.Generator, temperature: float, top_p: float,  # noqa: ARG002
    ) -> Tensor:  # fmt: skip
        """Draw (M,) coordinates in [0, 1); the temperature divides the concentration."""
        logits, place, kappa = self._split(parameters)
        chosen = sample_categories(logits, rng=rng, temperature=temperature, top_p=top_p)[:, None]
        angle = place.gather(-1, chosen)[:, 0] + sample_von_mises(kappa.gather(-1, chosen)[:, 0] / temperature, rng=rng)
        return (angle / (2.0 * math.pi)) % 1.0

    def initial_bias(self, *, rng: torch.Generator) -> Tensor:
        """Return components spread over the circle."""
        place = 2.0 * math.pi * torch.rand(self.components, generator=rng)
        return torch.cat([torch.zeros(self.components), place, torch.full((self.components,), 2.0)])


def sample_von_mises(kappa: Tensor, *, rng: torch.Generator) -> Tensor:
    """Draw (M,) angles around 0 with concentrations (M,).

    Source: Best and Fisher 1979, doi:10.2307/2346732, by rejection from a wrapped Cauchy distribution.
    """
    kappa64 = kappa.double()
    tau = 1.0 + (1.0 + 4.0 * kappa64.square()).sqrt()
    rho = (tau - (2.0 * tau).sqrt()) / (2.0 * kappa64)
    r = (1.0 + rho.square()) / (2.0 * rho)
    r = torch.where(kappa64 < 1e-4, 1.0 / kappa64.clamp_min(1e-12), r)
    angle = torch.zeros_like(kappa64)
    waiting = torch.arange(len(kappa64), device=kappa.device)
    while len(waiting):
        u = torch.rand((3, len(waiting)), generator=rng, dtype=torch.float64, device=kappa.device)
        z = torch.cos(math.pi * u[0])
        f = (1.0 + r[waiting] * z) / (r[waiting] + z)
        c = kappa64[waiting] * (r[waiting] - f)
        accept = (c * (2.0 - c) > u[1]) | ((c / u[1]).log() + 1.0 >= c)
        angle[waiting[accept]] = (torch.sign(u[2] - 0.5) * torch.arccos(f.clamp(-1.0, 1.0)))[accept]
        waiting = waiting[~accept]
    return angle.to(kappa.dtype)


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of diagonal normal distributions of a vector; `allowed` (M, d) marks the dimensions that count.

    Args:
        components: how many.
        dimensions: d.
        min_width: lower limit of the standard deviations.
    """

    components: int
    dimensions: int
    min_width: float = 1.0e-3

    @property
    def n_parameters(self) -> int:
        """Weight, mean and log width of each component."""
        return self.components * (1 + 2 * self.dimensions)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        n = self.components * self.dimensions
        logits, mean, log_width = parameters.split([self.components, n, n], -1)
        shape = (self.components, self.dimensions)
        return logits, mean.unflatten(-1, shape), log_width.clamp(max=3.0).exp().unflatten(-1, shape) + self.min_width

    def log_prob(self, parameters: Tensor, value: Tensor, *, allowed: Tensor | None) -> Tensor:
        """Compute (M,) log densities of (M, d) vectors over the dimensions that count."""
        logits, mean, width = self._split(parameters)
        each = -0.5 * ((value[:, None] - mean) / width).square() - width.log() - 0.5 * _LOG_TAU
        if allowed is not None:
            each = each * allowed[:, None]
        return torch.logsumexp(F.log_softmax(logits, -1) + each.sum(-1), -1)

    def sample(
        self, parameters: Tensor, *, allowed: Tensor | None, rng: torch.Generator, temperature: float, top_p: float,  # noqa: ARG002
    ) -> Tensor:  # fmt: skip
        """Draw (M, d) vectors; the temperature multiplies the variance."""
        logits, mean, width = self._split(parameters)
        chosen = sample_categories(logits, rng=rng, temperature=temperature, top_p=top_p)
        rows = torch.arange(len(chosen), device=chosen.device)
        noise = torch.randn(mean.shape[::2], generator=rng, device=mean.device, dtype=mean.dtype)
        return mean[rows, chosen] + math.sqrt(temperature) * width[rows, chosen] * noise

    def initial_bias(self, *, rng: torch.Generator) -> Tensor:
        """Return means drawn around 1.8, as normalised cell lengths and angles in radians are."""
        mean = 1.8 + 0.5 * torch.randn(self.components * self.dimensions, generator=rng)
        return torch.cat([torch.zeros(self.components), mean, torch.full_like(mean, -1.0)])
