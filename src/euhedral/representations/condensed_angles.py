"""Graphs with angles in which equal atoms, edges and angles are kept once, with their number.

A network that reads elements, distances and angles, and sends messages along edges (to atoms) and across angles (from edge to
edge), gives equal features to all atoms, edges and angles that the crystal's symmetry maps on one another, and to copies in a
supercell. It is enough to keep one of each. Which are equal is found by colour refinement on edges and angles together, as
`representations.quotient` does with edges alone: no symmetry analysis is needed, and the result is exact whether or not the
graph respects the space group. A crystal without symmetry is kept whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT, ORBIT_KINDS
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import (
    PAIR_FIRST,
    PAIR_SECOND,
    PATH_FIRST,
    PATH_SECOND,
    EdgePairs,
    EdgePaths,
    pair_cosines,
    path_cosines,
)

#: Names in `Graph.extra`, beside those of `orbits.ORBIT_KINDS`: the orbit of each atom of the batch.
ATOM_ORBIT: Final = "atom_orbit"
#: Of angles: the two edges, and how many such angles an edge has.
ANGLE_FIRST: Final = "angle_first"
ANGLE_SECOND: Final = "angle_second"
ANGLE_COUNT: Final = "angle_count"
ANGLE_COSINE: Final = "angle_cosine"

_KINDS: Final = {
    **ORBIT_KINDS, ATOM_ORBIT: ExtraKind(of="atom", to="orbit"), ANGLE_FIRST: ExtraKind(of="angle", to="edge"),
    ANGLE_SECOND: ExtraKind(of="angle", to="edge"), ANGLE_COUNT: ExtraKind(of="angle"), ANGLE_COSINE: ExtraKind(of="angle"),
}  # fmt: skip

# A run of nearly equal values may be this many tolerances wide; a wider one is a chain of different values.
_WIDEST: Final = 4.0


@dataclass(frozen=True)
class CondensedAngles:
    """A graph and the angles between its edges, without what is there more than once.

    `extra` holds, for O orbits, E edges and T angles:

    - "orbit_atom" (O,) int64 one atom of each, the first; "orbit_count" (O,) how many atoms it stands for; "atom_orbit" (N,)
      int64 the orbit of each atom;
    - "edge_source", "edge_target" (E,) int64 orbits; "multiplicity" (E,) how many such edges arrive at an atom of the target;
      "distance" (E,) Angstrom;
    - "angle_first", "angle_second" (T,) int64 edges, as `triplets` pairs them, sorted by the second; "angle_count" (T,) how many
      such angles the second has; "angle_cosine" (T,).

    `source`, `target` and `image` are those of one edge of each kind, between atoms of the batch. Distances and cosines that
    differ by less than the tolerances are replaced by their mean, and hold no gradient. In all there are an edge's multiplicity
    times its target's count of such edges.

    Args:
        angles: which edges there are, and which of them are paired.
        length_tolerance: Angstrom; lengths between atoms of the same elements that differ by less are equal.
        cosine_tolerance: cosines between edges of equal lengths and elements that differ by less are equal.
    """

    angles: EdgePaths | EdgePairs
    length_tolerance: float = 1e-3
    cosine_tolerance: float = 1e-3

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges and angles of a batch, and keep one of each kind.

        Raises:
            InvalidRequestError: a tolerance is negative, or there are so many angles that they would not fit.
        """
        if not (self.length_tolerance >= 0.0 and self.cosine_tolerance >= 0.0):
            raise InvalidRequestError(
                f"tolerances must not be negative, got {self.length_tolerance} Angstrom and {self.cosine_tolerance}"
            )
        graph = self.angles.build(batch)
        paths = isinstance(self.angles, EdgePaths)
        found = (PATH_FIRST, PATH_SECOND) if paths else (PAIR_FIRST, PAIR_SECOND)
        with torch.no_grad():
            length = graph.vectors(batch).norm(dim=1).cpu().double().numpy()
            cosine = (path_cosines if paths else pair_cosines)(graph, batch).cpu().double().numpy()
        first, second = (graph.extra[name].cpu().numpy() for name in found)
        if not paths:
            order = np.argsort(second, kind="stable")
            first, second, cosine = first[order], second[order], cosine[order]
        numbers, crystal = batch.numbers.cpu().numpy(), batch.crystal_idx.cpu().numpy()
        source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
        # the two ends of an edge count alike, so that it and its reverse have one length
        low, high = np.sort(np.stack([numbers[source], numbers[target]]), axis=0)
        shell, length = _equal(length, (crystal[target] * 128 + low) * 128 + high, tolerance=self.length_tolerance)
        edges = shell[first] * (shell.max(initial=0) + 1) + shell[second]
        angle, cosine = _equal(cosine, edges, tolerance=self.cosine_tolerance)
        atom, edge = _colours(source, target, first, second, angle, shell=shell, kind=crystal * 128 + numbers)
        return _merged(graph, batch, first, second, atom=atom, edge=edge, angle=angle, length=length, cosine=cosine)


