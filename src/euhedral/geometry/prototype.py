"""The prototype of a crystal: what is left of it when elements, lengths and free coordinates are forgotten.

Wyckoff letters depend on the choice of origin and axes: rock salt has Na on "a" and Cl on "b", or the reverse. All choices that
the normalizer of the space group allows are compared and the first letters are kept, so that one structure has one prototype
(Mehl et al. 2017, doi:10.1016/j.commatsci.2017.01.017, use the same three parts).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from euhedral.core.composition import anonymous_formula
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.symmetry import symmetry


@dataclass(frozen=True, order=True)
class Prototype:
    """A kind of structure; equal for crystals of the same kind, and hashable.

    Args:
        anonymous_formula: such as "ABC3".
        space_group: number, 1 to 230.
        letters: Wyckoff letters of the orbits of each element ("a", "bb"), sorted; they do not say which element.
    """

    anonymous_formula: str
    space_group: int
    letters: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.anonymous_formula}_{self.space_group}_{'_'.join(self.letters)}"


def prototype(crystal: Crystal, *, symprec: float = 0.01) -> Prototype:
    """Find the prototype of a crystal; any cell, origin, handedness and naming of its elements gives the same.

    Args:
        crystal: any cell of it.
        symprec: Angstrom, how far an atom may lie from its symmetric place.

    Raises:
        InvalidCrystalError: no space group, or no one normalizer, fits within the tolerance.
    """
    found = symmetry(crystal, symprec=symprec)
    try:
        normalizer = found.dataset.normalizer_wyckoff_positions()
    except ValueError as error:
        raise InvalidCrystalError(
            f"crystal {crystal.id!r}: the normalizer of space group {found.number} is ambiguous within "
            f"{found.symprec} Å ({error}); try a smaller symprec"
        ) from error
    numbers = found.standard.numbers
    choices = []
    for _, positions in normalizer.coset_representatives:
        atoms_on: defaultdict[int, defaultdict[tuple[str, int], int]] = defaultdict(lambda: defaultdict(int))
        for number, position in zip(numbers.tolist(), positions, strict=True):
            atoms_on[number][position.letter, position.multiplicity] += 1
        choices.append(
            tuple(
                sorted(
                    "".join(letter * (count // size) for (letter, size), count in sorted(own.items()))
                    for own in atoms_on.values()
                )
            )
        )
    return Prototype(
        anonymous_formula=anonymous_formula(np.asarray(crystal.numbers)), space_group=found.number, letters=min(choices)
    )
