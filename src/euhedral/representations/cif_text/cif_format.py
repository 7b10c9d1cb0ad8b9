"""CIF as CrystaLLM writes it: every line and every decimal fixed, one atom of each orbit, a lone identity for symmetry.

The list of operations would be longer than all else and says no more than the group's symbol, so the text holds only the
identity; the reader puts the operations of the group back. Which setting is meant is decided by the multiplicities, which the
text gives for each atom: the standard setting where they agree, as in everything that `CifFormat` writes, else another.

Source: Antunes et al. 2024, arXiv:2307.04340 (section "Data", and the preprocessing of the authors' code). Departures: single
spaces between columns; the optional table of electronegativities and radii is read but not written; the representatives,
their order and the origin are those of `from_crystal`, so that every cell of a crystal gives the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from euhedral.core.composition import counts, formula
from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.elements import SYMBOLS
from euhedral.core.files import cif_symmetry
from euhedral.core.files.cif import crystals_from_cif, expand, read_cell
from euhedral.core.files.cif_sites import read_sites
from euhedral.core.files.cif_syntax import Block, parse_blocks
from euhedral.core.files.text import number
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.wyckoff import triplet
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.representations.cif_text.rounding import fixed, fixed_fraction

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_SYMBOL, _NUMBER = "_symmetry_space_group_name_H-M", "_symmetry_Int_Tables_number"
_MULTIPLICITY = "_atom_site_symmetry_multiplicity"
_COLUMNS = (
    "_atom_site_type_symbol", "_atom_site_label", _MULTIPLICITY, "_atom_site_fract_x", "_atom_site_fract_y",
    "_atom_site_fract_z", "_atom_site_occupancy",
)  # fmt: skip
_IDENTITY = re.compile(r"(_symmetry_equiv_pos_as_xyz\s+)1\s+(['\"])\s*x\s*,\s*y\s*,\s*z\s*\2(?=\s*(?:loop_|_|$))")


@dataclass(frozen=True)
class CifFormat:
    """CIF text with fixed order, rounding and symmetry.

    Args:
        symprec: Angstrom, within which symmetry is found; None writes every atom of the own cell in P1.
        decimals: of lengths, angles, volume and coordinates.
    """

    symprec: float | None = 0.01
    decimals: int = 4

    def write(self, crystal: Crystal) -> str:
        """Write a crystal; in P1 its atoms keep their order.

        Raises:
            InvalidCrystalError: no space group fits within `symprec`.
        """
        if self.symprec is None:
            rows = _Rows(
                number=1,
                cell=crystal.cell,
                numbers=crystal.numbers,
                multiplicities=np.ones(len(crystal), dtype=np.int64),
                frac=crystal.frac,
            )
        else:
            form = from_crystal(crystal, symprec=self.symprec)
            rows = _Rows(
                number=form.space_group,
                cell=form.cell,
                numbers=form.numbers,
                multiplicities=np.array([position.multiplicity for position in form.positions]),
                frac=form.frac,
            )
        return self._text(rows)

    def _text(self, rows: _Rows) -> str:
        every = np.repeat(rows.numbers, rows.multiplicities)
        tally = counts(every)
        whole = Crystal(cell=rows.cell, frac=rows.frac, numbers=rows.numbers)
        parameters = [
            fixed(value, decimals=self.decimals) for value in (*whole.lengths.tolist(), *whole.angles.tolist())
        ]
        # the volume of the cell as written, so that the text agrees with itself and writing again changes nothing
        written = [float(word) for word in parameters]
        volume = abs(float(np.linalg.det(cell_from_parameters(written[:3], written[3:]))))
        lines = [
            f"data_{''.join(f'{symbol}{count}' for symbol, count in tally.items())}",
            f"{_SYMBOL} {space_group(rows.number).symbol}",
            *(f"_cell_{tag} {word}" for tag, word in zip(_CELL, parameters, strict=True)),
            f"{_NUMBER} {rows.number}",
            f"_chemical_formula_structural {formula(every)}",
            f"_chemical_formula_sum '{' '.join(f'{symbol}{count}' for symbol, count in tally.items())}'",
            f"_cell_volume {fixed(volume, decimals=self.decimals)}",
            f"_cell_formula_units_Z {gcd(*tally.values())}",
            "loop_",
            "_symmetry_equiv_pos_site_id",
            "_symmetry_equiv_pos_as_xyz",
            "1 'x, y, z'",
            "loop_",
            *_COLUMNS,
        ]
        for site, (kind, count, point) in enumerate(
            zip(rows.numbers.tolist(), rows.multiplicities.tolist(), rows.frac.tolist(), strict=True)
        ):
            symbol = SYMBOLS[kind]
            words = [fixed_fraction(value, decimals=self.decimals) for value in point]
            lines.append(" ".join([symbol, f"{symbol}{site}", str(count), *words, "1"]))
        return "\n".join(lines) + "\n"

    def read(self, text: str, *, name: str = "text") -> Crystal:
        """Read a crystal back, all its atoms in the conventional cell (or, in P1, in the cell as written).

        Texts of other writers in this style are read too: with all operations, in another setting, in P1.

        Raises:
            FileFormatError: the text is not a CIF with one structure; the message names the line.
            InvalidCrystalError: atoms, formula and multiplicities contradict each other in every setting of the group.
        """
        blocks = parse_blocks(text, name=name)
        if len(blocks) != 1:
            raise FileFormatError(f"{name}: {len(blocks)} data blocks, expected one")
        match = _IDENTITY.search(text)
        if match:
            operations = _chosen(blocks[0], where=name)
            # on one line, so that the lines of the text keep their numbers
            listed = " ".join(f"{i} '{operation}'" for i, operation in enumerate(operations, start=1))
            text = f"{text[: match.start()]}{match[1]}{listed}{text[match.end() :]}"
        found = next(crystals_from_cif(text, name=name, stem=""))
        if isinstance(found, EuhedralError):
            raise found
        return found


@dataclass(frozen=True, eq=False)
class _Rows:
    number: int
    cell: NDArray[np.float64]
    numbers: NDArray[np.int64]
    multiplicities: NDArray[np.int64]
    frac: NDArray[np.float64]


def _chosen(block: Block, *, where: str) -> tuple[str, ...]:
    """Find the operations that a text with a lone identity means."""
    symbol, group = block.get(_SYMBOL.lower()), block.get(_NUMBER.lower())
    _check_names(block, symbol=symbol, group=group, where=where)
    identity = ("x,y,z",)
    if group == "1" or (group is None and symbol is None):
        return identity
    loop = block.loop(_MULTIPLICITY)
    if loop is None:
        raise FileFormatError(
            f"{where}: it has space group {symbol or group} with one operation, and no {_MULTIPLICITY} to say which are meant; add them"
        )
    if len(loop.values) % len(loop.tags):
        raise FileFormatError(
            f"{where}, line {loop.line}: the table of atoms has {len(loop.values)} values in {len(loop.tags)} columns"
        )
    stated = [
        number(word, what=_MULTIPLICITY, where=f"{where}, line {loop.line_of(row)}")
        for row, word in enumerate(loop.column(_MULTIPLICITY))
    ]
    sites = read_sites(block, where=where)
    cell = read_cell(block, where=where)
    if len(stated) != len(sites.frac):
        raise FileFormatError(f"{where}, line {loop.line}: {len(stated)} multiplicities for {len(sites.frac)} atoms")
    for texts in _settings(symbol, group=group):
        operations = cif_symmetry.operations_from_text(texts)
        if not cif_symmetry.fits_cell(operations, metric=cell @ cell.T):
            continue
        _, source, _ = expand(sites.frac, operations=operations, cell=cell)
        if np.array_equal(np.bincount(source, minlength=len(stated)), stated):
            return texts
    if all(count == 1 for count in stated):
        return identity  # every atom is listed; the group is only a label
    raise InvalidCrystalError(
        f"{where}, line {loop.line}: in no setting of space group {symbol or group} do the atoms have the multiplicities stated; correct the text"
    )


def _settings(symbol: str | None, *, group: str | None) -> Iterator[tuple[str, ...]]:
    """Yield the operations of each setting that the text may mean, the standard one first."""
    standard = None if group is None else space_group(int(group))
    if symbol is None:
        halls = [] if group is None else cif_symmetry.settings_of_number(int(group))
    else:
        halls = cif_symmetry.settings_of_name(symbol)
    if standard is not None:
        yield standard.operation_texts
    for hall in halls:
        operations = cif_symmetry.operations_from_hall_number(hall)
        operators = np.concatenate([operations.rotations, operations.translations[:, :, None]], axis=2)
        yield tuple(triplet(operator) for operator in operators)


def _check_names(block: Block, *, symbol: str | None, group: str | None, where: str) -> None:
    """The number exists, the symbol is known, and both are of one group."""
    from moyopy import HallSymbolEntry

    if group is not None and not (group.isdecimal() and 1 <= int(group) <= 230):
        line = block.item_lines.get(_NUMBER.lower(), block.line)
        raise FileFormatError(f"{where}, line {line}: {_NUMBER} is {group[:20]!r}, expected 1 to 230")
    if symbol is None:
        return
    line = block.item_lines.get(_SYMBOL.lower(), block.line)
    numbers = {HallSymbolEntry(hall).number for hall in cif_symmetry.settings_of_name(symbol)}
    if not numbers:
        raise FileFormatError(f"{where}, line {line}: no space group has the symbol {symbol[:40]!r}")
    if group is not None and int(group) not in numbers:
        raise FileFormatError(
            f"{where}, line {line}: {symbol!r} is not the symbol of space group {group}; correct one of them"
        )
