"""When two crystals are the same structure.

The verdict is that of pymatgen's StructureMatcher (Ong et al. 2013, doi:10.1016/j.commatsci.2012.10.028) with primitive
cells and scaled volumes: lattices are laid over each other in every way that lengths and angles allow within a tolerance,
each atom is paired with one of its kind, and the largest displacement that is left, in units of
(volume per atom)^(1/3), must be small.

Two departures, both towards saying "the same": repeated cells are recognised by translations alone, also when their atoms are
shaken (pymatgen often calls those different), and the atoms may be farther apart before their mean displacement is taken off.
How often verdicts differ is recorded by `benchmarks/matching.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError

# Angstrom; atoms that a translation maps this near to each other are the same in the primitive cell (pymatgen's value).
_PRIMITIVE_TOLERANCE: Final = 0.25


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

        # which lattice is laid over which decides near the tolerances; the verdict must not depend on who is named first
        if a.shape > b.shape:
            a, b = b, a
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

    @cached_property
    def shape(self) -> tuple[float, ...]:
        """The metric of the reduced cell at unit volume."""
        metric = self.cell @ self.cell.T / abs(np.linalg.det(self.cell)) ** (2 / 3)
        return tuple(metric[np.triu_indices(3)].round(6).tolist())


@lru_cache(maxsize=4096)
def _prepared(crystal: Crystal) -> _Prepared:
    """Reduce to the primitive Niggli cell; remembered by the crystal itself, which never changes."""
    import moyopy

    from euhedral.geometry.primitive_kernels import shrunk

    # copies: the arrays of a crystal are read-only, which is another type to compiled code
    cell, frac, kind = shrunk(crystal.cell.copy(), crystal.frac.copy(), crystal.numbers.copy(), _PRIMITIVE_TOLERANCE)
    if np.linalg.det(cell) < 0.0:
        cell, frac = -cell, -frac
    try:
        _, linear = moyopy.niggli_reduce(cell.tolist())
    except ValueError as error:
        raise InvalidCrystalError(
            f"crystal {crystal.id!r}: its cell could not be reduced ({error}); give it a less extreme cell"
        ) from error
    change = np.array(linear, dtype=np.float64).T
    frac = frac @ np.linalg.inv(change)
    return _Prepared(
        cell=np.ascontiguousarray(change @ cell), frac=np.ascontiguousarray(frac - np.floor(frac)), kind=kind
    )
