"""Learning rates through a run, as frozen values: by the share of the run that is done, or by how the validation error went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from euhedral.training.choice import Choice

# How much better than the best a validation error must be to count as better.
_LEAST_GAIN: Final = 1e-4


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
class MomentumCycle:
    """One cycle as PyTorch has it: rise and fall are cosines, and the momentum goes against the learning rate.

    Args:
        warmup: share of the run in which it rises.
        start: factor at the beginning.
        end: factor at the end.
        low: momentum (Adam's first beta) where the learning rate is highest.
        high: momentum at both ends.

    Source: Smith and Topin 2018, arXiv:1708.07120; `torch.optim.lr_scheduler.OneCycleLR`, which ALIGNN and its heirs use.
    """

    warmup: float = 0.3
    start: float = 0.04
    end: float = 4e-6
    low: float = 0.85
    high: float = 0.95

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        return self._between(progress, start=self.start, top=1.0, end=self.end)

    def momentum(self, progress: float) -> float:
        """Map progress in [0, 1] to a momentum."""
        return self._between(progress, start=self.high, top=self.low, end=self.high)

    def _between(self, progress: float, *, start: float, top: float, end: float) -> float:
        if progress < self.warmup:
            return _cosine(progress / self.warmup, start=start, end=top)
        return _cosine((progress - self.warmup) / (1.0 - self.warmup), start=top, end=end)


def _cosine(share: float, *, start: float, end: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * share))


@dataclass(frozen=True, repr=False)
class Steps(Choice):
    """A learning rate that falls at milestones and stays between them.

    Args:
        milestones: shares of the run.
        factor: what it is multiplied by at each.
    """

    milestones: tuple[float, ...]
    factor: float = field(default=0.1, repr=False)

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        return self.factor ** sum(progress >= milestone for milestone in self.milestones)


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


@dataclass(frozen=True)
class Polynomial:
    """A fall with a power of what is left of the run, linear by default, with a linear rise or a plain before it if asked for.

    Args:
        power: of the share that is left.
        warmup: share of the run in which it rises.
        end: factor at the end.
        hold: share of the run, after the rise, in which it stays at 1.
    """

    power: float = 1.0
    warmup: float = 0.0
    end: float = 0.0
    hold: float = 0.0

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        if progress < self.warmup:
            return progress / self.warmup
        left = min(max(1.0 - progress, 0.0) / (1.0 - self.warmup - self.hold), 1.0)
        return self.end + (1.0 - self.end) * left**self.power


@dataclass(frozen=True)
class InverseRoot:
    """A fall with the inverse root of the steps, with a linear rise before it if asked for.

    With `decay` equal to `warmup` it is the schedule of the first transformer (Vaswani et al. 2017, arXiv:1706.03762,
    equation 3), without a rise that of T-Fixup (Huang et al. 2020).

    Args:
        decay: share of the run, after the rise, in which it falls to the root of one half.
        warmup: share of the run in which it rises.
    """

    decay: float = 0.02
    warmup: float = 0.0

    def __call__(self, progress: float) -> float:
        """Map progress in [0, 1] to a factor."""
        if progress < self.warmup:
            return progress / self.warmup
        return math.sqrt(self.decay / (self.decay + progress - self.warmup))


@dataclass(frozen=True)
class Plateau:
    """A learning rate that falls whenever the validation error has not for a while.

    What it is in an epoch follows from the errors before it alone, so that a run which goes on needs nothing but its history.

    Args:
        patience: share of the run for which an error may stay above the best one.
        factor: what the learning rate is multiplied by then.
        floor: least factor.

    Source: the rule of `torch.optim.lr_scheduler.ReduceLROnPlateau`.
    """

    patience: float = 0.05
    factor: float = 0.5
    floor: float = 0.0

    def after(self, errors: Sequence[tuple[int, float]], *, epochs: int) -> float:
        """Return the factor of the next epoch.

        Args:
            errors: (epoch, validation error) so far, for the epochs that were followed by a look.
            epochs: of the whole run.
        """
        allowed = max(1, round(self.patience * epochs))
        best, since, factor = math.inf, 0, 1.0
        for epoch, error in errors:
            if error < best * (1.0 - _LEAST_GAIN):
                best, since = error, epoch
            elif epoch - since > allowed:
                factor, since = max(factor * self.factor, self.floor), epoch
        return factor

    def unwatched(self) -> Exponential:
        """What stands for it in a run that looks at no validation set: a fall through half as many steps as it could take."""
        return Exponential(end=max(self.factor ** (0.5 / self.patience), self.floor))
