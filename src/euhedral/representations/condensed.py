"""Graphs in which equal atoms are one node, with what their edges carry beside distances.

Like `quotient`, for networks that read elements, distances and, where there are any, sums of potentials. Atoms of a batch
stay as they are; the graph names one atom of each class of equal ones, the orbit, and keeps one of all equal edges of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec
from euhedral.representations.lattice_sums import POTENTIAL_SUMS
from euhedral.representations.merged_sums import PAIR_SHARE, PAIR_SOURCE, PAIR_TARGET
from euhedral.representations.orbits import Messages, Orbits, graph_of_orbits, tensors

_PAIR_KINDS: Final = {
    PAIR_SOURCE: ExtraKind(of="pair", to="orbit"),
    PAIR_TARGET: ExtraKind(of="pair", to="orbit"),
    POTENTIAL_SUMS: ExtraKind(of="pair"),
    PAIR_SHARE: ExtraKind(of="pair"),
}


@dataclass(frozen=True)
class Condensed:
    """Any graph with one node for each class of equal atoms.

    Atoms are equal when no messages about elements, distances and sums of potentials tell them apart (colour refinement). `extra`
    holds, for O orbits: "orbit_atom" (O,), one atom of each, the first; "orbit_count" (O,), how many atoms it stands for;
    "edge_source" and "edge_target" (E,), orbits; "distance" (E,) Angstrom, and "multiplicity" (E,), how many neighbours an edge
    stands for. Where the graph has sums (`merged_sums`), its pairs are merged too: "pair_source" and "pair_target" are orbits, and
    "pair_share" is what the merged pairs weigh together.

    Args:
        graph: with no extra tensors but those of `merged_sums`.
        tolerance: Angstrom; distances of one crystal that differ by less count as equal, and take their mean.
        sums_tolerance: the same for sums, in the unit of each potential.
    """

    graph: GraphSpec
    tolerance: float = 1e-4
    sums_tolerance: float = 1e-5

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch and merge them; no gradient flows through distances and sums.

        Raises:
            InvalidRequestError: the graph has extra tensors that may tell more atoms apart.
        """
        graph = self.graph.build(batch)
        strange = set(graph.extra) - set(_PAIR_KINDS)
        if strange:
            raise InvalidRequestError(
                f"a graph with extra tensors ({', '.join(sorted(strange))}) cannot be condensed; keep it whole"
            )
        with torch.no_grad():
            distance = graph.vectors(batch).norm(dim=1).double().cpu().numpy()
        crystal = batch.crystal_idx.cpu().numpy()
        near = Messages.of(graph.source, graph.target, distance[:, None], crystal=crystal, tolerance=self.tolerance)
        if POTENTIAL_SUMS not in graph.extra:
            return graph_of_orbits(graph, batch=batch, near=near, orbits=Orbits.of(batch, [near]))
        sums, shares = (graph.extra[name].double().cpu().numpy() for name in (POTENTIAL_SUMS, PAIR_SHARE))
        source, target = graph.extra[PAIR_SOURCE], graph.extra[PAIR_TARGET]
        pairs = Messages.of(source, target, sums, crystal=crystal, tolerance=self.sums_tolerance)
        orbits = Orbits.of(batch, [near, pairs])
        found = graph_of_orbits(graph, batch=batch, near=near, orbits=orbits)
        _, of_source, of_target, value, weight = pairs.merged(orbits, weights=shares)
        added = {PAIR_SOURCE: of_source, PAIR_TARGET: of_target, POTENTIAL_SUMS: value, PAIR_SHARE: weight}
        return replace(
            found, extra={**found.extra, **tensors(added, batch=batch)}, kinds={**found.kinds, **_PAIR_KINDS}
        )
