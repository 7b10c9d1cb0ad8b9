"""Infinite sums of pair potentials over the lattice, between all atoms of a crystal, to a proven accuracy.

For atoms i and j of a crystal S_ij = sum_L V(|r_j + L - r_i|) over all lattice vectors L, without the term of an atom at no
distance from itself. S does not depend on the cell that describes the crystal, and the sums of one atom with all copies of
another in a supercell add up to that of the cell.

Where the sum diverges (Coulomb) two definitions are in use and agree. PotNet continues Epstein's zeta function
Z(s) = sum_L |r + L|^(-2s) analytically to s = 1/2; Ewald adds a neutralising uniform background and asks for a potential of
zero mean. In the split form both are

    sum_L erfc(a |r + L|) / |r + L| + 4 pi / V sum_(k != 0) exp(-k^2 / 4 a^2) / k^2 cos(k r) - pi / (V a^2),

for the pole of the continued integral, -pi^(3/2) a^(2s - 3) / (V Gamma(s) (3/2 - s)), is the background's -pi / (V a^2) at
s = 1/2. The other limit, of ever weaker screening, differs by the mean that is left out there:
`Screened(l)` - 4 pi l^2 / V comes to `Power(1)` as l grows.

Source: Lin et al. 2023, arXiv:2306.10045 (PotNet); Epstein 1903, doi:10.1007/BF01444309; Ewald 1921,
doi:10.1002/andp.19213690304; Crandall 1998 for the incomplete gamma functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError, InvalidRequestError
from euhedral.representations import dense
from euhedral.representations.graphs import ExtraKind, Graph
from euhedral.representations.potentials import POTNET, PairPotential

#: The name under which a graph keeps its sums.
POTENTIAL_SUMS: Final = "potential_sums"

#: Angstrom; atoms nearer than this are one atom given twice.
CLOSEST: Final = 0.01
# Rounding adds up to about this.
_FINEST: Final = 1e-13
# Pairs of one call: more would need 16 GB for three potentials.
_MOST_PAIRS: Final = 300_000_000


@dataclass(frozen=True)
class PotentialSums:
    """All ordered pairs of each crystal, an atom with itself too, with the sums of potentials between all their images.

    The edges of a target follow the order of the sources. `image` is the nearest image of the source (nothing for an atom with
    itself), one of them where several tie. The graph's `extra` holds "potential_sums" (E, P).

    Args:
        potentials: what is summed; P of them.
        accuracy: the largest error of any sum, in the unit of the potential with r in Angstrom; rounding comes on top, of
            about 1e-15 of the largest term.

    Raises:
        InvalidRequestError: there is no potential, or the accuracy is not within what can be reached.
    """

    potentials: tuple[PairPotential, ...] = POTNET
    accuracy: float = 1e-8

    def __post_init__(self) -> None:
        if not self.potentials:
            raise InvalidRequestError("sums over the lattice need at least one potential, got none")
        for potential in self.potentials:
            if not isinstance(potential, PairPotential):
                raise InvalidRequestError(
                    f"{potential!r} is no potential that can be summed; choose of Power, Screened and Exponential"
                )
        if not (isfinite(self.accuracy) and _FINEST <= self.accuracy <= 1.0):
            raise InvalidRequestError(
                f"the accuracy of the sums must be from {_FINEST:g} to 1, got {self.accuracy:g}"
            )  # fmt: skip

    def build(self, batch: CrystalBatch) -> Graph:
        """Sum over all pairs of a batch; no gradient flows through the sums.

        Raises:
            InvalidCrystalError: two atoms are at one place, where no potential is finite; the message names the crystal.
            InvalidRequestError: the crystals have more pairs than fit.
        """
        sums, image = _all_sums(
            batch.cell.detach().cpu().numpy(), batch.frac.detach().cpu().numpy(), batch.n_atoms.cpu().numpy(),
            spec=self, ids=batch.ids,
        )  # fmt: skip
        source, target = all_pairs(batch)
        return Graph(
            source=source,
            target=target,
            image=torch.from_numpy(image).to(batch.device),
            extra={POTENTIAL_SUMS: torch.from_numpy(sums).to(device=batch.device, dtype=batch.dtype)},
            kinds={POTENTIAL_SUMS: ExtraKind(of="edge")},
        )


def lattice_sums(
    crystal: Crystal, *, potentials: Sequence[PairPotential], accuracy: float = 1e-8
) -> NDArray[np.float64]:
    """Sum pair potentials over the lattice, between all atoms of one crystal.

    Args:
        crystal: n atoms.
        potentials: P of them.
        accuracy: the largest error of any sum, in the unit of the potential with r in Angstrom.

    Returns:
        (n, n, P), symmetric in the atoms.

    Raises:
        InvalidCrystalError: two atoms are at one place.
        InvalidRequestError: there is no potential, an accuracy that cannot be reached, or too many pairs.
    """
    spec = PotentialSums(potentials=tuple(potentials), accuracy=accuracy)
    n = len(crystal)
    sums, _ = _all_sums(crystal.cell[None], crystal.frac, np.array([n]), spec=spec, ids=(crystal.id,))
    return sums.reshape(n, n, len(spec.potentials))


def all_pairs(batch: CrystalBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """List all ordered pairs of atoms of each crystal, an atom with itself too.

    Returns:
        source and target (E,) int64, those of one target together, in the order of the sources.
    """
    return dense.all_pairs(batch.n_atoms, loops=True)


def _all_sums(
    cell: NDArray, frac: NDArray, n_atoms: NDArray, *, spec: PotentialSums, ids: tuple[str, ...],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:  # fmt: skip
    """(E, P) sums and (E, 3) images of all crystals."""
    from euhedral.representations.lattice_sums_kernels import sums_of_all

    cells = np.ascontiguousarray(cell, dtype=np.float64)
    coordinates = np.ascontiguousarray(frac, dtype=np.float64)
    counts = np.asarray(n_atoms, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    if not (np.isfinite(cells).all() and np.isfinite(coordinates).all()):
        raise InvalidRequestError("a cell or coordinate is NaN or infinite; nothing can be summed over such a lattice")
    pairs = int((counts**2).sum())
    if pairs > _MOST_PAIRS:
        raise InvalidRequestError(
            f"crystals of up to {counts.max()} atoms have {pairs} pairs, more than {_MOST_PAIRS}; sum over fewer at a time"
        )
    sums = np.empty((pairs, len(spec.potentials)))
    image = np.empty((pairs, 3), dtype=np.int64)
    crystal, distance, first, second = sums_of_all(
        cells, coordinates, offsets,
        np.array([potential.kind for potential in spec.potentials]),
        np.array([potential.parameter for potential in spec.potentials]),
        np.array([potential.itself for potential in spec.potentials]),
        np.array([potential.shrinks_with_cell for potential in spec.potentials]),
        float(spec.accuracy), CLOSEST, sums, image,
    )  # fmt: skip
    if crystal < len(cells):
        name = ids[crystal] if ids else ""
        raise InvalidCrystalError(
            f"crystal {name!r}: atoms {first + 1} and {second + 1} are {distance:.1e} Å apart, where no potential is finite;"
            " remove one of them"
        )
    return sums, image
