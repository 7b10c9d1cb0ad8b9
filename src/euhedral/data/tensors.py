"""Tensors of crystals: from Voigt's notation and back, their axes, and whether they obey their crystal's symmetry.

Neumann's principle: a tensor is unchanged by every operation R of its crystal's point group (Nye 1985, chapter 1),

    T_ij... = R_ia R_jb ... T_ab...

so a tensor that is changed was calculated badly, or its components refer to other axes than those of the crystal beside it.
Components refer to the Cartesian axes in which the crystal's cell is written, x, y, z for 0, 1, 2. Voigt's order is
xx, yy, zz, yz, xz, xy; factors of two are in strains, not in stiffnesses or in the piezoelectric stress tensor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.symmetry import Symmetry

if TYPE_CHECKING:
    from euhedral.data.dataset import Dataset

#: Shapes of tensors in Voigt's order, which `full_tensor` writes out.
VOIGT_SHAPES: Final = ((3, 6), (6, 6))
_VOIGT: Final = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
_PAIRS: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_SHAPES: Final = ((3, 3), *VOIGT_SHAPES, (3, 3, 3), (3, 3, 3, 3))


def full_tensor(tensor: ArrayLike) -> NDArray[np.float64]:
    """Write a tensor with all its indices.

    Args:
        tensor: (3, 3), (3, 6) piezoelectric stress, or (6, 6) stiffness in Voigt's order; or already (3, 3, 3) or
            (3, 3, 3, 3).

    Returns:
        (3, 3), (3, 3, 3) or (3, 3, 3, 3).

    Raises:
        InvalidRequestError: another shape.
    """
    array = np.asarray(tensor, dtype=np.float64)
    if array.shape not in _SHAPES:
        raise InvalidRequestError(f"a tensor has one of the shapes {', '.join(map(str, _SHAPES))}; got {array.shape}")
    return _from_voigt(array) if array.shape in VOIGT_SHAPES else array


def _from_voigt(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3, 6) or (..., 6, 6) to (..., 3, 3, 3) or (..., 3, 3, 3, 3)."""
    last = array[..., _VOIGT]
    return last if array.shape[-2] == 3 else last[..., _VOIGT, :, :]


def written_out(data: Dataset, *, names: Iterable[str]) -> Dataset:
    """Write tensors of a data set that are in Voigt's order with all their indices, in memory.

    Args:
        data: any.
        names: the columns to look at; those that are not in Voigt's order stay as they are.
    """
    for name in names:
        column = data.described.get(name)
        if column is not None and column.kind == "array" and column.shape in VOIGT_SHAPES:
            values = _from_voigt(data.column(name))
            full = replace(column, shape=values.shape[1:], note="written out from Voigt's order")
            data = data.with_column(full, values=values)
    return data


def voigt_tensor(tensor: ArrayLike) -> NDArray[np.float64]:
    """Write a tensor in Voigt's order; the mean of components that Voigt's notation takes for equal.

    Args:
        tensor: (3, 3, 3) piezoelectric stress, or (3, 3, 3, 3) stiffness.

    Returns:
        (3, 6) or (6, 6).

    Raises:
        InvalidRequestError: another shape.
    """
    array = np.asarray(tensor, dtype=np.float64)
    if array.shape not in ((3, 3, 3), (3, 3, 3, 3)):
        raise InvalidRequestError(f"Voigt's notation is of shapes (3, 3, 3) and (3, 3, 3, 3); got {array.shape}")
    first, second = np.array(_PAIRS).T
    last = 0.5 * (array[..., first, second] + array[..., second, first])
    return last if array.ndim == 3 else 0.5 * (last[first, second] + last[second, first])


def turned(tensor: ArrayLike, *, rotation: ArrayLike) -> NDArray[np.float64]:
    """Rotate a tensor together with what it belongs to, or give it in axes that are turned the other way.

    Args:
        tensor: (3, ..., 3), all indices written out.
        rotation: (3, 3) orthogonal, r' = R r; improper ones are fine.
    """
    result = np.asarray(tensor, dtype=np.float64)
    for index in range(result.ndim):
        result = np.moveaxis(np.tensordot(np.asarray(rotation), result, axes=(1, index)), 0, index)
    return result


def symmetrized(tensor: ArrayLike, *, group: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project a tensor on those that a point group leaves unchanged.

    Args:
        tensor: (3, ..., 3), all indices written out.
        group: (k, 3, 3), from `geometry.point_group`.
    """
    return np.mean([turned(tensor, rotation=rotation) for rotation in group], axis=0)


def symmetry_error(tensor: ArrayLike, *, group: NDArray[np.float64]) -> float:
    """Measure how far a tensor is from obeying a point group.

    Args:
        tensor: (3, ..., 3), all indices written out.
        group: (k, 3, 3), from `geometry.point_group`.

    Returns:
        |T - symmetrized(T)| / |T|, from 0 to 1; 0 for a tensor of zeros.
    """
    array = np.asarray(tensor, dtype=np.float64)
    size = float(np.linalg.norm(array))
    return float(np.linalg.norm(array - symmetrized(array, group=group))) / size if size > 0.0 else 0.0


def in_standard_axes(crystal: Crystal, *, found: Symmetry, a_along_y: bool = False) -> Crystal:
    """Turn a crystal so that its conventional cell lies as tables of tensors have it: a along x, b in the xy plane.

    The cell stays the one that it was; only its axes turn.

    Args:
        crystal: any cell of it.
        found: its symmetry.
        a_along_y: turn it a quarter about z in addition, as where the twofold axes or mirror planes of a trigonal or
            hexagonal group stand between the axes a.
    """
    conventional = (crystal.cell.T @ found.linear).T
    u, _, v = np.linalg.svd(conventional.T @ found.standard.cell)
    rotation = (u @ v).T  # nearest rotation that takes the crystal's conventional cell to the standard one
    if a_along_y:
        rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) @ rotation
    return crystal.replace(cell=crystal.cell @ rotation.T)
