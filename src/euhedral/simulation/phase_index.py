"""Which reference phases compete with a composition, and the hull of any chemical system among them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS
from euhedral.data.dataset import Dataset
from euhedral.errors import InvalidRequestError
from euhedral.metrics.hull import LowerHull

# Subsets of more elements than this are more than there are systems of phases.
_SUBSETS_OF = 12


@dataclass(frozen=True, eq=False)
class PhaseIndex:
    """The reference phases by chemical system.

    Args:
        phases: the reference phases.
        exclude_systems: chemical systems ("Al-O-Rb") whose own phases are left out, as when a rediscovery is tested; the
            phases of their subsystems stay.

    Raises:
        InvalidRequestError: a system to exclude is a single element, without which no hull is defined, or is not
            written as symbols joined by hyphens.
    """

    phases: Dataset
    exclude_systems: Collection[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        normal = set()
        for system in self.exclude_systems:
            symbols = tuple(sorted(set(system.split("-"))))
            if len(symbols) < 2 or not set(symbols) <= set(SYMBOLS):
                raise InvalidRequestError(
                    f"cannot exclude the system {system!r}; expected two or more symbols such as 'Al-O-Rb'"
                )
            normal.add(symbols)
        object.__setattr__(self, "exclude_systems", frozenset("-".join(symbols) for symbols in normal))

    @cached_property
    def systems(self) -> dict[tuple[str, ...], NDArray[np.int64]]:
        """Positions of the phases of each chemical system, symbols in alphabetical order."""
        table = self.phases.element_table()
        keys = np.packbits(table, axis=1)
        _, first, owner = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(owner, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(owner.ravel()))[:-1])
        found = {}
        for row, part in zip(first, parts, strict=True):
            symbols = tuple(sorted(SYMBOLS[number] for number in np.flatnonzero(table[row])))
            if "-".join(symbols) not in self.exclude_systems:
                found[symbols] = part
        return found

    def within(self, elements: Sequence[str]) -> NDArray[np.int64]:
        """(M,) positions of the phases that have no other elements than these."""
        symbols = tuple(sorted(set(elements)))
        if len(symbols) <= _SUBSETS_OF:
            subsets = (part for size in range(1, len(symbols) + 1) for part in combinations(symbols, size))
            parts = [self.systems[part] for part in subsets if part in self.systems]
        else:
            parts = [rows for system, rows in self.systems.items() if set(system) <= set(symbols)]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)

    def competing(
        self, elements: Sequence[str], *, energies: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find the phases of a chemical system whose energy is known.

        Args:
            elements: k symbols.
            energies: (n,) eV/atom of every phase; NaN leaves it out.

        Returns:
            (M,) positions among the phases and (M, k) atomic fractions.
        """
        rows = self.within(elements)
        rows = rows[np.isfinite(energies[rows])]
        return rows, self.phases.select(rows).fractions(elements)

    def heights(
        self, energies: NDArray[np.float64], *, leave_out_itself: bool, wanted: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Place phases relative to the hull of the phases.

        Args:
            energies: (n,) eV/atom; NaN where not known.
            leave_out_itself: place each phase relative to the others, so that a stable one lies below zero.
            wanted: (n,) which phases to place; all when None.

        Returns:
            (n,) eV/atom; NaN where the energy is not known, the phase is not wanted or excluded, or its elements have no
            hull.
        """
        height = np.full(len(self.phases), np.nan)
        for system, members in self.systems.items():
            mine = members if wanted is None else members[wanted[members]]
            if not len(mine):
                continue
            rows, compositions = self.competing(system, energies=energies)
            try:
                hull = LowerHull(compositions=compositions, energies=energies[rows])
            except InvalidRequestError:
                continue  # no phase of one of the pure elements with a known energy
            fractions = self.phases.select(mine).fractions(system)
            height[mine] = hull.distance(fractions, energies=energies[mine]).distance
            if not leave_out_itself:
                continue
            own = np.flatnonzero(np.isin(rows[hull.stable], mine))
            for place in hull.stable[own]:
                others = np.delete(np.arange(len(rows)), place)
                try:
                    rest = LowerHull(compositions=hull.compositions[others], energies=hull.energies[others])
                except InvalidRequestError:
                    height[rows[place]] = np.nan  # the only phase of an element
                    continue
                alone = rest.distance(hull.compositions[[place]], energies=hull.energies[[place]])
                height[rows[place]] = alone.distance[0]
        return height
