"""The specimen: a finite piece of a crystal, as an instrument is given it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell

# Angstrom: an atom on the lower face of a block belongs to it, one on the upper face to the next.
_FACE = 1e-6
# A block with more atoms than this is a mistake in the size asked for; it would need gigabytes.
_MOST_ATOMS = 20_000_000


@dataclass(frozen=True, eq=False)
class Specimen:
    """Atoms in vacuum, with the lattice that they were cut from; the origin is what the beam is centred on.

    Args:
        cart: (n, 3) Angstrom.
        numbers: (n,) atomic numbers.
        cell: (3, 3) Angstrom, lattice vectors of the crystal, which zone axes refer to.
        id: the crystal's name; errors carry it.

    Raises:
        InvalidRequestError: no atoms, or shapes that do not fit.
    """

    cart: NDArray[np.float64]
    numbers: NDArray[np.int64]
    cell: NDArray[np.float64]
    id: str = ""

    def __post_init__(self) -> None:
        cart, numbers = np.array(self.cart, dtype=np.float64), np.array(self.numbers, dtype=np.int64)
        if not numbers.size:
            raise InvalidRequestError(f"specimen of {self.id!r}: it has no atoms; ask for a larger piece")
        if cart.shape != (numbers.size, 3) or not np.isfinite(cart).all():
            raise InvalidRequestError(
                f"specimen of {self.id!r}: {numbers.size} atoms need finite coordinates ({numbers.size}, 3), got {cart.shape}"
            )
        for name, array in (("cart", cart), ("numbers", numbers), ("cell", np.array(self.cell, dtype=np.float64))):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return int(self.numbers.size)


def zone_frame(
    cell: NDArray[np.float64],
    *,
    zone_axis: Sequence[int],
    right: Sequence[int] | None = None,
    id: str = "",  # noqa: A002
) -> NDArray[np.float64]:
    """Return the axes of a picture taken along a lattice direction.

    The zone axis points to the observer, against the beam; the picture's right and up and the zone axis are a
    right-handed frame.

    Args:
        cell: (3, 3) Angstrom, lattice vectors.
        zone_axis: [uvw], whole numbers.
        right: [uvw] of the lattice direction whose part across the beam points to the right; None takes the first of
            a, b and c that is not along the beam.
        id: the crystal's name, for errors.

    Returns:
        (3, 3) unit vectors as rows: right, up, to the observer. `cart @ frame.T` are the coordinates in the picture.

    Raises:
        InvalidRequestError: the zone axis is 000 or not of whole numbers, or `right` is along it.
    """
    uvw = np.asarray(zone_axis, dtype=np.float64)
    if uvw.shape != (3,) or not np.array_equal(uvw, np.round(uvw)) or not uvw.any():
        raise InvalidRequestError(
            f"crystal {id!r}: a zone axis is three whole numbers [uvw], not all zero, got {list(zone_axis)}"
        )
    toward = uvw @ cell
    toward = toward / np.linalg.norm(toward)
    choices = np.eye(3) if right is None else np.asarray(right, dtype=np.float64).reshape(-1, 3)
    for choice in choices:
        vector = choice @ cell
        across = vector - (vector @ toward) * toward
        if np.linalg.norm(across) > 1e-6 * np.linalg.norm(vector) > 0.0:
            first = across / np.linalg.norm(across)
            return np.stack([first, np.cross(toward, first), toward])
    raise InvalidRequestError(
        f"crystal {id!r}: the direction {right} to the right is along the zone axis {list(zone_axis)}"
    )


def block(crystal: Crystal, *, n_atoms: int) -> Specimen:
    """Repeat a cell into a block as near to a cube as its vectors allow.

    The shortest edge is lengthened by one cell until there are enough atoms, as for the supercells of Ziletti et al.
    2018, doi:10.1038/s41467-018-05169-6.

    Args:
        crystal: one crystal; a conventional cell gives blunter blocks than a primitive one.
        n_atoms: at least so many.

    Raises:
        InvalidRequestError: not a positive number of atoms.
    """
    if not 0 < n_atoms <= _MOST_ATOMS:
        raise InvalidRequestError(f"crystal {crystal.id!r}: a block has 1 to {_MOST_ATOMS} atoms, got {n_atoms}")
    repeats = np.ones(3, dtype=np.int64)
    while repeats.prod() * len(crystal) < n_atoms:
        repeats[np.argmin(np.round(repeats * crystal.lengths, 6))] += 1
    return whole(supercell(crystal, matrix=repeats), cell=crystal.cell)


def whole(crystal: Crystal, *, cell: NDArray[np.float64] | None = None) -> Specimen:
    """Take the atoms of one cell as they stand, centred on their middle.

    Args:
        crystal: the crystal, usually a supercell.
        cell: (3, 3) Angstrom, the lattice that zone axes shall refer to; None takes the crystal's own.
    """
    cart = crystal.cart
    middle = (cart.min(0) + cart.max(0)) / 2.0
    return Specimen(cart - middle, crystal.numbers, crystal.cell if cell is None else cell, id=crystal.id)


def slab(
    crystal: Crystal, *, zone_axis: Sequence[int], width: float, height: float, thickness: float,
    right: Sequence[int] | None = None,
) -> Specimen:  # fmt: skip
    """Cut a plate whose faces are across a zone axis.

    Args:
        crystal: one crystal.
        zone_axis: [uvw] along the beam.
        width: Angstrom, to the right in the picture.
        height: Angstrom, upwards.
        thickness: Angstrom, along the beam.
        right: see `zone_frame`.

    Raises:
        InvalidRequestError: an impossible zone axis, a length that is not positive, or no atom inside.
    """
    lengths = _positive(crystal.id, width=width, height=height, thickness=thickness)
    if len(crystal) * lengths.prod() / crystal.volume > _MOST_ATOMS:
        raise InvalidRequestError(f"crystal {crystal.id!r}: the slab would have over {_MOST_ATOMS} atoms; ask for less")
    frame = zone_frame(crystal.cell, zone_axis=zone_axis, right=right, id=crystal.id)
    corners = (np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3) * lengths) @ frame
    reach = corners @ np.linalg.inv(crystal.cell)
    # a coordinate lies in [0, 1), so that the cell below the lowest corner can still reach into the slab
    ranges = [
        np.arange(np.floor(low) - 1, np.ceil(high) + 1) for low, high in zip(reach.min(0), reach.max(0), strict=True)
    ]
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
    return _inside(crystal, cells=cells, offsets=crystal.cart, frame=frame, lengths=lengths)


def sheet(
    crystal: Crystal, *, width: float, height: float, zone_axis: Sequence[int] = (0, 0, 1),
    right: Sequence[int] | None = None,
) -> Specimen:  # fmt: skip
    """Spread out a two-dimensional crystal, repeated along a and b and never along c.

    Args:
        crystal: a layer with vacuum along c; one that crosses the cell's face is put together.
        width: Angstrom, to the right in the picture.
        height: Angstrom, upwards.
        zone_axis: [uvw] along the beam; other than [001] the sheet is tilted.
        right: see `zone_frame`.

    Raises:
        InvalidRequestError: an impossible zone axis or one within the sheet, a length that is not positive, or no atom
            inside.
    """
    lengths = _positive(crystal.id, width=width, height=height)
    frame = zone_frame(crystal.cell, zone_axis=zone_axis, right=right, id=crystal.id)
    plane = crystal.cell[:2] @ frame[:2].T
    if abs(np.linalg.det(plane)) < 1e-3 * np.linalg.norm(np.cross(*crystal.cell[:2])):
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: the zone axis {list(zone_axis)} lies within the sheet; its columns would have no end"
        )
    if len(crystal) * lengths.prod() / abs(np.linalg.det(plane)) > _MOST_ATOMS:
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: the sheet would have over {_MOST_ATOMS} atoms; ask for less"
        )
    heights = np.sort(crystal.frac[:, 2])
    gaps = np.append(heights[1:], heights[0] + 1.0) - heights
    above = heights[(np.argmax(gaps) + 1) % len(heights)]  # the lowest atom above the widest gap
    frac = crystal.frac.copy()
    frac[:, 2] = (frac[:, 2] - above + 1e-9) % 1.0
    frac[:, 2] -= (frac[:, 2].min() + frac[:, 2].max()) / 2.0
    offsets = frac @ crystal.cell
    margin = np.abs(offsets @ frame[:2].T).max(0)
    corners = np.stack(np.meshgrid([-1, 1], [-1, 1], indexing="ij"), -1).reshape(-1, 2) * (lengths / 2.0 + margin)
    reach = corners @ np.linalg.inv(plane)
    ranges = [np.arange(np.floor(low), np.ceil(high) + 1) for low, high in zip(reach.min(0), reach.max(0), strict=True)]
    cells = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 2) @ crystal.cell[:2]
    return _inside(crystal, cells=cells, offsets=offsets, frame=frame, lengths=lengths)


def _inside(
    crystal: Crystal, *, cells: NDArray[np.float64], offsets: NDArray[np.float64], frame: NDArray[np.float64],
    lengths: NDArray[np.float64],
) -> Specimen:  # fmt: skip
    cart = (cells[:, None, :] + offsets[None]).reshape(-1, 3)
    seen = cart @ frame[: len(lengths)].T
    inside = ((seen >= -lengths / 2.0 - _FACE) & (seen < lengths / 2.0 - _FACE)).all(1)
    return Specimen(cart[inside], np.tile(crystal.numbers, len(cells))[inside], crystal.cell, id=crystal.id)


def _positive(name: str, *, width: float, height: float, thickness: float | None = None) -> NDArray[np.float64]:
    lengths = np.array([width, height] if thickness is None else [width, height, thickness], dtype=np.float64)
    if not (np.isfinite(lengths).all() and (lengths > 0.0).all()):
        raise InvalidRequestError(
            f"crystal {name!r}: the lengths of a specimen must be positive, got {lengths.tolist()} Å"
        )
    return lengths
