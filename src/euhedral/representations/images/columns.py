"""Atom columns: atoms behind one another in a projection, and what has become of each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError
from euhedral.representations.images.defects import DefectRecord

#: Name of the class of pixels beside all columns.
BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a specimen seen along a zone axis.

    Args:
        place: (m, 2) Angstrom, to the right and upwards: the mean of the atoms that are there; of an empty column, of
            those that are not.
        label: (m,) index into `classes`, 1 and more.
        classes: names; 0 is `BACKGROUND`. A column without defects is named by its atoms, "Se2"; another by those that
            should be there and those that are: "Se2: Se", "W: V", "Se2: empty".
        members: (n,) the column of each atom of the perfect specimen.
    """

    place: NDArray[np.float64]
    label: NDArray[np.int64]
    classes: tuple[str, ...]
    members: NDArray[np.int64]


def find_columns(
    projected: NDArray[np.float64], *, record: DefectRecord, frame: NDArray[np.float64], tolerance: float,
    classes: Sequence[str] | None = None, id: str = "",  # noqa: A002
) -> Columns:  # fmt: skip
    """Group atoms into columns and name each by what it should hold and what it holds.

    Args:
        projected: (n, 2) Angstrom, atoms of the perfect specimen in the picture.
        record: what became of each.
        frame: (3, 3) axes of the picture.
        tolerance: Angstrom; atoms nearer than this in projection are in one column, as are those linked by others.
        classes: the names to number by, beside the background; None takes those that occur.
        id: the crystal's name, for errors.

    Raises:
        InvalidRequestError: a tolerance that is not positive, or a column of a class that is not among those given.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    if not (np.isfinite(tolerance) and tolerance > 0.0):
        raise InvalidRequestError(f"crystal {id!r}: columns need a positive tolerance in Å, got {tolerance}")
    points, which = distinct(projected)
    pairs = KDTree(points).query_pairs(tolerance, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(points),) * 2)
    count, groups = connected_components(links, directed=False)
    members = groups[which]
    moved = projected + record.shift @ frame[:2].T
    place = _means(moved, members=members, chosen=record.kept, count=count)
    empty = np.bincount(members[record.kept], minlength=count) == 0
    place[empty] = _means(projected, members=members, chosen=~record.kept, count=count)[empty]
    species = np.unique(np.concatenate([record.before, record.after[record.kept]]))
    should = np.zeros((count, len(species)), np.int64)
    holds = np.zeros_like(should)
    np.add.at(should, (members, np.searchsorted(species, record.before)), 1)
    np.add.at(holds, (members[record.kept], np.searchsorted(species, record.after[record.kept])), 1)
    states, state = np.unique(np.hstack([should, holds]), axis=0, return_inverse=True)
    names = []
    for counts in states:
        ideal, real = (_formula(species, part) for part in np.split(counts, 2))
        names.append(ideal if ideal == real else f"{ideal}: {real}")
    known = (BACKGROUND, *(sorted(set(names)) if classes is None else classes))
    for name in names:
        if name not in known:
            raise InvalidRequestError(
                f"crystal {id!r}: a column is {name!r}, which is not among the classes {list(known[1:])}"
            )
    numbers = np.array([known.index(name) for name in names])
    return Columns(place=place, label=numbers[state.ravel()], classes=known, members=members)


def distinct(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the distinct points of (n, 2), to a millionth of an Angstrom, and which of them each one is."""
    rounded = np.round(points, 6)
    order = np.lexsort(rounded.T)
    first = np.append(True, (np.diff(rounded[order], axis=0) != 0.0).any(1))
    which = np.empty(len(points), np.int64)
    which[order] = np.cumsum(first) - 1
    return points[order][first], which


def _means(
    values: NDArray[np.float64], *, members: NDArray[np.int64], chosen: NDArray[np.bool_], count: int
) -> NDArray[np.float64]:
    heads = np.bincount(members[chosen], minlength=count)
    sums = [np.bincount(members[chosen], weights=values[chosen, axis], minlength=count) for axis in range(2)]
    return np.stack(sums, -1) / np.maximum(heads, 1)[:, None]


def _formula(species: NDArray[np.int64], counts: NDArray[np.int64]) -> str:
    parts = [
        SYMBOLS[number] + (str(n) if n > 1 else "")
        for number, n in zip(species.tolist(), counts.tolist(), strict=True)
        if n
    ]
    return "".join(sorted(parts)) or "empty"
