"""What a point group allows a lattice to be, and the nearest lattice that it allows.

A rotation W of fractional coordinates keeps a lattice with metric G (the dot products of its vectors) when W^T G W = G. The
mean of W^T G W over the group is the nearest such metric: the map is an orthogonal projection when differences of metrics
are measured as strains of a lattice that the group allows. Metrics are also written as six numbers, in the order
aa, bb, cc, bc, ac, ab; in that form the projection is one 6 x 6 matrix, which serves batches and gradients as well.

Source: International Tables A 2002, section 9.1; the mean over a group is the Reynolds operator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidCrystalError
from euhedral.geometry.space_groups import space_group

_FIRST = np.array([0, 1, 2, 1, 0, 0])
_SECOND = np.array([0, 1, 2, 2, 2, 1])


def metric_to_six(metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Write metrics (..., 3, 3) as (..., 6): aa, bb, cc, bc, ac, ab."""
    return metric[..., _FIRST, _SECOND]


def metric_from_six(six: NDArray[np.float64]) -> NDArray[np.float64]:
    """Write (..., 6) as symmetric matrices (..., 3, 3)."""
    return six[..., np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])]


def metric_projector(rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the (6, 6) matrix that takes a metric in six numbers to the nearest one that the rotations keep.

    Args:
        rotations: (k, 3, 3), a group, acting on fractional coordinates.
    """
    units = metric_from_six(np.eye(6))
    turned = np.einsum("kia,uij,kjb->uab", rotations, units, rotations, optimize=True) / len(rotations)
    return metric_to_six(turned).T


def metric_basis(rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (d, 6) metrics that span all that the rotations keep; d is the number of free lattice parameters.

    Args:
        rotations: (k, 3, 3), a group, acting on fractional coordinates.
    """
    # the projector is not symmetric in six plain numbers, so its image is spanned by left singular vectors
    left, values, _ = np.linalg.svd(metric_projector(rotations))
    return left[:, values > 1e-9].T


def symmetrise_cell(cell: NDArray[np.float64], *, rotations: NDArray[np.int64]) -> NDArray[np.float64]:
    """Strain a cell to the nearest one that the rotations keep.

    Args:
        cell: (3, 3) Angstrom, rows a, b, c.
        rotations: (k, 3, 3), a group, acting on fractional coordinates of this cell.

    Returns:
        (3, 3) Angstrom: the cell times a symmetric matrix, so that it is strained but not turned.
    """
    metric = metric_from_six(metric_projector(rotations) @ metric_to_six(cell @ cell.T))
    inverse = np.linalg.inv(cell)
    values, vectors = np.linalg.eigh(inverse @ metric @ inverse.T)
    return cell @ (vectors * np.sqrt(values)) @ vectors.T


def symmetrise_lattice_parameters(parameters: NDArray[np.float64], *, space_group_number: int) -> NDArray[np.float64]:
    """Move lattice parameters to the nearest ones that a space group allows.

    Unlike `complete_lattice_parameters`, which overwrites, every parameter counts: a = 4.0, b = 4.2 of a cubic cell is about 4.1.

    Args:
        parameters: (6,) a, b, c in Angstrom and alpha, beta, gamma in degrees, of the conventional cell.
        space_group_number: 1 to 230.

    Raises:
        InvalidRequestError: the group does not exist.
        InvalidCrystalError: no cell has these parameters.
    """
    lengths = np.asarray(parameters[:3], dtype=np.float64)
    cosines = np.cos(np.radians(np.asarray(parameters[3:], dtype=np.float64)))
    metric = lengths[_FIRST] * lengths[_SECOND] * np.concatenate([np.ones(3), cosines])
    if not (lengths.min() > 0.0 and np.linalg.eigvalsh(metric_from_six(metric)).min() > 0.0):
        raise InvalidCrystalError(f"no cell has lengths {list(parameters[:3])} and angles {list(parameters[3:])}")
    nearest = metric_projector(space_group(space_group_number).point_rotations) @ metric
    lengths = np.sqrt(nearest[:3])
    angles = np.degrees(np.arccos(nearest[3:] / (lengths[_FIRST[3:]] * lengths[_SECOND[3:]])))
    return np.concatenate([lengths, angles])
