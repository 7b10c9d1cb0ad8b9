"""Sums of potentials between all atoms, beside a graph of near neighbours, the same for a cell and its supercells.

In a supercell the sum between an atom and a copy of another runs over fewer images, and a network that is not linear in the
sums would tell the two descriptions of one crystal apart. Here the copies of an atom share one sum, that over all of them,
which is the sum in the primitive cell, and the weight of one pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import ExtraKind, Graph, GraphSpec, Nearest
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums
from euhedral.representations.lattice_vectors import shortest_basis

#: Names in `Graph.extra`; with "potential_sums", which here has a row for each pair.
PAIR_SOURCE: Final = "pair_source"
PAIR_TARGET: Final = "pair_target"
PAIR_SHARE: Final = "pair_share"


@dataclass(frozen=True)
class WithMergedSums:
    """Any graph, and the sums of potentials over the lattice between all atoms of each crystal.

    `extra` holds, for the P ordered pairs of atoms of each crystal, an atom with itself too: "pair_source" and "pair_target"
    (P,) int64, "potential_sums" (P, V) of the V potentials, over all images of all copies of the source, and "pair_share" (P,),
    one over how many copies the cell holds. Sums times shares, added up over the sources, do not depend on the cell.

    Args:
        edges: the graph.
        sums: the potentials, and how exact their sums are.
    """

    edges: GraphSpec = field(default_factory=Nearest)
    sums: PotentialSums = field(default_factory=PotentialSums)

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch and sum over its pairs; no gradient flows through the sums.

        Raises:
            InvalidCrystalError: two atoms are at one place, or a crystal repeats too roughly within its cell.
            InvalidRequestError: the crystals have more pairs than fit, or the graph has pairs already.
        """
        graph = self.edges.build(batch)
        if "pair" in {kind.of for kind in graph.kinds.values()}:
            raise InvalidRequestError("the graph has pairs already; sums over the lattice need a graph without them")
        pairs = self.sums.build(batch)
        copies = _copies(batch)
        merged, share = _merged(pairs, batch=batch, copies=copies)
        of_pair, to_atom = ExtraKind(of="pair"), ExtraKind(of="pair", to="atom")
        return replace(
            graph,
            extra={
                **graph.extra, PAIR_SOURCE: pairs.source, PAIR_TARGET: pairs.target, POTENTIAL_SUMS: merged, PAIR_SHARE: share,
            },
            kinds={
                **graph.kinds, PAIR_SOURCE: to_atom, PAIR_TARGET: to_atom, POTENTIAL_SUMS: of_pair, PAIR_SHARE: of_pair,
            },
        )  # fmt: skip


def _merged(pairs: Graph, *, batch: CrystalBatch, copies: list[NDArray[np.int64] | None]) -> tuple[Tensor, Tensor]:
    """Sums (P, V) over the copies of each source, and shares (P,)."""
    sums = pairs.extra[POTENTIAL_SUMS].clone()
    share = torch.ones(len(sums), dtype=batch.dtype, device=batch.device)
    first = 0
    for n, label in zip(batch.n_atoms.tolist(), copies, strict=True):
        rows = slice(first, first + n * n)
        first += n * n
        if label is None:
            continue
        kind = torch.from_numpy(label).to(batch.device)
        block = sums[rows].view(n, n, -1)
        block.copy_(torch.zeros_like(block).index_add_(1, kind, block).index_select(1, kind))
        share[rows] = float(label.max() + 1) / n
    return sums, share


def _copies(batch: CrystalBatch) -> list[NDArray[np.int64] | None]:
    """Number the atoms of each crystal so that translated copies share a number; None for a crystal without copies."""
    cells, frac = batch.cell.detach().cpu().double().numpy(), batch.frac.detach().cpu().double().numpy()
    numbers, offsets = batch.numbers.cpu().numpy(), batch.offsets.tolist()
    labels = []
    for i, (start, stop) in enumerate(pairwise(offsets)):
        found = shortest_basis(cells[i], frac=frac[start:stop], numbers=numbers[start:stop])
        if found.n_copies == 1:
            labels.append(None)
            continue
        partner = found.copies(found.basis, crystal_id=batch.ids[i] if batch.ids else "")
        label = np.arange(stop - start)
        while True:
            # the smallest number among an atom and its copies spreads along the three translations
            smaller = np.minimum(label, label[partner].min(0))
            if (smaller == label).all():
                break
            label = smaller
        labels.append(np.unique(label, return_inverse=True)[1])
    return labels
