"""The crystal: a cell, the atoms in it, and what is known about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import cos, hypot, isfinite, nan, radians, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.elements import MAX_NUMBER
from euhedral.errors import InvalidCrystalError

# A cell flatter than this (volume over the product of the lengths) has no usable inverse in double precision.
_FLATNESS_LIMIT = 1e-8


def _cross(u: list[float], v: list[float]) -> list[float]:
    return [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]


def _frozen(array: NDArray) -> NDArray:
    array = np.array(array, order="C", copy=True)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Crystal:
    """One periodic structure; immutable, and valid from the moment it exists.

    Args:
        cell: (3, 3) Angstrom; the rows are the lattice vectors a, b, c.
        frac: (n, 3) fractional coordinates; wrapped into [0, 1).
        numbers: (n,) atomic numbers, 1 to 118.
        id: a name; every error about this crystal carries it.
        props: values known of the whole crystal; the unit is fixed by the property's name.
        site: (n, ...) values known of each atom (magnetic moments in mu_B, oxidation states).

    Raises:
        InvalidCrystalError: no atoms, a shape that does not fit, a number that is not finite, a degenerate cell,
            or an atomic number that no element has.
    """

    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    numbers: NDArray[np.int64]
    id: str = ""
    props: Mapping[str, Any] = field(default_factory=dict)
    site: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        cell = _frozen(np.asarray(self.cell, dtype=np.float64))
        frac = np.array(self.frac, dtype=np.float64, copy=True)
        numbers = _frozen(self._whole(self.numbers))
        name = f"crystal {self.id!r}"
        if cell.shape != (3, 3):
            raise InvalidCrystalError(f"{name}: the cell has shape {cell.shape}, expected (3, 3) with rows a, b, c")
        if numbers.ndim != 1 or numbers.size == 0:
            raise InvalidCrystalError(f"{name}: expected at least one atom, got numbers of shape {numbers.shape}")
        if frac.shape != (numbers.size, 3):
            raise InvalidCrystalError(
                f"{name}: {numbers.size} atoms need coordinates ({numbers.size}, 3), got {frac.shape}"
            )
        if not (np.isfinite(cell).all() and np.isfinite(frac).all()):
            raise InvalidCrystalError(f"{name}: the cell or a coordinate is NaN or infinite; correct the file")
        a, b, c = cell.tolist()  # three vectors: plain numbers are much quicker than arrays
        volume = abs(sum(x * y for x, y in zip(a, _cross(b, c), strict=True)))
        if not volume > _FLATNESS_LIMIT * hypot(*a) * hypot(*b) * hypot(*c):  # also where numbers are too large
            raise InvalidCrystalError(f"{name}: cell volume is {volume:.2e} Å^3; the lattice is degenerate")
        if numbers.min() < 1 or numbers.max() > MAX_NUMBER:
            bad = int(numbers[(numbers < 1) | (numbers > MAX_NUMBER)][0])
            raise InvalidCrystalError(f"{name}: no element has atomic number {bad}; expected 1 to {MAX_NUMBER}")
        frac -= np.floor(frac)
        frac[frac >= 1.0] = 0.0  # (-1e-17) - floor(-1e-17) rounds up to 1.0
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "frac", _frozen(frac))
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "props", MappingProxyType(dict(self.props)))
        site = {key: _frozen(np.asarray(value)) for key, value in self.site.items()}
        for key, value in site.items():
            if value.shape[:1] != (numbers.size,):
                raise InvalidCrystalError(
                    f"{name}: site value {key!r} has shape {value.shape}, expected ({numbers.size}, ...)"
                )
        object.__setattr__(self, "site", MappingProxyType(site))

    def _whole(self, numbers: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(numbers)
        whole = array.dtype.kind in "iu" or (array.dtype.kind == "f" and np.array_equal(array, np.round(array)))
        if array.size and not whole:
            raise InvalidCrystalError(
                f"crystal {self.id!r}: atomic numbers must be whole numbers, got {array.ravel()[:3]}"
            )
        return array.astype(np.int64)

    def __len__(self) -> int:
        return int(self.numbers.size)

    def __repr__(self) -> str:
        from euhedral.core.composition import formula

        name = f" {self.id!r}" if self.id else ""
        return f"<Crystal{name} {formula(self.numbers)}, {len(self)} atoms, {self.volume:.1f} Å^3>"

    def __getstate__(self) -> dict[str, Any]:
        # mappingproxy has no copy protocol; worker processes and copy.copy need one
        return {
            "cell": np.array(self.cell), "frac": np.array(self.frac), "numbers": np.array(self.numbers),
            "id": self.id, "props": dict(self.props), "site": dict(self.site),
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, value)
        self.__post_init__()

    @property
    def cart(self) -> NDArray[np.float64]:
        """(n, 3) Cartesian coordinates, Angstrom."""
        return self.frac @ self.cell

    @property
    def volume(self) -> float:
        """Volume of the cell, Angstrom^3."""
        return abs(float(np.linalg.det(self.cell)))

    @property
    def lengths(self) -> NDArray[np.float64]:
        """(3,) lengths of a, b, c, Angstrom."""
        return np.linalg.norm(self.cell, axis=1)

    @property
    def angles(self) -> NDArray[np.float64]:
        """(3,) alpha, beta, gamma, degrees."""
        a, b, c = self.cell / self.lengths[:, None]
        return np.degrees(np.arccos(np.clip([b @ c, a @ c, a @ b], -1.0, 1.0)))

    def replace(self, **changes: Any) -> Crystal:
        """Return a copy with the named fields changed; checked like a new one."""
        return replace(self, **changes)

    @classmethod
    def from_cart(
        cls, cell: ArrayLike, *, cart: ArrayLike, numbers: ArrayLike, id: str = "", props: Mapping[str, Any] | None = None,  # noqa: A002
    ) -> Crystal:  # fmt: skip
        """Build a crystal from Cartesian coordinates.

        Args:
            cell: (3, 3) Angstrom, rows a, b, c.
            cart: (n, 3) Angstrom.
            numbers: (n,) atomic numbers.
            id: a name.
            props: values known of the crystal.

        Raises:
            InvalidCrystalError: as the constructor; also when the cell has no inverse.
        """
        matrix = np.asarray(cell, dtype=np.float64)
        try:
            frac = np.asarray(np.linalg.solve(matrix.T, np.asarray(cart, dtype=np.float64).T).T, dtype=np.float64)
        except np.linalg.LinAlgError as error:
            raise InvalidCrystalError(f"crystal {id!r}: the lattice is degenerate (volume 0)") from error
        return cls(cell=matrix, frac=frac, numbers=np.asarray(numbers), id=id, props=props or {})


def cell_from_parameters(lengths: ArrayLike, angles: ArrayLike) -> NDArray[np.float64]:
    """Build the lattice vectors from lengths and angles, a along x and b in the xy plane.

    Args:
        lengths: (3,) Angstrom.
        angles: (3,) alpha, beta, gamma, degrees.

    Returns:
        (3, 3) Angstrom, rows a, b, c.

    Raises:
        InvalidCrystalError: no parallelepiped has these angles.
    """
    a, b, c = (float(length) for length in np.asarray(lengths).tolist())
    alpha, beta, gamma = (radians(angle) for angle in np.asarray(angles).tolist())
    cos_alpha, cos_beta, cos_gamma = (cos(angle) if isfinite(angle) else nan for angle in (alpha, beta, gamma))
    sin_gamma2 = 1.0 - cos_gamma**2
    height2 = 1.0 - cos_alpha**2 - cos_beta**2 - cos_gamma**2 + 2.0 * cos_alpha * cos_beta * cos_gamma
    if not (height2 > 0.0 and sin_gamma2 > 0.0 and min(a, b, c) > 0.0):
        raise InvalidCrystalError(
            f"no cell has lengths {[a, b, c]} and angles {np.asarray(angles, dtype=float).tolist()}"
        )
    sin_gamma = sqrt(sin_gamma2)
    cell = np.array(
        [
            [a, 0.0, 0.0],
            [b * cos_gamma, b * sin_gamma, 0.0],
            [c * cos_beta, c * (cos_alpha - cos_beta * cos_gamma) / sin_gamma, c * sqrt(height2) / sin_gamma],
        ]
    )
    cell[np.abs(cell) < 1e-12 * max(a, b, c)] = 0.0  # cos(90 degrees) is 6e-17, not 0
    return cell
