"""Random crystals of any space group, for tests of what must hold in all 230."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import cell_from_parameters
from euhedral.geometry.wyckoff import WyckoffCrystal, complete_lattice_parameters, to_crystal, wyckoff_positions


def random_cell(number: int, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a cell of the group's family whose free lengths and angles are all different.

    Args:
        number: space group, 1 to 230.
        rng: the source of chance.

    Returns:
        (3, 3) Angstrom.
    """
    lengths = rng.permutation([5.13, 6.71, 8.37]) * rng.uniform(0.97, 1.03, 3)
    parameters = complete_lattice_parameters(np.array([*lengths, 81.3, 103.3, 97.1]), space_group=number)
    return cell_from_parameters(parameters[:3], parameters[3:])


def random_wyckoff_crystal(number: int, *, rng: np.random.Generator, apart: float = 0.3) -> WyckoffCrystal:
    """Draw a crystal with exactly the symmetry of a group: one orbit on the general position and up to three on others.

    Args:
        number: space group, 1 to 230.
        rng: the source of chance.
        apart: Angstrom, how close two atoms may come.

    Returns:
        The crystal in its conventional cell; every orbit has its own element.
    """
    table = wyckoff_positions(number)
    cell = random_cell(number, rng=rng)
    while True:
        chosen = [len(table) - 1, *rng.integers(len(table), size=rng.integers(1, 4)).tolist()]
        kept = [place for i, place in enumerate(chosen) if table[place].n_free or place not in chosen[:i]]
        crystal = WyckoffCrystal(
            space_group=number,
            cell=cell,
            letters=tuple(table[place].letter for place in kept),
            numbers=rng.choice(np.arange(1, 95), size=len(kept), replace=False),
            frac=np.stack([table[place].project(rng.uniform(0.0, 1.0, 3)) for place in kept]),
            id=f"group {number}",
        )
        points = to_crystal(crystal).frac
        away = points[:, None] - points
        distance = np.linalg.norm((away - np.round(away)) @ cell, axis=-1) + 99.0 * np.eye(len(points))
        if distance.min() > apart:
            return crystal
