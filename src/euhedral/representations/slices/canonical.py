"""One string for one net: the order of atoms, their translations and the lattice vectors are chosen by the net itself.

Two labelled quotient graphs describe the same net when they differ by the order of atoms, by lattice translations of single atoms
and by a unimodular change of the lattice vectors. As in Systre (Delgado-Friedrichs and O'Keeffe 2003,
doi:10.1107/S0108767303012017) the barycentric placement makes the choice finite: it gives the net a metric and its atoms places
that do not depend on how it was described. Here the lattice vectors are those of the lexicographically first Gram matrix in that
metric, the origin is an atom of the rarest class, and atoms go by element and place in the cell; of the descriptions that are left (as many as the
lattice has rotations, times the atoms of the class) the first in order is taken. Atoms that fall on the same place,
which Systre refuses, are told apart by their bonds, and every order that is left is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidCrystalError
from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices.barycentric import Placement, barycentric, reducing
from euhedral.representations.slices.net import complete

# Places and squared lengths that differ by less are the same: they are fractions of small whole numbers.
_TOLERANCE: Final = 1e-6
# Orders of indistinct atoms that are tried for one choice of lattice vectors; equal atoms beyond it would take for ever.
_MOST_ORDERS: Final = 5040
# Gram matrices that are tried until one needs no label beyond 1.
_MOST_GRAMS: Final = 40


def canonical(net: LabelledQuotientGraph) -> LabelledQuotientGraph:
    """Describe a net in the one way that depends on nothing but the net.

    Raises:
        InvalidCrystalError: the bonds do not hold a three-periodic crystal together, or in no lattice basis do all of them
            end in the next cell, or the net has more indistinct atoms than can be put in order.
    """
    if not complete(net):
        raise InvalidCrystalError("the bonds do not hold together a crystal that repeats in three directions")
    placement = barycentric(net)
    anchors = _rarest(net, placement)
    everyone = np.arange(len(net))
    for tight in (False, True):
        for bases in _reduced_bases(placement.metric):
            best = _first(net, placement, bases=bases, anchors=anchors if not tight else everyone, tight=tight)
            if best is not None:
                return best
    raise InvalidCrystalError(
        "some bond leads beyond the next cell in every choice of cell; SLICES has no letters for it"
    )


def _first(
    net: LabelledQuotientGraph,
    placement: Placement,
    *,
    bases: NDArray[np.int64],
    anchors: NDArray[np.int64],
    tight: bool,
) -> LabelledQuotientGraph | None:
    """Find the first description among all choices of basis, origin and order; None when all need labels beyond 1."""
    best: tuple[Any, ...] | None = None
    chosen: LabelledQuotientGraph | None = None
    for basis in bases:
        inverse = np.rint(np.linalg.inv(basis)).astype(np.int64)
        frac, labels = placement.frac @ inverse, net.image @ inverse
        for anchor in anchors:
            place = frac - frac[anchor]
            cell = np.floor(place + _TOLERANCE).astype(np.int64)
            moved = labels + cell[net.target] - cell[net.source]
            if tight and np.abs(moved).max() > 1:
                fitted = _fitted(net, labels=labels, anchor=int(anchor))
                if fitted is None:
                    break
                moved = labels + fitted[net.target] - fitted[net.source]
            if np.abs(moved).max() > 1:
                continue
            for order in _orders(net, place - cell, moved):
                described = _reordered(net, order=order, labels=moved)
                key = (int(np.abs(described.image).sum()), *_rows(described))
                if best is None or key < best:
                    best, chosen = key, described
    return chosen


def _reordered(
    net: LabelledQuotientGraph, *, order: NDArray[np.int64], labels: NDArray[np.int64]
) -> LabelledQuotientGraph:
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return LabelledQuotientGraph.from_bonds(
        net.numbers[order], source=position[net.source], target=position[net.target], image=labels
    )


def _rows(net: LabelledQuotientGraph) -> tuple[list[int], list[int], list[list[int]]]:
    return net.source.tolist(), net.target.tolist(), net.image.tolist()


def _fitted(net: LabelledQuotientGraph, *, labels: NDArray[np.int64], anchor: int) -> NDArray[np.int64] | None:
    """(n, 3) translations of the atoms with which no label exceeds 1, or None: shortest paths over difference constraints."""
    large = 1 << 30
    first, second = net.source, net.target
    move = np.full((len(net), 3), large, dtype=np.int64)
    move[anchor] = 0
    for _ in range(len(net) + 1):
        before = move.copy()
        # label + move[second] - move[first] <= 1 and >= -1
        np.minimum.at(move, second, np.minimum(before[first] + 1 - labels, large))
        np.minimum.at(move, first, np.minimum(before[second] + 1 + labels, large))
        if np.array_equal(before, move):
            return move
    return None


def _reduced_bases(metric: NDArray[np.float64]) -> Iterator[NDArray[np.int64]]:
    """Yield groups (k, 3, 3) of bases with one Gram matrix each, in lexicographic order; rows in units of the present vectors."""
    start = reducing(metric)
    gram = start @ metric @ start.T
    steps = np.arange(-2, 3)
    vectors = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    vectors = vectors[vectors.any(axis=1)]
    norms = np.einsum("vi,ij,vj->v", vectors, gram, vectors)
    order = np.argsort(norms, kind="stable")
    vectors, norms = vectors[order], norms[order]
    # whole shells: three successive minima first, some more in case that the first need labels beyond 1
    shortest = norms[_third_minimum(vectors)]
    for reach in (1.0 + _TOLERANCE, 1.7):
        few = vectors[norms <= shortest * reach]
        triples = np.stack(np.meshgrid(*[np.arange(len(few))] * 3, indexing="ij"), -1).reshape(-1, 3)
        bases = few[triples]
        bases = bases[np.abs(np.rint(np.linalg.det(bases))) == 1]
        products = np.einsum("kai,ij,kbj->kab", bases, gram, bases)
        keys = products[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
        for count, group in enumerate(_groups(keys, tolerance=_TOLERANCE * shortest)):
            if count == _MOST_GRAMS or (reach < 1.5 and count):
                break
            yield bases[group] @ start


def _groups(keys: NDArray[np.float64], *, tolerance: float) -> Iterator[NDArray[np.int64]]:
    """Yield the rows that are equal within a tolerance together, in lexicographic order."""
    waiting = np.arange(len(keys))
    while len(waiting):
        group = waiting
        for column in range(keys.shape[1]):
            value = keys[group, column]
            group = group[value <= value.min() + tolerance]
        yield group
        waiting = np.setdiff1d(waiting, group, assume_unique=True)


def _third_minimum(vectors: NDArray[np.int64]) -> int:
    """Index of the vector with which vectors, in the order given, first span space."""
    chosen: list[int] = []
    for index in range(len(vectors)):
        if np.linalg.matrix_rank(vectors[[*chosen, index]]) == len(chosen) + 1:
            chosen.append(index)
            if len(chosen) == 3:
                break
    return chosen[-1]


def _rarest(net: LabelledQuotientGraph, placement: Placement) -> NDArray[np.int64]:
    """(k,) the atoms of the class with the fewest members, of several such the first; classes by colour refinement."""
    square = np.einsum("ei,ij,ej->e", placement.vectors, placement.metric, placement.vectors)
    length = _ranked(square[:, None])
    first, second = net.source, net.target
    bonds = np.concatenate([np.stack([first, length, second], 1), np.stack([second, length, first], 1)])
    colour = np.unique(net.numbers, return_inverse=True)[1]
    while True:
        refined = _refined(colour, bonds)
        if refined.max() == colour.max():
            break
        colour = refined
    count = np.bincount(colour)
    return np.flatnonzero(colour == np.argmin(count))


def _refined(colour: NDArray[np.int64], bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) colours by own colour and those along the bonds (atom, kind of bond, neighbour); the old order is kept."""
    seen: list[list[tuple[int, int]]] = [[] for _ in colour]
    for i, kind, j in bonds.tolist():
        seen[i].append((kind, int(colour[j])))
    keys = [(int(own), sorted(around)) for own, around in zip(colour, seen, strict=True)]
    rank = {_frozen(key): place for place, key in enumerate(_distinct(sorted(keys)))}
    return np.array([rank[_frozen(key)] for key in keys], dtype=np.int64)


