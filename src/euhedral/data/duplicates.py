"""Crystals that are the same structure under two names, within one data set or in two.

Comparing every pair with the structure matcher would take days for ten thousand carbon crystals. Two crystals are
compared only when they have one formula and nearly one distribution of distances: for each pair of elements (A, B)

    f_m = 1/N sum_(i in A, j in B) (1 - x_ij^2)^2 cos(m pi x_ij),   x_ij = d_ij / (2.6 (V/N)^(1/3)),   x_ij < 1

which does not depend on the cell chosen and changes smoothly with the atoms. Crystals with other f are other
structures; with equal f they may still differ (stacking far apart), so the matcher decides.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.data.columnar import Column
from euhedral.data.dataset import Dataset
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.matching import Matcher
from euhedral.geometry.neighbours import neighbours_within

_log = logging.getLogger(__name__)

#: Called with what is being done, how much of it is done, and how much there is in all.
Progress = Callable[[str, int, int | None], None]

_CUTOFF: Final = 2.6  # in units of (V/N)^(1/3); about 74 neighbours
_HARMONICS: Final = 16
_BATCH: Final = 1000


def fingerprints(crystals: Sequence[Crystal]) -> list[NDArray[np.float64]]:
    """Describe the distances in each crystal, one number for each harmonic and ordered pair of its elements.

    Args:
        crystals: any.

    Returns:
        For each crystal with k elements (k * k * 16,), elements in order of atomic number.
    """
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(crystals), _BATCH):
        part = crystals[start : start + _BATCH]
        counts = np.array([len(crystal) for crystal in part])
        cells = np.stack([crystal.cell / np.cbrt(crystal.volume / len(crystal)) for crystal in part])
        frac = np.concatenate([crystal.frac for crystal in part])
        pairs = neighbours_within(cells, frac=frac, n_atoms=counts, cutoff=_CUTOFF)
        species = [np.unique(crystal.numbers, return_inverse=True) for crystal in part]
        kind = np.concatenate([position for _, position in species])
        kinds = np.array([len(elements) for elements, _ in species])
        bounds = np.concatenate([[0], np.cumsum(kinds**2)])
        owner = np.repeat(np.arange(len(part)), counts)[pairs.target]
        slot = bounds[owner] + kind[pairs.target] * kinds[owner] + kind[pairs.source]
        x = pairs.distance / _CUTOFF
        window = (1.0 - x**2) ** 2
        sums = [
            np.bincount(slot, weights=window * np.cos(m * np.pi * x), minlength=int(bounds[-1]))
            for m in range(_HARMONICS)
        ]
        table = np.stack(sums, axis=1)
        found += [(table[bounds[i] : bounds[i + 1]] / counts[i]).ravel() for i in range(len(part))]
    return found


def duplicate_of(
    crystals: Sequence[Crystal],
    *,
    matcher: Matcher | None = None,
    reach: float = np.inf,
    joined: NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """Find for each crystal the first one that is the same structure.

    Being the same is passed on: a crystal like a second that is like a third belongs to all three. A crystal that the
    matcher cannot reduce to a primitive cell counts as new, and the log names it.

    Args:
        crystals: any.
        matcher: decides; the usual tolerances when not given.
        reach: largest difference of fingerprints at which two crystals are compared.
        joined: (n,) position of an earlier crystal that is known to be the same, or the crystal's own.
        progress: called now and then.

    Returns:
        (n,) position of the first crystal of the same structure; its own position for those that are new.
    """
    judge = _Judge(matcher or Matcher())
    leader = np.arange(len(crystals)) if joined is None else joined.copy()

    def root(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = int(leader[i])
        return i

    for first, second in _candidates(crystals, reach=reach, progress=progress):
        a, b = sorted((root(first), root(second)))
        if a != b and judge.same(crystals[first], crystals[second]):
            leader[b] = a
    return np.array([root(i) for i in range(len(crystals))], dtype=np.int64)


def mark_duplicates(
    dataset: Dataset, *, matcher: Matcher | None = None, reach: float = np.inf, progress: Progress | None = None
) -> Dataset:
    """Add the column `duplicate_of`, the id of the first crystal of the same structure; empty for those that are new.

    Random splits of the result keep duplicates in one part.

    Args:
        dataset: any.
        matcher: decides; the usual tolerances when not given.
        reach: largest difference of fingerprints at which two crystals are compared.
        progress: called now and then.
    """
    first = duplicate_of(list(dataset), matcher=matcher, reach=reach, progress=progress)
    ids = dataset.ids
    names = np.where(first == np.arange(len(first)), "", ids[first])
    note = "the first crystal of the same structure; empty for the first"
    return dataset.with_column(Column(name="duplicate_of", kind="text", note=note), values=names.tolist())


class _Judge:
    """Asks the matcher; a crystal that it cannot handle is like no other, and is named once."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._unusable: set[str] = set()

    def same(self, first: Crystal, second: Crystal) -> bool:
        if first.id in self._unusable or second.id in self._unusable:
            return False
        try:
            return self._matcher.matches(first, second)
        except InvalidCrystalError:
            self._find_unusable(first, second)
            return False

    def _find_unusable(self, *crystals: Crystal) -> None:
        for crystal in crystals:
            try:
                self._matcher.matches(crystal, crystal)
            except InvalidCrystalError as error:
                self._unusable.add(crystal.id)
                _log.warning("%s cannot be compared and counts as different from all: %s", crystal.id, error)


def shared_structures(
    first: Sequence[Crystal], second: Sequence[Crystal], *, matcher: Matcher | None = None, reach: float = np.inf,
    progress: Progress | None = None,
) -> list[tuple[int, int]]:  # fmt: skip
    """Find the crystals of one set that are in another, whatever they are called there.

    Args:
        first: any crystals.
        second: the others.
        matcher: decides; the usual tolerances when not given.
        reach: largest difference of fingerprints at which two crystals are compared.
        progress: called now and then.

    Returns:
        For each crystal of `first` that is in `second`: its position, and that of the most similar one that matches.
    """
    judge = _Judge(matcher or Matcher())
    both = [*first, *second]
    found: dict[int, int] = {}
    for a, b in _candidates(both, reach=reach, across=len(first), progress=progress):
        if a not in found and judge.same(both[a], both[b]):
            found[a] = b - len(first)
    return sorted(found.items())


def _candidates(
    crystals: Sequence[Crystal], *, reach: float, across: int | None = None, progress: Progress | None
) -> Iterable[tuple[int, int]]:
    """Yield the pairs worth comparing, the most similar of each formula first; only pairs (below, from) `across`."""
    from scipy.spatial import KDTree

    groups: dict[str, list[int]] = defaultdict(list)
    for position, crystal in enumerate(crystals):
        groups[formula(crystal.numbers)].append(position)
    several = [
        np.array(group)
        for group in groups.values()
        if len(group) > 1 and (across is None or group[0] < across <= group[-1])
    ]
    total = sum(len(group) for group in several)
    done = 0
    for group in several:
        described = np.stack(fingerprints([crystals[i] for i in group]))
        pairs = KDTree(described).query_pairs(reach, p=np.inf, output_type="ndarray")
        apart = np.abs(described[pairs[:, 0]] - described[pairs[:, 1]]).max(axis=1, initial=0.0)
        for a, b in group[np.sort(pairs[np.argsort(apart, kind="stable")], axis=1)].tolist():
            if across is None or a < across <= b:
                yield a, b
        done += len(group)
        if progress is not None:
            progress("comparing structures", done, total)
