"""What a training run is made of: an optimizer, a schedule, a loss, and when to stop. Small frozen values, no mode strings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from euhedral.errors import InvalidRequestError, unknown_name


class Loss(Protocol):
    """A penalty for each scaled error."""

    def __call__(self, error: Tensor) -> Tensor:
        """Map errors (...) to penalties (...)."""
        ...


@dataclass(frozen=True)
class AbsoluteLoss:
    """|e|: fits the median."""

    def __call__(self, error: Tensor) -> Tensor:
        """Map errors (...) to penalties (...)."""
        return error.abs()


@dataclass(frozen=True)
class SquaredLoss:
    """e^2: fits the mean."""

    def __call__(self, error: Tensor) -> Tensor:
        """Map errors (...) to penalties (...)."""
        return error.square()


@dataclass(frozen=True)
class HuberLoss:
    """Quadratic near zero and linear beyond (Huber 1964, doi:10.1214/aoms/1177703732).

    Args:
        delta: where the line begins, in standard deviations of the target.
    """

    delta: float = 0.1

    def __call__(self, error: Tensor) -> Tensor:
        """Map errors (...) to penalties (...)."""
        size = error.abs()
        return torch.where(size < self.delta, 0.5 * size.square(), self.delta * (size - 0.5 * self.delta))


class Schedule(Protocol):
    """The learning rate through a run, as a factor."""

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same learning rate from beginning to end."""

    def __call__(self, progress: float) -> float:  # noqa: ARG002  the protocol's argument
        """Map progress in [0, 1] to a factor."""
        return 1.0


@dataclass(frozen=True)
class OneCycle:
    """A linear rise and a cosine fall (Smith and Topin 2018, arXiv:1708.07120).

    Args:
        warmup: share of the run in which it rises.
        floor: factor at both ends.
    """

    warmup: float = 0.15
    floor: float = 1e-3

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        if progress < self.warmup:
            return self.floor + (1.0 - self.floor) * progress / self.warmup
        fall = (progress - self.warmup) / (1.0 - self.warmup)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * fall))


@dataclass(frozen=True)
class Steps:
    """A tenth of the learning rate after each milestone.

    Args:
        milestones: shares of the run.
    """

    milestones: tuple[float, ...]

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        return 0.1 ** sum(progress >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Exponential:
    """A fall by a constant factor.

    Args:
        end: factor at the end of the run.
    """

    end: float = 0.01

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        return self.end**progress


@dataclass(frozen=True)
class Cosine:
    """A cosine fall (Loshchilov and Hutter 2017, arXiv:1608.03983), with a linear rise before it if asked for.

    Args:
        warmup: share of the run in which it rises.
        floor: factor at the end.
    """

    warmup: float = 0.0
    floor: float = 0.0

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        if progress < self.warmup:
            return progress / self.warmup
        fall = (progress - self.warmup) / (1.0 - self.warmup)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * fall))


class OptimizerChoice(Protocol):
    """Makes an optimizer."""

    learning_rate: float

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build it for these parameters."""
        ...


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    Args:
        learning_rate: at the schedule's factor 1.
        weight_decay: per unit of learning rate.
    """

    learning_rate: float = 2e-3
    weight_decay: float = 1e-2

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build it for these parameters."""
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980).

    Args:
        learning_rate: at the schedule's factor 1.
        weight_decay: L2 penalty.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build it for these parameters."""
        return torch.optim.Adam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


@dataclass(frozen=True)
class StochasticGradient:
    """Gradient descent with momentum.

    Args:
        learning_rate: at the schedule's factor 1.
        momentum: share of the last step that is kept.
        weight_decay: L2 penalty.
    """

    learning_rate: float = 1e-2
    momentum: float = 0.9
    weight_decay: float = 0.0

    def make(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build it for these parameters."""
        return torch.optim.SGD(
            parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay
        )


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Args:
        epochs: at most.
        batch_size: crystals a step.
        optimizer: makes the optimizer.
        schedule: of the learning rate.
        loss: penalty for an error, in standard deviations of its target.
        patience: stop after this many epochs without a better validation error; None to go on to the end and keep the last
            weights instead of the best.
        clip: largest norm of the gradient; None for no limit.
        validate_every: epochs between two looks at the validation set; the last epoch is always followed by one.
        steps: where given, the run ends after so many batches, perhaps amid an epoch, and `epochs` is not looked at.
    """

    epochs: int = 100
    batch_size: int = 128
    optimizer: OptimizerChoice = field(default_factory=AdamW)
    schedule: Schedule = field(default_factory=OneCycle)
    loss: Loss = field(default_factory=AbsoluteLoss)
    patience: int | None = None
    clip: float | None = 10.0
    validate_every: int = 1
    steps: int | None = None

    def length(self, n_crystals: int) -> tuple[int, int]:
        """Batches and (begun) epochs of a whole run on so many crystals."""
        n_batches = math.ceil(n_crystals / self.batch_size)
        steps = self.epochs * n_batches if self.steps is None else self.steps
        return steps, math.ceil(steps / n_batches)


_OPTIMIZERS: Final[Mapping[str, type]] = {"adamw": AdamW, "adam": Adam, "sgd": StochasticGradient}
_SCHEDULES: Final[Mapping[str, type]] = {
    "constant": Constant, "one_cycle": OneCycle, "steps": Steps, "exponential": Exponential, "cosine": Cosine,
}  # fmt: skip
_LOSSES: Final[Mapping[str, type]] = {"absolute": AbsoluteLoss, "squared": SquaredLoss, "huber": HuberLoss}


def settings_of(table: Mapping[str, Any], *, whose: str) -> TrainingSettings:
    """Read settings from a plain table, as a registry's row or a file holds them.

    Args:
        table: fields of `TrainingSettings`; optimizer, schedule and loss are a name, or a table with "name" and that one's
            arguments.
        whose: for errors.

    Raises:
        UnknownNameError: no field, optimizer, schedule or loss has this name.
        InvalidRequestError: one of them does not take such an argument.
    """
    kinds = {"optimizer": _OPTIMIZERS, "schedule": _SCHEDULES, "loss": _LOSSES}
    known = TrainingSettings.__dataclass_fields__
    changes: dict[str, Any] = {}
    for field_name, value in table.items():
        if field_name not in known:
            raise unknown_name(f"setting of {whose}", field_name, known, where="training.settings")
        changes[field_name] = _made(value, kinds[field_name], whose=whose) if field_name in kinds else value
    return TrainingSettings(**changes)


def _made(value: str | Mapping[str, Any], kinds: Mapping[str, type], *, whose: str) -> Any:
    arguments = {"name": value} if isinstance(value, str) else dict(value)
    name = str(arguments.pop("name", ""))
    if name not in kinds:
        raise unknown_name(f"choice of {whose}", name, kinds, where="training.settings")
    arguments = {key: tuple(item) if isinstance(item, list) else item for key, item in arguments.items()}
    try:
        return kinds[name](**arguments)
    except TypeError as error:
        raise InvalidRequestError(f"{whose}, {name}: {error}") from error
