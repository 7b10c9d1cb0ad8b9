"""Labelled quotient graphs: the topology of a crystal, without its geometry.

Atoms of one cell are nodes; a bond between atom u of the home cell and atom v of the cell at translation t is one edge u -> v
with the label t. The same bond seen from v is v -> u with the label -t, so that an edge has one of two forms, of which one is
chosen; walking round a cycle, the labels add up to a lattice vector, and these vectors say in how many dimensions the bonds go
on for ever.

Source: Chung, Hahn and Klee 1984, doi:10.1107/S0108767384000088; Klee 2004, doi:10.1002/crat.200410281.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.bonds import BondRule, EffectiveCoordination
from euhedral.representations.graphs import ExtraKind, Graph


@dataclass(frozen=True, eq=False)
class SpanningTree:
    """One way to every atom of each component, by breadth first from its first atom.

    Args:
        edge: (n - c,) int64 edges of the tree, c being the number of components.
        cell: (n, 3) int64 the cell in which each atom is reached, walking along the tree from the root's home cell.
        component: (n,) int64 connected component of each atom, numbered by their first atoms.
    """

    edge: NDArray[np.int64]
    cell: NDArray[np.int64]
    component: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelledQuotientGraph:
    """n atoms and m bonds, each bond once and in its canonical form; made by `from_bonds` or `labelled_quotient_graph`.

    A bond goes from `source` in the home cell to `target` in the cell `image`: source < target, or, from an atom to its own
    image, the first component of `image` that is not 0 is positive. Bonds are sorted by source, target and image.

    Args:
        numbers: (n,) int64 atomic numbers.
        source: (m,) int64.
        target: (m,) int64.
        image: (m, 3) int64 cell of the target.
    """

    numbers: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    image: NDArray[np.int64]

    @classmethod
    def from_bonds(
        cls, numbers: ArrayLike, *, source: ArrayLike, target: ArrayLike, image: ArrayLike
    ) -> LabelledQuotientGraph:
        """Put bonds, in any order and seen from either or both ends, into the canonical form.

        Args:
            numbers: (n,) atomic numbers.
            source: (b,) one atom of each bond, in the home cell.
            target: (b,) the other.
            image: (b, 3) cell of the other.

        Raises:
            InvalidRequestError: shapes do not fit, a bond names an atom that does not exist, or ends where it begins.
        """
        atoms = np.asarray(numbers, dtype=np.int64)
        u, v = np.asarray(source, dtype=np.int64).reshape(-1), np.asarray(target, dtype=np.int64).reshape(-1)
        label = np.asarray(image, dtype=np.int64).reshape(-1, 3)
        if atoms.ndim != 1 or not len(u) == len(v) == len(label):
            raise InvalidRequestError(
                f"quotient graph: {len(u)} sources, {len(v)} targets and {len(label)} images do not belong together"
            )
        ends = np.concatenate([u, v])
        if ends.size and not (ends.min() >= 0 and ends.max() < len(atoms)):
            bad = int(ends[(ends < 0) | (ends >= len(atoms))][0])
            raise InvalidRequestError(f"quotient graph: a bond names atom {bad}, expected 0 to {len(atoms) - 1}")
        nowhere = (u == v) & ~label.any(1)
        if nowhere.any():
            raise InvalidRequestError(f"quotient graph: atom {int(u[nowhere][0])} is bonded to itself, not to an image")
        leading = np.take_along_axis(label, (label != 0).argmax(1)[:, None], 1)[:, 0]
        turned = (u > v) | ((u == v) & (leading < 0))
        rows = np.column_stack(
            [np.where(turned, v, u), np.where(turned, u, v), np.where(turned[:, None], -label, label)]
        )
        rows = np.unique(rows, axis=0)
        return cls(numbers=atoms, source=rows[:, 0], target=rows[:, 1], image=rows[:, 2:])

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def tree(self) -> SpanningTree:
        """Spanning tree of each component."""
        incident: list[list[int]] = [[] for _ in self.numbers]
        for edge, (u, v) in enumerate(zip(self.source.tolist(), self.target.tolist(), strict=True)):
            incident[u].append(edge)
            incident[v].append(edge)
        cell = np.zeros((len(self), 3), dtype=np.int64)
        component = np.full(len(self), -1, dtype=np.int64)
        edges = []
        for root in range(len(self)):
            if component[root] >= 0:
                continue
            component[root] = component.max() + 1
            waiting = deque([root])
            while waiting:
                atom = waiting.popleft()
                for edge in incident[atom]:
                    forward = self.source[edge] == atom
                    other = int(self.target[edge] if forward else self.source[edge])
                    if component[other] < 0:
                        component[other] = component[root]
                        cell[other] = cell[atom] + (self.image[edge] if forward else -self.image[edge])
                        edges.append(edge)
                        waiting.append(other)
        return SpanningTree(edge=np.array(sorted(edges), dtype=np.int64), cell=cell, component=component)

    @cached_property
    def chords(self) -> NDArray[np.int64]:
        """(m - n + c,) bonds that are not in the tree; each closes one cycle."""
        return np.setdiff1d(np.arange(len(self.source)), self.tree.edge)

    @cached_property
    def cycle_vectors(self) -> NDArray[np.int64]:
        """(m - n + c, 3) lattice vector that the cycle of each chord adds up to; they generate all others."""
        cell, chord = self.tree.cell, self.chords
        return self.image[chord] + cell[self.source[chord]] - cell[self.target[chord]]

    @property
    def n_components(self) -> int:
        """How many parts no bond joins, in one cell."""
        return int(self.tree.component.max(initial=-1)) + 1

    @cached_property
    def dimensions(self) -> NDArray[np.int64]:
        """(c,) of each component: in how many dimensions its bonds go on, 0 for a molecule, 3 for a framework.

        It is the rank of the component's cycle vectors (Larsen et al. 2019, doi:10.1103/PhysRevMaterials.3.034003).
        """
        return np.array([len(echelon(vectors)) for vectors in self._cycles_of_components()], dtype=np.int64)

    @property
    def dimensionality(self) -> int:
        """The largest of `dimensions`."""
        return int(self.dimensions.max(initial=0))

    @cached_property
    def n_nets(self) -> NDArray[np.int64]:
        """(c,) how many separate copies of a component fill its span, as interpenetrating nets do: 1 for most crystals.

        It is the index of the cycle vectors in the lattice of their span.
        """
        return np.array([_index(vectors) for vectors in self._cycles_of_components()], dtype=np.int64)

    def _cycles_of_components(self) -> list[NDArray[np.int64]]:
        owner = self.tree.component[self.source[self.chords]]
        order = np.argsort(owner, kind="stable")
        return np.split(self.cycle_vectors[order], np.searchsorted(owner[order], np.arange(1, self.n_components)))

    def vectors(self, crystal: Crystal) -> NDArray[np.float64]:
        """(m, 3) Angstrom, from source to target, in a crystal whose atoms are the nodes.

        Raises:
            InvalidRequestError: the crystal has other atoms.
        """
        if not np.array_equal(crystal.numbers, self.numbers):
            raise InvalidRequestError(f"crystal {crystal.id!r}: its atoms are not those of the quotient graph")
        return (crystal.frac[self.target] - crystal.frac[self.source] + self.image) @ crystal.cell


def labelled_quotient_graph(
    crystal: Crystal,
    *,
    bonds: BondRule = EffectiveCoordination(),  # noqa: B008 - frozen, a value
) -> LabelledQuotientGraph:
    """Find the labelled quotient graph of a crystal.

    Labels are relative to `crystal.frac`; other cells, origins or orders of atoms give an equivalent graph, not the same one.

    Args:
        crystal: one crystal.
        bonds: which atoms are bonded.
    """
    found = bonds.find(crystal)
    # neighbours are seen from the centre, their target; a bond goes the other way
    return LabelledQuotientGraph.from_bonds(
        crystal.numbers, source=found.target, target=found.source, image=found.image
    )


@dataclass(frozen=True)
class BondGraph:
    """The labelled quotient graph as edges of a batch: each bond there and back.

    `extra` holds int64 "bond" (E,), the bond of each edge, and "bond_edge" (U,), the edge of each bond from the second atom of its
    canonical form, its target, to the first.

    Args:
        bonds: which atoms are bonded.
    """

    bonds: BondRule = EffectiveCoordination()  # noqa: RUF009 - frozen, a value

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch.

        Raises:
            InvalidCrystalError: a cell or coordinate has become unusable; the message names the crystal.
        """
        edges, first_bond = [], 0
        given = batch.frac.detach().cpu().double().numpy()
        for crystal, first in zip(batch.to_crystals(), batch.offsets.tolist(), strict=False):
            net = labelled_quotient_graph(crystal, bonds=self.bonds)
            wrapped = np.round(given[first : first + len(crystal)] - crystal.frac).astype(np.int64)
            u, v = net.source, net.target
            label = net.image + wrapped[u] - wrapped[v]
            bond = first_bond + np.arange(len(u))
            # an edge of a graph is seen from its target
            there = np.column_stack([v + first, u + first, label, bond, np.ones_like(u)])
            back = np.column_stack([u + first, v + first, -label, bond, np.zeros_like(u)])
            both = np.concatenate([there, back])
            edges.append(both[np.lexsort((both[:, 5], both[:, 1]))])
            first_bond += len(u)
        rows = torch.from_numpy(np.concatenate(edges)).to(batch.device)
        forward = rows[:, 6] == 1
        bond_edge = torch.empty_like(rows[forward, 5])
        bond_edge[rows[forward, 5]] = torch.nonzero(forward)[:, 0]
        return Graph(
            source=rows[:, 0].contiguous(),
            target=rows[:, 1].contiguous(),
            image=rows[:, 2:5].contiguous(),
            extra={"bond": rows[:, 5].contiguous(), "bond_edge": bond_edge},
            kinds={"bond": ExtraKind(of="edge", to="bond"), "bond_edge": ExtraKind(of="bond", to="edge")},
        )


def echelon(vectors: NDArray[np.int64]) -> list[list[int]]:
    """Rows (at most 3) that span the same lattice as (M, 3) whole vectors, in echelon form; whole numbers of any size."""
    rows = [row for row in np.unique(vectors, axis=0).tolist() if any(row)]
    done: list[list[int]] = []
    for column in range(3):
        while len(active := [row for row in rows if row[column]]) > 1:
            pivot = min(active, key=lambda row: abs(row[column]))
            for row in active:
                if row is not pivot:
                    factor = row[column] // pivot[column]
                    row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        if active:
            done.append(active[0])
            rows = [row for row in rows if row is not active[0]]
    return done


def _index(vectors: NDArray[np.int64]) -> int:
    """Greatest common divisor of the largest minors: 1 when the rows span all lattice points of their span."""
    rows = np.array(echelon(vectors), dtype=np.int64).reshape(-1, 3)
    if len(rows) == 0:
        return 1
    if len(rows) == 1:
        return int(np.gcd.reduce(rows[0]))
    if len(rows) == 2:
        return int(np.gcd.reduce(np.cross(rows[0], rows[1])))
    return abs(int(rows[0, 0] * rows[1, 1] * rows[2, 2]))
