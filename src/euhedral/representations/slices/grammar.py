"""The text of SLICES: element symbols, then bonds, as published.

    C C 01ooo 01oo+ 01o+o 01+oo

is diamond: atoms 0 and 1, and four bonds `uvxyz` from atom u to atom v in the cell x y z, where `o`, `+` and `-` stand for 0, 1 and
-1 (Xiao et al. 2023, doi:10.1038/s41467-023-42870-7). In cells of more than ten atoms both numbers have two digits. The public code of
the paper parts a bond by spaces, `0 1 oo+` or `0 1 o o +`; all three are read here.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS
from euhedral.errors import FileFormatError, InvalidRequestError
from euhedral.representations.labelled_quotient import LabelledQuotientGraph

#: How a bond is written: `01oo+`, `0 1 oo+` or `0 1 o o +`.
Style = Literal["compact", "spaced", "characters"]

_TOKEN: Final = re.compile(r"\S+")
_COMPACT: Final = re.compile(r"([0-9]+)([o+-]{3})")
_NUMBERS: Final = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
_STEP: Final = {"o": 0, "+": 1, "-": -1}
_SIGN: Final = {0: "o", 1: "+", -1: "-"}


def parse(text: str) -> LabelledQuotientGraph:
    """Read a SLICES string.

    Bonds that are said twice count once. Whether the bonds hold a crystal together is for the decoder to say.

    Raises:
        FileFormatError: it is not SLICES; the message has the position of the first fault, counted from 1.
    """
    reader = _Reader(text)
    numbers = reader.elements()
    ends: list[tuple[int, int]] = []
    labels: list[tuple[int, int, int]] = []
    while not reader.finished:
        pair, label = reader.bond(len(numbers))
        ends.append(pair)
        labels.append(label)
    if not ends:
        reader.fault(len(text), "the string ends before the first bond")
    return LabelledQuotientGraph.from_bonds(
        numbers, source=[u for u, _ in ends], target=[v for _, v in ends], image=labels
    )


def write(net: LabelledQuotientGraph, *, style: Style = "compact") -> str:
    """Write a net as a SLICES string, atoms and bonds in the order in which they are.

    Raises:
        InvalidRequestError: a label is outside -1 to 1, or the style is unknown.
    """
    return written(net.numbers, bonds=np.column_stack([net.source, net.target, net.image]), style=style)


def written(numbers: NDArray[np.int64], *, bonds: NDArray[np.int64], style: Style) -> str:
    """Write bonds in the order and the direction in which they are given.

    Args:
        numbers: (n,) atomic numbers.
        bonds: (m, 5) both atoms and the label of each bond.
        style: how a bond is written.

    Raises:
        InvalidRequestError: a label is outside -1 to 1, or the style is unknown.
    """
    farthest = np.abs(bonds[:, 2:]).max(initial=0)
    if farthest > 1:
        raise InvalidRequestError(f"a bond leads {farthest} cells away; SLICES has letters for one only")
    if style not in {"compact", "spaced", "characters"}:
        raise InvalidRequestError(f"style {style!r} is not one of compact, spaced, characters")
    width = len(str(len(numbers) - 1))
    tokens = [SYMBOLS[number] for number in numbers]
    for u, v, *label in bonds.tolist():
        signs = [_SIGN[step] for step in label]
        if style == "compact":
            tokens.append(f"{u:0{width}d}{v:0{width}d}{''.join(signs)}")
        else:
            tokens += [str(u), str(v), *(["".join(signs)] if style == "spaced" else signs)]
    return " ".join(tokens)


class _Reader:
    """Goes through the tokens of one string and knows where each begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [(match.group(), match.start()) for match in _TOKEN.finditer(text)]
        self._next = 0

    @property
    def finished(self) -> bool:
        return self._next == len(self._tokens)

    def fault(self, position: int, what: str) -> NoReturn:
        raise FileFormatError(
            f"not SLICES: at position {position + 1} {what}; expected element symbols, then bonds such as 01oo+"
        )

    def elements(self) -> list[int]:
        numbers: list[int] = []
        while not self.finished and not self._tokens[self._next][0][0].isdigit():
            token, position = self._tokens[self._next]
            if token not in _NUMBERS:
                self.fault(position, f"{_shown(token)} is no element")
            numbers.append(_NUMBERS[token])
            self._next += 1
        if not numbers:
            self.fault(self._tokens[0][1] if self._tokens else 0, "there is no element")
        return numbers

    def bond(self, n_atoms: int) -> tuple[tuple[int, int], tuple[int, int, int]]:
        token, position = self._tokens[self._next]
        compact = _COMPACT.fullmatch(token)
        if compact is not None:
            self._next += 1
            digits, signs = compact.groups()
            if len(digits) % 2:
                self.fault(position, f"{_shown(token)} does not part into two atom numbers of as many digits")
            half = len(digits) // 2
            ends = (self._atom(digits[:half], position, n_atoms), self._atom(digits[half:], position + half, n_atoms))
            at = position + len(digits)
        else:
            ends = (self._number(n_atoms), self._number(n_atoms))
            signs, at = self._signs()
        label = (_STEP[signs[0]], _STEP[signs[1]], _STEP[signs[2]])
        if ends[0] == ends[1] and label == (0, 0, 0):
            self.fault(at, f"atom {ends[0]} is bonded to itself")
        return ends, label

    def _number(self, n_atoms: int) -> int:
        if self.finished:
            self.fault(len(self._text), "the string ends within a bond")
        token, position = self._tokens[self._next]
        self._next += 1
        if not (token.isascii() and token.isdigit()):
            self.fault(position, f"{_shown(token)} is no atom number")
        return self._atom(token, position, n_atoms)

    def _atom(self, digits: str, position: int, n_atoms: int) -> int:
        # a number of very many digits is not worth converting, nor can it be an atom
        if len(digits.lstrip("0")) > len(str(n_atoms)) or int(digits) >= n_atoms:
            self.fault(position, f"there is no atom {_shown(digits)}, only 0 to {n_atoms - 1}")
        return int(digits)

    def _signs(self) -> tuple[str, int]:
        signs, at = "", -1
        while len(signs) < 3:
            if self.finished:
                self.fault(len(self._text), "the string ends within a bond")
            token, position = self._tokens[self._next]
            at = position if at < 0 else at
            wrong = next((k for k, letter in enumerate(token) if letter not in _STEP or len(signs) + k >= 3), None)
            if wrong is not None:
                self.fault(position + wrong, f"{_shown(token[wrong:])} is no step o, + or -")
            signs += token
            self._next += 1
        return signs, at


def _shown(token: str) -> str:
    return repr(token if len(token) <= 20 else token[:17] + "...")
