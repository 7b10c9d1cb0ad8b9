"""Edges that a crystal's own space group maps on one another, and an order of these orbits that all crystals share.

The group of a crystal permutes its atoms and its edges. A network whose weights are tied over the orbits of edges commutes with
that group (Kaba and Ravanbakhsh 2022, arXiv:2211.15420). For weights that serve all crystals an orbit needs a name that does
not depend on the description of the crystal: here its rank among the orbits that arrive at an atom, by length, then by the
element it comes from, by how many of its edges arrive, and by whether it joins atoms of one orbit. Orbits that all this leaves
equal share a rank, which ties more weights and breaks no symmetry.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import primitive
from euhedral.geometry.symmetrise import atom_permutations
from euhedral.geometry.symmetry import symmetry
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT, ORBIT_KINDS
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, distinct_values

#: Names in `Graph.extra`, beside those of `orbits`.
ORBIT_RANK: Final = "orbit_rank"
SAME_ORBIT: Final = "same_orbit"
_KINDS: Final = {**ORBIT_KINDS, ORBIT_RANK: ExtraKind(of="edge"), SAME_ORBIT: ExtraKind(of="edge")}


@dataclass(frozen=True)
class WithEdgeOrbits:
    """Any graph, with the orbits of its atoms and edges under each crystal's own space group.

    `extra` holds, for O orbits of atoms and E edges: "orbit_atom" (O,) int64 the first atom of each, "orbit_count" (O,) how many
    there are; "edge_source" and "edge_target" (E,) int64 the orbits that an edge joins; "distance" (E,) Angstrom, the mean of
    the edge's orbit; "multiplicity" (E,) how many equal edges it stands for; "orbit_rank" (E,) int64 the rank of its orbit,
    0 for the nearest; "same_orbit" (E,) bool, whether it joins atoms of one orbit.

    Args:
        edges: the graph, without extra tensors.
        merged: keep one edge of each orbit, to the first atom of an orbit; else every atom and edge stands for itself.
        symprec: Angstrom, how far an atom may lie from its symmetric place.
        tolerance: Angstrom; lengths of one crystal that differ by less have one rank.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    merged: bool = True
    symprec: float = 0.01
    tolerance: float = 1e-3

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch, the space group of each crystal, and the orbits.

        Raises:
            InvalidCrystalError: a crystal has no space group within the tolerance, as when atoms overlap.
            InvalidRequestError: the graph has extra tensors, which merged edges would disorder.
        """
        graph = self.edges.build(batch)
        if graph.extra:
            raise InvalidRequestError(
                f"orbits are found of graphs without extra tensors ({', '.join(graph.extra)}); add those afterwards"
            )
        with torch.no_grad():
            vectors = graph.vectors(batch).double().cpu().numpy()
        source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
        crystal = batch.crystal_idx.cpu().numpy()
        owner = crystal[target]
        atom_orbit, edge_orbit = np.empty(len(crystal), dtype=np.int64), np.empty(len(owner), dtype=np.int64)
        first, n_edge_orbits = batch.offsets.cpu().numpy(), 0
        bounds = np.searchsorted(owner, np.arange(len(batch) + 1))
        for place, one in enumerate(batch.to_crystals()):
            atoms = slice(first[place], first[place + 1])
            rows = slice(bounds[place], bounds[place + 1])
            found = _orbits(
                one, source=source[rows] - first[place], target=target[rows] - first[place], vectors=vectors[rows],
                symprec=self.symprec,
            )  # fmt: skip
            atom_orbit[atoms] = first[place] + found[0]
            edge_orbit[rows] = n_edge_orbits + found[1]
            n_edge_orbits += int(found[1].max(initial=-1)) + 1
        length = _mean_of(np.linalg.norm(vectors, axis=1), edge_orbit, n=n_edge_orbits)
        same = atom_orbit[source] == atom_orbit[target]
        shell, _ = distinct_values(length[edge_orbit], owner, tolerance=self.tolerance)
        numbers = batch.numbers.cpu().numpy()
        rank = _ranks(target, edge_orbit, keys=[shell, numbers[source], same.astype(np.int64)])
        found_edges = _Edges(source, target, edge_orbit, length, rank, same)
        kept, extra = _merged(found_edges, atom_orbit) if self.merged else _whole(found_edges, n_atoms=len(crystal))
        tensors = {name: _tensor(value, batch=batch) for name, value in extra.items()}
        rows_kept = torch.as_tensor(kept, device=batch.device)
        return replace(
            graph, source=graph.source[rows_kept], target=graph.target[rows_kept], image=graph.image[rows_kept],
            extra=tensors, kinds=_KINDS,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Edges:
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    orbit: NDArray[np.int64]
    length: NDArray[np.float64]
    rank: NDArray[np.int64]
    same: NDArray[np.bool_]


def _whole(edges: _Edges, *, n_atoms: int) -> tuple[NDArray[np.int64], dict[str, NDArray]]:
    return np.arange(len(edges.orbit)), {
        ORBIT_ATOM: np.arange(n_atoms), ORBIT_COUNT: np.ones(n_atoms), EDGE_SOURCE: edges.source, EDGE_TARGET: edges.target,
        DISTANCE: edges.length[edges.orbit], MULTIPLICITY: np.ones(len(edges.orbit)), ORBIT_RANK: edges.rank, SAME_ORBIT: edges.same,
    }  # fmt: skip


def _merged(edges: _Edges, atom_orbit: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[str, NDArray]]:
    """Keep the first atom of each orbit, and of the edges that arrive there one of each orbit."""
    atom, node, count = np.unique(atom_orbit, return_inverse=True, return_counts=True)
    arriving = np.flatnonzero(atom[node[edges.target]] == edges.target)
    _, place, multiplicity = np.unique(
        np.stack([edges.target[arriving], edges.rank[arriving], edges.orbit[arriving]]), axis=1, return_index=True,
        return_counts=True,
    )  # fmt: skip
    kept = arriving[place]
    return kept, {
        ORBIT_ATOM: atom, ORBIT_COUNT: count.astype(float), EDGE_SOURCE: node[edges.source[kept]],
        EDGE_TARGET: node[edges.target[kept]], DISTANCE: edges.length[edges.orbit[kept]],
        MULTIPLICITY: multiplicity.astype(float), ORBIT_RANK: edges.rank[kept], SAME_ORBIT: edges.same[kept],
    }  # fmt: skip


def _orbits(
    crystal: Crystal, *, source: NDArray[np.int64], target: NDArray[np.int64], vectors: NDArray[np.float64],
    symprec: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """(n,) first atom of each atom's orbit, and (E,) orbit of each edge, under the space group of the infinite crystal."""
    from euhedral.representations.edge_orbits_kernels import orbits_of_edges, same_edges

    small, group = crystal, symmetry(crystal, symprec=symprec)
    if (group.rotations == np.eye(3, dtype=np.int64)).all((1, 2)).sum() > 1:
        # a supercell may have a shape that its crystal's rotations do not keep
        small = primitive(crystal, symprec=symprec)
        group = symmetry(small, symprec=symprec)
    onto = atom_permutations(
        small, rotations=group.rotations, translations=group.translations, tolerance=4.0 * group.symprec
    )
    moved = np.einsum("kij,nj->kni", group.rotations, small.frac) + group.translations[:, None]
    shift = np.round(moved - small.frac[onto]).astype(np.int64)

    inverse = np.linalg.inv(small.cell)
    copy = _copies(crystal, small)
    i, j = copy[target], copy[source]
    image = np.round(vectors @ inverse - small.frac[j] + small.frac[i]).astype(np.int64)
    first = np.zeros(len(small), dtype=np.int64)
    first[copy[::-1]] = np.arange(len(copy))[::-1]
    known = np.flatnonzero(first[i] == target)
    known = known[np.argsort(i[known], kind="stable")]
    start = np.searchsorted(i[known], np.arange(len(small) + 1))
    known_orbit = orbits_of_edges(j[known], i[known], image[known], start, group.rotations, onto, shift)
    place = same_edges(j, i, image, j[known], image[known], start)
    # an edge that rounding let through at one copy of an atom only is an orbit by itself
    alone = place < 0
    orbit = np.where(alone, known_orbit.max(initial=-1) + np.cumsum(alone), known_orbit[place])
    return _first_of(group.orbits[copy]), orbit


