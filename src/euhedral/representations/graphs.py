"""Periodic multigraphs: which atoms are neighbours, through which cell boundary.

A spec says which edges there are; `build` finds them; `Graph.vectors` gives their geometry, differentiably. The topology
holds no gradient and is built once, then kept with the data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.neighbours import Neighbours, nearest_neighbours, neighbours_within

#: Angstrom; distances closer than this belong to one shell. Relaxed structures repeat their distances to about 1e-4.
SHELL_TOLERANCE: Final = 0.01


@runtime_checkable
class GraphSpec(Protocol):
    """What makes two atoms neighbours; one small frozen dataclass a kind."""

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch."""
        ...


@dataclass(frozen=True)
class ExtraKind:
    """What an extra tensor of a graph is about, so that graphs that carry it can be joined and cut (`graph_rows`).

    Rows of each axis stand in the order of the crystals.

    Args:
        of: what its rows are: "crystal", "atom", "edge", or rows of the graph's own, as "triplet".
        to: what its whole numbers are positions of, -1 for none; empty when its values are no positions.
        major: it holds truth values, and all rows where it is False, of whichever crystal, stand before the others.
    """

    of: str
    to: str = ""
    major: bool = False


@dataclass(frozen=True, eq=False)
class Graph:
    """Directed edges of a batch; edges of one target stand together.

    Args:
        source: (E,) int64 the neighbour, whose message is sent.
        target: (E,) int64 the centre, which receives it.
        image: (E, 3) int64 cell translations of the neighbour, relative to the batch's `frac` as given.
        extra: named crystal, atom, edge or triplet tensors kept beside the topology.
        kinds: what each extra tensor is about.
    """

    source: Tensor
    target: Tensor
    image: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    kinds: Mapping[str, ExtraKind] = field(default_factory=dict)

    def vectors(self, batch: CrystalBatch) -> Tensor:
        """(E, 3) Angstrom, from the centre to the neighbour; differentiable in `frac` and `cell`."""
        cells = batch.cell[batch.crystal_idx[self.target]]
        shift = batch.frac[self.source] - batch.frac[self.target] + self.image.to(batch.dtype)
        return torch.einsum("ei,eij->ej", shift, cells)

    def within(self, batch: CrystalBatch, *, cutoff: float) -> Graph:
        """Keep the edges that are not longer than a cutoff now: how a graph with a skin is trimmed in dynamics.

        Args:
            batch: the crystals as they are now.
            cutoff: Angstrom.

        Raises:
            InvalidRequestError: an extra tensor points to edges, so that the graph must be built anew.
        """
        pointing = [name for name in self.extra if name not in self.kinds or self.kinds[name].to == "edge"]
        if pointing:
            raise InvalidRequestError(
                f"a graph whose extra tensors ({', '.join(pointing)}) point to edges cannot be trimmed; build it anew"
            )
        with torch.no_grad():
            keep = self.vectors(batch).square().sum(1) <= cutoff * cutoff
        kept = {name: tensor[keep] if self.kinds[name].of == "edge" else tensor for name, tensor in self.extra.items()}
        return replace(self, source=self.source[keep], target=self.target[keep], image=self.image[keep], extra=kept)

    def to(self, device: torch.device | str) -> Graph:
        """Move to a device."""
        return replace(
            self,
            source=self.source.to(device),
            target=self.target.to(device),
            image=self.image.to(device),
            extra={name: tensor.to(device) for name, tensor in self.extra.items()},
        )


@dataclass(frozen=True)
class Radius:
    """All neighbours within a radius.

    Args:
        cutoff: Angstrom.
    """

    cutoff: float

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch."""
        cell, frac, n_atoms = _arrays(batch)
        return _graph(neighbours_within(cell, frac=frac, n_atoms=n_atoms, cutoff=self.cutoff), batch)


@dataclass(frozen=True)
class Nearest:
    """The k nearest neighbours and all that tie with the last of them: whole shells.

    Every atom has neighbours, however far, so that an isolated atom sees its own images.

    Args:
        k: how many, at the least.
        tie: Angstrom; within it of the k-th distance a neighbour is in the same shell.
    """

    k: int = 12
    tie: float = SHELL_TOLERANCE

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch, nearest first."""
        cell, frac, n_atoms = _arrays(batch)
        return _graph(nearest_neighbours(cell, frac=frac, n_atoms=n_atoms, k=self.k, tie=self.tie), batch)


@dataclass(frozen=True)
class StrictNearest:
    """Exactly the k nearest neighbours within a radius, as the public CGCNN weights were trained.

    In most crystals this cuts a shell of equal distances at an arbitrary place; atoms that have fewer than k
    neighbours within the radius keep those.

    Args:
        k: how many, at the most.
        cutoff: Angstrom.
    """

    k: int = 12
    cutoff: float = 8.0

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch, nearest first."""
        cell, frac, n_atoms = _arrays(batch)
        found = nearest_neighbours(
            cell, frac=frac, n_atoms=n_atoms, k=self.k, tie=0.0, strict=True, largest=self.cutoff
        )
        return _graph(found, batch)


def build_graph(batch: CrystalBatch, *, spec: GraphSpec) -> Graph:
    """Find the edges that a spec asks for."""
    return spec.build(batch)


def _arrays(batch: CrystalBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return batch.cell.detach().cpu().numpy(), batch.frac.detach().cpu().numpy(), batch.n_atoms.cpu().numpy()


def _graph(found: Neighbours, batch: CrystalBatch) -> Graph:
    return Graph(
        source=torch.from_numpy(found.source).to(batch.device),
        target=torch.from_numpy(found.target).to(batch.device),
        image=torch.from_numpy(found.image).to(batch.device),
    )
