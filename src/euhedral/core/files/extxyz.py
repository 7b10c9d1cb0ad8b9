"""Extended XYZ: frames of Cartesian atoms, each with its lattice, values of the whole and values of each atom.

Source: the specification at github.com/libAtoms/extxyz.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.core.files.text import LARGEST, number
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError, UnknownNameError

_log = logging.getLogger(__name__)

_PAIR = re.compile(
    r"""([^\s=]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\{([^}]*)\}|(\[[][\s\d.,+\-eENaInfity]*\])|(\S+))"""
)
_STRUCTURAL = {"lattice", "properties", "pbc"}
#: Keys of a frame under which its own name stands, kept as text; the first that is there counts.
NAMING = ("id", "material_id", "name")
#: what ASE puts before a value that stands as JSON
_JSON: Final = "_JSON "
#: (3, 3) values that ASE reads and writes as nine numbers, column by column
_BY_COLUMNS: Final = ("stress", "virial")
#: other programs' names of the same columns
_SAME = {
    "magmoms": "magmom", "initial_magmoms": "magmom", "force": "forces", "oxidation_states": "oxidation_state",
}  # fmt: skip


def crystals_from_extxyz(text: str, *, name: str, stem: str) -> Iterator[Crystal | EuhedralError]:
    """Yield the crystal of each frame, or the error that it has.

    Numbers of the whole frame go into `props`, as do its names (`NAMING`, as text); columns of numbers go into `site`.

    Args:
        text: the file's text.
        name: what errors call the file.
        stem: id of a lone frame; the frame's position follows it when there are several.

    Raises:
        FileFormatError: the frames cannot be told apart.
    """
    lines = text.splitlines()
    starts = _frames(lines, name=name)
    remarked: set[str] = set()
    for index, (start, count) in enumerate(starts):
        label = stem if len(starts) == 1 else f"{stem}_{index}"
        try:
            yield _crystal(lines, start=start, count=count, where=name, label=label, remarked=remarked)
        except EuhedralError as error:
            yield error


def _frames(lines: list[str], *, name: str) -> list[tuple[int, int]]:
    frames = []
    position = 0
    while position < len(lines):
        words = lines[position].split()
        if not words:
            position += 1
            continue
        if len(words) != 1 or not words[0].isdecimal() or int(words[0]) == 0 or len(words[0]) > 9:
            raise FileFormatError(
                f"{name}, line {position + 1}: expected the number of atoms of a frame, got {lines[position].strip()[:40]!r}"
            )
        count = int(words[0])
        if position + 2 + count > len(lines):
            raise FileFormatError(
                f"{name}, line {len(lines)}: the file ends inside frame {len(frames) + 1}, which says {count} atoms; "
                "it may be cut short"
            )
        frames.append((position, count))
        position += 2 + count
    if not frames:
        raise FileFormatError(f"{name}: no frames; export the structure again")
    return frames


def _crystal(
    lines: list[str], *, start: int, count: int, where: str, label: str, remarked: set[str]
) -> Crystal:  # fmt: skip
    at = f"{where}, line {start + 2}"
    info = _info(lines[start + 1])
    lattice = next((value for key, value in info.items() if key.lower() == "lattice"), None)
    if lattice is None:
        raise FileFormatError(
            f'{at}: the frame has no Lattice="ax ay az bx by bz cx cy cz", so it is not a crystal; add it, '
            "or put the molecule into a box"
        )
    words = lattice.replace(",", " ").split()
    if len(words) != 9:
        raise FileFormatError(f"{at}: Lattice needs nine numbers, got {len(words)}; correct the frame")
    cell = np.array([number(word, what="Lattice", where=at) for word in words]).reshape(3, 3)
    periodic = next((value for key, value in info.items() if key.lower() == "pbc"), "T T T")
    if any(word[:1].upper() in {"F", "0"} for word in periodic.split()):
        raise InvalidCrystalError(
            f'{at}: pbc="{periodic}" is not periodic in all directions; pad a slab or molecule with vacuum and set pbc="T T T"'
        )
    columns = _columns(info.get("Properties", info.get("properties", "species:S:1:pos:R:3")), at=at)
    rows = [line.split() for line in lines[start + 2 : start + 2 + count]]
    width = sum(size for _, _, size in columns)
    short = next((i for i, row in enumerate(rows) if len(row) < width), None)
    if short is not None:
        raise FileFormatError(
            f"{where}, line {start + 3 + short}: an atom has {len(rows[short])} values, Properties says {width}; correct the frame"
        )
    numbers, cart, site = None, None, {}
    offset = 0
    for key, kind, size in columns:
        cells = [row[offset : offset + size] for row in rows]
        offset += size
        if key in {"species", "element", "elements"} and kind == "S":
            numbers = _species([row[0] for row in cells], where=where, first=start + 3)
        elif key in {"Z", "numbers", "atomic_numbers"} and kind == "I" and numbers is None:
            numbers = _values(cells, key=key, where=where, first=start + 3)[:, 0]
        elif key in {"pos", "positions"} and kind == "R" and size == 3:
            cart = _values(cells, key=key, where=where, first=start + 3)
        elif kind in "RI":
            values = _values(cells, key=key, where=where, first=start + 3, finite=False)
            site[_SAME.get(key, key)] = values[:, 0] if size == 1 else values
    if numbers is None or cart is None:
        raise FileFormatError(f"{at}: Properties names no species:S:1 or no pos:R:3; correct the frame")
    try:
        made = Crystal.from_cart(
            cell, cart=cart, numbers=numbers, id=label, props=_props(info, at=at, remarked=remarked)
        )
        return made.replace(site=site) if site else made
    except InvalidCrystalError as error:
        raise InvalidCrystalError(f"{at}: {error}; correct the frame") from None


def _info(comment: str) -> dict[str, str]:
    info = {}
    for key, *values in _PAIR.findall(comment):
        info[key.strip("\"'")] = next((value for value in values if value), "")
    return info


def _columns(text: str, *, at: str) -> list[tuple[str, str, int]]:
    parts = text.split(":")
    if len(parts) % 3:
        raise FileFormatError(f"{at}: Properties={text[:60]!r} is not name:type:columns repeated; correct the frame")
    columns = []
    for key, kind, size in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if kind not in {"S", "R", "I", "L"} or not size.isdecimal() or not 1 <= int(size) <= 1000:
            raise FileFormatError(
                f"{at}: Properties holds {key}:{kind}:{size}, expected a type S, R, I or L and a width"
            )
        columns.append((key, kind, int(size)))
    return columns


def _species(words: list[str], *, where: str, first: int) -> NDArray[np.int64]:
    known: dict[str, int] = {}
    for row, word in enumerate(words):
        if word not in known:
            try:
                known[word] = atomic_number(word)
            except UnknownNameError as error:
                raise UnknownNameError(f"{where}, line {first + row}: {error}") from None
    return np.array([known[word] for word in words], dtype=np.int64)


def _values(cells: list[list[str]], *, key: str, where: str, first: int, finite: bool = True) -> NDArray[np.float64]:
    try:
        values = np.array(cells, dtype=np.float64)
    except ValueError:
        for row, words in enumerate(cells):
            for word in words:
                number(word, what=key, where=f"{where}, line {first + row}")
        raise FileFormatError(
            f"{where}, line {first}: column {key} is not made of numbers; correct the frame"
        ) from None
    if finite and not (np.abs(values) < LARGEST).all():
        row = int(np.flatnonzero(~(np.abs(values) < LARGEST).all(axis=1))[0])
        raise InvalidCrystalError(f"{where}, line {first + row}: {key} is not finite; correct the frame")
    return values


def _props(
    info: dict[str, str], *, at: str, remarked: set[str]
) -> dict[str, str | float | NDArray[np.float64]]:  # fmt: skip
    """Keep what is a number or an array of numbers, and the frame's names as text; comments are not labels."""
    props: dict[str, str | float | NDArray[np.float64]] = {}
    for key, text in info.items():
        if key.lower() in _STRUCTURAL:
            continue
        if key in NAMING:
            props |= {key: text} if text else {}
            continue
        value = _value(text.strip())
        if value is not None:
            by_columns = key in _BY_COLUMNS and np.shape(value) == (9,)
            props[key] = np.reshape(value, (3, 3), order="F") if by_columns else value
        elif text.startswith((_JSON, "[")) and key not in remarked:
            remarked.add(key)
            _log.warning(
                "%s: the value of %r is no number or array of numbers (%.40s) and is left out; this is said once for a file", at, key, text,
            )  # fmt: skip
    return props


