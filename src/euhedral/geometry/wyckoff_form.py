"""From atoms to occupied Wyckoff positions: one description for all equivalent ones.

A crystal can be written in its space group in several ways that differ by an operation of the group's Euclidean
normalizer (rock salt: Na on "a" or on "b"). `from_crystal` always chooses the same: the first letters, electropositive
elements first among equal letters, then the smallest coordinates; along a polar axis the first atom is at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import MAX_NUMBER, SYMBOLS, element
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.symmetry import Symmetry, symmetry
from euhedral.geometry.wyckoff import LETTERS, WyckoffCrystal, polar_axes, wyckoff_positions

_ON_POSITION = 1e-4  # fractional; refined coordinates are exact to about 1e-8
_KEY_DECIMALS = 3


@cache
def electropositivity_rank() -> NDArray[np.int64]:
    """Return (119,) the place of each atomic number when elements are sorted by electronegativity; unknown ones last."""
    values = [element(SYMBOLS[number]).electronegativity for number in range(1, MAX_NUMBER + 1)]
    order = sorted(range(1, MAX_NUMBER + 1), key=lambda number: (values[number - 1] or 9.0, number))
    rank = np.zeros(MAX_NUMBER + 1, dtype=np.int64)
    rank[order] = np.arange(1, MAX_NUMBER + 1)
    rank.setflags(write=False)
    return rank


def from_crystal(crystal: Crystal, *, symprec: float = 0.01) -> WyckoffCrystal:
    """Write a crystal as its space group, its conventional cell and occupied Wyckoff positions.

    Sites are sorted by letter, then from electropositive to electronegative, then by coordinates.

    Args:
        crystal: any cell of it.
        symprec: Angstrom, how far an atom may lie from its symmetric place.

    Raises:
        InvalidCrystalError: no space group fits within the tolerance.
    """
    found = symmetry(crystal, symprec=symprec)
    group = wyckoff_positions(found.number)[-1].operators
    atoms = _one_atom_per_orbit(found, group)
    points, numbers = found.standard.frac[atoms], found.standard.numbers[atoms]
    rank = electropositivity_rank()[numbers]
    best_key: tuple[tuple[float, ...], ...] | None = None
    best: tuple[NDArray, NDArray, NDArray] | None = None
    for indices, moved in _equivalent_descriptions(found, group, atoms, points, rank):
        for frac, order in _gauged(moved, indices, rank, group=group, space_group=found.number):
            key = tuple(tuple(row) for row in np.round(frac[order], _KEY_DECIMALS))
            if best_key is None or key < best_key:
                best_key, best = key, (frac[order], indices[order], numbers[order])
    if best is None:
        raise InvalidCrystalError(
            f"crystal {crystal.id!r}: its atoms do not fit the Wyckoff positions of space group {found.number} "
            f"within {symprec} Å; try another symprec"
        )
    frac, indices, numbers = best
    return WyckoffCrystal(
        space_group=found.number,
        cell=found.standard.cell,
        letters=tuple(LETTERS[index] for index in indices),
        numbers=numbers,
        frac=frac,
        id=crystal.id,
    )


def _one_atom_per_orbit(found: Symmetry, group: NDArray) -> NDArray[np.int64]:
    frac, numbers = found.standard.frac, found.standard.numbers
    free = np.ones(len(frac), dtype=bool)
    atoms = []
    for atom in range(len(frac)):
        if not free[atom]:
            continue
        atoms.append(atom)
        images = group[:, :, :3] @ frac[atom] + group[:, :, 3]
        difference = frac[None] - images[:, None]
        near = (np.abs(difference - np.round(difference)) < _ON_POSITION).all(-1).any(0)
        free &= ~(near & (numbers == numbers[atom]))
    return np.array(atoms)


def _equivalent_descriptions(
    found: Symmetry, group: NDArray, atoms: NDArray, points: NDArray, rank: NDArray
) -> list[tuple[NDArray, NDArray]]:
    """Find the letters (as indices) and moved points of each normalizer operation that gives the first letters."""
    try:
        normalizer = found.dataset.normalizer_wyckoff_positions(preserve_chirality=True)
    except ValueError as error:
        raise InvalidCrystalError(
            f"crystal {found.standard.id!r}: the normalizer of space group {found.number} is ambiguous within "
            f"{found.symprec} Å ({error}); try a smaller symprec"
        ) from error
    metric = found.standard.cell @ found.standard.cell.T
    cosets = normalizer.coset_representatives
    linears, shifts = _actions([operation for operation, _ in cosets])
    choices = []
    for which in np.flatnonzero(_isometric(linears, metric=metric)):
        sequence = cosets[which][1]
        indices = np.array([LETTERS.index(sequence[atom].letter) for atom in atoms])
        choices.append((sorted(zip(indices.tolist(), rank.tolist(), strict=True)), indices, which))
    first = min(choice[0] for choice in choices)
    inner, moves = _actions(normalizer.stabilizer)
    kept: list[int] = []
    for which in np.flatnonzero(_isometric(inner, metric=metric)):
        back = np.linalg.inv(inner[kept])
        if not _any_in_group(
            inner[which] @ back, moves[which] - (inner[which] @ back @ moves[kept, :, None])[..., 0], group
        ):
            kept.append(int(which))
    return [
        (indices, (points @ inner[own].T + moves[own]) @ linears[which].T + shifts[which])
        for key, indices, which in choices
        if key == first
        for own in kept
    ]


def _actions(operations: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read operations of the normalizer as what they do to coordinates: x' = W x + w, (k, 3, 3) and (k, 3)."""
    linear = np.array([operation.linear for operation in operations], dtype=np.float64)
    shift = np.array([operation.origin_shift for operation in operations], dtype=np.float64)
    return linear.reshape(-1, 3, 3), shift.reshape(-1, 3)


