"""Crystals as sequences of occupied Wyckoff positions: letter, element, free coordinates, and the cell at the end.

Slots of a site: "letter" (1 for "a"; 0 ends the crystal), "number", then "x", "y", "z" where the coordinate is free; the
slot "lattice" follows the end. Lengths are divided by the cube root of the number of atoms in the conventional cell, and
angles are in radians (Cao et al. 2024, arXiv:2403.15734).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from euhedral.core.crystal import cell_from_parameters
from euhedral.core.elements import MAX_NUMBER
from euhedral.core.failure import Failure
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.wyckoff import (
    LETTERS,
    WyckoffCrystal,
    complete_lattice_parameters,
    free_lattice_parameters,
    polar_axes,
    primitive_basis,
    wyckoff_positions,
)
from euhedral.geometry.wyckoff_form import electropositivity_rank

#: Kinds of token in the order in which a site's slots are filled.
SITE_SLOTS: Final = ("letter", "number", "x", "y", "z")
N_LETTERS: Final = len(LETTERS) + 1
N_NUMBERS: Final = MAX_NUMBER + 1
#: Angstrom; atoms nearer than this are one atom, in files too.
SAME_PLACE: Final = 0.1


@dataclass(frozen=True, eq=False)
class GroupTables:
    """What the grammar knows of each space group; index 0 of a group or letter is empty.

    Args:
        multiplicity: (231, 28) in the conventional cell.
        fixed: (231, 28) no free coordinate, so that the position can be occupied once.
        free: (231, 28, 3) free coordinates.
        first: (231, 28, 3, 4) first operator of the position.
        n_letters: (231,) how many positions.
        polar: (231, 3) axes along which the origin is free.
        lattice: (231, 6) free lattice parameters.
        centring: (231,) primitive cells in the conventional one.
    """

    multiplicity: Tensor
    fixed: Tensor
    free: Tensor
    first: Tensor
    n_letters: Tensor
    polar: Tensor
    lattice: Tensor
    centring: Tensor


@cache
def group_tables() -> GroupTables:
    """Gather the tables of all space groups as tensors."""
    tables = GroupTables(
        multiplicity=torch.zeros(231, N_LETTERS, dtype=torch.int64),
        fixed=torch.zeros(231, N_LETTERS, dtype=torch.bool),
        free=torch.zeros(231, N_LETTERS, 3, dtype=torch.bool),
        first=torch.zeros(231, N_LETTERS, 3, 4, dtype=torch.float64),
        n_letters=torch.zeros(231, dtype=torch.int64),
        polar=torch.zeros(231, 3, dtype=torch.bool),
        lattice=torch.zeros(231, 6, dtype=torch.bool),
        centring=torch.ones(231, dtype=torch.int64),
    )
    for group in range(1, 231):
        positions = wyckoff_positions(group)
        tables.n_letters[group] = len(positions)
        tables.polar[group] = torch.from_numpy(polar_axes(group))
        tables.lattice[group] = torch.from_numpy(free_lattice_parameters(group))
        tables.centring[group] = round(1.0 / float(np.linalg.det(primitive_basis(group))))
        for letter, position in enumerate(positions, start=1):
            tables.multiplicity[group, letter] = position.multiplicity
            tables.fixed[group, letter] = position.n_free == 0
            tables.free[group, letter] = torch.from_numpy(position.free)
            tables.first[group, letter] = torch.from_numpy(position.operators[0].copy())
    return tables


@dataclass(frozen=True, eq=False)
class WyckoffSequences:
    """B crystals of at most S sites, the rest filled with zeros.

    Args:
        group: (B,) space group numbers.
        letters: (B, S) 1 for "a".
        numbers: (B, S) atomic numbers.
        frac: (B, S, 3) representatives.
        lattice: (B, 6) normalised lengths and angles in radians.
    """

    group: Tensor
    letters: Tensor
    numbers: Tensor
    frac: Tensor
    lattice: Tensor

    def __len__(self) -> int:
        return len(self.group)

    def select(self, index: Tensor) -> WyckoffSequences:
        """Take crystals by index, with no more columns than their sites need."""
        letters = self.letters[index]
        sites = int((letters > 0).sum(1).max())
        return WyckoffSequences(
            group=self.group[index],
            letters=letters[:, :sites],
            numbers=self.numbers[index, :sites],
            frac=self.frac[index, :sites],
            lattice=self.lattice[index],
        )

    @property
    def n_sites(self) -> Tensor:
        """(B,) occupied positions."""
        return (self.letters > 0).sum(1)

    @property
    def n_atoms(self) -> Tensor:
        """(B,) atoms in the conventional cell."""
        return group_tables().multiplicity[self.group[:, None], self.letters].sum(1)


def encode(crystals: Sequence[WyckoffCrystal]) -> WyckoffSequences:
    """Turn crystals in Wyckoff form into padded tensors."""
    sites = max(len(crystal.letters) for crystal in crystals)
    letters = np.zeros((len(crystals), sites), dtype=np.int64)
    numbers = np.zeros_like(letters)
    frac = np.zeros((*letters.shape, 3))
    lattice = np.zeros((len(crystals), 6))
    for i, crystal in enumerate(crystals):
        n = len(crystal.letters)
        letters[i, :n] = [LETTERS.index(letter) + 1 for letter in crystal.letters]
        numbers[i, :n] = crystal.numbers
        frac[i, :n] = crystal.frac
        lengths = np.linalg.norm(crystal.cell, axis=1)
        a, b, c = crystal.cell / lengths[:, None]
        lattice[i, :3] = lengths / crystal.n_atoms ** (1 / 3)
        lattice[i, 3:] = np.arccos(np.clip([b @ c, a @ c, a @ b], -1.0, 1.0))
    return WyckoffSequences(
        group=torch.tensor([crystal.space_group for crystal in crystals]),
        letters=torch.from_numpy(letters),
        numbers=torch.from_numpy(numbers),
        frac=torch.from_numpy(frac).float(),
        lattice=torch.from_numpy(lattice).float(),
    )


def decode(sequences: WyckoffSequences, *, unfinished: Tensor | None = None) -> list[WyckoffCrystal | Failure]:
    """Turn sequences into crystals.

    One that is unfinished, whose parameters make no cell, or in which two atoms share a place (a free coordinate that fell
    on a special point, so that the letter is not the one written) becomes a `Failure`.
    """
    result: list[WyckoffCrystal | Failure] = []
    counts = sequences.n_sites.tolist()
    atoms = sequences.n_atoms.tolist()
    for i, (n, n_atoms) in enumerate(zip(counts, atoms, strict=True)):
        group = int(sequences.group[i])
        if unfinished is not None and unfinished[i]:
            result.append(Failure(reason=f"no site of space group {group} completes the crystal", stage="sample"))
            continue
        parameters = sequences.lattice[i].double().numpy().copy()
        parameters[:3] *= n_atoms ** (1 / 3)
        parameters[3:] = np.degrees(parameters[3:])
        parameters = complete_lattice_parameters(parameters, space_group=group)
        try:
            cell = cell_from_parameters(parameters[:3], parameters[3:])
        except InvalidCrystalError as error:
            result.append(Failure(reason=str(error), stage="decode"))
            continue
        letters = sequences.letters[i, :n].tolist()
        table = wyckoff_positions(group)
        frac = sequences.frac[i, :n].double().numpy()
        crystal = WyckoffCrystal(
            space_group=group,
            cell=cell,
            letters=tuple(LETTERS[letter - 1] for letter in letters),
            numbers=sequences.numbers[i, :n].numpy().copy(),
            frac=np.stack([table[letter - 1].project(point) for letter, point in zip(letters, frac, strict=True)]),
        )
        if _shares_a_place(crystal):
            result.append(Failure(reason=f"two atoms of space group {group} share a place", stage="decode"))
        else:
            result.append(crystal)
    return result


def _shares_a_place(crystal: WyckoffCrystal) -> bool:
    orbits = [position.orbit(point) for position, point in zip(crystal.positions, crystal.frac, strict=True)]
    difference = np.concatenate(orbits) - crystal.frac[:, None]
    distance = np.linalg.norm((difference - np.round(difference)) @ crystal.cell, axis=-1)
    return bool((distance < SAME_PLACE).sum() > len(crystal.frac))  # each representative is at its own place


def free_slots(group: Tensor, letter: Tensor, *, first: Tensor) -> Tensor:
    """Tell (..., 3) which coordinates of a site are slots; a first site lies at 0 on polar axes.

    Args:
        group: (...,) space groups.
        letter: (...,) letters.
        first: (...,) whether it is the crystal's first site.
    """
    tables = group_tables()
    return tables.free[group, letter] & ~(first[..., None] & tables.polar[group])


def allowed_letters(group: Tensor, *, previous: Tensor, full: Tensor) -> Tensor:
    """Tell (M, 28) which letters may follow.

    Letters do not go back in the alphabet, a position without freedom is occupied once, and a crystal has a site.

    Args:
        group: (M,) space groups.
        previous: (M,) the letter before, 0 at the start.
        full: (M,) whether no further site fits.
    """
    tables = group_tables()
    letters = torch.arange(N_LETTERS)
    lowest = (previous + tables.fixed[group, previous]).clamp_min(1)
    allowed = (letters >= lowest[:, None]) & (letters <= tables.n_letters[group, None]) & ~full[:, None]
    allowed[:, 0] = previous > 0
    return allowed


def allowed_numbers(letter: Tensor, *, previous_letter: Tensor, previous_number: Tensor, elements: Tensor) -> Tensor:
    """Tell (M, 119) which elements may sit on a site: among equal letters, electropositive ones come first.

    Args:
        letter: (M,) the site's letter.
        previous_letter: (M,) the letter of the site before.
        previous_number: (M,) the element of the site before.
        elements: (119,) or (M, 119) elements that may occur at all.
    """
    rank = torch.from_numpy(electropositivity_rank().copy())
    lowest = torch.where(letter == previous_letter, rank[previous_number], 0)
    return (rank >= lowest[:, None]) & elements & (torch.arange(N_NUMBERS) > 0)
