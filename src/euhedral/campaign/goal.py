"""What is wanted of a property, as a user writes it: "band_gap > 1", "band_gap 1..2", "formation_energy_per_atom < -1"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError, unknown_name
from euhedral.tasks.property import Prediction

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"\s*([A-Za-z_]\w*)\s*(>=|<=|>|<)\s*({_NUMBER})\s*")
_RANGE = re.compile(rf"\s*([A-Za-z_]\w*)\s*(?:=|:|in)?\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")


@dataclass(frozen=True)
class Goal:
    """A window that a property's value shall lie in.

    Args:
        quantity: the property's name.
        lower: lower end, in the property's unit; minus infinity for none.
        upper: upper end; infinity for none.
    """

    quantity: str
    lower: float = -np.inf
    upper: float = np.inf

    def __str__(self) -> str:
        if np.isfinite(self.lower) and np.isfinite(self.upper):
            return f"{self.quantity} {self.lower:g}..{self.upper:g}"
        return f"{self.quantity} > {self.lower:g}" if np.isfinite(self.lower) else f"{self.quantity} < {self.upper:g}"

    def met(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(B,) whether each value lies in the window."""
        return (values > self.lower) & (values < self.upper)

    def probability(self, prediction: Prediction) -> NDArray[np.float64]:
        """Chance that the true value lies in the window.

        The truth is taken as normal about the prediction, with the width that gives the interval its coverage. An interval
        cut short by a bound of the property (a gap is not negative) keeps the width of its longer side.

        Returns:
            (B,) from 0 to 1.
        """
        half = np.maximum(prediction.upper - prediction.value, prediction.value - prediction.lower)
        width = np.maximum(half, 1e-12) / NormalDist().inv_cdf(0.5 + prediction.coverage / 2)
        return _cumulative((self.upper - prediction.value) / width) - _cumulative(
            (self.lower - prediction.value) / width
        )


def parse_goal(text: str, *, known: Iterable[str]) -> Goal:
    """Read a goal.

    Args:
        text: "NAME > NUMBER" (or <, >=, <=) or "NAME LOW..HIGH".
        known: names of the properties that can be predicted.

    Raises:
        InvalidRequestError: the text is not a goal, or its window is empty.
        UnknownNameError: no shipped model predicts the property.
    """
    known = list(known)
    if match := _BOUND.fullmatch(text):
        name, sign, number = match.groups()
        goal = Goal(name, lower=float(number)) if sign.startswith(">") else Goal(name, upper=float(number))
    elif match := _RANGE.fullmatch(text):
        name, low, high = match.groups()
        goal = Goal(name, lower=float(low), upper=float(high))
    else:
        raise InvalidRequestError(
            f'cannot read the target {text!r}; write "band_gap > 1" or "band_gap 1..2" (properties: {", ".join(known)})'
        )
    if goal.quantity not in known:
        raise unknown_name("trained property", goal.quantity, known, where="euhedral predict --list")
    if not goal.lower < goal.upper:
        raise InvalidRequestError(f"the target {text!r} leaves no room: {goal.lower:g} is not below {goal.upper:g}")
    return goal


def _cumulative(x: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    return ndtr(x)
