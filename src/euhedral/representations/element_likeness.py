"""How readily one element takes another's place, measured from which crystals exist.

For each crystal and each of its elements, ask which other elements are known in that place with everything else the same.
The share of such places of a or b that both are known in is their likeness, as the substitution probabilities of Hautier
et al. 2011 (doi:10.1021/ic102031h) are mined from pairs of isotypic compounds. Where two elements have few places, the
estimate leans on their distance in Mendeleev number (Pettifor 1984, doi:10.1016/0038-1098(84)90765-8), group, period, radius
and electronegativity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import MAX_NUMBER, elements

# Places that the chemical distance counts for; from 2 to 30 nothing changed in trials on systems not held out.
_PRIOR_PLACES: Final = 10.0
_LEAST: Final = 1e-5


def log_likeness(prototypes: NDArray[np.int64], *, slots: Sequence[tuple[int, ...]]) -> NDArray[np.float64]:
    """Measure the likeness of all pairs of elements.

    Args:
        prototypes: (n,) the prototype of each crystal.
        slots: atomic number in each slot of each crystal.

    Returns:
        (119, 119) natural logarithm, by atomic number; 0 on the diagonal, symmetric.
    """
    places: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)
    for prototype, crystal in zip(prototypes.tolist(), slots, strict=True):
        for slot, number in enumerate(crystal):
            places[(prototype, slot, *crystal[:slot], *crystal[slot + 1 :])].add(number)
    shared = np.zeros((MAX_NUMBER + 1, MAX_NUMBER + 1))
    known = np.zeros(MAX_NUMBER + 1)
    for found in places.values():
        numbers = np.array(sorted(found))
        known[numbers] += 1
        if len(numbers) > 1:
            shared[np.ix_(numbers, numbers)] += 1
    likeness = 2.0 * (shared + _PRIOR_PLACES * chemical_likeness()) / (known[:, None] + known + 2.0 * _PRIOR_PLACES)
    np.fill_diagonal(likeness, 1.0)
    return np.log(np.clip(likeness, _LEAST, 1.0))


def chemical_likeness() -> NDArray[np.float64]:
    """Estimate likeness from the table of elements alone.

    Returns:
        (119, 119) from 0 to 1, by atomic number.
    """
    table = elements()
    mendeleev = _column([element.mendeleev for element in table])
    radius = np.log(_column([element.covalent_radius for element in table], missing=1.5))
    electronegativity = _column([element.electronegativity for element in table], missing=2.0)
    row, group = _column([element.row for element in table]), _column([element.group for element in table])
    f_block = _column([float(element.block == "f") for element in table]) > 0
    distance = (
        _differences(mendeleev) / 20.0
        + 0.6 * ((_differences(group) > 0) & ~(f_block[:, None] | f_block))
        + 2.0 * _differences(radius)
        + _differences(electronegativity)
        + 0.15 * _differences(row)
    )
    return 0.35 * np.exp(-1.5 * distance)


def _column(values: Sequence[float | None], *, missing: float = 0.0) -> NDArray[np.float64]:
    return np.array([missing, *(missing if value is None else value for value in values)], dtype=np.float64)


def _differences(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.abs(values[:, None] - values)
