"""How unlike the training data a crystal is.

The mean distance of a crystal's features to the nearest training crystals, in whitened coordinates (k nearest neighbours:
Sun et al. 2022, arXiv:2204.06507, who take a network's features), as a multiple of what 95% of the validation crystals stay
below. The shipped predictors use `training.fingerprint` instead of a network's features: of MP-20 crystals whose atoms were
put at random places, CGCNN's last layer flags 6% and the plain numbers 99%; of those whose elements were exchanged at random,
10% and 78% (`benchmarks/cgcnn_mp20.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from euhedral.errors import InvalidRequestError

#: Novelty of a crystal with an element that no training crystal had: far beyond 1, whatever its features look like.
UNSEEN_ELEMENT: Final = 10.0


@dataclass(frozen=True, eq=False)
class Novelty:
    """Distance to training data among features of crystals.

    Args:
        centre: (D,) mean of the training features.
        axes: (D, P) directions, scaled so that the training features have variance one along each.
        references: (R, P) training features in these coordinates.
        unit: the distance that counts as 1.
        elements: (119,) bool, whether an element occurs in the training data.
        neighbours: whose mean distance is taken.
    """

    centre: Tensor
    axes: Tensor
    references: Tensor
    unit: float
    elements: Tensor
    neighbours: int = 5

    @classmethod
    def fit(
        cls, train: Tensor, *, validation: Tensor, elements: Tensor, rng: torch.Generator, n_references: int = 8192,
        n_axes: int = 16, quantile: float = 0.95,
    ) -> Novelty:  # fmt: skip
        """Learn the coordinates from training features and the unit from validation features.

        Args:
            train: (M, D) features of crystals trained on.
            validation: (V, D) features of crystals not trained on, of the same kind.
            elements: (A,) atomic numbers of all training atoms.
            rng: draws the references from the training crystals.
            n_references: how many to keep.
            n_axes: most principal directions to keep.
            quantile: share of the validation crystals that shall have a novelty below 1.

        Raises:
            InvalidRequestError: there are too few training crystals.
        """
        if train.shape[0] <= n_axes:
            raise InvalidRequestError(f"novelty needs more than {n_axes} training crystals, got {train.shape[0]}")
        centre = train.double().mean(0)
        _, values, directions = torch.linalg.svd(train.double() - centre, full_matrices=False)
        kept = values[:n_axes] > 1e-6 * values[0]
        scale = (train.shape[0] - 1) ** 0.5 / values[:n_axes][kept]
        axes = (directions[:n_axes][kept] * scale[:, None]).T.float()
        chosen = torch.randperm(train.shape[0], generator=rng)[:n_references]
        references = (train[chosen].float() - centre.float()) @ axes
        seen = torch.zeros(119, dtype=torch.bool)
        seen[torch.unique(elements.cpu())] = True
        raw = cls(centre=centre.float(), axes=axes, references=references, unit=1.0, elements=seen)
        unit = float(torch.quantile(raw.distance(validation), quantile))
        return cls(centre=centre.float(), axes=axes, references=references, unit=unit, elements=seen)

    def distance(self, features: Tensor) -> Tensor:
        """(B,) mean distance of (B, D) features to the nearest references, in units of `unit`."""
        placed = (features.float() - self.centre) @ self.axes
        nearest = torch.cdist(placed, self.references).topk(min(self.neighbours, len(self.references)), largest=False)
        return nearest.values.mean(1) / self.unit

    def of(self, features: Tensor, *, numbers: Tensor, crystal_idx: Tensor) -> Tensor:
        """(B,) novelty: the distance, or `UNSEEN_ELEMENT` where an atom's element never occurred in training, if that is more.

        Args:
            features: (B, D) features.
            numbers: (N,) atomic numbers.
            crystal_idx: (N,) crystal of each atom.
        """
        unseen = (~self.elements[numbers]).to(torch.float32)
        worst = torch.zeros(features.shape[0]).scatter_reduce_(0, crystal_idx, unseen, reduce="amax")
        return torch.maximum(self.distance(features), UNSEEN_ELEMENT * worst)
