"""The 230 space groups in their standard setting: operations, positions, asymmetric unit.

Setting: International Tables A, unique axis b (cell choice 1), hexagonal axes, origin choice 2; the one of
`symmetry().standard`. Operations are those of the shipped table of Wyckoff positions. The asymmetric units in
`asymmetric_units.json` are those of International Tables A 2002 as half-spaces (collected by Grosse-Kunstleve
et al. 2011, doi:10.1107/S0108767311007008); a test checks each against the operations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import unknown_name
from euhedral.geometry.wyckoff import WyckoffPosition, triplet, wyckoff_positions

_INSIDE = 1e-6  # fractional; a point this far outside its region lies on the surface
_SHIFTS = np.stack(np.meshgrid(*[np.arange(-1.0, 2.0)] * 3, indexing="ij"), -1).reshape(-1, 3)


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """A space group in its standard setting.

    Args:
        number: 1 to 230.
        symbol: Hermann-Mauguin, short, without spaces: "P2_1/c".
        crystal_system: "Triclinic" to "Cubic".
        rotations: (k, 3, 3) integer, acting on fractional coordinates of the conventional cell; the identity is first.
        translations: (k, 3) fractional, in [0, 1).
        region: (f, 4) the asymmetric unit: the points x with `region[:, :3] @ x + region[:, 3] >= 0`.
    """

    number: int
    symbol: str
    crystal_system: str
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    region: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def positions(self) -> tuple[WyckoffPosition, ...]:
        """Wyckoff positions from "a" to the general one."""
        return wyckoff_positions(self.number)

    @property
    def point_rotations(self) -> NDArray[np.int64]:
        """(p, 3, 3) the different rotations: the point group in the conventional basis."""
        _, first = np.unique(self.rotations.reshape(-1, 9), axis=0, return_index=True)
        return self.rotations[np.sort(first)]

    @property
    def operation_texts(self) -> tuple[str, ...]:
        """Each operation as "-x,y+1/2,z"."""
        return tuple(triplet(operator) for operator in self.positions[-1].operators)

    def contains(self, frac: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each of (..., 3) fractional coordinates lies in the asymmetric unit, its surface included."""
        return np.asarray((frac @ self.region[:, :3].T + self.region[:, 3] >= -_INSIDE).all(-1))

    def into_region(self, frac: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points into the asymmetric unit.

        Args:
            frac: (s, 3) fractional coordinates in the conventional cell.

        Returns:
            (s, 3) an equivalent of each; of several on the surface the one with the smallest coordinates.
        """
        result = np.empty((len(frac), 3))
        for site, point in enumerate(frac):
            images = self.rotations @ point + self.translations
            images -= np.floor(images)
            images = (images[:, None] + _SHIFTS).reshape(-1, 3)
            inside = images[self.contains(images)]
            result[site] = inside[np.lexsort(np.round(inside, 5).T[::-1])[0]]
        return result


@cache
def space_group(number: int) -> SpaceGroup:
    """Return one of the 230 space groups.

    Raises:
        InvalidRequestError: the number is not one of 1 to 230.
    """
    general = wyckoff_positions(number)[-1].operators
    from moyopy import SpaceGroupType

    kind = SpaceGroupType(number)
    rotations = general[:, :, :3].astype(np.int64)
    translations = general[:, :, 3].copy()
    region = np.array(_regions()[str(number)], dtype=np.float64) / np.array([1.0, 1.0, 1.0, 24.0])
    for array in (rotations, translations, region):
        array.setflags(write=False)
    return SpaceGroup(
        number=number,
        symbol=kind.hm_short.replace(" ", ""),
        crystal_system=str(kind.crystal_system),
        rotations=rotations,
        translations=translations,
        region=region,
    )


@cache
def _regions() -> dict[str, list[list[int]]]:
    return json.loads(files("euhedral.geometry").joinpath("asymmetric_units.json").read_text(encoding="utf-8"))


@cache
def _numbers() -> dict[str, int]:
    return {space_group(number).symbol: number for number in range(1, 231)}


def space_group_number(symbol: str) -> int:
    """Return the number of a short Hermann-Mauguin symbol, such as "Fm-3m" or "P 2_1/c".

    Raises:
        UnknownNameError: it is not the symbol of a group in its standard setting.
    """
    try:
        return _numbers()[symbol.replace(" ", "")]
    except KeyError:
        raise unknown_name(
            "space group", symbol, _numbers(), where="euhedral.geometry.space_groups.space_group"
        ) from None
