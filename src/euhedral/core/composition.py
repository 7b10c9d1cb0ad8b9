"""Formulas and what follows from them alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import reduce
from math import gcd

import numpy as np
from numpy.typing import ArrayLike

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number, element, elements
from euhedral.core.units import G_PER_CM3_PER_AMU_PER_A3
from euhedral.errors import FileFormatError, UnknownNameError

_TOKEN = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?|(\()|(\))(\d+(?:\.\d+)?)?")


def counts(numbers: ArrayLike) -> dict[str, int]:
    """Count the atoms of each element, ordered by electronegativity as formulas are written.

    Args:
        numbers: (n,) atomic numbers.
    """
    tally = Counter(int(number) for number in np.asarray(numbers).ravel())

    def order(number: int) -> tuple[float, str]:
        electronegativity = elements()[number - 1].electronegativity
        return (99.0 if electronegativity is None else electronegativity, SYMBOLS[number])

    return {SYMBOLS[number]: tally[number] for number in sorted(tally, key=order)}


def formula(numbers: ArrayLike, *, reduced: bool = True) -> str:
    """Write the formula, least electronegative element first: "LiMn2O4".

    Args:
        numbers: (n,) atomic numbers.
        reduced: divide by the greatest common divisor.
    """
    tally = counts(numbers)
    divisor = reduce(gcd, tally.values()) if reduced else 1
    return "".join(f"{symbol}{count // divisor if count != divisor else ''}" for symbol, count in tally.items())


def anonymous_formula(numbers: ArrayLike) -> str:
    """Write the formula with elements named A, B, C by rising count: "ABC3".

    Args:
        numbers: (n,) atomic numbers.
    """
    values = sorted(counts(numbers).values())
    divisor = reduce(gcd, values)
    letters = [chr(ord("A") + i) if i < 26 else f"[{i}]" for i in range(len(values))]
    return "".join(f"{letter}{v // divisor if v != divisor else ''}" for letter, v in zip(letters, values, strict=True))


def chemical_system(numbers: ArrayLike) -> str:
    """Name the chemical system, symbols in alphabetical order: "Li-Mn-O".

    Args:
        numbers: (n,) atomic numbers.
    """
    return "-".join(sorted({SYMBOLS[int(number)] for number in np.asarray(numbers).ravel()}))


def parse_formula(text: str) -> dict[str, float]:
    """Read a formula, with nested brackets: "Ca(OH)2" is {"Ca": 1, "O": 2, "H": 2}.

    Raises:
        FileFormatError: the text is not a formula; the message says where.
        UnknownNameError: a symbol is no element's.
    """
    stack: list[Counter[str]] = [Counter()]
    position = 0
    compact = text.replace(" ", "")
    while position < len(compact):
        match = _TOKEN.match(compact, position)
        if match is None:
            raise FileFormatError(
                f"{text!r} is not a formula: unexpected {compact[position]!r} at position {position + 1}"
            )
        symbol, count, opening, closing, factor = match.groups()
        if symbol:
            try:
                atomic_number(symbol)
            except UnknownNameError as error:
                raise UnknownNameError(f"formula {text!r}: {error}") from None
            stack[-1][symbol] += float(count or 1)  # type: ignore[assignment]
        elif opening:
            stack.append(Counter())
        elif closing:
            if len(stack) == 1:
                raise FileFormatError(
                    f"{text!r} is not a formula: a bracket closes at position {position + 1} and none is open"
                )
            for inner, number in stack.pop().items():
                stack[-1][inner] += number * float(factor or 1)  # type: ignore[assignment]
        position = match.end()
    if len(stack) > 1:
        raise FileFormatError(f"{text!r} is not a formula: a bracket is not closed")
    if not any(stack[0].values()):
        raise FileFormatError(f"{text!r} is not a formula: it names no atoms")
    return {symbol: count for symbol, count in stack[0].items() if count}


def fractions(composition: Mapping[str, float]) -> dict[str, float]:
    """Scale a composition so that its amounts add up to 1."""
    total = sum(composition.values())
    return {symbol: amount / total for symbol, amount in composition.items()}


def density(crystal: Crystal) -> float:
    """Mass density, g/cm^3."""
    mass = sum(element(int(number)).mass for number in crystal.numbers)
    return mass / crystal.volume * G_PER_CM3_PER_AMU_PER_A3
