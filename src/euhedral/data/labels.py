"""The values in one row of a source: numbers, arrays of a fixed shape, values of atoms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.data.quantities import Quantity
from euhedral.data.sources import Values
from euhedral.data.tensors import full_tensor, in_standard_axes, symmetry_error
from euhedral.errors import FileFormatError, InvalidCrystalError
from euhedral.geometry.point_group import cartesian_point_group
from euhedral.geometry.symmetry import Symmetry, symmetry


class LabelError(FileFormatError):
    """A value that cannot be what it is said to be."""


def number_of(row: Mapping[str, Any], column: str, *, where: str) -> float | None:
    """Read a number from a row; empty, null and NaN are None.

    Raises:
        FileFormatError: the cell holds something else.
    """
    cell = row.get(column)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        number = float(cell)
    except (ValueError, TypeError):
        raise FileFormatError(f"{where}: column {column!r} holds {str(cell)[:20]!r}, expected a number") from None
    return None if np.isnan(number) else number


def array_of(row: Mapping[str, Any], column: str, *, shape: tuple[int, ...], where: str) -> NDArray[np.float64] | None:
    """Read an array from a row: nested lists, or their text; empty and null are None.

    Raises:
        LabelError: the cell holds something else, or an array of another shape.
    """
    cell = row.get(column)
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        array = np.array(json.loads(cell) if isinstance(cell, str) else cell, dtype=np.float64)
    except (ValueError, TypeError, RecursionError):
        raise LabelError(f"{where}: column {column!r} holds {str(cell)[:20]!r}, expected an array of numbers") from None
    if array.shape != shape:
        raise LabelError(f"{where}: column {column!r} holds an array of shape {array.shape}, expected {shape}")
    return None if np.isnan(array).all() else array


def value_of(
    row: Mapping[str, Any], values: Values, *, quantity: Quantity, atoms: int, where: str
) -> float | NDArray[np.float64] | None:
    """Read the value of a quantity from a row; None where it is not known.

    Args:
        row: of the source.
        values: where it stands.
        quantity: what it is.
        atoms: how many the crystal has.
        where: what errors call the row.

    Raises:
        FileFormatError: the row holds something else.
    """
    if any(str(row.get(column)) == unwanted for column, unwanted in values.unless.items()):
        return None
    if quantity.kind != "float":
        shape = (atoms, *quantity.shape) if quantity.kind == "site" else quantity.shape
        if values.columns:
            row = {"": [number_of(row, column, where=where) for column in values.columns]}
        return array_of(row, "" if values.columns else values.column, shape=shape, where=where)
    column = next((name for name in (values.column, *values.also) if name in row), values.column)
    number = number_of(row, column, where=where)
    return number / atoms if number is not None and values.per_atom else number


def with_axes_of(
    crystal: Crystal, tensor: NDArray[np.float64], *, limit: float, space_group: int | None, where: str
) -> Crystal:
    """Turn a crystal into the standard axes, in which its tensor was published.

    A trigonal or hexagonal crystal is turned so that a lies along x or, where only that agrees with the tensor, along y.

    Args:
        crystal: as the source gives it.
        tensor: as published.
        limit: largest symmetry error.
        space_group: as published; decides at which tolerance the symmetry is looked for.
        where: what errors call the row.

    Raises:
        LabelError: the tensor is not that of a crystal with this symmetry in either of these axes.
        InvalidCrystalError: no space group fits.
    """
    found = _published_symmetry(crystal, space_group)
    components = full_tensor(tensor)
    choices = [in_standard_axes(crystal, found=found, a_along_y=quarter) for quarter in (False, True)]
    errors = [
        symmetry_error(components, group=cartesian_point_group(choice, symprec=found.symprec)) for choice in choices
    ]
    trigonal = 143 <= found.number <= 194
    best = 1 if trigonal and errors[1] < errors[0] - limit else 0
    if errors[best] > limit:
        raise LabelError(
            f"{where}: the tensor departs by {errors[best]:.0%} from the symmetry of its crystal (space group {found.number}) in its "
            "standard axes; its own axes are not known"
        )
    return choices[best]


def _published_symmetry(crystal: Crystal, space_group: int | None) -> Symmetry:
    found = symmetry(crystal)
    if space_group is None or found.number == space_group:
        return found
    try:
        loose = symmetry(crystal, symprec=0.1)
    except InvalidCrystalError:  # atoms are nearer than that to a place of higher symmetry
        return found
    return loose if loose.number == space_group else found
