"""When two crystals are the same structure.

The verdict is that of pymatgen's StructureMatcher (Ong et al. 2013, doi:10.1016/j.commatsci.2012.10.028) with primitive
cells and scaled volumes: lattices are laid over each other in every way that lengths and angles allow within a tolerance,
each atom is paired with one of its kind, and the largest displacement that is left, in units of
(volume per atom)^(1/3), must be small.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError

# Angstrom; atoms that a lattice translation maps this near to each other are the same in the primitive cell. The first is
# pymatgen's; where it joins what cannot be joined, the crystal is reduced with the next.
_PRIMITIVE_TOLERANCES: Final = (0.25, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class Matcher:
    """Decides whether two crystals are the same.

    Args:
        length_tolerance: relative difference of lattice vectors.
        site_tolerance: largest displacement, in units of (volume per atom)^(1/3).
        angle_tolerance: degrees.
    """

    length_tolerance: float = 0.2
    site_tolerance: float = 0.3
    angle_tolerance: float = 5.0

    def matches(self, first: Crystal, second: Crystal) -> bool:
        """Tell whether two crystals are the same."""
        return self._displacement(first, second, largest=True) is not None

    def displacement(self, first: Crystal, second: Crystal) -> float | None:
        """Return the least root mean square displacement in units of (volume per atom)^(1/3), or None when they differ."""
        return self._displacement(first, second, largest=False)

    def _displacement(self, first: Crystal, second: Crystal, *, largest: bool) -> float | None:
        if formula(first.numbers) != formula(second.numbers):
            return None
        a, b = _prepared(first), _prepared(second)
        if len(a.kind) != len(b.kind):
            return None
        from euhedral.geometry.matching_kernels import best_displacement, lattice_maps

        # both to the geometric mean of their volumes per cell
        va, vb = abs(np.linalg.det(a.cell)), abs(np.linalg.det(b.cell))
        middle = np.sqrt(va * vb)
        cell_a, cell_b = a.cell * (middle / va) ** (1 / 3), b.cell * (middle / vb) ** (1 / 3)
        maps = lattice_maps(cell_a, cell_b, self.length_tolerance, self.angle_tolerance)
        if not len(maps):
            return None
        kinds, counts = np.unique(a.kind, return_counts=True)
        anchor = int(np.flatnonzero(a.kind == kinds[np.argmin(counts)])[0])
        found = best_displacement(
            cell_a, a.frac, a.kind, cell_b, b.frac, b.kind, maps, anchor, self.site_tolerance, largest
        )
        return float(found) if np.isfinite(found) else None

    def groups(self, crystals: list[Crystal]) -> list[list[int]]:
        """Sort crystals into groups of the same structure; each group is led by the first of it.

        Returns:
            Positions by group, in the order of their first members.
        """
        found: list[list[int]] = []
        leaders: dict[str, list[int]] = {}
        for position, crystal in enumerate(crystals):
            same = leaders.setdefault(formula(crystal.numbers), [])
            home = next((group for group in same if self.matches(crystals[found[group][0]], crystal)), None)
            if home is None:
                same.append(len(found))
                found.append([position])
            else:
                found[home].append(position)
        return found


@dataclass(frozen=True, eq=False)
class _Prepared:
    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    kind: NDArray[np.int64]


@lru_cache(maxsize=4096)
def _prepared(crystal: Crystal) -> _Prepared:
    """Reduce to the primitive Niggli cell; remembered by the crystal itself, which never changes."""
    from euhedral.geometry.cells import niggli

    small = niggli(_primitive(crystal))
    cell, frac = np.ascontiguousarray(small.cell), np.ascontiguousarray(small.frac)
    return _Prepared(cell=cell, frac=frac, kind=np.ascontiguousarray(small.numbers))


def _primitive(crystal: Crystal) -> Crystal:
    from euhedral.geometry.cells import primitive

    for tolerance in _PRIMITIVE_TOLERANCES:
        try:
            return primitive(crystal, symprec=tolerance)
        except InvalidCrystalError:
            continue
    return crystal  # atoms closer than every tolerance: it is compared as it is
