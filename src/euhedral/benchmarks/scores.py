"""Scores from predictions alone: errors with bootstrap intervals, coverage, and paired tests between systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.tasks.targets import Category, Target

_DRAWS: Final = 2000


@dataclass(frozen=True)
class Score:
    """How wrong a system is on one target.

    Args:
        target: its name.
        error: mean over the test crystals, as the target's kind counts it.
        low: lower end of the 95% bootstrap interval over crystals.
        high: upper end.
        coverage: share of truths inside the 90% intervals; NaN where there are none.
        crystals: with a known label.
    """

    target: str
    error: float
    low: float
    high: float
    coverage: float
    crystals: int


def errors_of(predicted: NDArray, truth: NDArray, *, kind: Target) -> NDArray[np.float64]:
    """(M,) the error of each crystal or atom; NaN where the label is not known or no prediction was made.

    Args:
        predicted: (M, ...) as `tasks.property.Prediction.value`, or flattened.
        truth: (M, ...).
        kind: what the target is.
    """
    rows = len(truth)
    shape = (rows, len(kind.classes)) if isinstance(kind, Category) else (rows, *kind.shape)
    given = torch.as_tensor(np.asarray(predicted, dtype=np.float64).reshape(shape))
    return kind.error(given, torch.as_tensor(np.asarray(truth, dtype=np.float64))).numpy()


def determination(predicted: NDArray, truth: NDArray) -> float:
    """R2: one minus the squared errors over the squared deviations from the mean, all known components of all crystals together.

    Args:
        predicted: (M, ...).
        truth: of the same shape, NaN where unknown.
    """
    known = ~(np.isnan(truth) | np.isnan(predicted))
    deviations = truth[known] - truth[known].mean()
    total = float((deviations**2).sum())
    return 1.0 - float(((predicted - truth)[known] ** 2).sum()) / total if total else float("nan")


def score(
    errors: NDArray[np.float64], *, target: str, inside: NDArray[np.bool_] | None = None, rng: np.random.Generator
) -> Score:  # fmt: skip
    """Average errors.

    Args:
        errors: (M,) with NaN where unknown.
        target: its name.
        inside: whether each known component lies in its interval.
        rng: draws the bootstrap.
    """
    known = errors[~np.isnan(errors)]
    low, high = bootstrap_interval(known, rng=rng)
    coverage = float(np.mean(inside)) if inside is not None and inside.size else float("nan")
    return Score(target, float(known.mean()), low, high, coverage, len(known))


def bootstrap_interval(values: NDArray[np.float64], *, rng: np.random.Generator) -> tuple[float, float]:
    """Give the interval that 95% of resampled means lie in."""
    means = values[rng.integers(len(values), size=(_DRAWS, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """Whether one system is better than another on the same crystals.

    Args:
        difference: mean error of the first minus that of the second.
        low: lower end of its 95% bootstrap interval.
        high: upper end.
        p: two-sided Wilcoxon signed-rank test of equal medians.
    """

    difference: float
    low: float
    high: float
    p: float

    @property
    def first_is_better(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < 0.0


def compare(first: NDArray[np.float64], second: NDArray[np.float64], *, rng: np.random.Generator) -> Comparison:
    """Compare the errors of two systems pair by pair.

    Args:
        first: (M,).
        second: (M,) of the same crystals, in the same order.
        rng: draws the bootstrap.
    """
    from scipy.stats import wilcoxon

    both = ~(np.isnan(first) | np.isnan(second))
    difference = first[both] - second[both]
    low, high = bootstrap_interval(difference, rng=rng)
    p = float(wilcoxon(difference).pvalue) if np.any(difference) else 1.0
    return Comparison(float(difference.mean()), low, high, p)


def adjusted(p: Sequence[float]) -> list[float]:
    """Raise p-values of tests that were made together so that the chance of any false finding stays below each of them.

    Source: Holm 1979, Scand. J. Statist. 6, 65.
    """
    order = np.argsort(p)
    raised = np.maximum.accumulate([value * (len(p) - rank) for rank, value in enumerate(np.asarray(p)[order])])
    found = np.empty(len(p))
    found[order] = np.minimum(raised, 1.0)
    return found.tolist()


def best_of(errors: Mapping[str, NDArray[np.float64]]) -> Sequence[str]:
    """Names by rising mean error."""
    return sorted(errors, key=lambda name: float(np.nanmean(errors[name])))
