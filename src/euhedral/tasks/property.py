"""The contract of property predictors: named values, each with its interval and a warning when the input is strange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.data.quantities import Quantity, quantities
from euhedral.representations.graphs import Graph, GraphSpec


@runtime_checkable
class PropertyModel(Protocol):
    """A network that maps crystals to named values."""

    #: which atoms are neighbours
    graph: GraphSpec
    #: names of what it predicts
    targets: tuple[str, ...]
    # A model may also have `kinds`, {target: tasks.targets.Target}, where targets are no plain numbers, `inputs` and
    # `site_inputs`, names of conditions of a crystal or of its atoms that it is given in `CrystalBatch.inputs`, `merges_equal`,
    # whether it honours the numbers of equal atoms and edges (`representations.quotient`), and `sees_structure`, False where
    # only the composition matters.
    #: whether a doubled cell has the same value or twice the value
    scale: Literal["intensive", "extensive"]

    def __call__(self, batch: CrystalBatch, graph: Graph) -> Mapping[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted values of one property for B crystals, or for the N atoms of B crystals.

    Args:
        target: the property's name.
        value: (B, ...) in the property's unit; of a class the probability of each.
        lower: (B, ...) lower end of the interval; of an array the interval of each component.
        upper: (B, ...) upper end of the interval.
        coverage: the share of truths that such intervals hold, as calibrated on data not trained on.
        novelty: (B,) distance to the training data, in units of the calibration set's 95th percentile.
        classes: their names, where the property is a class.
        plausible: (B, C) the classes that may be the true one: a set that holds it as often as `coverage` says.
    """

    target: str
    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    coverage: float
    novelty: NDArray[np.float64]
    classes: tuple[str, ...] = ()
    plausible: NDArray[np.bool_] | None = None

    @property
    def unlike_training(self) -> NDArray[np.bool_]:
        """(B,) whether the crystal is unlike the training data, so that the interval may not hold."""
        return self.novelty > 1.0


#: Unit, method and caution of each property, by name.
QUANTITIES: Final[Mapping[str, Quantity]] = quantities()