def _isometric(linears: NDArray, *, metric: NDArray) -> NDArray[np.bool_]:
    changed = linears.transpose(0, 2, 1) @ metric @ linears
    return (np.abs(changed - metric) <= 1e-3 * np.abs(metric).max()).all((1, 2))


def _any_in_group(linears: NDArray, shifts: NDArray, group: NDArray) -> bool:
    difference = group[None, :, :, 3] - shifts[:, None]
    same = (np.abs(difference - np.round(difference)) < _ON_POSITION).all(-1)
    return bool((same & (group[None, :, :, :3] == np.round(linears)[:, None]).all((2, 3))).any())


def _gauged(
    points: NDArray, indices: NDArray, rank: NDArray, *, group: NDArray, space_group: int
) -> list[tuple[NDArray, NDArray]]:
    """Place points on their positions' first points and sort them, once for each origin on a polar axis."""
    polar = polar_axes(space_group)
    frac = _representatives(points, indices, group=group, space_group=space_group)
    if frac is None:
        return []
    if not polar.any():
        return [(frac, np.lexsort((*frac.T[::-1], rank, indices)))]
    result = []
    leading = np.lexsort((rank, indices))[0]
    for site in np.flatnonzero((indices == indices[leading]) & (rank == rank[leading])):
        moved = _representatives(frac - frac[site] * polar, indices, group=group, space_group=space_group)
        if moved is None:
            continue
        order = np.lexsort((*moved.T[::-1], rank, indices))
        if (moved[order[0]][polar] < _ON_POSITION).all():
            moved[order[0]] *= ~polar
            result.append((moved, order))
    return result


def _representatives(points: NDArray, indices: NDArray, *, group: NDArray, space_group: int) -> NDArray | None:
    """Choose from each orbit the point with the smallest coordinates that lies on the position's first point."""
    table = wyckoff_positions(space_group)
    result = np.empty_like(points)
    for site, index in enumerate(indices):
        images = group[:, :, :3] @ points[site] + group[:, :, 3]
        images -= np.floor(images + 1e-6)
        projected = table[index].project(images)
        difference = projected - images
        on = (np.abs(difference - np.round(difference)) < _ON_POSITION).all(-1)
        if not on.any():
            return None
        candidates = images[on]
        keys = np.round(candidates, _KEY_DECIMALS + 1)
        chosen = table[index].project(candidates[np.lexsort(keys.T[::-1])[0]])
        chosen -= np.floor(chosen + 1e-9)
        result[site] = np.maximum(chosen, 0.0)
    return result
