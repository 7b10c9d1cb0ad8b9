"""Which atoms of periodic crystals are neighbours, through which cell boundary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import InvalidRequestError

# More pairs than this in one call is a mistake in the cutoff, not a wish; they would need 10 GB.
_MOST_PAIRS: Final = 200_000_000
# More of the nearest than this are all neighbours within some radius, which are found without sorting.
_MOST_NEAREST: Final = 10_000
# From this many atoms on, sorting them into columns costs less than looking at all pairs.
_COLUMNED_FROM: Final = 64


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Directed pairs of neighbours; those of one target stand together.

    Args:
        source: (E,) int64 the neighbour.
        target: (E,) int64 the centre.
        image: (E, 3) int64 cell translations of the neighbour, relative to the coordinates as given.
        distance: (E,) Angstrom.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    image: NDArray[np.int64]
    distance: NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.source.size)


def neighbours_within(cell: ArrayLike, *, frac: ArrayLike, n_atoms: ArrayLike, cutoff: float) -> Neighbours:
    """Find all neighbours within a radius, every periodic image of an atom counted, itself at distance zero not.

    Pairs are ordered by target; the order of one target's pairs is fixed by the crystal, and is not that of distance.

    Args:
        cell: (B, 3, 3) Angstrom, rows a, b, c.
        frac: (N, 3) fractional coordinates; they need not be wrapped.
        n_atoms: (B,) atoms in each crystal.
        cutoff: Angstrom.

    Raises:
        InvalidRequestError: the cutoff is not a positive number, or so large that the pairs would not fit.
    """
    from euhedral.geometry.neighbour_kernels import within

    cells, coordinates, offsets = _flat(cell, frac, n_atoms)
    if not (np.isfinite(cutoff) and cutoff > 0.0):
        raise InvalidRequestError(f"the cutoff must be a positive number of Angstrom, got {cutoff}")
    counts = np.diff(offsets)
    expected = float((counts**2 / np.abs(np.linalg.det(cells))).sum() * 4.0 / 3.0 * np.pi * float(cutoff) ** 3)
    if expected > _MOST_PAIRS:
        raise InvalidRequestError(
            f"a cutoff of {cutoff:g} Angstrom gives about {expected:.1e} pairs; choose a smaller one (5 to 12 is usual)"
        )

    def search(*lists: Any) -> tuple[int, int]:
        return within(cells, coordinates, offsets, float(cutoff), _COLUMNED_FROM, *lists)

    return _collected(search, n_crystals=len(cells), room=int(1.1 * expected) + 64)


def nearest_neighbours(
    cell: ArrayLike, *, frac: ArrayLike, n_atoms: ArrayLike, k: int, tie: float, strict: bool = False, largest: float = np.inf,
) -> Neighbours:  # fmt: skip
    """Find the nearest neighbours of every atom, nearest first.

    Whole shells: a neighbour not more than `tie` beyond the k-th is in too, so that which atoms are neighbours does not
    depend on rounding. The strict rule takes exactly k (fewer when the largest radius holds fewer); atoms that tie are
    then taken in order of their position in the crystal.

    Args:
        cell: (B, 3, 3) Angstrom, rows a, b, c.
        frac: (N, 3) fractional coordinates; they need not be wrapped.
        n_atoms: (B,) atoms in each crystal.
        k: how many, at least 1.
        tie: Angstrom.
        strict: cut the last shell.
        largest: Angstrom; nothing beyond it is a neighbour.

    Raises:
        InvalidRequestError: k is below 1 or so large that the pairs would not fit, or a radius is not a positive number.
    """
    from euhedral.geometry.nearest_kernels import nearest

    cells, coordinates, offsets = _flat(cell, frac, n_atoms)
    if k < 1:
        raise InvalidRequestError(f"k must be at least 1 neighbour, got {k}")
    if not largest > 0.0 or not (np.isfinite(tie) and tie >= 0.0):
        raise InvalidRequestError(
            f"the largest radius must be positive and the tie not negative, got {largest} and {tie}"
        )
    if k > _MOST_NEAREST:
        raise InvalidRequestError(
            f"k must be at most {_MOST_NEAREST} neighbours, got {k}; take all within a radius instead"
        )
    if k * len(coordinates) > _MOST_PAIRS // 4:
        raise InvalidRequestError(f"{k} neighbours of {len(coordinates)} atoms are too many pairs; 12 to 50 is usual")

    def search(*lists: Any) -> tuple[int, int]:
        return nearest(cells, coordinates, offsets, int(k), float(largest), float(tie), strict, _COLUMNED_FROM, *lists)

    return _collected(search, n_crystals=len(cells), room=len(coordinates) * (k + k // 2 + 4) + 16)


def _collected(search: Callable[..., tuple[int, int]], *, n_crystals: int, room: int) -> Neighbours:
    """Run a search, which stops at the crystal whose pairs do not fit, with ever longer lists until all are done."""
    source, target, image, distance = _lists(room)
    crystal = count = 0
    while True:
        crystal, count = search(source, target, image, distance, crystal, count)
        if crystal == n_crystals:
            return Neighbours(source[:count], target[:count], image[: 3 * count].reshape(-1, 3), distance[:count])
        room *= 2
        longer = _lists(room)
        for old, new in zip((source, target, image, distance), longer, strict=True):
            kept = count * (old.size // source.size)
            new[:kept] = old[:kept]
        source, target, image, distance = longer


def _lists(room: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    return np.empty(room, np.int64), np.empty(room, np.int64), np.empty(3 * room, np.int64), np.empty(room)


def _flat(cell: ArrayLike, frac: ArrayLike, n_atoms: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    cells = np.ascontiguousarray(cell, dtype=np.float64)
    coordinates = np.ascontiguousarray(frac, dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum(np.asarray(n_atoms, dtype=np.int64))])
    if (
        cells.ndim != 3
        or cells.shape[1:] != (3, 3)
        or coordinates.shape != (offsets[-1], 3)
        or len(offsets) != len(cells) + 1
    ):
        raise InvalidRequestError(
            f"cells {cells.shape}, coordinates {coordinates.shape} and {len(offsets) - 1} atom counts do not belong together"
        )
    if not (np.isfinite(cells).all() and np.isfinite(coordinates).all()):
        raise InvalidRequestError("a cell or coordinate is NaN or infinite; no neighbours can be found")
    return cells, coordinates, offsets
