"""A molecule on a surface as a small graph: its atoms, the atoms of the surface that they touch, and who touches whom.

Pablo-Garcia et al. 2023, doi:10.1038/s43588-023-00437-y, section "Graph representation". Everything farther away is left out,
so that the graph of a large slab is as small as that of a thin one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.neighbours import neighbours_within
from euhedral.representations.bonds import covalent_radii
from euhedral.representations.graphs import ExtraKind, Graph

#: Names of the graph's extra tensors.
NODE_ATOM: Final = "node_atom"
NODE_SOURCE: Final = "node_source"
NODE_TARGET: Final = "node_target"

# H, C, N, O and S; every other element counts as of the surface and has its radius stretched.
_MOLECULAR: Final = (1, 6, 7, 8, 16)
# Share of a squared distance; an atom this near to the sphere between two others is in it.
_MARGIN: Final = 0.01


@dataclass(frozen=True)
class Contacts:
    """Atoms in touch, of the adsorbate and of what it touches.

    Two atoms touch when they are no farther apart than the sum of their covalent radii, those of the surface's elements
    stretched, plus a tolerance, and no third atom is inside the sphere between them. A crystal of which no atom is marked, a
    clean surface, and one of which all are, a molecule, are taken whole.

    The graph's `extra`, for M atoms that are in: "node_atom" (M,) positions in the batch; "node_source" and "node_target" (E,)
    positions among the M.

    Args:
        mask: name of the input (N,) that is not 0 for the adsorbate's atoms.
        tolerance: Angstrom.
        stretch: of the radii of all elements but H, C, N, O and S.
    """

    mask: str = "adsorbate"
    tolerance: float = 0.5
    stretch: float = 1.5

    def build(self, batch: CrystalBatch) -> Graph:
        """Find who touches whom.

        Raises:
            InvalidRequestError: the batch does not say which atoms are the adsorbate's.
        """
        if self.mask not in batch.inputs:
            raise InvalidRequestError(
                f"contacts of an adsorbate need the input {self.mask!r} of each atom, got {sorted(batch.inputs) or 'none'}; "
                "give it in Crystal.site"
            )
        source, target, image = self._touching(batch)
        marked = batch.inputs[self.mask] != 0
        count = torch.zeros_like(batch.n_atoms).index_add_(0, batch.crystal_idx, marked.long())
        kept = marked | (count == 0)[batch.crystal_idx]
        kept = kept.index_fill(0, source[marked[target]], 1)
        inside = kept[source] & kept[target]
        source, target, image = source[inside], target[inside], image[inside]
        place = kept.long().cumsum(0) - 1
        return Graph(
            source=source,
            target=target,
            image=image,
            extra={
                NODE_ATOM: kept.nonzero()[:, 0], NODE_SOURCE: place[source], NODE_TARGET: place[target],
            },
            kinds={
                NODE_ATOM: ExtraKind(of="node", to="atom"),
                NODE_SOURCE: ExtraKind(of="edge", to="node"),
                NODE_TARGET: ExtraKind(of="edge", to="node"),
            },
        )  # fmt: skip

    def _touching(self, batch: CrystalBatch) -> tuple[Tensor, Tensor, Tensor]:
        from euhedral.representations.contacts_kernels import unobstructed

        cell = batch.cell.detach().double().cpu().numpy()
        frac = batch.frac.detach().double().cpu().numpy()
        numbers = batch.numbers.cpu().numpy()
        radius = covalent_radii()[numbers] * np.where(np.isin(numbers, _MOLECULAR), 1.0, self.stretch)
        reach = float(2.0 * radius.max() + self.tolerance)
        found = neighbours_within(cell, frac=frac, n_atoms=batch.n_atoms.cpu().numpy(), cutoff=reach)
        owner = batch.crystal_idx.cpu().numpy()[found.target]
        shift = frac[found.source] - frac[found.target] + found.image
        vectors = np.einsum("ei,eij->ej", shift, cell[owner])
        starts = np.searchsorted(found.target, np.arange(len(numbers) + 1))
        close = found.distance <= radius[found.source] + radius[found.target] + self.tolerance
        chosen = close & unobstructed(starts, vectors, _MARGIN)
        source, target, image = (
            torch.from_numpy(array[chosen]).to(batch.device) for array in (found.source, found.target, found.image)
        )
        return source, target, image
