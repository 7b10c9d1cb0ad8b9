"""Any graph together with the point groups of its crystals, found once and kept with the data set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.point_group import cartesian_point_group
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec, Nearest

#: Names in `Graph.extra`.
OPERATION: Final = "operation"
OPERATION_CRYSTAL: Final = "operation_crystal"


@dataclass(frozen=True)
class WithPointGroup:
    """Any graph, and the rotations and mirrors of each crystal's point group in the axes of its cell.

    `extra` holds "operation" (K, 3, 3), orthogonal, r' = R r, those of one crystal together and the same number whichever cell
    the crystal is given in, and "operation_crystal" (K,) int64, whose they are.

    Args:
        edges: the graph.
        symprec: Angstrom, how far an atom may lie from its symmetric place.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    symprec: float = 0.01

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and the operations of a batch; no gradient flows through the operations.

        Raises:
            InvalidCrystalError: a crystal has no space group within the tolerance, as when atoms overlap.
            InvalidRequestError: the graph has point groups already.
        """
        graph = self.edges.build(batch)
        if OPERATION in graph.extra:
            raise InvalidRequestError("the graph has point groups already; they are found once")
        found = [cartesian_point_group(crystal, symprec=self.symprec) for crystal in batch.to_crystals()]
        owner = np.repeat(np.arange(len(found)), [len(group) for group in found])
        extra = {
            OPERATION: torch.as_tensor(np.concatenate(found), dtype=batch.dtype, device=batch.device),
            OPERATION_CRYSTAL: torch.as_tensor(owner, device=batch.device),
        }
        kinds = {OPERATION: ExtraKind(of="operation"), OPERATION_CRYSTAL: ExtraKind(of="operation", to="crystal")}
        return replace(graph, extra={**graph.extra, **extra}, kinds={**graph.kinds, **kinds})
