"""Wyckoff positions of the 230 space groups, and crystals written as occupied positions.

Setting: International Tables A, unique axis b (cell choice 1), hexagonal axes, origin choice 2; the one of
`symmetry().standard`. The table `wyckoff.npz` was made by `scripts/make_wyckoff.py` from PyXtal (MIT) and checked against
moyopy.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError, InvalidRequestError

#: Wyckoff letters in order; "A" follows "z" (only group 47 needs it).
LETTERS: Final = "abcdefghijklmnopqrstuvwxyzA"

_DENOMINATOR = 24  # every translation of the tables is a multiple of 1/24

# A point that lies on no symmetry element of any group.
_GENERIC = np.sqrt([2.0, 3.0, 5.0]) % 1.0

#: (125, 3) lattice vectors around the origin; a subspace may leave the cell by one side and meet it again two cells on.
_NEIGHBOURS = np.stack(np.meshgrid(*[np.arange(-2.0, 3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """One Wyckoff position of a space group.

    Args:
        space_group: number, 1 to 230.
        letter: "a" for the highest site symmetry.
        multiplicity: points in the conventional cell.
        site_symmetry: oriented symbol, such as "m.mm".
        operators: (m, 3, 4) linear part and translation; they act on a representative, which the first leaves in place.
        free: (3,) whether a representative's coordinate is a free parameter; the others follow from the free ones
            that come before.
    """

    space_group: int
    letter: str
    multiplicity: int
    site_symmetry: str
    operators: NDArray[np.float64]
    free: NDArray[np.bool_]

    @property
    def index(self) -> int:
        """0 for "a", 1 for "b", ..., 26 for "A"."""
        return LETTERS.index(self.letter)

    @property
    def n_free(self) -> int:
        """How many free parameters a representative has."""
        return int(self.free.sum())

    def project(self, frac: NDArray[np.float64]) -> NDArray[np.float64]:
        """Place (..., 3) fractional coordinates on the first point of the position; fixed coordinates are overwritten."""
        first = self.operators[0]
        return frac @ first[:, :3].T + first[:, 3]

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The position's points as the tables print them: "x,2x,z"."""
        return tuple(triplet(operator) for operator in self.operators)

    @property
    def site_operators(self) -> NDArray[np.float64]:
        """(k, 3, 4) the operations that leave every representative in place, lattice translations included."""
        return _site_operators(self.space_group, self.index)

    @property
    def projector(self) -> NDArray[np.float64]:
        """(3, 4) the affine map onto the first point's subspace, orthogonal in every cell that the group allows.

        It is the mean of the operations that leave the subspace in place, and does not depend on the cell.
        """
        return _projectors(self.space_group, self.index)[0]

    def nearest(self, frac: NDArray[np.float64], *, cell: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find the point of the position, on any of its subspaces, that is nearest to a point.

        Args:
            frac: (3,) fractional.
            cell: (3, 3) Angstrom, of the group's conventional lattice.

        Returns:
            (3,) fractional, next to `frac` and so not wrapped.
        """
        projectors = _projectors(self.space_group, self.index)
        shifted = frac - np.floor(frac) + _NEIGHBOURS
        onto = shifted @ projectors[:, :, :3].transpose(0, 2, 1) + projectors[:, None, :, 3]
        away = onto - shifted
        best = np.unravel_index(np.argmin(np.linalg.norm(away @ cell, axis=-1)), away.shape[:2])
        return frac + away[best]

    def orbit(self, frac: NDArray[np.float64]) -> NDArray[np.float64]:
        """Generate the (m, 3) fractional coordinates of the orbit of a (3,) representative, wrapped into [0, 1)."""
        points = self.operators[:, :, :3] @ self.project(frac) + self.operators[:, :, 3]
        return _wrapped(points)


@dataclass(frozen=True, eq=False)
class WyckoffCrystal:
    """A crystal as a space group, a conventional cell and occupied Wyckoff positions.

    Args:
        space_group: number, 1 to 230.
        cell: (3, 3) Angstrom, conventional, in the standard setting.
        letters: one per orbit.
        numbers: (s,) atomic numbers.
        frac: (s, 3) representatives, each on the first point of its position.
        id: a name.
    """

    space_group: int
    cell: NDArray[np.float64]
    letters: tuple[str, ...]
    numbers: NDArray[np.int64]
    frac: NDArray[np.float64]
    id: str = ""

    @property
    def positions(self) -> tuple[WyckoffPosition, ...]:
        """The position that each orbit occupies."""
        table = wyckoff_positions(self.space_group)
        return tuple(table[LETTERS.index(letter)] for letter in self.letters)

    @property
    def n_atoms(self) -> int:
        """Atoms in the conventional cell."""
        return sum(position.multiplicity for position in self.positions)


@cache
def _table() -> dict[str, NDArray]:
    path = files("euhedral.geometry").joinpath("wyckoff.npz")
    with path.open("rb") as file, np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


@cache
def wyckoff_positions(space_group: int) -> tuple[WyckoffPosition, ...]:
    """Return a space group's Wyckoff positions from "a" to the general one.

    Raises:
        InvalidRequestError: the number is not one of 1 to 230.
    """
    if not 1 <= space_group <= 230:
        raise InvalidRequestError(f"space group {space_group} does not exist; expected 1 to 230")
    table = _table()
    starts = np.concatenate([[0], np.cumsum(table["multiplicity"], dtype=np.int64)])
    result = []
    for row in np.flatnonzero(table["group"] == space_group):
        rows = slice(starts[row], starts[row + 1])
        shift = table["shift"][rows].astype(np.float64) / _DENOMINATOR
        operators = np.concatenate([table["linear"][rows].astype(np.float64), shift[:, :, None]], axis=2)
        operators.setflags(write=False)
        result.append(
            WyckoffPosition(
                space_group=space_group,
                letter=str(table["letter"][row]),
                multiplicity=int(table["multiplicity"][row]),
                site_symmetry=str(table["site_symmetry"][row]),
                operators=operators,
                free=table["free"][row],
            )
        )
    return tuple(result)


@cache
def _site_operators(space_group: int, index: int) -> NDArray[np.float64]:
    table = wyckoff_positions(space_group)
    group = table[-1].operators
    point = table[index].project(_GENERIC)
    away = group[:, :, :3] @ point + group[:, :, 3] - point
    kept = (np.abs(away - np.round(away)) < 1e-9).all(-1)
    result = group[kept].copy()
    result[:, :, 3] -= np.round(away[kept])
    result.setflags(write=False)
    return result


@cache
def _projectors(space_group: int, index: int) -> NDArray[np.float64]:
    """(m, 3, 4) one for each subspace of the position, the first point's first."""
    table = wyckoff_positions(space_group)
    group, position = table[-1].operators, table[index]
    first = position.site_operators.mean(0)
    point = position.project(_GENERIC)
    points = position.operators[:, :, :3] @ point + position.operators[:, :, 3]
    images = group[:, :, :3] @ point + group[:, :, 3]
    apart = points[:, None] - images
    made_by = (np.abs(apart - np.round(apart)) < 1e-9).all(-1).argmax(1)  # an operation that leads to each point
    result = np.empty((len(points), 3, 4))
    for row, operation in enumerate(made_by):
        rotation = group[operation, :, :3]
        shift = group[operation, :, 3] + np.round(apart[row, operation])
        linear = rotation @ first[:, :3] @ np.linalg.inv(rotation)
        result[row] = np.column_stack([linear, rotation @ first[:, 3] + shift - linear @ shift])
    result.setflags(write=False)
    return result


def triplet(operator: NDArray[np.float64]) -> str:
    """Write a (3, 4) operator, linear part and translation, as "-x,y+1/2,z"; the translation is taken modulo 1."""
    parts = []
    for row in operator:
        terms = [
            ("-" if value < 0 else "+") + (str(abs(round(value))) if abs(value) > 1.5 else "") + name
            for name, value in zip("xyz", row[:3], strict=True)
            if abs(value) > 0.5
        ]
        shift = Fraction(round(float(row[3]) * _DENOMINATOR), _DENOMINATOR) % 1
        if shift or not terms:
            terms.append(f"+{shift}")
        parts.append("".join(terms).removeprefix("+"))
    return ",".join(parts)


@cache
def polar_axes(space_group: int) -> NDArray[np.bool_]:
    """Return (3,) whether the origin may slide along a, b, c without changing the group's operations."""
    rotations = wyckoff_positions(space_group)[-1].operators[:, :, :3]
    return np.array([bool(np.all(rotations[:, :, axis] == np.eye(3)[axis])) for axis in range(3)])


#: Rows of the family table: (last group, lengths that are free, angles that are free).
_FAMILIES: Final = (
    (2, "abc", "abg"), (15, "abc", "b"), (74, "abc", ""), (142, "ac", ""), (194, "ac", ""), (230, "a", ""),
)  # fmt: skip


@cache
def free_lattice_parameters(space_group: int) -> NDArray[np.bool_]:
    """Return (6,) whether a, b, c, alpha, beta, gamma is a free parameter of the group's conventional cell."""
    lengths, angles = next((row[1], row[2]) for row in _FAMILIES if space_group <= row[0])
    return np.array([name in lengths for name in "abc"] + [name in angles for name in "abg"])


def complete_lattice_parameters(parameters: NDArray[np.float64], *, space_group: int) -> NDArray[np.float64]:
    """Fill in the lattice parameters that the group fixes.

    Args:
        parameters: (6,) a, b, c in Angstrom and alpha, beta, gamma in degrees; those not free are ignored.
        space_group: number, 1 to 230.
    """
    free = free_lattice_parameters(space_group)
    result = np.array(parameters, dtype=np.float64)
    a, _, c = result[:3]
    if not free[1]:
        result[1] = a
    result[2] = c if free[2] else a
    result[3:][~free[3:]] = 90.0
    if 143 <= space_group <= 194:
        result[5] = 120.0
    return result


def to_crystal(crystal: WyckoffCrystal, *, primitive: bool = False) -> Crystal:
    """Write out every atom of the conventional cell, or of a primitive cell of the same lattice."""
    frac = np.concatenate(
        [position.orbit(point) for position, point in zip(crystal.positions, crystal.frac, strict=True)]
    )
    numbers = np.repeat(crystal.numbers, [position.multiplicity for position in crystal.positions])
    if not primitive:
        return Crystal(cell=crystal.cell, frac=frac, numbers=numbers, id=crystal.id)
    basis = primitive_basis(crystal.space_group)
    count = round(1.0 / float(np.linalg.det(basis)))
    inside = _wrapped(frac @ np.linalg.inv(basis))
    kept: list[int] = []
    start = 0
    for position in crystal.positions:
        orbit = inside[start : start + position.multiplicity]
        difference = orbit[:, None] - orbit[None]
        same = np.all(np.abs(difference - np.round(difference)) < 1e-6, axis=-1)
        kept += [start + i for i in range(len(orbit)) if not same[i, :i].any()]
        start += position.multiplicity
    if len(kept) * count != len(frac):
        raise InvalidCrystalError(
            f"crystal {crystal.id!r}: atoms of one orbit coincide; move them off the special point"
        )
    return Crystal(cell=basis @ crystal.cell, frac=inside[kept], numbers=numbers[kept], id=crystal.id)


@cache
def primitive_basis(space_group: int) -> NDArray[np.float64]:
    """Return (3, 3) rows: primitive lattice vectors in units of the conventional ones."""
    operators = wyckoff_positions(space_group)[-1].operators
    pure = operators[(operators[:, :, :3] == np.eye(3)).all((1, 2)), :, 3]
    shifts = {tuple(np.round(shift * _DENOMINATOR).astype(int)) for shift in pure}
    halves = (0.0, 12, 12), (12, 0.0, 12), (12, 12, 0.0)
    if len(shifts) == 4:
        basis = np.array(halves)
    elif len(shifts) == 3:
        basis = np.array([[16, 8, 8], [-8, 8, 8], [-8, -16, 8]])
    elif (12, 12, 12) in shifts:
        basis = np.array([[-12, 12, 12], [12, -12, 12], [12, 12, -12]])
    elif (12, 12, 0) in shifts:
        basis = np.array([[12, -12, 0], [12, 12, 0], [0, 0, 24]])
    elif (0, 12, 12) in shifts:
        basis = np.array([[24, 0, 0], [0, 12, -12], [0, 12, 12]])
    else:
        basis = np.eye(3) * _DENOMINATOR
    return basis / _DENOMINATOR


def _wrapped(frac: NDArray[np.float64]) -> NDArray[np.float64]:
    wrapped = frac - np.floor(frac)
    wrapped[wrapped >= 1.0 - 1e-12] = 0.0
    return wrapped
