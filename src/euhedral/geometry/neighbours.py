"""Which atoms of periodic crystals are neighbours, through which cell boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.errors import InvalidRequestError

# More pairs than this in one call is a mistake in the cutoff, not a wish; they would need 80 GB.
_MOST_PAIRS: Final = 2_000_000_000
# From this many atoms on, sorting them into bins costs less than looking at all pairs.
_BINNED_FROM: Final = 200


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

    Pairs are ordered by target, then source; the order of the images of one source is fixed by the cell.

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
    return Neighbours(*within(cells, coordinates, offsets, float(cutoff), int(1.1 * expected) + 64, _BINNED_FROM))


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
        InvalidRequestError: k is below 1, or a radius is not a positive number.
    """
    from euhedral.geometry.neighbour_kernels import nearest

    cells, coordinates, offsets = _flat(cell, frac, n_atoms)
    if k < 1:
        raise InvalidRequestError(f"k must be at least 1 neighbour, got {k}")
    if not largest > 0.0 or not (np.isfinite(tie) and tie >= 0.0):
        raise InvalidRequestError(
            f"the largest radius must be positive and the tie not negative, got {largest} and {tie}"
        )
    return Neighbours(*nearest(cells, coordinates, offsets, int(k), float(largest), float(tie), strict, _BINNED_FROM))


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
