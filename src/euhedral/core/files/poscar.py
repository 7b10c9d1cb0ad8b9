"""POSCAR and CONTCAR, the structure files of VASP 4, 5 and 6.

Source: the VASP manual, "POSCAR".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.core.files.text import number
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError, UnknownNameError


def crystals_from_poscar(text: str, *, name: str, stem: str) -> Iterator[Crystal | EuhedralError]:
    """Yield the one crystal of a POSCAR; velocities and predictor coordinates are left out.

    Args:
        text: the file's text.
        name: what errors call the file.
        stem: id of the crystal.

    Raises:
        FileFormatError: the text is not a POSCAR.
        InvalidCrystalError: the structure cannot be used.
        UnknownNameError: a symbol is no element's.
    """
    lines = text.splitlines()

    def words(index: int, *, what: str) -> list[str]:
        if index >= len(lines):
            raise FileFormatError(f"{name}, line {len(lines)}: the file ends before {what}; it may be cut short")
        return lines[index].split()

    cell = np.array(
        [
            _vector(words(i, what="the lattice vectors"), what="a lattice vector", at=f"{name}, line {i + 1}")
            for i in (2, 3, 4)
        ]
    )
    scale = _scale(words(1, what="the scaling factor"), cell=cell, at=f"{name}, line 2")
    cell = cell * scale
    row = 5
    found = words(row, what="the numbers of atoms")
    if found and not _is_count(found[0]):
        symbols = found
        row += 1
    else:
        symbols = _symbols_of_comment(lines[0], count=len(found), name=name)
    atoms = np.array(_numbers(symbols, words(row, what="the numbers of atoms"), name=name, line=row + 1))
    row += 1
    mode = words(row, what="'Direct' or 'Cartesian'")
    if mode and mode[0][0] in "sS":
        row += 1
        mode = words(row, what="'Direct' or 'Cartesian'")
    if not mode or not mode[0][0].isalpha():
        raise FileFormatError(
            f"{name}, line {row + 1}: expected 'Direct' or 'Cartesian', got {lines[row].strip()[:40]!r}"
        )
    positions = np.array(
        [
            _vector(words(i, what=f"the last of {len(atoms)} atoms"), what="a coordinate", at=f"{name}, line {i + 1}")
            for i in range(row + 1, row + 1 + len(atoms))
        ]
    )
    try:
        if mode[0][0] in "cCkK":
            yield Crystal.from_cart(cell, cart=positions * scale, numbers=atoms, id=stem)
        else:
            yield Crystal(cell=cell, frac=positions, numbers=atoms, id=stem)
    except InvalidCrystalError as error:
        raise InvalidCrystalError(f"{name}: {error}; correct the file") from None


def _vector(words: list[str], *, what: str, at: str) -> list[float]:
    if len(words) < 3:
        raise FileFormatError(f"{at}: {what} needs three numbers, got {' '.join(words)[:40]!r}; correct the file")
    return [number(word, what=what, where=at) for word in words[:3]]


def _scale(words: list[str], *, cell: np.ndarray, at: str) -> np.ndarray:
    """One factor, or one for each Cartesian axis; a negative one is the wanted volume."""
    factors = [number(word, what="the scaling factor", where=at) for word in words[:3] if _is_number(word)]
    if len(factors) not in {1, 3} or 0.0 in factors or (len(factors) == 3 and min(factors) < 0):
        raise FileFormatError(
            f"{at}: the scaling factor is {' '.join(words)[:40]!r}, expected one number; correct the file"
        )
    if len(factors) == 1 and factors[0] < 0.0:
        volume = abs(float(np.linalg.det(cell)))
        if volume == 0.0:
            raise InvalidCrystalError(f"{at}: the cell has volume 0; correct the lattice vectors")
        factors = [(-factors[0] / volume) ** (1.0 / 3.0)]
    return np.array(factors if len(factors) == 3 else factors * 3)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_count(word: str) -> bool:
    return word.isdecimal()


def _symbols_of_comment(comment: str, *, count: int, name: str) -> list[str]:
    symbols = comment.split()[:count]
    if len(symbols) == count and all(_symbol(word) in SYMBOLS[1:] for word in symbols):
        return symbols
    raise FileFormatError(
        f"{name}, line 6: a VASP 4 file without element symbols; write them, as in 'Li O', on a line before the numbers of atoms"
    )


def _symbol(word: str) -> str:
    return re.split(r"[_/.]", word)[0]  # POTCAR names: Fe_pv, Li_sv/1a2b3c4d


def _numbers(symbols: list[str], words: list[str], *, name: str, line: int) -> list[int]:
    amounts = []
    for word in words:
        if not _is_count(word):
            break  # a comment may follow
        amounts.append(int(word))
    if len(amounts) != len(symbols) or sum(amounts) == 0:
        raise FileFormatError(
            f"{name}, line {line}: {len(symbols)} elements ({' '.join(symbols)[:40]}) need as many numbers of atoms, "
            f"got {' '.join(words)[:40]!r}; correct the file"
        )
    if sum(amounts) > 1_000_000:
        raise FileFormatError(
            f"{name}, line {line}: {sum(amounts)} atoms are more than a file can hold; correct the file"
        )
    atoms: list[int] = []
    for symbol, amount in zip(symbols, amounts, strict=True):
        try:
            atoms += [atomic_number(_symbol(symbol))] * amount
        except UnknownNameError as error:
            raise UnknownNameError(f"{name}, line {line - 1}: {error}") from None
    return atoms


def poscar_from_crystal(crystal: Crystal) -> str:
    """Write VASP 5 text with every digit; atoms keep their order, so an element may be named more than once."""
    runs = [(SYMBOLS[key], len(list(group))) for key, group in groupby(crystal.numbers.tolist())]
    lines = [crystal.id.replace("\n", " ") or "euhedral", "1.0"]
    lines += ["  ".join(map(repr, vector)) for vector in crystal.cell.tolist()]
    lines += [" ".join(symbol for symbol, _ in runs), " ".join(str(count) for _, count in runs), "Direct"]
    lines += ["  ".join(map(repr, position)) for position in crystal.frac.tolist()]
    return "\n".join(lines) + "\n"
