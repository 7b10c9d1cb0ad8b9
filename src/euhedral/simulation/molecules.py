"""Molecules by name, or from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS, atomic_number, elements
from euhedral.core.files import read
from euhedral.errors import (
    FileFormatError,
    InvalidRequestError,
    MissingDependencyError,
    UnknownNameError,
    unknown_name,
)
from euhedral.geometry.neighbours import neighbours_within
from euhedral.simulation.placements import Molecule

# Times the sum of covalent radii, within which atoms of a molecule hang together across the faces of a cell.
_BONDED = 1.3


def molecule_of(given: str, *, binding: str = "") -> Molecule:
    """Find a molecule.

    Args:
        given: a file (.xyz without a cell, or any structure file with the molecule in a box), an element's symbol for a lone
            atom, or the formula of a small molecule as ASE's G2 collection names it: "CO", "H2O", "CH3OH".
        binding: the atom that is put on sites: an element's symbol (its first atom), or a position counted from 1. When
            empty, the first atom that is no hydrogen, in the order of the formula or of the file.

    Raises:
        UnknownNameError: there is no such element or molecule.
        FileFormatError: there is no such file, or it holds no molecule, or several.
        InvalidRequestError: no such atom to bind with.
        MissingDependencyError: ASE is not installed, and the molecule is of more than one atom.
    """
    path = Path(given)
    if path.is_file():
        numbers, positions = _from_file(path)
        order = [SYMBOLS[int(number)] for number in numbers]
    elif path.suffix or path.parent != Path():
        raise FileFormatError(f"{path}: no such file; expected a molecule's file, its formula, or an element")
    else:
        numbers, positions = _named(given)
        order = sorted((SYMBOLS[int(number)] for number in numbers), key=given.find)
    return Molecule(numbers=numbers, positions=positions, binding=_binding(binding, numbers=numbers, order=order))


def _binding(asked: str, *, numbers: NDArray[np.int64], order: list[str]) -> int:
    symbols = [SYMBOLS[int(number)] for number in numbers]
    if asked.isdecimal():
        if not 1 <= int(asked) <= len(numbers):
            raise InvalidRequestError(f"the molecule has no atom {asked} to bind with; it has {len(numbers)}")
        return int(asked) - 1
    symbol = asked or next((one for one in order if one != "H"), symbols[0])
    if symbol not in symbols:
        raise InvalidRequestError(f"the molecule has no {symbol} to bind with; it has {', '.join(symbols)}")
    return symbols.index(symbol)


def _named(name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    try:
        return np.array([atomic_number(name)]), np.zeros((1, 3))
    except UnknownNameError:
        pass  # not an element, so it may be a molecule
    try:
        from ase.build import molecule
        from ase.collections import g2
    except ImportError as error:
        raise MissingDependencyError(
            f"molecules by name ({name}) come from ASE; install it with: pip install 'euhedral[ase]', or give a file"
        ) from error
    if name not in g2.names:
        raise unknown_name(
            "molecule", name, sorted(g2.names), where="python -c 'import ase.collections as c; print(c.g2.names)'"
        )
    atoms = molecule(name)
    return np.asarray(atoms.numbers, dtype=np.int64), np.asarray(atoms.positions, dtype=np.float64)


def _from_file(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    plain = _plain_xyz(path) if path.suffix.lower() == ".xyz" else None
    if plain is not None:
        return plain
    found = read(path)
    if len(found) != 1:
        raise FileFormatError(f"{path}: expected one molecule, got {len(found)}")
    crystal = found[0]
    return crystal.numbers, _gathered(crystal.cell, crystal.frac, crystal.numbers, whose=str(path))


def _plain_xyz(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Read a file without a cell; None where it has one."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) > 1 and "lattice" in lines[1].lower():
        return None
    try:
        rows = [line.split() for line in lines[2 : 2 + int(lines[0])]]
        numbers = np.array([atomic_number(row[0]) for row in rows], dtype=np.int64)
        positions = np.array([[float(word) for word in row[1:4]] for row in rows])
    except (IndexError, ValueError) as error:
        raise FileFormatError(f"{path}: expected the number of atoms, a comment, and a line for each atom") from error
    if not rows or len(rows) != int(lines[0]) or positions.shape[1:] != (3,) or not np.isfinite(positions).all():
        raise FileFormatError(f"{path}: expected {lines[0].strip()} atoms with three coordinates each")
    return numbers, positions


def _gathered(
    cell: NDArray[np.float64], frac: NDArray[np.float64], numbers: NDArray[np.int64], *, whose: str,
) -> NDArray[np.float64]:  # fmt: skip
    """(m, 3) Angstrom, each atom beside the one that it is bonded to, though a face of the cell parts them."""
    radius = np.array([np.nan, *(element.covalent_radius for element in elements())])[numbers]
    reach = float(2.0 * _BONDED * radius.max())
    found = neighbours_within(cell[None], frac=frac, n_atoms=[len(numbers)], cutoff=reach)
    bonded = found.distance <= _BONDED * (radius[found.source] + radius[found.target])
    positions = np.full((len(numbers), 3), np.nan)
    positions[0] = frac[0] @ cell
    waiting = [0]
    while waiting:
        atom = waiting.pop()
        for other in found.source[bonded & (found.target == atom)].tolist():
            if np.isnan(positions[other, 0]):
                apart = frac[other] - frac[atom]
                positions[other] = positions[atom] + (apart - np.round(apart)) @ cell
                waiting.append(other)
    if np.isnan(positions).any():
        raise FileFormatError(f"{whose}: its atoms do not hang together; expected one molecule")
    return positions
