"""Numbers as fixed-width text, and text as numbers, with errors that name the place."""

from __future__ import annotations

from typing import Protocol

from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.core.files.text import number
from euhedral.errors import FileFormatError, UnknownNameError


class TextFormat(Protocol):
    """A way to write a crystal as text, and to read it back."""

    def write(self, crystal: Crystal) -> str:
        """Write a crystal; equal crystals give equal text."""
        ...

    def read(self, text: str, *, name: str = "text") -> Crystal:
        """Read the crystal back, or raise an error that names the line."""
        ...


def fixed(value: float, *, decimals: int) -> str:
    """Write a number with this many decimals; what rounds to zero has no sign."""
    # lengths that symmetry makes equal differ in the last bits: a half must not fall to either side
    text = f"{round(value, decimals + 6):.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def fixed_fraction(value: float, *, decimals: int) -> str:
    """Write a fractional coordinate with this many decimals; what rounds to 1 is 0."""
    text = fixed(value, decimals=decimals)
    return fixed(0.0, decimals=decimals) if float(text) >= 1.0 else text


def numbers(words: list[str], *, what: str, where: str) -> list[float]:
    """Read the numbers of a line.

    Raises:
        FileFormatError: one is not a finite number; the message says which.
    """
    return [number(word, what=f"{what} {i}", where=where) for i, word in enumerate(words, start=1)]


def element_number(word: str, *, where: str) -> int:
    """Read an element's symbol.

    Raises:
        FileFormatError: no element has it.
    """
    try:
        return atomic_number(word)
    except UnknownNameError as error:
        raise FileFormatError(f"{where}: {error}") from None
