"""One atom of each orbit, and back to all of them, in the crystal's own cell.

The operations are those that the cell itself keeps: a 1 x 2 x 1 repeat of a cubic cell has the operations of a tetragonal one,
so it has more orbits than the cubic cell, and every orbit is still generated exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.files.cif import expand as expand_sites
from euhedral.core.files.cif_symmetry import Operations
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.symmetrise import atom_permutations, mean_image
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import WyckoffCrystal


@dataclass(frozen=True, eq=False)
class AsymmetricUnit:
    """A crystal as one atom of each orbit and the operations that make the others.

    Args:
        space_group: number, 1 to 230.
        cell: (3, 3) Angstrom, the crystal's own.
        frac: (s, 3) fractional coordinates in that cell, on their special positions.
        numbers: (s,) atomic numbers.
        letters: (s,) Wyckoff letters in the standard setting.
        multiplicities: (s,) atoms of each orbit in the crystal's own cell.
        rotations: (k, 3, 3) integer, acting on fractional coordinates of the own cell.
        translations: (k, 3) fractional.
        linear: (3, 3) columns: standard lattice vectors in units of the crystal's own.
        origin_shift: (3,) fractional; x_standard = linear^-1 (x - origin_shift).
        id: a name.
        props: values known of the whole crystal.
    """

    space_group: int
    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    letters: tuple[str, ...]
    multiplicities: NDArray[np.int64]
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    linear: NDArray[np.float64]
    origin_shift: NDArray[np.float64]
    id: str = ""
    props: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def standard_frac(self) -> NDArray[np.float64]:
        """(s, 3) the same atoms in the conventional cell of the standard setting, not wrapped."""
        return (self.frac - self.origin_shift) @ np.linalg.inv(self.linear).T

    @property
    def operations(self) -> Operations:
        """The operations in the form that the reader of CIF files uses."""
        return Operations(
            rotations=self.rotations.astype(np.float64),
            translations=self.translations,
            time_reversal=np.ones(len(self.rotations)),
        )


def asymmetric_unit(crystal: Crystal, *, symprec: float = 0.01) -> AsymmetricUnit:
    """Reduce a crystal to one atom of each orbit, in its own cell.

    Coordinates and cell are averaged over the operations, so that `expand` gives the exact symmetry. Values of sites are not
    carried: a vector would have to turn with its atom.

    Args:
        crystal: any cell of it.
        symprec: Angstrom, how far an atom may lie from its symmetric place.

    Returns:
        The unit; its atoms are the first of each orbit, in the crystal's order.

    Raises:
        InvalidCrystalError: no space group fits within the tolerance, or its operations do not map atom on atom.
    """
    found = symmetry(crystal, symprec=symprec)
    onto = atom_permutations(
        crystal, rotations=found.rotations, translations=found.translations, tolerance=4.0 * found.symprec
    )
    exact = mean_image(crystal, onto=onto, rotations=found.rotations, translations=found.translations)
    first, multiplicities = np.unique(onto.min(0), return_counts=True)
    return AsymmetricUnit(
        space_group=found.number,
        cell=exact.cell,
        frac=exact.frac[first],
        numbers=exact.numbers[first],
        letters=tuple(found.letters[atom] for atom in first),
        multiplicities=multiplicities,
        rotations=found.rotations,
        translations=found.translations,
        linear=found.linear,
        origin_shift=found.origin_shift,
        id=crystal.id,
        props=crystal.props,
    )


def unit_of(crystal: WyckoffCrystal) -> AsymmetricUnit:
    """Write a crystal given by Wyckoff positions as an asymmetric unit in its conventional cell."""
    group = space_group(crystal.space_group)
    return AsymmetricUnit(
        space_group=crystal.space_group,
        cell=crystal.cell,
        frac=crystal.frac,
        numbers=crystal.numbers,
        letters=crystal.letters,
        multiplicities=np.array([position.multiplicity for position in crystal.positions]),
        rotations=group.rotations,
        translations=group.translations,
        linear=np.eye(3),
        origin_shift=np.zeros(3),
        id=crystal.id,
    )


def expand(unit: AsymmetricUnit) -> Crystal:
    """Generate every atom of the cell, orbit after orbit.

    Raises:
        InvalidCrystalError: an orbit has another number of atoms than it says, as when an atom lies on a place of higher
            symmetry than its letter.
    """
    frac, source, _ = expand_sites(unit.frac, operations=unit.operations, cell=unit.cell)
    counts = np.bincount(source, minlength=len(unit))
    if not np.array_equal(counts, unit.multiplicities):
        bad = int(np.flatnonzero(counts != unit.multiplicities)[0])
        raise InvalidCrystalError(
            f"crystal {unit.id!r}: atom {bad} of the asymmetric unit makes {counts[bad]} atoms, expected "
            f"{unit.multiplicities[bad]} on Wyckoff letter {unit.letters[bad]!r}; move it off the special point"
        )
    return Crystal(cell=unit.cell, frac=frac, numbers=unit.numbers[source], id=unit.id, props=unit.props)


def in_region(unit: AsymmetricUnit) -> AsymmetricUnit:
    """Choose from each orbit the atom in the asymmetric unit of International Tables A.

    Returns:
        The unit with other representatives; `standard_frac` of each lies in `space_group(unit.space_group).region`, and `frac` is
        the same place in the own cell, not wrapped.

    Raises:
        InvalidCrystalError: the cell does not keep all rotations of the space group, as a 1 x 2 x 1 repeat of a cubic cell.
    """
    group = space_group(unit.space_group)
    if not _keeps_group(unit):
        raise InvalidCrystalError(
            f"crystal {unit.id!r}: its cell does not keep all operations of space group {unit.space_group}; reduce it with "
            "`primitive` or `conventional` first"
        )
    moved = group.into_region(unit.standard_frac)
    return replace(unit, frac=moved @ unit.linear.T + unit.origin_shift)


def _keeps_group(unit: AsymmetricUnit) -> bool:
    """Whether the own cell keeps the whole point group, so that its orbits are those of the space group."""
    own = np.unique(unit.rotations.reshape(-1, 9), axis=0)
    return len(own) == len(space_group(unit.space_group).point_rotations)
