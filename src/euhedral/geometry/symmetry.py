"""The symmetry of a crystal: space group, operations, orbits, Wyckoff letters, standard cell (by moyopy)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError


@dataclass(frozen=True, eq=False)
class Symmetry:
    """What is symmetric about a crystal.

    Args:
        number: space group, 1 to 230.
        symbol: Hermann-Mauguin, short.
        rotations: (k, 3, 3) integer, acting on fractional coordinates of the crystal's own cell.
        translations: (k, 3) fractional.
        letters: (n,) Wyckoff letter of each atom.
        site_symmetries: (n,) oriented symbols, in the standard setting.
        orbits: (n,) index of the first atom of the same orbit.
        standard: the conventional cell in the standard setting, refined to the exact symmetry.
        linear: (3, 3) columns: standard lattice vectors in units of the crystal's own.
        origin_shift: (3,) fractional; x_standard = linear^-1 (x - origin_shift).
        symprec: Angstrom, the tolerance as used.
        dataset: moyopy's own answer, for what is not here.
    """

    number: int
    symbol: str
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    letters: tuple[str, ...]
    site_symmetries: tuple[str, ...]
    orbits: NDArray[np.int64]
    standard: Crystal
    linear: NDArray[np.float64]
    origin_shift: NDArray[np.float64]
    symprec: float
    dataset: Any = field(repr=False)


def symmetry(crystal: Crystal, *, symprec: float = 0.01) -> Symmetry:
    """Find the space group of a crystal.

    Args:
        crystal: any cell of it.
        symprec: Angstrom, how far an atom may lie from its symmetric place.

    Raises:
        InvalidCrystalError: no space group fits within the tolerance, as when atoms overlap.
    """
    from moyopy import Cell, MoyoDataset, Setting, SpaceGroupType

    cell = Cell(crystal.cell.tolist(), crystal.frac.tolist(), crystal.numbers.tolist())
    try:
        with _quiet():
            dataset = MoyoDataset(cell, symprec=symprec, setting=Setting.standard())
    except ValueError as error:
        raise InvalidCrystalError(
            f"crystal {crystal.id!r}: no space group found within {symprec} Å ({error}); "
            "separate atoms that overlap, or try another symprec"
        ) from error
    std = dataset.std_cell
    standard = Crystal(
        cell=np.array(std.basis), frac=np.array(std.positions), numbers=np.array(std.numbers), id=crystal.id
    )
    return Symmetry(
        number=dataset.number,
        symbol=SpaceGroupType(dataset.number).hm_short,
        rotations=np.array(dataset.operations.rotations, dtype=np.int64),
        translations=np.array(dataset.operations.translations, dtype=np.float64),
        letters=tuple(dataset.wyckoffs),
        site_symmetries=tuple(dataset.site_symmetry_symbols),
        orbits=np.array(dataset.orbits, dtype=np.int64),
        standard=standard,
        linear=np.array(dataset.std_linear),
        origin_shift=np.array(dataset.std_origin_shift),
        symprec=dataset.symprec,
        dataset=dataset,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back moyopy's warning about cells that are not primitive: nothing here depends on what it warns of."""
    logger = logging.getLogger("moyo")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
