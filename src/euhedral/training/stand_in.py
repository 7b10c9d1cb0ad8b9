"""A crystal in place of a formula, for networks that look at nothing but the composition."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm
from typing import Final

import numpy as np

from euhedral.core.composition import parse_formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.errors import InvalidRequestError

# Amounts are read to this fineness, and a formula that then needs more atoms than this is no material's.
_FINENESS: Final = 1000
_MOST_ATOMS: Final = 20_000


def stand_in(formula: str) -> Crystal:
    """Make a crystal that has a formula's composition; where its atoms are means nothing.

    Args:
        formula: "Ca(OH)2", or with parts of atoms, "Li0.5CoO2".

    Raises:
        FileFormatError: the text is no formula.
        UnknownNameError: a symbol is no element's.
        InvalidRequestError: the amounts have no common measure that a thousandth could express.
    """
    amounts = {
        symbol: Fraction(amount).limit_denominator(_FINENESS) for symbol, amount in parse_formula(formula).items()
    }
    whole = lcm(*(amount.denominator for amount in amounts.values()))
    counts = {atomic_number(symbol): int(amount * whole) for symbol, amount in amounts.items()}
    divisor = gcd(*counts.values())
    if not divisor or 0 in counts.values() or sum(counts.values()) // divisor > _MOST_ATOMS:
        raise InvalidRequestError(
            f"formula {formula!r}: expected amounts of whole atoms or parts of a thousandth at least"
        )
    numbers = np.repeat(list(counts), [count // divisor for count in counts.values()])
    n = len(numbers)
    return Crystal(
        cell=np.eye(3) * (20.0 * n) ** (1 / 3),
        frac=np.repeat(np.arange(n)[:, None] / n, 3, axis=1),
        numbers=numbers,
        id=formula,
    )
