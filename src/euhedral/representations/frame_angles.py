"""ComFormer's graph, with what repeats in it named: lengths, angles to the lattice, and edges that have both alike.

An edge of `lattice_edges.LatticeFrame` is read as its length and three cosines, those of its angles to the lattice vectors of the
frame. Symmetry and the lattice itself repeat them: of 1,080 angles of an MP-20 crystal 300 are distinct, and of 360 edges 185,
so that a network computes what it makes of them once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.representations.distinct_lengths import EDGE_LENGTH, WithDistinctLengths
from euhedral.representations.graphs import ExtraKind, Graph
from euhedral.representations.lattice_edges import LatticeFrame, frame_cosines
from euhedral.representations.orbits import grouped, tensors
from euhedral.representations.quotient import distinct_values

#: Names in `Graph.extra`: of distinct angles between an edge of some length and one of the three lattice vectors,
AXIS_EDGE: Final = "axis_edge"
AXIS_NUMBER: Final = "axis_number"
AXIS_COSINE: Final = "axis_cosine"
AXIS_COUNT: Final = "axis_count"
#: of distinct edges, and of edges.
KIND_EDGE: Final = "kind_edge"
KIND_ANGLES: Final = "kind_angles"
KIND_COUNT: Final = "kind_count"
EDGE_KIND: Final = "edge_kind"

_KINDS: Final = {
    AXIS_EDGE: ExtraKind(of="axis", to="edge"), AXIS_NUMBER: ExtraKind(of="axis"), AXIS_COSINE: ExtraKind(of="axis"),
    AXIS_COUNT: ExtraKind(of="axis"), KIND_EDGE: ExtraKind(of="kind", to="edge"),
    KIND_ANGLES: ExtraKind(of="kind", to="axis"), KIND_COUNT: ExtraKind(of="kind"),
    EDGE_KIND: ExtraKind(of="edge", to="kind"),
}  # fmt: skip


@dataclass(frozen=True)
class FrameAngles:
    """Edges, a frame of lattice vectors a crystal, and the distinct lengths, angles and edges.

    Beside what `LatticeFrame` and `WithDistinctLengths` keep, `extra` holds, for A distinct angles and K distinct edges:

    - "axis_edge" (A,) int64 an edge that has this angle, "axis_number" (A,) int64 the lattice vector 0, 1 or 2, "axis_cosine" (A,), and
      "axis_count" (A,) how many edges have it;
    - "kind_edge" (K,) int64 an edge of the kind, "kind_angles" (K, 3) int64 its angles to the three vectors, "kind_count" (K,)
      how many edges are of it, and "edge_kind" (E,) int64 the kind of each edge.

    Cosines that differ by less than the tolerance, of edges of one length to one lattice vector, are replaced by their mean,
    and hold no gradient.

    Args:
        edges: the edges and their distinct lengths.
        tolerance: of cosines.
    """

    edges: WithDistinctLengths = field(default_factory=lambda: WithDistinctLengths(LatticeFrame(), tolerance=1e-4))
    tolerance: float = 1e-4

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges, frames and angles of a batch.

        Raises:
            InvalidRequestError: the edges' graph has extra tensors.
            InvalidCrystalError: a crystal repeats too roughly within its cell.
        """
        graph = self.edges.build(batch)
        with torch.no_grad():
            cosines = frame_cosines(graph, batch).cpu().double().numpy()
        length = graph.extra[EDGE_LENGTH].cpu().numpy()
        group = (3 * length[:, None] + np.arange(3)).reshape(-1)
        label, mean = distinct_values(cosines.reshape(-1), group, tolerance=self.tolerance)
        first, count = np.unique(label, return_index=True, return_counts=True)[1:]
        angles = label.reshape(-1, 3)
        one, kind = grouped(*angles.T)
        arrays: dict[str, NDArray] = {
            AXIS_EDGE: first // 3, AXIS_NUMBER: first % 3, AXIS_COSINE: mean, AXIS_COUNT: count.astype(np.float64),
            KIND_EDGE: one, KIND_ANGLES: angles[one], KIND_COUNT: np.bincount(kind, minlength=len(one)).astype(np.float64),
            EDGE_KIND: kind,
        }  # fmt: skip
        extra: dict[str, Tensor] = {**graph.extra, **tensors(arrays, batch=batch)}
        return replace(graph, extra=extra, kinds={**graph.kinds, **_KINDS})
