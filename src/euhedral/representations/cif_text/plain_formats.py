"""Lattice parameters and atoms without any words: the formats of LM-CM and LM-AC, and of Gruver et al.

Both hold every atom of the crystal's own cell. The orientation of the cell in space is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.elements import SYMBOLS
from euhedral.errors import FileFormatError, InvalidCrystalError
from euhedral.representations.cif_text.rounding import element_number, fixed, fixed_fraction, numbers


@dataclass(frozen=True)
class CoordinateFormat:
    """One line with a, b, c, alpha, beta, gamma; then one line an atom: symbol, x, y, z.

    Args:
        length_decimals: of a, b, c, Angstrom.
        angle_decimals: of alpha, beta, gamma, degrees.
        coordinate_decimals: of fractional coordinates.

    Source: Flam-Shepherd and Aspuru-Guzik 2023, arXiv:2305.05708 (lattice, then atoms, as one sequence). The layout in lines
    is ours; a token level that leaves spaces out gives the same sequence.
    """

    length_decimals: int = 1
    angle_decimals: int = 0
    coordinate_decimals: int = 2

    def write(self, crystal: Crystal) -> str:
        """Write a crystal; atoms keep their order."""
        head = [fixed(value, decimals=self.length_decimals) for value in crystal.lengths.tolist()]
        head += [fixed(value, decimals=self.angle_decimals) for value in crystal.angles.tolist()]
        lines = [" ".join(head)]
        for kind, point in zip(crystal.numbers.tolist(), crystal.frac.tolist(), strict=True):
            words = [fixed_fraction(value, decimals=self.coordinate_decimals) for value in point]
            lines.append(" ".join([SYMBOLS[kind], *words]))
        return "\n".join(lines) + "\n"

    def read(self, text: str, *, name: str = "text") -> Crystal:
        """Read a crystal back.

        Raises:
            FileFormatError: a line is not as it should be; the message names it.
            InvalidCrystalError: no cell has these parameters.
        """
        lines = text.splitlines()
        head = lines[0].split() if lines else []
        if len(head) != 6:
            raise FileFormatError(f"{name}, line 1: {len(head)} words, expected the six lattice parameters")
        parameters = numbers(head, what="lattice parameter", where=f"{name}, line 1")
        kinds, points = [], []
        for position, line in enumerate(lines[1:], start=2):
            words = line.split()
            where = f"{name}, line {position}"
            if len(words) != 4:
                raise FileFormatError(f"{where}: {len(words)} words, expected a symbol and three coordinates")
            kinds.append(element_number(words[0], where=where))
            points.append(numbers(words[1:], what="coordinate", where=where))
        return _crystal(parameters, kinds=kinds, points=points, name=name)


@dataclass(frozen=True)
class PlainFormat:
    """A line of lengths, a line of angles, then two lines an atom: its symbol, and its coordinates.

    Args:
        length_decimals: Angstrom.
        angle_decimals: degrees.
        coordinate_decimals: of fractional coordinates.

    Source: Gruver et al. 2024, arXiv:2402.04379, section 4. Departure: angles are rounded to the nearest, where the authors'
    code cuts decimals off (119.99999 becomes 119); no random translation is applied, see `augmentation`.
    """

    length_decimals: int = 1
    angle_decimals: int = 0
    coordinate_decimals: int = 2

    def write(self, crystal: Crystal) -> str:
        """Write a crystal; atoms keep their order."""
        lines = [
            " ".join(fixed(value, decimals=self.length_decimals) for value in crystal.lengths.tolist()),
            " ".join(fixed(value, decimals=self.angle_decimals) for value in crystal.angles.tolist()),
        ]
        for kind, point in zip(crystal.numbers.tolist(), crystal.frac.tolist(), strict=True):
            lines.append(SYMBOLS[kind])
            lines.append(" ".join(fixed_fraction(value, decimals=self.coordinate_decimals) for value in point))
        return "\n".join(lines)

    def read(self, text: str, *, name: str = "text") -> Crystal:
        """Read a crystal back.

        Raises:
            FileFormatError: a line is not as it should be; the message names it.
            InvalidCrystalError: no cell has these parameters.
        """
        lines = text.splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        parameters, kinds, points = [], [], []
        for position, line in enumerate(lines, start=1):
            where, words = f"{name}, line {position}", line.split()
            if position > 2 and position % 2:
                if len(words) != 1:
                    raise FileFormatError(f"{where}: {line[:40]!r}, expected one symbol of an element")
                kinds.append(element_number(words[0], where=where))
                continue
            what = ("length", "angle")[position - 1] if position <= 2 else "coordinate"
            if len(words) != 3:
                raise FileFormatError(f"{where}: {len(words)} words, expected three {what}s")
            values = numbers(words, what=what, where=where)
            if position <= 2:
                parameters += values
            else:
                points.append(values)
        if len(kinds) != len(points):
            raise FileFormatError(f"{name}, line {len(lines)}: the last atom has no coordinates")
        if len(parameters) != 6:
            raise FileFormatError(f"{name}: {len(lines)} lines, expected lengths, angles and atoms")
        return _crystal(parameters, kinds=kinds, points=points, name=name)


def _crystal(parameters: list[float], *, kinds: list[int], points: list[list[float]], name: str) -> Crystal:
    if not kinds:
        raise FileFormatError(f"{name}: it has a lattice but no atoms")
    try:
        return Crystal(
            cell=cell_from_parameters(parameters[:3], parameters[3:]),
            frac=np.array(points),
            numbers=np.array(kinds),
        )
    except InvalidCrystalError as error:
        raise InvalidCrystalError(f"{name}: {error}") from None