def _frozen(key: tuple[int, list[tuple[int, int]]]) -> tuple[int, tuple[tuple[int, int], ...]]:
    return key[0], tuple(key[1])


def _distinct(ordered: list[Any]) -> list[Any]:
    return ordered[:1] + [after for before, after in pairwise(ordered) if after != before]


def _ranked(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) ranks of rows in lexicographic order, rows that are equal within the tolerance alike."""
    columns = [_steps(column) for column in values.T]
    return np.unique(np.stack(columns, 1), axis=0, return_inverse=True)[1].reshape(-1)


def _steps(values: NDArray[np.float64]) -> NDArray[np.int64]:
    order = np.argsort(values, kind="stable")
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.concatenate([[0], np.cumsum(np.diff(values[order]) > _TOLERANCE)])
    return rank


def _orders(
    net: LabelledQuotientGraph, place: NDArray[np.float64], labels: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """Yield the orders of atoms by element and place; atoms that share both are told apart by their bonds, then all ways."""
    colour = np.unique(np.stack([net.numbers, _ranked(place)], 1), axis=0, return_inverse=True)[1].reshape(-1)
    if colour.max() == len(net) - 1:
        yield np.argsort(colour)
        return
    first, second = net.source, net.target
    kind = (labels + 1) @ np.array([9, 3, 1])
    bonds = np.concatenate([np.stack([first, kind, second], 1), np.stack([second, 26 - kind, first], 1)])
    found = 0
    waiting = [colour]
    while waiting:
        colour = waiting.pop()
        while True:
            refined = _refined(colour, bonds)
            if refined.max() == colour.max():
                break
            colour = refined
        count = np.bincount(colour)
        if count.max() == 1:
            found += 1
            yield np.argsort(colour)
            continue
        if found + len(waiting) > _MOST_ORDERS:
            raise InvalidCrystalError("too many atoms have the same bonds; their order cannot be made unique")
        tied = np.flatnonzero(colour == np.flatnonzero(count > 1)[0])
        for atom in tied[:1] if _interchangeable(tied, bonds) else tied:
            alone = 2 * colour
            alone[atom] -= 1
            waiting.append(np.unique(alone, return_inverse=True)[1].reshape(-1))


def _interchangeable(atoms: NDArray[np.int64], bonds: NDArray[np.int64]) -> bool:
    """Whether atoms have the same bonds to the same others and none among themselves."""
    seen = {int(atom): sorted(map(tuple, bonds[bonds[:, 0] == atom][:, 1:].tolist())) for atom in atoms}
    inside = np.isin(bonds[:, 0], atoms) & np.isin(bonds[:, 2], atoms)
    return not inside.any() and all(around == seen[int(atoms[0])] for around in seen.values())
