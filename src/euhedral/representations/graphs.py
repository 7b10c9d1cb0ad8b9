"""Periodic multigraphs: which atoms are neighbours, through which cell boundary.

A spec says which edges there are; `build_graph` finds them; `Graph.vectors` gives their geometry, differentiably. The
topology holds no gradient and is built once, then kept with the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch


@runtime_checkable
class GraphSpec(Protocol):
    """What makes two atoms neighbours; one small frozen dataclass a kind."""

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch."""
        ...


@dataclass(frozen=True, eq=False)
class Graph:
    """Directed edges of a batch; edges of one target stand together, nearest first.

    Args:
        source: (E,) int64 the neighbour, whose message is sent.
        target: (E,) int64 the centre, which receives it.
        image: (E, 3) int64 cell translations of the neighbour, relative to the batch's `frac` as given.
        extra: named edge or triplet tensors kept beside the topology.
    """

    source: Tensor
    target: Tensor
    image: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def vectors(self, batch: CrystalBatch) -> Tensor:
        """(E, 3) Angstrom, from the centre to the neighbour; differentiable in `frac` and `cell`."""
        cells = batch.cell[batch.crystal_idx[self.target]]
        shift = batch.frac[self.source] - batch.frac[self.target] + self.image.to(batch.dtype)
        return torch.einsum("ei,eij->ej", shift, cells)
