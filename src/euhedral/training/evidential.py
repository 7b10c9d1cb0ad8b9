"""A spread from one network that learns it: of each value a normal-inverse-gamma distribution.

Amini, Schwarting, Soleimany and Rus 2020, "Deep Evidential Regression", arXiv:1910.02600.

| paper | here |
|---|---|
| gamma, nu, alpha, beta | fields of `Evidence` |
| L_NLL (equation 8) | `Evidence.surprise` |
| L_R (equation 9), lambda | `Evidence.wrong`, `weight` |
| E[sigma^2] + Var[mu] (equation 5) | the square of the spread |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.graphs import Graph
from euhedral.tasks.targets import Scalar, TargetLike, read_targets
from euhedral.training.opinion import Around, Opinion

# Least evidence and width, so that no logarithm is of zero.
_LEAST: Final = 1e-6


@dataclass(frozen=True, eq=False)
class Evidence:
    """Parameters of normal-inverse-gamma distributions: the mean of a value is normal, its variance inverse-gamma.

    Args:
        gamma: expected value.
        nu: how many observations the mean is worth, positive.
        alpha: half of how many the variance is worth, above 1.
        beta: half of their sum of squares, positive.
    """

    gamma: Tensor
    nu: Tensor
    alpha: Tensor
    beta: Tensor

    @property
    def spread(self) -> Tensor:
        """Standard deviation of a new value: noise and ignorance together."""
        return (self.beta / (self.alpha - 1.0) * (1.0 + 1.0 / self.nu)).sqrt()

    def surprise(self, value: Tensor) -> Tensor:
        """Minus the logarithm of the value's density: Student's t with 2 alpha degrees of freedom."""
        omega = 2.0 * self.beta * (1.0 + self.nu)
        return (
            0.5 * (math.log(math.pi) - self.nu.log())
            - self.alpha * omega.log()
            + (self.alpha + 0.5) * ((value - self.gamma).square() * self.nu + omega).log()
            + torch.lgamma(self.alpha)
            - torch.lgamma(self.alpha + 0.5)
        )

    def wrong(self, value: Tensor) -> Tensor:
        """Evidence for a value that is off, weighted by how far."""
        return (value - self.gamma).abs() * (2.0 * self.nu + self.alpha)


class Evidential(Around):
    """A network of any system that gives four numbers for each value.

    Args:
        system: makes a property model of the names of its targets.
        targets: numbers, one of a crystal.
        weight: of the evidence for wrong values in the loss.

    Raises:
        InvalidRequestError: a target is no number of a crystal.
    """

    def __init__(
        self, system: Callable[[list[str]], nn.Module], *, targets: list[TargetLike], weight: float = 0.01
    ) -> None:
        kinds = read_targets(targets, system="an evidential network", kinds=(Scalar,))
        names = [f"{name}{part}" for name in kinds for part in ("", ".nu", ".alpha", ".beta")]
        super().__init__(system(names), kinds=kinds)
        self.weight = weight
        self.scaling = TargetScaling(len(kinds))

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B,)} in the target's unit."""
        return dict(self.opinion(batch, graph).mean)

    def opinion(self, batch: CrystalBatch, graph: Graph) -> Opinion:
        """Expected values and standard deviations of new ones."""
        found = self.evidence(batch, graph).items()
        units = zip(self.scaling.mean, self.scaling.std, strict=True)
        mean, spread = {}, {}
        for (name, evidence), (centre, unit) in zip(found, units, strict=True):
            mean[name] = evidence.gamma * unit + centre
            spread[name] = evidence.spread * unit
        return Opinion(mean=mean, spread=spread)

    def evidence(self, batch: CrystalBatch, graph: Graph) -> dict[str, Evidence]:
        """{target: (B,) distributions}, in standard deviations from the mean of the target."""
        network: Any = self.network
        raw = network(batch, graph)
        return {
            name: Evidence(
                gamma=raw[name], nu=F.softplus(raw[f"{name}.nu"]) + _LEAST, beta=F.softplus(raw[f"{name}.beta"]) + _LEAST,
                alpha=F.softplus(raw[f"{name}.alpha"]) + 1.0 + _LEAST,
            )
            for name in self.targets
        }  # fmt: skip

    def prepare(self, labels: Mapping[str, Tensor], *, rng: torch.Generator) -> EvidentialError:  # noqa: ARG002
        """Say what training makes small."""
        return EvidentialError(self.weight)


@dataclass(frozen=True)
class EvidentialError:
    """The objective of an `Evidential` network: surprise, and evidence for wrong values.

    Args:
        weight: of the second.
    """

    weight: float

    def __call__(self, model: Evidential, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Mean over the known labels of each target, averaged over the targets that have any."""
        units = zip(model.scaling.mean, model.scaling.std, strict=True)
        losses = []
        for (name, evidence), (centre, unit) in zip(model.evidence(batch, graph).items(), units, strict=True):
            truth = (batch.targets[name] - centre) / unit
            known = ~torch.isnan(truth)
            truth = torch.where(known, truth, evidence.gamma.detach())
            loss = evidence.surprise(truth) + self.weight * evidence.wrong(truth)
            losses.append((torch.where(known, loss, 0.0).sum() / known.sum().clamp(min=1), known.any()))
        values, has = (torch.stack(part) for part in zip(*losses, strict=True))
        return values.sum() / has.sum().clamp(min=1)