def _value(text: str) -> float | NDArray[np.float64] | None:
    """Read a number, or an array of numbers with the shape that it has; None where it is neither."""
    if text.startswith((_JSON, "[")):
        try:
            return _array(json.loads(text.removeprefix(_JSON)))
        except (ValueError, RecursionError):
            pass  # "[1 2 3]" is no JSON, but an array
    words = re.sub(r"[\[\],{}]", " ", text).split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        return None
    if len(values) < 2:
        return values[0] if values else None
    return np.array(values).reshape((3, 3) if text.startswith("[[") and len(values) == 9 else -1)


def _array(data: object) -> float | NDArray[np.float64] | None:
    try:
        array = np.array(data, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    if not array.size:
        return None
    return array if array.ndim else float(array)


def extxyz_from_crystals(crystals: Sequence[Crystal]) -> str:
    """Write one frame a crystal, with props and numeric site values.

    Args:
        crystals: what to write.
    """
    return "".join(_frame(crystal) for crystal in crystals)


def _frame(crystal: Crystal) -> str:
    columns = ["species:S:1", "pos:R:3"]
    blocks = [[[repr(x) for x in position] for position in crystal.cart.tolist()]]
    for key, values in crystal.site.items():
        if values.dtype.kind in "fiub" and values.ndim <= 2 and not re.search(r"[\s:=\"]", key):
            table = values.astype(float).reshape(len(crystal), -1)
            columns.append(f"{key}:R:{table.shape[1]}")
            blocks.append([[repr(x) for x in row] for row in table.tolist()])
    lattice = " ".join(map(repr, crystal.cell.ravel().tolist()))
    comment = [f'Lattice="{lattice}"', "Properties=" + ":".join(columns), 'pbc="T T T"']
    for key, value in crystal.props.items():
        array = np.asarray(value)
        if key in NAMING and isinstance(value, str) and '"' not in value:
            comment.append(f'{key}="{value}"')
        elif (
            array.dtype.kind in "fiub"
            and array.size
            and key.lower() not in _STRUCTURAL
            and not re.search(r"[\s=\"]", key)
        ):
            comment.append(f"{key}={_written(array.astype(float), key=key)}")
    rows = [
        " ".join([SYMBOLS[number], *(word for block in blocks for word in block[i])])
        for i, number in enumerate(crystal.numbers.tolist())
    ]
    return "\n".join([str(len(crystal)), " ".join(comment), *rows]) + "\n"


def _written(array: NDArray[np.float64], *, key: str) -> str:
    """Write a number or an array so that ASE reads it with its shape."""
    if array.ndim == 0:
        return repr(array.item())
    if array.shape == (3, 3) and key in _BY_COLUMNS:
        array = array.ravel(order="F")
    if array.ndim > 1 or array.size == 1:
        return f'"{_JSON}{json.dumps(array.tolist())}"'
    return f'"{" ".join(map(repr, array.tolist()))}"'