def _merged(
    graph: Graph, batch: CrystalBatch, first: NDArray[np.int64], second: NDArray[np.int64], *, atom: NDArray[np.int64],
    edge: NDArray[np.int64], angle: NDArray[np.int64], length: NDArray[np.float64], cosine: NDArray[np.float64],
) -> Graph:  # fmt: skip
    """Keep one atom of each class, one of all equal edges that arrive there, and one of all equal angles that these have."""
    from euhedral.representations.condensed_angles_kernels import merge_angles

    source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
    orbit_atom, size = np.unique(atom, return_index=True, return_counts=True)[1:]
    arriving = np.flatnonzero(orbit_atom[atom[target]] == target)
    kinds, one, count = np.unique(edge[arriving], return_index=True, return_counts=True)
    in_order = np.argsort(one)
    kept = arriving[one[in_order]]
    place = np.full(len(source), -1)
    place[kept] = np.arange(len(kept))
    of_class = np.full(int(edge.max(initial=-1)) + 1, -1)
    of_class[kinds[in_order]] = np.arange(len(kept))
    start = np.searchsorted(second, np.arange(len(source) + 1))
    room = int(np.diff(start)[kept].sum())
    from_class, to_place, label, number = (np.empty(room, np.int64) for _ in range(4))
    n_angles = merge_angles(first, angle, edge, place, start, from_class, to_place, label, number)
    of_angle = np.empty(int(angle.max(initial=-1)) + 1)
    of_angle[angle] = cosine

    def whole(array: NDArray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.int64, device=batch.device)

    def real(array: NDArray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=batch.dtype, device=batch.device)

    chosen = whole(kept)
    return Graph(
        source=graph.source[chosen],
        target=graph.target[chosen],
        image=graph.image[chosen],
        extra={
            ORBIT_ATOM: whole(orbit_atom), ORBIT_COUNT: real(size), ATOM_ORBIT: whole(atom),
            EDGE_SOURCE: whole(atom[source[kept]]), EDGE_TARGET: whole(atom[target[kept]]),
            MULTIPLICITY: real(count[in_order]), DISTANCE: real(length[kept]),
            ANGLE_FIRST: whole(of_class[from_class[:n_angles]]), ANGLE_SECOND: whole(to_place[:n_angles]),
            ANGLE_COUNT: real(number[:n_angles]), ANGLE_COSINE: real(of_angle[label[:n_angles]]),
        },
        kinds=_KINDS,
    )  # fmt: skip


def _equal(
    value: NDArray[np.float64], group: NDArray[np.int64], *, tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Label nearly equal values of one group, and give each the mean of its label."""
    from euhedral.representations.condensed_angles_kernels import split_gaps

    order = np.lexsort((value, group))
    label, mean = np.empty(len(value), np.int64), np.empty(len(value))
    split_gaps(value[order], group[order], tolerance, _WIDEST * tolerance, label, mean)
    labels, means = np.empty_like(label), np.empty_like(mean)
    labels[order], means[order] = label, mean
    return labels, means


def _colours(
    source: NDArray[np.int64], target: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64],
    angle: NDArray[np.int64], *, shell: NDArray[np.int64], kind: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Classes of atoms, numbered by their first atom, and of edges, after as many rounds as still split one."""
    from euhedral.representations.condensed_angles_kernels import refine

    atom, edge = kind.astype(np.uint64), shell.astype(np.uint64)
    n_classes = 0
    while True:
        new_atom, new_edge = np.empty_like(atom), np.empty_like(edge)
        refine(source, target, first, second, angle, atom, edge, new_atom, new_edge)
        atom, edge = new_atom, new_edge
        count = len(np.unique(atom)) + len(np.unique(edge))
        if count == n_classes:
            break
        n_classes = count
    one, node = np.unique(atom, return_index=True, return_inverse=True)[1:]
    rank = np.empty_like(one)
    rank[np.argsort(one)] = np.arange(len(one))
    return rank[node], np.unique(edge, return_inverse=True)[1]
