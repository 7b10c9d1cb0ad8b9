"""What training makes small: the error of known labels, or whatever a pre-training asks of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph
from euhedral.tasks.targets import Target, kinds_of
from euhedral.training.settings import Loss


class Objective(Protocol):
    """A loss of a whole batch."""

    def __call__(self, model: Any, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Return one number to make small; randomness comes from torch's generator, which the loop has seeded."""
        ...


@dataclass(frozen=True)
class Supervised:
    """The mean penalty of each target over its known labels, averaged over the targets that have any in the batch.

    Args:
        loss: penalty for an error, in deviations of its target.
    """

    loss: Loss

    def __call__(self, model: Any, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Return one number to make small."""
        kinds = kinds_of(model)
        return masked_loss(
            model(batch, graph), batch.targets, kinds=kinds, scales=scales_of(model, kinds=kinds), loss=self.loss
        )


def masked_loss(
    predicted: Mapping[str, Tensor], labels: Mapping[str, Tensor], *, kinds: Mapping[str, Target],
    scales: Mapping[str, Tensor], loss: Loss,
) -> Tensor:  # fmt: skip
    """Mean penalty over the known labels of each target, averaged over the targets that have any.

    Args:
        predicted: {target: (B, ...) or (N, ...)} in the targets' units.
        labels: the same; NaN where not known.
        kinds: what each target is.
        scales: {target: (outputs,)} unit of its error.
        loss: penalty for an error in that unit.
    """
    penalties, known = [], []
    for name, kind in kinds.items():
        penalties.append(kind.penalty(predicted[name], labels[name], scale=scales[name], loss=loss))
        known.append((~torch.isnan(labels[name])).any())
    has_labels = torch.stack(known)
    total = torch.where(has_labels, torch.stack(penalties), 0.0).sum()
    return total / has_labels.sum().clamp(min=1)


def scales_of(model: Any, *, kinds: Mapping[str, Target]) -> dict[str, Tensor]:
    """Part a model's deviations among its targets: {target: (outputs,)}."""
    parts = model.scaling.std.split([kind.outputs for kind in kinds.values()])
    return dict(zip(kinds, parts, strict=True))


def fit_scaling(model: Any, *, labels: Mapping[str, Tensor]) -> None:
    """Set a model's target scaling from the labels that are known.

    Args:
        model: has `scaling`.
        labels: {target: (B, *shape) or (N, *shape)}.

    Raises:
        InvalidRequestError: a target is known of nothing, or a label has another shape than its target.
    """
    means, deviations = [], []
    for name, kind in kinds_of(model).items():
        values = labels[name]
        if tuple(values.shape[1:]) != kind.shape:
            raise InvalidRequestError(
                f"target {name!r}: the labels have shape {tuple(values.shape[1:])}, the model learns {kind.shape}"
            )
        if bool(torch.isnan(values).all()):
            raise InvalidRequestError(f"target {name!r} is known of no crystal of the training set; choose another")
        mean, deviation = kind.scale(values)
        means.append(mean)
        deviations.append(deviation)
    model.scaling.set(mean=torch.cat(means), std=torch.cat(deviations))
