"""Any graph together with the space groups and crystal systems of its crystals, found once and kept with the data set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.symmetry import symmetry
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec, Nearest

#: Names in `Graph.extra`.
SPACE_GROUP: Final = "space_group"
CRYSTAL_SYSTEM: Final = "crystal_system"

#: In the order of their space groups.
CRYSTAL_SYSTEMS: Final = (
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic",
)  # fmt: skip
# The last space group of each system but the last.
_ENDS: Final = (2, 15, 74, 142, 167, 194)


@dataclass(frozen=True)
class WithSpaceGroup:
    """Any graph, and of each crystal the number of its space group and the position of its system in `CRYSTAL_SYSTEMS`.

    `extra` holds "space_group" (B,) int64, 1 to 230, and "crystal_system" (B,) int64, 0 to 6. Neither changes with the cell in
    which a crystal is given; of a mirrored crystal the group may be the other one of an enantiomorphic pair.

    Args:
        edges: the graph.
        symprec: Angstrom, how far an atom may lie from its symmetric place.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    symprec: float = 0.01

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and the groups of a batch.

        Raises:
            InvalidCrystalError: a crystal has no space group within the tolerance, as when atoms overlap.
            InvalidRequestError: the graph has space groups already.
        """
        graph = self.edges.build(batch)
        if SPACE_GROUP in graph.extra:
            raise InvalidRequestError("the graph has space groups already; they are found once")
        numbers = np.array([symmetry(crystal, symprec=self.symprec).number for crystal in batch.to_crystals()])
        extra = {
            SPACE_GROUP: torch.as_tensor(numbers, device=batch.device),
            CRYSTAL_SYSTEM: torch.as_tensor(np.searchsorted(_ENDS, numbers), device=batch.device),
        }
        kinds = dict.fromkeys(extra, ExtraKind(of="crystal"))
        return replace(graph, extra={**graph.extra, **extra}, kinds={**graph.kinds, **kinds})
