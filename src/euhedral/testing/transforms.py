"""Other descriptions of one crystal, and changes that make another crystal of it.

Box 1 of the review names the groups: E(3) and SE(3) (turned, mirrored, moved), S_N (permuted), and what periodicity adds
(other images, other lattice vectors, larger cells). `Strain` and `OtherElements` are no symmetries: features that do not
see them say nothing of a crystal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import MAX_NUMBER
from euhedral.geometry.cells import niggli, supercell, with_cell

# Determinant 1, no two rows or columns alike, and every lattice vector changes.
_UNIMODULAR: Final = ((1, 1, 0), (0, 1, -1), (1, 1, 1))


@dataclass(frozen=True, eq=False)
class Change:
    """A crystal after a change, and how it hangs together with the one before.

    Args:
        crystal: the crystal after the change, n' atoms.
        atoms: (n',) for each atom which one of the first crystal it was.
        turn: (3, 3) orthogonal; a Cartesian row vector v of the first crystal has become `v @ turn`.
        cells: how many cells of the first crystal the new cell holds.
        images: (n', 3) int64 lattice vectors by which atoms are to be shifted where a featuriser takes batches, which do not
            wrap coordinates as a `Crystal` does.
    """

    crystal: Crystal
    atoms: NDArray[np.int64]
    turn: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    cells: int = 1
    images: NDArray[np.int64] | None = None


class Transform(Protocol):
    """One way to change a crystal."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:
        """Change a crystal."""
        ...


@dataclass(frozen=True)
class Rotation:
    """The crystal is turned about a random axis: SO(3)."""

    name: str = "rotation"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:
        """Turn the lattice vectors; atoms keep their fractional coordinates."""
        turn = _random_rotation(rng)
        return Change(crystal.replace(cell=crystal.cell @ turn), _all(crystal), turn=turn)


@dataclass(frozen=True)
class Mirror:
    """The crystal is turned and mirrored: the other half of O(3), and so of E(3); not in SE(3)."""

    name: str = "mirror"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:
        """Turn and invert the lattice vectors."""
        turn = -_random_rotation(rng)
        return Change(crystal.replace(cell=crystal.cell @ turn), _all(crystal), turn=turn)


@dataclass(frozen=True)
class Translation:
    """All atoms move by one vector, so that another point is the origin of the cell."""

    name: str = "translation"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:
        """Add one fractional vector, no entry of which is near a whole number."""
        return Change(crystal.replace(frac=crystal.frac + rng.uniform(0.05, 0.95, 3)), _all(crystal))


@dataclass(frozen=True)
class Permutation:
    """The atoms are listed in another order: S_N."""

    name: str = "permutation"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:
        """Shuffle the atoms so that another one is first."""
        order = rng.permutation(len(crystal))
        if order[0] == 0:
            order = np.roll(order, 1)
        site = {key: value[order] for key, value in crystal.site.items()}
        return Change(crystal.replace(frac=crystal.frac[order], numbers=crystal.numbers[order], site=site), order)


@dataclass(frozen=True)
class Images:
    """Each atom is given by another of its periodic images."""

    name: str = "images"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:
        """Shift each atom by lattice vectors; a `Crystal` wraps them back, up to rounding, a batch does not."""
        shift = rng.integers(-3, 4, size=crystal.frac.shape)
        shift[0, int(rng.integers(3))] = 2
        return Change(crystal.replace(frac=crystal.frac + shift), _all(crystal), images=shift)


@dataclass(frozen=True)
class OtherCell:
    """The same lattice is spanned by other vectors.

    Args:
        matrix: (3, 3) whole numbers, determinant 1 or -1; the new vectors are `matrix @ cell`.
    """

    matrix: tuple[tuple[int, int, int], ...] = _UNIMODULAR
    name: str = "other cell"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:  # noqa: ARG002 - nothing is random here
        """Combine the lattice vectors."""
        return Change(with_cell(crystal, matrix=self.matrix), _all(crystal))


@dataclass(frozen=True)
class NiggliCell:
    """The same lattice is spanned by its Niggli-reduced vectors."""

    name: str = "Niggli cell"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:  # noqa: ARG002 - nothing is random here
        """Reduce the cell."""
        return Change(niggli(crystal), _all(crystal))


@dataclass(frozen=True)
class Supercell:
    """The cell is repeated: the same crystal, a multiple of its atoms in the cell.

    Args:
        repeats: along a, b, c.
    """

    repeats: tuple[int, int, int] = (2, 1, 3)
    name: str = "supercell"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:  # noqa: ARG002 - nothing is random here
        """Repeat the cell; copies of an atom stand together."""
        cells = int(np.prod(self.repeats))
        larger = supercell(crystal, matrix=self.repeats)
        return Change(larger, np.repeat(_all(crystal), cells), cells=cells)


@dataclass(frozen=True)
class Strain:
    """All distances grow by a factor; no symmetry.

    Args:
        factor: new over old.
    """

    factor: float = 1.1
    name: str = "distances"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:  # noqa: ARG002 - nothing is random here
        """Scale the lattice vectors."""
        return Change(crystal.replace(cell=crystal.cell * self.factor), _all(crystal))


@dataclass(frozen=True)
class OtherElements:
    """Every atom becomes the next element of the periodic table; no symmetry."""

    name: str = "elements"

    def apply(self, crystal: Crystal, *, rng: np.random.Generator) -> Change:  # noqa: ARG002 - nothing is random here
        """Add one to the atomic numbers; after the last element comes the first."""
        return Change(crystal.replace(numbers=crystal.numbers % MAX_NUMBER + 1), _all(crystal))


#: The symmetries of Box 1, in its order: E(3), permutation, periodicity.
SYMMETRIES: Final[tuple[Transform, ...]] = (
    Rotation(), Mirror(), Translation(), Permutation(), Images(), OtherCell(), NiggliCell(), Supercell(),
)  # fmt: skip


def _all(crystal: Crystal) -> NDArray[np.int64]:
    return np.arange(len(crystal))


def _random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))
