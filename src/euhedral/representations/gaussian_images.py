"""Which lattice images, and which waves, sums of Gaussians over a crystal need for a stated error.

Crystalformer's attention between atoms i and j is a sum over the images of j, of exp(-r^2 / 2 s^2) with a width s that the
network chooses for each query and head (Taniai et al. 2024, arXiv:2403.11686, equations 6 to 9). The images that count are
topology: they are found once for the widest s and kept with the data set. `gaussian_sums` holds the sums, which follow s.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, sqrt
from typing import Final

import numpy as np
import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph

#: Angstrom; the widest Gaussian of the published Crystalformer: s^2 = (1.4 A)^2 / rho with rho > 1/2.
CRYSTALFORMER_WIDEST: Final = 1.4 * sqrt(2.0)
_WIDTHS: Final = (0.01, 100.0)
_MOST_IMAGES: Final = 500_000_000


@dataclass(frozen=True)
class GaussianImages:
    """The images of all ordered pairs of each crystal that sums of exp(-r^2 / 2 s^2) need.

    An edge is one image; those of a target stand together, in them those of a source. An atom at no distance from itself
    is among them. For every s up to the widest, and every pair, the images left out add up to at most `error` times the largest
    term of that pair's sum: the terms, divided by the largest, grow with s, so that the widest decides. The same then
    bounds, relatively, sums that are weighted with functions of r between -1 and 1.

    Args:
        widest: Angstrom.
        error: relative.
        reach: Angstrom; images beyond it are left out whatever the error. Enough for sums that are weighted with functions
            that vanish there, where the unweighted sum comes from waves; a pair may then have no image.

    Raises:
        InvalidRequestError: the width or the error is out of range.
    """

    widest: float = CRYSTALFORMER_WIDEST
    error: float = 1e-4
    reach: float = inf

    def __post_init__(self) -> None:
        _checked("widest Gaussian", self.widest, self.error)
        if not self.reach > 0.0:
            raise InvalidRequestError(
                f"the reach of the images must be a positive number of Angstrom, got {self.reach}"
            )

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the images of a batch.

        Raises:
            InvalidRequestError: a cell or coordinate is not finite, or the images would not fit.
        """
        from euhedral.representations.gaussian_images_kernels import images_of_all

        cell = batch.cell.detach().cpu().double().contiguous().numpy()
        frac = batch.frac.detach().cpu().double().contiguous().numpy()
        if not (np.isfinite(cell).all() and np.isfinite(frac).all()):
            raise InvalidRequestError("a cell or coordinate is NaN or infinite; there are no images to list")
        offsets = np.concatenate([[0], np.cumsum(batch.n_atoms.cpu().numpy())])
        pairs = np.diff(offsets) ** 2
        a = 0.5 / self.widest**2
        # as if atoms were spread evenly; longer lists are made when that was too few
        radius = min(self.widest * sqrt(2.0 * np.log(100.0 / self.error)), self.reach)
        usual = 4.0 / 3.0 * np.pi * radius**3
        expected = float((pairs * (usual / np.abs(np.linalg.det(cell)) + 2.0)).sum())
        if expected > _MOST_IMAGES:
            raise InvalidRequestError(
                f"Gaussians {self.widest:g} Angstrom wide need about {expected:.0e} images of these crystals; sum over fewer"
                " crystals at a time, or over waves (`gaussian_waves`)"
            )
        room, crystal, count = int(expected) + 64, 0, 0
        source, target, image = _lists(room)
        while True:
            crystal, count = images_of_all(
                cell, frac, offsets, a, self.error, float(self.reach), source, target, image, crystal, count
            )
            if crystal == len(cell):
                break
            room *= 2
            longer = _lists(room)
            for old, new in zip((source, target, image), longer, strict=True):
                new[:count] = old[:count]
            source, target, image = longer
        return Graph(
            source=torch.from_numpy(source[:count].copy()).to(batch.device),
            target=torch.from_numpy(target[:count].copy()).to(batch.device),
            image=torch.from_numpy(image[:count].copy()).to(batch.device),
        )


@dataclass(frozen=True, eq=False)
class Waves:
    """Reciprocal lattice vectors of a batch, one of each two opposite ones, without 0; those of a crystal stand together.

    Args:
        index: (B, K, 3) int64, in units of the reciprocal vectors 2 pi (a*, b*, c*); crystals with fewer are filled up.
        counts: (B, K) bool, which of them are meant.
    """

    index: Tensor
    counts: Tensor


def gaussian_waves(batch: CrystalBatch, *, narrowest: float, error: float) -> Waves:
    """Find the waves that sums of exp(-r^2 / 2 s^2) need for every s that is not below the narrowest.

    Images grow in number as s^3 / V, waves as V / s^3: they are equal near s = 0.4 V^(1/3), and for wider Gaussians waves are
    fewer.

    Args:
        batch: the crystals.
        narrowest: Angstrom.
        error: of a sum, absolute; the waves left out add up to no more.

    Raises:
        InvalidRequestError: the width or the error is out of range.
    """
    from euhedral.representations.gaussian_images_kernels import waves_of_one

    _checked("narrowest Gaussian", narrowest, error)
    cell = batch.cell.detach().cpu().double().contiguous().numpy()
    found = [torch.from_numpy(waves_of_one(one, float(narrowest), float(error))) for one in cell]
    index = torch.nn.utils.rnn.pad_sequence(found, batch_first=True)
    sizes = torch.tensor([len(one) for one in found])
    counts = torch.arange(index.shape[1])[None] < sizes[:, None]
    return Waves(index=index.to(batch.device), counts=counts.to(batch.device))


def _lists(room: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, 3), np.int64)


def _checked(what: str, width: float, error: float) -> None:
    if not (isfinite(width) and _WIDTHS[0] <= width <= _WIDTHS[1]):
        raise InvalidRequestError(f"the {what} must be from {_WIDTHS[0]} to {_WIDTHS[1]:g} Angstrom wide, got {width}")
    if not (isfinite(error) and 1e-14 <= error <= 0.5):
        raise InvalidRequestError(f"the error of sums of Gaussians must be from 1e-14 to 0.5, got {error}")
