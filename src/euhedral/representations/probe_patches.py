"""Any graph together with the energy of a probe molecule in the space between the atoms, cut into patches, one of each atom.

A probe of one bead, methane, feels sum_j 4 e_j ((s_j / r)^12 - (s_j / r)^6) of all atoms and images, s the mean and e the geometric
mean of both. MOFTransformer takes this field on 30^3 points of a cell in 6^3 patches of 5^3, which depend on where the cell begins and
how it is cut. Here the points stand around the atoms (`probe_patches_kernels`), all space belongs to the nearest atom, and of
each atom's part a patch says how much of it lies at which distance and energy. All of it is found once and kept with the data set.

Sources: Kang, Park, Smit and Kim 2023, doi:10.1038/s42256-023-00628-2 (MOFTransformer); Rappe et al. 1992, doi:10.1021/ja00051a040
(UFF); Martin and Siepmann 1998, doi:10.1021/jp972543+ (methane of TraPPE: 3.73 Angstrom, 148 K).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isfinite
from typing import Final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import SHELL_TOLERANCE, ExtraKind, Graph, GraphSpec, Nearest
from euhedral.representations.quotient import colour_classes, distinct_values
from euhedral.representations.uff import uff_lennard_jones

#: Names in `Graph.extra`; rows of the kind "site" are atoms that the graph cannot tell apart.
SITE_OF_ATOM: Final = "site_of_atom"
SITE_ATOM: Final = "site_atom"
SITE_SHARE: Final = "site_share"
PATCH: Final = "patch"
PATCH_VOLUME: Final = "patch_volume"
VOID_FRACTION: Final = "void_fraction"

_KINDS: Final = {
    SITE_OF_ATOM: ExtraKind(of="atom", to="site"), SITE_ATOM: ExtraKind(of="site", to="atom"), SITE_SHARE: ExtraKind(of="site"),
    PATCH: ExtraKind(of="site"), PATCH_VOLUME: ExtraKind(of="site"), VOID_FRACTION: ExtraKind(of="crystal"),
}  # fmt: skip
_METHANE_SIGMA: Final = 3.73
_METHANE_EPSILON: Final = 148.0 * 8.617333e-5
# Angstrom; atoms of the primitive cell closer than that to a translated place repeat it.
_REPEATS: Final = SHELL_TOLERANCE
# Angstrom; the border between two patches is about this wide.
_SPREAD: Final = 0.5
# Angstrom; lengths of edges that count as equal when atoms are told apart.
_SAME_LENGTH: Final = 1e-3


@dataclass(frozen=True)
class WithProbePatches:
    """Any graph, the classes of atoms that it cannot tell apart, and the patch of space around each class.

    `extra` holds "site_of_atom" (N,) and "site_atom" (S,) int64, the class of each atom and the first atom of each class;
    "site_share" (S,), the share of the crystal's atoms in it; "patch" (S, R * K), which part of the atom's space is at which distance
    and energy, adding up to 1; "patch_volume" (S,) Angstrom^3; and "void_fraction" (B,), the share of the crystal in which the probe
    overlaps with no atom. Patches of a class are averaged. None of it changes with the cell in which a crystal is given.

    Args:
        edges: the graph; it must have no extra tensors.
        radii: Angstrom, rising; between two of them, a point counts in part for each.
        energies: eV, rising; likewise.
        cutoff: Angstrom, where the energy of a pair ends; it is shifted to be zero there.
        spacing: Angstrom, of the points, about; symmetric crystals have points that coincide.
        most_points: of a primitive cell.

    Raises:
        InvalidRequestError: nodes do not rise, or a length is not a positive number.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    radii: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0)
    energies: tuple[float, ...] = (
        -0.4, -0.3, -0.2, -0.15, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.4, 1.0, 3.0, 10.0, 30.0, 100.0,
    )  # fmt: skip
    cutoff: float = 12.8
    spacing: float = 1.0
    most_points: int = 30**3

    def __post_init__(self) -> None:
        for name, nodes in (("radii", self.radii), ("energies", self.energies)):
            if len(nodes) < 2 or not all(low < high for low, high in pairwise(nodes)):
                raise InvalidRequestError(
                    f"the {name} of probe patches must be two numbers or more that rise, got {nodes}"
                )
        for name, value in (("cutoff", self.cutoff), ("spacing", self.spacing), ("most_points", self.most_points)):
            if not (isfinite(value) and value > 0.0):
                raise InvalidRequestError(f"the {name} of probe patches must be a positive number, got {value}")

    @property
    def width(self) -> int:
        """Numbers of a patch."""
        return len(self.radii) * len(self.energies)

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges, classes and patches of a batch; no gradient flows through the patches.

        Raises:
            InvalidRequestError: the graph has extra tensors, or a cell or coordinate is not finite.
        """
        graph = self.edges.build(batch)
        if graph.extra:
            raise InvalidRequestError(
                f"atoms of a graph with extra tensors ({', '.join(graph.extra)}) cannot be told apart by lengths; give a plain one"
            )
        crystal = batch.crystal_idx.cpu().numpy()
        site = _classes(batch, graph, crystal=crystal)
        patch, void = self._patches(batch)
        first, count = np.unique(site, return_index=True, return_counts=True)[1:]
        mean = np.zeros((len(first), self.width))
        np.add.at(mean, site, patch.reshape(len(patch), -1))
        mean /= count[:, None]
        volume = mean.sum(1)
        floats = {
            SITE_SHARE: count / batch.n_atoms.cpu().numpy()[crystal[first]], PATCH: mean / volume[:, None],
            PATCH_VOLUME: volume, VOID_FRACTION: void,
        }  # fmt: skip
        extra = {name: torch.from_numpy(value).to(batch.device, batch.dtype) for name, value in floats.items()}
        extra |= {
            SITE_OF_ATOM: torch.from_numpy(site).to(batch.device),
            SITE_ATOM: torch.from_numpy(first).to(batch.device),
        }
        return replace(graph, extra=extra, kinds=_KINDS)

    def _patches(self, batch: CrystalBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, R, K) Angstrom^3 of every atom and (B,) void fractions."""
        from euhedral.representations.probe_patches_kernels import patches_of_all

        cell = batch.cell.detach().cpu().double().contiguous().numpy()
        frac = batch.frac.detach().cpu().double().contiguous().numpy()
        if not (np.isfinite(cell).all() and np.isfinite(frac).all()):
            raise InvalidRequestError(
                "a cell or coordinate is NaN or infinite; no probe can be put into such a crystal"
            )
        offsets = np.concatenate([[0], np.cumsum(batch.n_atoms.cpu().numpy())])
        radii, energies = np.array(self.radii), np.array(self.energies)
        patch, void = np.zeros((len(frac), radii.size, energies.size)), np.empty(len(cell))
        patches_of_all(
            cell, frac, batch.numbers.cpu().numpy(), offsets, *_pairs_with_probe(), float(self.cutoff), _SPREAD,
            float(self.spacing), int(self.most_points), _REPEATS, radii, energies, patch, void,
        )  # fmt: skip
        return patch, void


