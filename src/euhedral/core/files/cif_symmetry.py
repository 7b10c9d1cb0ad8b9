"""Symmetry operations of a CIF: written out as "x,y,z", or named by a Hall or Hermann-Mauguin symbol or a number.

Named groups come in settings (axes, origins). A name that leaves the setting open gives several candidates; the reader
of structures decides between them by the cell and the formula in the file, or refuses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import FileFormatError

_TERM = re.compile(r"([+-]?)(?:(\d+\.?\d*|\.\d+)(?:/(\d+\.?\d*))?)?\*?([xyz]?)")
_AXES = {"x": 0, "y": 1, "z": 2}
_ORIGIN = {"1": "1", "2": "2", "s": "1", "z": "2", "h": "H", "r": "R"}


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations on fractional coordinates.

    Args:
        rotations: (M, 3, 3).
        translations: (M, 3), in [0, 1).
        time_reversal: (M,) 1, or -1 where moments are reversed too.
    """

    rotations: NDArray[np.float64]
    translations: NDArray[np.float64]
    time_reversal: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rotations)


def is_identity(text: str) -> bool:
    """Whether a lone operation says that there is no symmetry."""
    return text.replace(" ", "").replace("+", "").lower() in {"x,y,z", "x,y,z,1"}


def parse_operation(text: str) -> tuple[list[list[float]], list[float], float]:
    """Read one operation: "1/2-x, y+0.25, -z" as rotation, translation and time reversal.

    Raises:
        FileFormatError: it is not an operation.
    """
    parts = text.replace(" ", "").replace('"', "").lower().split(",")
    reversal = 1.0
    if len(parts) == 4 and parts[3] in {"+1", "-1", "1"}:
        reversal = float(parts.pop())
    if len(parts) != 3:
        raise FileFormatError(f"{text!r} is not a symmetry operation such as 'x, 1/2+y, -z'")
    rotation, translation = [], []
    for part in parts:
        row, shift, position = [0.0, 0.0, 0.0], 0.0, 0
        while position < len(part):
            match = _TERM.match(part, position)
            if match is None or match.end() == position or not (match[2] or match[4]):
                raise FileFormatError(f"{text!r} is not a symmetry operation such as 'x, 1/2+y, -z'")
            sign, numerator, denominator, axis = match.groups()
            divisor = float(denominator) if denominator else 1.0
            if divisor == 0.0:
                raise FileFormatError(f"{text!r} is not a symmetry operation: it divides by zero")
            value = (float(numerator) if numerator else 1.0) / divisor * (-1.0 if sign == "-" else 1.0)
            if axis:
                row[_AXES[axis]] += value
            else:
                shift += value
            position = match.end()
        twentyfourths = round(shift * 24.0)
        if abs(shift * 24.0 - twentyfourths) < 0.024:  # 0.333 is 1/3
            shift = twentyfourths / 24.0
        rotation.append(row)
        translation.append(shift % 1.0)
    return rotation, translation, reversal


@lru_cache(maxsize=64)
def operations_from_text(texts: tuple[str, ...]) -> Operations:
    """Read operations and check that they form a group; the same list is read once.

    Raises:
        FileFormatError: one of them is not an operation, or together they are not a group.
    """
    parsed = [parse_operation(text) for text in dict.fromkeys(texts)]
    operations = Operations(
        rotations=np.array([rotation for rotation, _, _ in parsed]),
        translations=np.array([translation for _, translation, _ in parsed]),
        time_reversal=np.array([reversal for _, _, reversal in parsed]),
    )
    if len(operations) > 768:
        raise FileFormatError(
            f"{len(operations)} symmetry operations; a crystal has at most 192 in a conventional cell"
        )
    determinants = np.abs(np.linalg.det(operations.rotations))
    if np.abs(determinants - 1.0).max() > 1e-6:
        bad = texts[int(np.abs(determinants - 1.0).argmax())]
        raise FileFormatError(f"symmetry operation {bad!r} does not keep the volume; correct the list")
    _check_group(operations)
    return operations


def _check_group(operations: Operations) -> None:
    rotations, translations, reversal = operations.rotations, operations.translations, operations.time_reversal
    count = len(operations)
    products = _keys(
        np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 3, 3),
        (np.einsum("aij,bj->abi", rotations, translations) + translations[:, None]).reshape(-1, 3),
        np.outer(reversal, reversal).ravel(),
    )
    if np.isin(products, _keys(rotations, translations, reversal), invert=True).any():
        raise FileFormatError(
            f"the {count} symmetry operations do not form a group, so some are missing or wrong; "
            "correct the list or remove it and give the space-group symbol"
        )


