"""Other cells of the same crystal: primitive, conventional, Niggli-reduced, larger."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError


def right_handed(crystal: Crystal) -> Crystal:
    """Return the same crystal with a right-handed cell: the vectors of a left-handed one are all reversed."""
    if np.linalg.det(crystal.cell) > 0:
        return crystal
    return crystal.replace(cell=-crystal.cell, frac=-crystal.frac)


def with_cell(crystal: Crystal, *, matrix: ArrayLike) -> Crystal:
    """Describe the same crystal by other lattice vectors that span the same cell.

    Args:
        crystal: the crystal.
        matrix: (3, 3) integer, determinant +1 or -1; the new vectors are `matrix @ cell`.

    Raises:
        InvalidRequestError: the matrix is not unimodular.
    """
    change = np.asarray(matrix, dtype=np.float64)
    if not np.array_equal(change, np.round(change)) or abs(abs(np.linalg.det(change)) - 1.0) > 1e-6:
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: the matrix must be of whole numbers with determinant +1 or -1; use `supercell` for others"
        )
    return crystal.replace(cell=change @ crystal.cell, frac=crystal.frac @ np.linalg.inv(change))


def niggli(crystal: Crystal) -> Crystal:
    """Return the same atoms in the Niggli-reduced cell (Krivy and Gruber 1976, doi:10.1107/S0567739476000636)."""
    import moyopy

    source = right_handed(crystal)
    _, linear = moyopy.niggli_reduce(source.cell.tolist())
    # moyopy: the reduced vectors are linear combinations, as columns; we keep rows
    return with_cell(source, matrix=np.array(linear, dtype=np.float64).T)


def supercell(crystal: Crystal, *, matrix: ArrayLike) -> Crystal:
    """Repeat a crystal.

    Args:
        crystal: the crystal.
        matrix: (3,) repeats along a, b, c, or (3, 3) integer rows; the new vectors are `matrix @ cell`.

    Returns:
        The larger crystal; per-site values are repeated, `props` are dropped since a total would no longer hold.

    Raises:
        InvalidRequestError: the matrix is not of whole numbers or is singular.
    """
    change = np.asarray(matrix, dtype=np.float64)
    if change.shape == (3,):
        change = np.diag(change)
    if change.shape != (3, 3) or not np.array_equal(change, np.round(change)):
        raise InvalidRequestError(
            f"crystal {crystal.id!r}: expected 3 or 3x3 whole numbers, got {np.asarray(matrix).tolist()}"
        )
    volume = round(abs(float(np.linalg.det(change))))
    if volume == 0:
        raise InvalidRequestError(f"crystal {crystal.id!r}: the matrix {change.astype(int).tolist()} spans no volume")
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T @ change
    low, high = corners.min(0).astype(int), corners.max(0).astype(int)
    axes = [np.arange(low[axis], high[axis] + 1) for axis in range(3)]
    shifts = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    inside = shifts @ np.linalg.inv(change)
    shifts = shifts[((inside > -1e-9) & (inside < 1.0 - 1e-9)).all(1)]
    frac = (crystal.frac[:, None] + shifts[None]).reshape(-1, 3) @ np.linalg.inv(change)
    return Crystal(
        cell=change @ crystal.cell,
        frac=frac,
        numbers=np.repeat(crystal.numbers, volume),
        id=crystal.id,
        site={key: np.repeat(value, volume, axis=0) for key, value in crystal.site.items()},
    )


def primitive(crystal: Crystal, *, symprec: float = 0.01) -> Crystal:
    """Return the smallest cell that repeats to the same crystal, oriented and placed as the crystal is.

    Unlike a standardized cell it keeps the coordinates: only atoms that a lattice translation maps on others are left out.

    Args:
        crystal: the crystal.
        symprec: Angstrom, how far an atom may lie from its translated place.

    Raises:
        InvalidCrystalError: no symmetry can be found, as when atoms overlap.
    """
    from euhedral.geometry.symmetry import symmetry

    if len(crystal) == 1:
        return crystal
    found = symmetry(crystal, symprec=symprec)
    pure = (found.rotations == np.eye(3, dtype=np.int64)).all((1, 2))
    translations = found.translations[pure]
    if len(translations) == 1:
        return crystal
    basis = _lattice_of(translations)
    size = len(crystal) // len(translations)
    frac = crystal.frac @ np.linalg.inv(basis)
    keep = _one_of_each(frac, crystal.numbers, cell=basis @ crystal.cell, size=size, symprec=symprec)
    return crystal.replace(
        cell=basis @ crystal.cell,
        frac=frac[keep],
        numbers=crystal.numbers[keep],
        site={key: value[keep] for key, value in crystal.site.items()},
    )


def conventional(crystal: Crystal, *, symprec: float = 0.01) -> Crystal:
    """Return the conventional cell in the standard setting, refined to the exact symmetry.

    Raises:
        InvalidCrystalError: no symmetry can be found, as when atoms overlap.
    """
    from euhedral.geometry.symmetry import symmetry

    standard = symmetry(crystal, symprec=symprec).standard
    return standard.replace(id=crystal.id, props=crystal.props)


def _lattice_of(translations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find three rows that span the whole vectors and the given centring translations."""
    order = len(translations)
    # in units of 1/order all of them are whole numbers; the Hermite normal form of their span is a basis
    whole = np.round(np.concatenate([translations, np.eye(3)]) * order).astype(np.int64)
    rows = whole.tolist()
    basis: list[list[int]] = []
    for column in range(3):
        while True:
            active = [row for row in rows if row[column] != 0]
            if len(active) <= 1:
                break
            pivot = min(active, key=lambda row: abs(row[column]))
            for row in active:
                if row is not pivot:
                    factor = row[column] // pivot[column]
                    row[:] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        active = [row for row in rows if row[column] != 0]
        basis.append(active[0])
        rows = [row for row in rows if row is not active[0]]
    lattice = np.array(basis, dtype=np.float64) / order
    return lattice if np.linalg.det(lattice) > 0 else -lattice


def _one_of_each(
    frac: NDArray[np.float64], numbers: NDArray[np.int64], *, cell: NDArray[np.float64], size: int, symprec: float
) -> NDArray[np.int64]:
    """Pick one of all atoms that coincide in the smaller cell: the first, in order."""
    kept: list[int] = []
    for i in range(len(frac)):
        if kept:
            delta = frac[kept] - frac[i]
            delta -= np.round(delta)
            near = np.linalg.norm(delta @ cell, axis=1) < 4.0 * symprec + 1e-6
            if (near & (numbers[kept] == numbers[i])).any():
                continue
        kept.append(i)
    if len(kept) != size:
        # the tolerance joined or parted atoms: the symmetry search and this agree only for separate atoms
        from euhedral.errors import InvalidCrystalError

        raise InvalidCrystalError(f"atoms do not fall on {size} sites of the primitive cell; choose another symprec")
    return np.array(kept, dtype=np.int64)