def probe_energies(crystal: Crystal, *, points: ArrayLike, cutoff: float = 12.8) -> NDArray[np.float64]:
    """Find the energy of a methane molecule at points of a crystal.

    Args:
        crystal: the crystal.
        points: (P, 3) fractional.
        cutoff: Angstrom, where the energy of a pair ends; it is shifted to be zero there.

    Returns:
        (P,) eV.
    """
    from euhedral.representations.probe_patches_kernels import energies_at

    sigma, epsilon = _pairs_with_probe()
    asked = np.ascontiguousarray(points, dtype=np.float64)
    numbers = crystal.numbers
    return energies_at(asked, crystal.cell, crystal.frac, sigma[numbers], epsilon[numbers], float(cutoff))


def _pairs_with_probe() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(119,) sigma in Angstrom and epsilon in eV of methane and each element (Lorentz and Berthelot)."""
    sigma, epsilon = uff_lennard_jones()
    return 0.5 * (sigma + _METHANE_SIGMA), np.sqrt(epsilon * _METHANE_EPSILON)


def _classes(batch: CrystalBatch, graph: Graph, *, crystal: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) class of each atom under messages of elements and lengths, in the order of the crystals."""
    source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
    with torch.no_grad():
        distance = graph.vectors(batch).norm(dim=1).double().cpu().numpy()
    shell, _ = distinct_values(distance, crystal[target], tolerance=_SAME_LENGTH)
    return colour_classes(batch.numbers.cpu().numpy(), crystal, source, target, shell)