def _keys(rotations: NDArray, translations: NDArray, reversal: NDArray) -> NDArray[np.int64]:
    """One whole number an operation; equal for equal operations."""
    shifts = np.round(translations * 144.0) % 144
    whole = np.concatenate([np.round(rotations.reshape(-1, 9) * 6.0), shifts, reversal[:, None]], axis=1)
    # weights far apart modulo 2^64; two operations that meet by chance would hide an error, never make one
    weights = np.array([pow(6364136223846793005, power, 2**63) for power in range(1, 14)], dtype=np.int64)
    return whole.astype(np.int64) @ weights


@cache
def _entries() -> tuple[tuple[int, int, str, str, tuple[str, ...]], ...]:
    """(Hall number, group number, setting, Hall symbol, names) of the 530 settings; names are compact lower case."""
    import moyopy

    rows = []
    for hall_number in range(1, 531):
        entry = moyopy.HallSymbolEntry(hall_number)
        full = entry.hm_full.replace("_", "").lower()
        names = {full.replace(" ", "")}
        if 3 <= entry.number <= 15:
            # a short monoclinic symbol means its own axes: "P 21/n" is not "P 21/c"
            names.add("".join([full.split()[0], *(part for part in full.split()[1:] if part != "1")]))
        else:
            names.add(entry.hm_short.replace("_", "").replace(" ", "").lower())
        names |= {name.replace("e", glide, 1) for name in tuple(names) for glide in "abc" if "e" in name}
        if entry.number >= 195:
            names |= {name.replace("-3", "3") for name in tuple(names)}  # before 1983: F m 3 m
        rows.append((hall_number, entry.number, entry.setting, _compact(entry.hall_symbol), tuple(sorted(names))))
    return tuple(rows)


def _compact(symbol: str) -> str:
    return re.sub(r"[\s_()]", "", symbol).lower()


@cache
def operations_from_hall_number(hall_number: int) -> Operations:
    """Return the operations of one of the 530 settings, in its conventional cell."""
    import moyopy

    number = _entries()[hall_number - 1][1]
    found = moyopy.operations_from_number(number, setting=moyopy.Setting.hall_number(hall_number))
    return Operations(
        rotations=np.array(found.rotations, dtype=np.float64),
        translations=np.array(found.translations, dtype=np.float64) % 1.0,
        time_reversal=np.ones(len(found)),
    )


def settings_of_hall(symbol: str) -> list[int]:
    """Return the Hall numbers of a Hall symbol; empty when it is not one of the 530 standard spellings."""
    wanted = _compact(symbol)
    return [row[0] for row in _entries() if row[3] == wanted]


def settings_of_name(symbol: str) -> list[int]:
    """Return the Hall numbers that a Hermann-Mauguin symbol may mean; empty when it is not known.

    A suffix names the setting: ":1", ":2", ":H", ":R", or a trailing S, Z, H, R.
    """
    name, _, suffix = symbol.partition(":")
    wanted, setting = _compact(name), _compact(suffix)
    found = [row for row in _entries() if wanted in row[4]]
    if not found and not setting and wanted[-1:] in _ORIGIN and wanted[-1:].isalpha():
        setting = wanted[-1]
        found = [row for row in _entries() if wanted[:-1] in row[4]]
    if not setting:
        return [row[0] for row in found]
    setting = _ORIGIN.get(setting, setting)
    return [row[0] for row in found if row[2] == setting or (row[2] == "" and setting in {"1", "2"})] or [
        row[0] for row in found if row[2].startswith(setting)
    ]


def settings_of_number(number: int, *, setting: str = "") -> list[int]:
    """Return the Hall numbers that a group's number may mean: its standard axes, with each origin or lattice."""
    rows = [row for row in _entries() if row[1] == number]
    if setting:
        return [row[0] for row in rows if row[2].lower() == setting.lower()]
    plain = [row[0] for row in rows if row[2] in {"", "1", "2", "H", "R", "b", "b1"}]
    return plain or [row[0] for row in rows[:1]]


def fits_cell(operations: Operations, *, metric: NDArray[np.float64]) -> bool:
    """Whether the operations leave the lattice as it is, to a percent.

    Args:
        operations: what to test.
        metric: (3, 3) Angstrom^2, the dot products of the lattice vectors.
    """
    turned = np.einsum("mki,kl,mlj->mij", operations.rotations, metric, operations.rotations)
    lengths = np.sqrt(np.diag(metric))
    return bool((np.abs(turned - metric) <= 0.02 * lengths[:, None] * lengths[None, :]).all())
