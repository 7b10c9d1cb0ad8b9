"""The 17 plane groups, each read off a space group that is the same along one axis.

A space group without operations that move along an axis, such as P4mm along c, is a plane group repeated along that axis:
leaving the axis out of its operations and Wyckoff positions leaves those of the plane group. Letters are the space group's
too, but for p4mm, where the plane's table puts the diagonal mirrors last. p4mm (number 11), the usual example of Wyckoff positions, comes from P4mm (number 99):

| position | site symmetry | points |
|---|---|---|
| 8g | 1 | x,y and seven more |
| 4f | ..m | x,x; -x,-x; -x,x; x,-x |
| 4e | .m. | x,1/2; -x,1/2; 1/2,x; 1/2,-x |
| 4d | .m. | x,0; -x,0; 0,x; 0,-x |
| 2c | 2mm. | 1/2,0; 0,1/2 |
| 1b | 4mm | 1/2,1/2 |
| 1a | 4mm | 0,0 |

Every point of the plane has one equivalent with 0 <= x <= 1/2, 0 <= y <= 1/2, x <= y: the asymmetric unit `region`.

Source: International Tables A 2002, part 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.wyckoff import WyckoffPosition, triplet

_INSIDE = 1e-6  # fractional; a point this far outside its region lies on the edge
_SHIFTS = np.stack(np.meshgrid(*[np.arange(-1.0, 2.0)] * 2, indexing="ij"), -1).reshape(-1, 2)

#: Symbol, space group, and its axes that are x and y of the plane.
_ORIGINS: Final[tuple[tuple[str, int, tuple[int, int]], ...]] = (
    ("p1", 1, (0, 1)), ("p2", 3, (0, 2)), ("pm", 6, (1, 2)), ("pg", 7, (1, 2)), ("cm", 8, (1, 0)), ("p2mm", 25, (0, 1)),
    ("p2mg", 28, (0, 1)), ("p2gg", 32, (0, 1)), ("c2mm", 35, (0, 1)), ("p4", 75, (0, 1)), ("p4mm", 99, (0, 1)),
    ("p4gm", 100, (0, 1)), ("p3", 143, (0, 1)), ("p3m1", 156, (0, 1)), ("p31m", 157, (0, 1)), ("p6", 168, (0, 1)),
    ("p6mm", 183, (0, 1)),
)  # fmt: skip

#: Upper ends of x and y where the asymmetric unit of the plane group is another rectangle than the space group's.
_RECTANGLES: Final = {2: (0.5, 1.0), 3: (0.5, 1.0), 4: (0.5, 1.0), 5: (0.5, 0.5)}

#: The space group's letters in the order of the plane group's, where it is another.
_LETTERS: Final = {11: "abcefdg"}


@dataclass(frozen=True, eq=False)
class PlanePosition:
    """One Wyckoff position of a plane group.

    Args:
        letter: "a" for the highest site symmetry.
        multiplicity: points in the conventional cell.
        site_symmetry: oriented symbol: rotation, then mirrors across the two sets of axes.
        operators: (m, 2, 3) linear part and translation, acting on a representative.
    """

    letter: str
    multiplicity: int
    site_symmetry: str
    operators: NDArray[np.float64]

    @property
    def coordinates(self) -> tuple[str, ...]:
        """The points as the tables print them: "x,-x"."""
        return tuple(_pair(operator) for operator in self.operators)

    def orbit(self, frac: NDArray[np.float64]) -> NDArray[np.float64]:
        """Generate the (m, 2) points of the orbit of a (2,) representative, wrapped into [0, 1)."""
        first = self.operators[0]
        placed = first[:, :2] @ frac + first[:, 2]
        points = self.operators[:, :, :2] @ placed + self.operators[:, :, 2]
        points -= np.floor(points)
        points[points >= 1.0 - 1e-12] = 0.0
        return points


@dataclass(frozen=True, eq=False)
class PlaneGroup:
    """A plane group in its standard setting.

    Args:
        number: 1 to 17.
        symbol: such as "p4mm".
        space_group: number of the space group that it is read off.
        operators: (k, 2, 3) operations on fractional coordinates.
        positions: from "a" to the general one.
        region: (f, 3) the asymmetric unit: the points x with `region[:, :2] @ x + region[:, 2] >= 0`.
    """

    number: int
    symbol: str
    space_group: int
    operators: NDArray[np.float64]
    positions: tuple[PlanePosition, ...]
    region: NDArray[np.float64]

    def contains(self, frac: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each of (..., 2) points lies in the asymmetric unit, its edge included."""
        return np.asarray((frac @ self.region[:, :2].T + self.region[:, 2] >= -_INSIDE).all(-1))

    def into_region(self, frac: NDArray[np.float64]) -> NDArray[np.float64]:
        """Find the equivalent of a (2,) point in the asymmetric unit; of several on the edge the smallest."""
        images = self.operators[:, :, :2] @ frac + self.operators[:, :, 2]
        images = ((images - np.floor(images))[:, None] + _SHIFTS).reshape(-1, 2)
        inside = images[self.contains(images)]
        return inside[np.lexsort(np.round(inside, 5).T[::-1])[0]]


@cache
def plane_group(number: int) -> PlaneGroup:
    """Return one of the 17 plane groups.

    Raises:
        InvalidRequestError: the number is not one of 1 to 17.
    """
    if not 1 <= number <= len(_ORIGINS):
        raise InvalidRequestError(f"plane group {number} does not exist; expected 1 to {len(_ORIGINS)}")
    symbol, origin, axes = _ORIGINS[number - 1]
    group = space_group(origin)
    if number in _RECTANGLES:
        right, top = _RECTANGLES[number]
        region = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, right], [0.0, 1.0, 0.0], [0.0, -1.0, top]])
    else:
        along = ({0, 1, 2} - set(axes)).pop()
        region = group.region[group.region[:, along] == 0.0][:, [*axes, 3]]
    table = {position.letter: position for position in group.positions}
    positions = tuple(
        _position(table[origin_letter], letter=letter, axes=axes)
        for letter, origin_letter in zip(table, _LETTERS.get(number, "".join(table)), strict=True)
    )
    region.setflags(write=False)
    return PlaneGroup(
        number=number,
        symbol=symbol,
        space_group=origin,
        operators=positions[-1].operators,
        positions=positions,
        region=region,
    )


def _position(position: WyckoffPosition, *, letter: str, axes: tuple[int, int]) -> PlanePosition:
    operators = position.operators[:, axes][:, :, [*axes, 3]]
    operators.setflags(write=False)
    symbol = position.site_symmetry
    if 16 <= position.space_group <= 74 and len(symbol) == 3:
        symbol = symbol[2] + symbol[:2]  # along a, b, c; in the plane the rotation comes first
    elif symbol == "m":
        symbol = ".m."
    return PlanePosition(letter=letter, multiplicity=position.multiplicity, site_symmetry=symbol, operators=operators)


def _pair(operator: NDArray[np.float64]) -> str:
    whole = np.zeros((3, 4))
    whole[:2, [0, 1, 3]] = operator
    return triplet(whole).rsplit(",", 1)[0]
