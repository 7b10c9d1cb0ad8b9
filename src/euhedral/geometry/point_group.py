"""The point group of a crystal as rotations and mirrors in space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import primitive
from euhedral.geometry.lattice_constraints import symmetrise_cell
from euhedral.geometry.symmetry import symmetry


def cartesian_point_group(crystal: Crystal, *, symprec: float = 0.01) -> NDArray[np.float64]:
    """Find the rotations and mirrors of a crystal in the axes of its cell.

    They are found in a primitive cell, since a supercell may have a shape that its crystal's rotations do not keep, and taken
    from the nearest lattice that has them exactly, so that they are orthogonal and form a group to rounding even where the
    crystal has them only roughly.

    Args:
        crystal: any cell of it.
        symprec: Angstrom, how far an atom may lie from its symmetric place.

    Returns:
        (k, 3, 3) orthogonal matrices, each once; a column vector r becomes R r.

    Raises:
        InvalidCrystalError: no space group fits within the tolerance, as when atoms overlap.
    """
    small = primitive(crystal, symprec=symprec)
    rotations = np.unique(symmetry(small, symprec=symprec).rotations, axis=0)
    columns = symmetrise_cell(small.cell, rotations=rotations).T
    return columns @ rotations @ np.linalg.inv(columns)
