"""Errors by element: where in the periodic table a model is weak."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.elements import MAX_NUMBER
from euhedral.errors import InvalidRequestError


def error_by_element(
    error: ArrayLike, *, numbers: ArrayLike, crystal: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Average the errors of the crystals that hold an element, or of the atoms that are of it.

    Args:
        error: (B,) of crystals or (N,) of atoms; NaN where not known. With as many crystals as atoms both are the same.
        numbers: (N,) atomic numbers.
        crystal: (N,) the crystal of each atom.

    Returns:
        (119,) mean error by atomic number, NaN where none is known; and (119,) how many it is a mean of.

    Raises:
        InvalidRequestError: there are as many errors neither as crystals nor as atoms.
    """
    error, numbers, crystal = np.asarray(error, np.float64), np.asarray(numbers), np.asarray(crystal)
    of_atoms = error.shape == numbers.shape
    if not of_atoms and error.shape != (int(crystal.max(initial=-1)) + 1,):
        raise InvalidRequestError(
            f"expected an error of each of {len(numbers)} atoms or of each crystal, got {error.shape}"
        )
    if of_atoms:
        which, value = numbers, error
    else:
        pairs = np.unique(np.stack([crystal, numbers]), axis=1)  # a crystal counts once for an element
        which, value = pairs[1], error[pairs[0]]
    known = np.isfinite(value)
    count = np.bincount(which[known], minlength=MAX_NUMBER + 1)
    total = np.bincount(which[known], weights=value[known], minlength=MAX_NUMBER + 1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), count