def _copies(crystal: Crystal, small: Crystal) -> NDArray[np.int64]:
    """(n,) the atom of the primitive cell of which each atom is a copy."""
    if len(small) == len(crystal):
        return np.arange(len(crystal))
    apart = (crystal.frac @ crystal.cell @ np.linalg.inv(small.cell))[:, None] - small.frac
    apart -= np.round(apart)
    distance = np.linalg.norm(apart @ small.cell, axis=-1)
    distance[crystal.numbers[:, None] != small.numbers] = np.inf
    return distance.argmin(1)


def _first_of(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) position of the first element with the same label."""
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return first[inverse]


def _mean_of(values: NDArray[np.float64], owner: NDArray[np.int64], *, n: int) -> NDArray[np.float64]:
    return np.bincount(owner, weights=values, minlength=n) / np.maximum(np.bincount(owner, minlength=n), 1)


def _ranks(target: NDArray[np.int64], orbit: NDArray[np.int64], *, keys: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(E,) rank of each edge's orbit among those that arrive at its target, by keys, then by how many edges it has there."""
    if not len(target):
        return target.copy()
    _, group, size = np.unique(np.stack([target, orbit]), axis=1, return_inverse=True, return_counts=True)
    columns = np.stack([target, *keys, size[group.reshape(-1)]])
    distinct, number = np.unique(columns, axis=1, return_inverse=True)
    new_target = np.concatenate([[True], np.diff(distinct[0]) > 0])
    first = np.maximum.accumulate(np.where(new_target, np.arange(len(new_target)), 0))
    rank = (np.arange(len(first)) - first)[number.reshape(-1)]
    # one rank for the whole orbit, also where rounding hides some of its edges
    lowest = np.full(int(orbit.max()) + 1, len(rank))
    np.minimum.at(lowest, orbit, rank)
    return lowest[orbit]


def _tensor(value: NDArray, *, batch: CrystalBatch) -> Tensor:
    dtype = batch.dtype if value.dtype.kind == "f" else None
    return torch.as_tensor(value, device=batch.device, dtype=dtype)
