"""What a training run is made of: an optimizer, a schedule, a loss, and when to stop. Small frozen values, no mode strings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import torch
from torch import Tensor

from euhedral.errors import InvalidRequestError, unknown_name
from euhedral.training.choice import Choice
from euhedral.training.optimizers import Adam, AdamW, OptimizerChoice, StochasticGradient
from euhedral.training.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseRoot,
    MomentumCycle,
    OneCycle,
    Plateau,
    Polynomial,
    Schedule,
    Steps,
)


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


@dataclass(frozen=True, repr=False)
class TrainingSettings(Choice):
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
        averaged: share of the run at whose end the learning rate stays where it is and the weights of all steps are averaged
            (Izmailov et al. 2018, arXiv:1803.05407); the average is what training leaves.
    """

    epochs: int = 100
    batch_size: int = 128
    optimizer: OptimizerChoice = field(default_factory=AdamW)
    schedule: Schedule | Plateau = field(default_factory=OneCycle)
    loss: Loss = field(default_factory=AbsoluteLoss)
    patience: int | None = None
    clip: float | None = 10.0
    validate_every: int = 1
    steps: int | None = None
    averaged: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        """Refuse numbers with which no run would do anything.

        Raises:
            InvalidRequestError: a length, a size or the largest norm is not above zero.
        """
        for name in ("epochs", "batch_size", "validate_every", "steps", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidRequestError(f"{name} must be above 0, got {value}; leave it out for the usual one")

    @property
    def watches(self) -> bool:
        """Whether the validation set decides on anything: when to stop, or when the learning rate falls."""
        return self.patience is not None or isinstance(self.schedule, Plateau)

    def unwatched(self) -> TrainingSettings:
        """The same, for a run of which the validation set decides nothing."""
        schedule = self.schedule.unwatched() if isinstance(self.schedule, Plateau) else self.schedule
        return replace(self, schedule=schedule, patience=None)

    def length(self, n_crystals: int) -> tuple[int, int]:
        """Batches and (begun) epochs of a whole run on so many crystals."""
        n_batches = math.ceil(n_crystals / self.batch_size)
        steps = self.epochs * n_batches if self.steps is None else self.steps
        return steps, math.ceil(steps / n_batches)


_OPTIMIZERS: Final[Mapping[str, type]] = {"adamw": AdamW, "adam": Adam, "sgd": StochasticGradient}
_SCHEDULES: Final[Mapping[str, type]] = {
    "constant": Constant, "one_cycle": OneCycle, "momentum_cycle": MomentumCycle, "steps": Steps, "cosine": Cosine,
    "exponential": Exponential, "polynomial": Polynomial, "inverse_root": InverseRoot, "plateau": Plateau,
}  # fmt: skip
_LOSSES: Final[Mapping[str, type]] = {"absolute": AbsoluteLoss, "squared": SquaredLoss, "huber": HuberLoss}
_KINDS: Final = {"optimizer": _OPTIMIZERS, "schedule": _SCHEDULES, "loss": _LOSSES}


def settings_of(table: Mapping[str, Any], *, whose: str) -> TrainingSettings:
    """Read settings from a plain table, as a registry's row or a file holds them.

    Args:
        table: fields of `TrainingSettings`; optimizer, schedule and loss are a name, or a table with "name" and that one's
            arguments.
        whose: for errors.

    Raises:
        UnknownNameError: no field, optimizer, schedule or loss has this name.
        InvalidRequestError: one of them does not take such an argument, or a number is out of its range.
    """
    known = TrainingSettings.__dataclass_fields__
    changes: dict[str, Any] = {}
    for field_name, value in table.items():
        if field_name not in known:
            raise unknown_name(f"setting of {whose}", field_name, known, where="training.settings")
        changes[field_name] = _made(value, _KINDS[field_name], whose=whose) if field_name in _KINDS else value
    return TrainingSettings(**changes)


def altered(settings: TrainingSettings, *, changes: Mapping[str, Any], whose: str) -> TrainingSettings:
    """Change some settings and leave the others.

    Args:
        settings: to begin with.
        changes: as `settings_of` takes them, or "learning_rate" and "weight_decay" of the optimizer that there is.
        whose: for errors.

    Raises:
        UnknownNameError: as `settings_of`.
        InvalidRequestError: as `settings_of`, or a value is of another kind than the one that there was.
    """
    own = ("learning_rate", "weight_decay")
    for name, value in changes.items():
        owner = settings.optimizer if name in own else settings
        usual = getattr(owner, name, None)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if type(usual) in (int, float) and (not number or (type(usual) is int and value != int(value))):
            raise InvalidRequestError(f"{whose}: {name} must be a number like {usual:g}, got {value!r}")
        if owner is settings:
            one = settings_of({name: value}, whose=whose)
            settings = replace(settings, **{name: getattr(one, name)})
        else:
            settings = replace(settings, optimizer=replace(owner, **{name: float(value)}))
    return settings


def _made(value: str | Mapping[str, Any], kinds: Mapping[str, type], *, whose: str) -> Any:
    if not isinstance(value, str | Mapping):
        raise InvalidRequestError(f"{whose}: expected one of {', '.join(kinds)}, got {value!r}")
    arguments = {"name": value} if isinstance(value, str) else dict(value)
    name = str(arguments.pop("name", ""))
    if name not in kinds:
        raise unknown_name(f"choice of {whose}", name, kinds, where="training.settings")
    arguments = {key: tuple(item) if isinstance(item, list) else item for key, item in arguments.items()}
    try:
        return kinds[name](**arguments)
    except TypeError as error:
        raise InvalidRequestError(f"{whose}, {name}: {error}") from error
