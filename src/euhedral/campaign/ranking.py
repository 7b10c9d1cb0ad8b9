"""In what order candidates are shown, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.campaign.goal import Goal
from euhedral.tasks.property import Prediction

#: eV/atom; a crystal this far above the hull is as often made as not (Aykol et al. 2018, doi:10.1126/sciadv.aaq0148, find
#: limits of 0.05 to 0.2 for most chemistries).
METASTABLE: Final = 0.1


@dataclass(frozen=True)
class StabilityModel:
    """How far a computed hull distance may be from the DFT one.

    Args:
        bias: eV/atom, computed minus DFT.
        width: eV/atom, standard deviation of the difference.
    """

    bias: float
    width: float

    def probability(self, distance: ArrayLike) -> NDArray[np.float64]:
        """Chance that the DFT distance is below `METASTABLE`.

        Args:
            distance: (B,) eV/atom above the hull as computed.
        """
        from scipy.special import ndtr

        return ndtr((METASTABLE - (np.asarray(distance, dtype=np.float64) - self.bias)) / self.width)


#: CHGNet's distance to the shipped hull against the Materials Project's own (benchmarks/results/stability.json).
STABILITY: Final = StabilityModel(bias=0.0, width=0.05)


def score(
    distance: ArrayLike, *, stability: StabilityModel, goals: Sequence[Goal], predictions: Sequence[Prediction]
) -> NDArray[np.float64]:
    """Chance that a candidate is what was asked for: stable enough and within every goal.

    The factors are taken as independent. Where nothing else was asked, the order is that of the hull distance.

    Args:
        distance: (B,) eV/atom above the hull.
        stability: error of the distance.
        goals: one for each prediction.
        predictions: of the goals' quantities, (B,) each.

    Returns:
        (B,) from 0 to 1; 0 where the distance is NaN.
    """
    chance = np.nan_to_num(stability.probability(distance), nan=0.0)
    for goal, prediction in zip(goals, predictions, strict=True):
        chance = chance * goal.probability(prediction)
    return chance
