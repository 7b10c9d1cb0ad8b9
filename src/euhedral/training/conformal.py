"""Split conformal prediction: intervals that hold the truth as often as they say, whatever the network.

Source: Lei et al. 2018, doi:10.1080/01621459.2017.1307116, sections 2.2 and 5.2 (locally weighted); Vovk et al. 2005; for
calibration apart by what was predicted Bostrom, Johansson and Lofstrom 2021, PMLR 152:24 (Mondrian categories).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError

# Crystals below which a third is too few to tell one floor from another, and missed by those that are left.
_ENOUGH_TO_CHOOSE: Final = 200
# Kinds of prediction to tell apart at most, and the calibration crystals that each must have.
_GROUPS: Final = 4
_ENOUGH_FOR_A_GROUP: Final = 200


@dataclass(frozen=True, eq=False)
class Conformal:
    """Calibrated half-widths for one target.

    If calibration and new crystals are exchangeable, the interval prediction +- half_width holds the truth with a probability
    between `coverage` and coverage + 1 / (n + 1), n being the number of calibration crystals.

    Args:
        scores: (n,) rising; errors of the calibration crystals, each divided by its difficulty.
        floor: added to an ensemble's spread to give the difficulty, in the target's unit, so that members who agree by
            chance do not claim certainty.
    """

    scores: NDArray[np.float64]
    floor: float

    @classmethod
    def calibrate(
        cls, *, predicted: NDArray[np.float64], spread: NDArray[np.float64], truth: NDArray[np.float64], floor: float,
    ) -> Conformal:  # fmt: skip
        """Take scores from crystals that the network was not trained on.

        Args:
            predicted: (n,) means.
            spread: (n,) standard deviations over the members.
            truth: (n,) labels; NaN where one is not known.
            floor: in the target's unit.

        Raises:
            InvalidRequestError: no label is known, or the floor is not positive.
        """
        if not floor > 0.0:
            raise InvalidRequestError(f"the floor of the difficulty must be positive, got {floor}")
        known = ~np.isnan(truth)
        if not known.any():
            raise InvalidRequestError("calibration needs at least one crystal with a known label, got none")
        scores = np.abs(truth[known] - predicted[known]) / (spread[known] + floor)
        return cls(scores=np.sort(scores.astype(np.float64)), floor=floor)

    def half_width(self, spread: NDArray[np.float64], *, coverage: float) -> NDArray[np.float64]:
        """(B,) half-widths of the intervals, in the target's unit; infinite when too few scores were taken for the coverage.

        Args:
            spread: (B,) standard deviations over the members.
            coverage: share of truths that the intervals shall hold, between 0 and 1.

        Raises:
            InvalidRequestError: the coverage is not between 0 and 1.
        """
        return self.quantile(coverage) * (spread + self.floor)

    def quantile(self, coverage: float) -> float:
        """The ceil((n + 1) coverage)-th smallest score.

        Raises:
            InvalidRequestError: the coverage is not between 0 and 1.
        """
        if not 0.0 < coverage < 1.0:
            raise InvalidRequestError(f"coverage must lie between 0 and 1, got {coverage}")
        rank = math.ceil((len(self.scores) + 1) * coverage - 1e-9)  # 0.9 * 10 is 9.000000000000002 for some
        return float(self.scores[rank - 1]) if rank <= len(self.scores) else math.inf


@dataclass(frozen=True, eq=False)
class ConformalByPrediction:
    """Half-widths that were calibrated apart for low and for high predictions of one target.

    Most compounds of a band-gap set are metals, whose gap is nearly known. One quantile for all would be too small for
    semiconductors and too large for metals; apart, the intervals of each hold what they say.

    Args:
        edges: (G - 1,) rising; a prediction belongs to the first group whose edge is not below it, or to the last group.
        groups: G half-widths, low predictions first. With one group every prediction is alike, whatever its shape.
    """

    edges: NDArray[np.float64]
    groups: tuple[Conformal, ...]

    @classmethod
    def alike(cls, conformal: Conformal) -> ConformalByPrediction:
        """Treat all predictions alike."""
        return cls(edges=np.zeros(0), groups=(conformal,))

    @classmethod
    def narrowest(
        cls, *, predicted: NDArray[np.float64], spread: NDArray[np.float64], truth: NDArray[np.float64],
        rng: np.random.Generator, bounds: tuple[float, float] = (-math.inf, math.inf), coverage: float = 0.9,
    ) -> ConformalByPrediction:  # fmt: skip
        """Choose groups and the floor whose intervals are narrowest on a third of the crystals, and take scores from the others.

        With few members the spread is noisy, and a high floor makes the intervals nearly equally wide; with many it tells
        hard crystals from easy ones, and a low floor pays. Scores from crystals that had a say in the choice would be too small.
        Groups are quantiles of what is predicted. Where there are few crystals there is nothing to choose and all give scores.

        Args:
            predicted: (n, ...) means; those of arrays are not grouped.
            spread: (n, ...) standard deviations over the members.
            truth: (n, ...) labels; NaN where one is not known.
            rng: draws the third.
            bounds: values that the property cannot leave; intervals are cut there.
            coverage: at which to compare widths.

        Raises:
            InvalidRequestError: no label is known.
        """
        typical = float(np.median(spread)) or float(np.nanmedian(np.abs(truth - predicted))) or 1e-6
        known = np.flatnonzero(~np.isnan(truth.reshape(len(truth), -1)).all(axis=1))
        if len(known) < _ENOUGH_TO_CHOOSE:
            return cls.alike(Conformal.calibrate(predicted=predicted, spread=spread, truth=truth, floor=typical))
        order = rng.permutation(known)
        choosing, scoring = order[: len(order) // 3], order[len(order) // 3 :]
        edges = _edges(predicted[choosing], scoring=len(scoring)) if predicted.ndim == 1 else np.zeros(0)

        def taken(crystals: NDArray[np.intp], floor: float) -> ConformalByPrediction:
            group = (
                np.searchsorted(edges, predicted[crystals]) if len(edges) else np.zeros(len(crystals), dtype=np.intp)
            )
            parts = [crystals[group == number] for number in range(len(edges) + 1)]
            groups = (
                Conformal.calibrate(predicted=predicted[part], spread=spread[part], truth=truth[part], floor=floor)
                for part in parts
            )
            return cls(edges=edges, groups=tuple(groups))

        def width(floor: float) -> float:
            half = taken(choosing, floor).half_width(predicted[choosing], spread=spread[choosing], coverage=coverage)
            lower, upper = predicted[choosing] - half, predicted[choosing] + half
            return float(np.mean(np.minimum(upper, bounds[1]) - np.maximum(lower, bounds[0])))

        if np.ptp(spread) == 0.0:  # a single network: the floor says nothing, and without groups nothing was chosen
            return taken(scoring if len(edges) else known, typical)
        return taken(scoring, min((typical * 2.0**power for power in range(-4, 9)), key=width))

    def half_width(
        self, predicted: NDArray[np.float64], *, spread: NDArray[np.float64], coverage: float
    ) -> NDArray[np.float64]:
        """(B, ...) half-widths of the intervals, in the target's unit; infinite when too few scores were taken for the coverage.

        Args:
            predicted: (B, ...) means.
            spread: (B, ...) standard deviations over the members.
            coverage: share of truths that the intervals shall hold, between 0 and 1.

        Raises:
            InvalidRequestError: the coverage is not between 0 and 1.
        """
        if len(self.groups) == 1:
            return self.groups[0].half_width(spread, coverage=coverage)
        widths = np.stack([group.half_width(spread, coverage=coverage) for group in self.groups])
        return np.take_along_axis(widths, np.searchsorted(self.edges, predicted)[None], axis=0)[0]


def _edges(predicted: NDArray[np.float64], *, scoring: int) -> NDArray[np.float64]:
    """Quantiles of what is predicted, so far apart that every group has its crystals to score."""
    count = min(_GROUPS, scoring // _ENOUGH_FOR_A_GROUP)
    edges = np.unique(np.quantile(predicted, np.arange(1, count) / count)) if count > 1 else np.zeros(0)
    # many equal predictions, as those at a bound, leave few above them
    enough = [edge for edge in edges if (predicted > edge).sum() * scoring >= _ENOUGH_FOR_A_GROUP * len(predicted)]
    return np.array(enough)


def coverage_of(
    *, truth: NDArray[np.float64], lower: NDArray[np.float64], upper: NDArray[np.float64],
) -> float:  # fmt: skip
    """Share of the known truths that lie in their intervals; NaN when none is known."""
    known = ~np.isnan(truth)
    if not known.any():
        return math.nan
    return float(np.mean((truth[known] >= lower[known]) & (truth[known] <= upper[known])))
