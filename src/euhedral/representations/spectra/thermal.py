"""How far atoms move about their places: isotropic B = 8 pi^2 <u^2> of each atom, however it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.errors import InvalidRequestError

#: Angstrom^2 of all atoms, or by symbol; "site" takes each atom's from `crystal.site["b_iso"]`.
Thermal = float | Mapping[str, float] | Literal["site"]


def b_of_atoms(crystals: Sequence[Crystal], *, thermal: Thermal, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give every atom its B.

    Args:
        crystals: any number.
        thermal: as `Thermal`.
        numbers: (N,) atomic numbers of all of them.

    Returns:
        (N,) Angstrom^2.

    Raises:
        InvalidRequestError: an atom has no B, or a negative one.
    """
    if isinstance(thermal, str):
        for crystal in crystals:
            if thermal != "site" or "b_iso" not in crystal.site:
                raise InvalidRequestError(
                    f"crystal {crystal.id!r}: thermal={thermal!r} needs B of each atom in site['b_iso']; "
                    f"it has {sorted(crystal.site) or 'no site values'}"
                )
        damping = np.concatenate([np.asarray(crystal.site["b_iso"], dtype=np.float64) for crystal in crystals])
    elif isinstance(thermal, Mapping):
        by_number = np.full(len(SYMBOLS), np.nan)
        for symbol, value in thermal.items():
            by_number[atomic_number(symbol)] = value
        damping = by_number[numbers]
        if np.isnan(damping).any():
            missing = SYMBOLS[int(numbers[np.isnan(damping)][0])]
            raise InvalidRequestError(f"thermal has no B for {missing}; it has {sorted(thermal)}")
    else:
        if 0.0 <= thermal < np.inf:
            return np.full(len(numbers), float(thermal))
        damping = np.array([float(thermal)])
    if damping.shape != numbers.shape or not (np.isfinite(damping).all() and (damping >= 0.0).all()):
        raise InvalidRequestError(
            f"B is a number of Angstrom^2 for each atom, not negative, got {damping.ravel()[:3]} ..."
        )
    return damping
