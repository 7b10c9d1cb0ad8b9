"""Learning from a network that was trained before: vectors of atoms that point where the teacher's do.

Das, Samanta, Goyal, Lee, Bhattacharjee and Ganguly 2023, "CrysGNN: Distilling Pre-trained Knowledge to Enhance Property Prediction
for Crystalline Materials", arXiv:2301.05852, equations 7 and 8. The difference between student and teacher is averaged over the
atoms of a batch, in the released code over crystals first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph
from euhedral.representations.quotient import ORBIT_SIZE
from euhedral.tasks.targets import kinds_of
from euhedral.training.objective import masked_loss, scales_of
from euhedral.training.settings import Loss


@runtime_checkable
class AtomModel(Protocol):
    """A network that has vectors of atoms."""

    def atom_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, F) vectors of the atoms."""
        ...


@runtime_checkable
class AtomPropertyModel(AtomModel, Protocol):
    """A property model that sees a crystal through vectors of its atoms."""

    def from_atoms(self, atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> Mapping[str, Tensor]:
        """Predict {target: (B, ...)} from (N, F) vectors of the atoms."""
        ...


@dataclass(frozen=True, eq=False)
class Distillation:
    """What a student learns: its labels, and vectors of atoms that point where the teacher's do.

    Crystals without a label take part too: of them the student learns the teacher's vectors. It needs its target scaling
    beforehand (`objective.fit_scaling`). The difference of directions is a small number, so that a share near one is not much.

    Args:
        teacher: an `AtomModel` that can read the student's graph; it stays as it is.
        loss: penalty for an error of a label, in standard deviations of its target.
        share: of the teacher; the rest is the labels'.

    Raises:
        InvalidRequestError: teacher or student has no vectors of atoms, or their widths differ.
    """

    teacher: nn.Module
    loss: Loss
    share: float = 0.5

    def __call__(self, model: Any, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Return one number to make small."""
        if not isinstance(model, AtomPropertyModel):
            raise InvalidRequestError(
                f"{type(model).__name__} cannot be taught: it needs atom_features and from_atoms, as cgcnn and crysgnn have them"
            )
        atoms = model.atom_features(batch, graph)
        kinds = kinds_of(model)
        predicted = model.from_atoms(atoms, batch=batch, graph=graph)
        scales = scales_of(model, kinds=kinds)
        labels = masked_loss(predicted, batch.targets, kinds=kinds, scales=scales, loss=self.loss)
        return (1.0 - self.share) * labels + self.share * self.distance(atoms, batch=batch, graph=graph)

    def distance(self, atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Mean square difference between the directions of (N, F) vectors of atoms and the teacher's."""
        if not isinstance(self.teacher, AtomModel):
            raise InvalidRequestError(f"{type(self.teacher).__name__} cannot teach: it has no atom_features")
        self.teacher.eval()
        with torch.no_grad():
            taught = self.teacher.atom_features(batch, graph)
        if taught.shape != atoms.shape:
            raise InvalidRequestError(
                f"the teacher's vectors of atoms have {taught.shape[1]} numbers, the student's {atoms.shape[1]}; make the student as wide"
            )
        square = (F.normalize(atoms, dim=1) - F.normalize(taught, dim=1)).square().mean(1)
        count = graph.extra.get(ORBIT_SIZE, torch.ones_like(square))
        return (square * count).sum() / count.sum()
