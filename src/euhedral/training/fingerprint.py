"""A crystal in a dozen numbers that no network has seen: how tightly packed it is, and of what.

Networks saturate: far from their training data their features can look ordinary, even for overlapping atoms. Novelty is
therefore also looked for in these plain numbers.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import elements
from euhedral.representations.graphs import Graph
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, ORBIT_SIZE

#: Length of a crystal without neighbours, in sums of covalent radii; beyond what any bonded crystal has.
_FAR: Final = 10.0


def fingerprint(batch: CrystalBatch, graph: Graph, *, structure: bool = True) -> Tensor:
    """(B, 13) packing and composition of each crystal; (B, 8) composition alone.

    In sums of the two covalent radii: the shortest distance, the mean distance to the nearest neighbour, the mean and
    deviation over all neighbours. Then the logarithm of the volume per atom over its mean cubed radius; mean and deviation
    over the atoms of electronegativity, covalent radius, period and group.

    Args:
        batch: the crystals.
        graph: their neighbours; whole or merged (`representations.quotient`).
        structure: whether the structure counts; for networks that do not see it, it must not.
    """
    table = _element_table().to(batch.dtype).to(batch.device)
    atoms = graph.extra.get(ORBIT_SIZE, torch.ones_like(batch.frac[:, 0]))
    crystal = batch.crystal_idx
    elemental = _mean(table[batch.numbers], weight=atoms, owner=crystal, n=len(batch))
    square = _mean(table[batch.numbers].square(), weight=atoms, owner=crystal, n=len(batch))
    composition = torch.cat([elemental, (square - elemental.square()).clamp(min=0).sqrt()], dim=1)
    if not structure:
        return composition
    per_atom = graph.extra.get(MULTIPLICITY)
    length = graph.extra[DISTANCE] if DISTANCE in graph.extra else graph.vectors(batch).norm(dim=1)
    edges = atoms[graph.target] * (torch.ones_like(length) if per_atom is None else per_atom)
    radius = table[batch.numbers, 1]
    reduced = length / (radius[graph.source] + radius[graph.target])
    owner = crystal[graph.target]
    far = torch.full_like(radius, _FAR)
    nearest = far.scatter_reduce(0, graph.target, reduced, reduce="amin", include_self=True)
    shortest = torch.full_like(batch.volume, _FAR).scatter_reduce(0, crystal, nearest, reduce="amin", include_self=True)
    mean_reduced = _mean(reduced[:, None], weight=edges, owner=owner, n=len(batch))
    spread = (_mean(reduced[:, None].square(), weight=edges, owner=owner, n=len(batch)) - mean_reduced.square()).clamp(
        min=0
    )
    cubes = _mean(radius[:, None] ** 3, weight=atoms, owner=crystal, n=len(batch))[:, 0]
    count = torch.zeros_like(batch.volume).index_add_(0, crystal, atoms)
    packing = torch.log(batch.volume / count / cubes)
    return torch.cat(
        [
            torch.stack([shortest, packing], dim=1),
            _mean(nearest[:, None], weight=atoms, owner=crystal, n=len(batch)),
            mean_reduced, spread.sqrt(), composition,
        ], dim=1,
    )  # fmt: skip


def _mean(values: Tensor, *, weight: Tensor, owner: Tensor, n: int) -> Tensor:
    """(n, F) weighted means of (M, F) values by owner; zero for one that owns nothing."""
    total = values.new_zeros(n, values.shape[1]).index_add_(0, owner, values * weight[:, None])
    return total / values.new_zeros(n).index_add_(0, owner, weight).clamp(min=1e-12)[:, None]


def _element_table() -> Tensor:
    """(119, 4) electronegativity (the mean where none is known), covalent radius, period, group."""
    known = [e.electronegativity for e in elements() if e.electronegativity is not None]
    typical = sum(known) / len(known)
    rows = [(e.electronegativity or typical, e.covalent_radius, e.row, e.group) for e in elements()]
    return torch.tensor([(0.0, 1.0, 0.0, 0.0), *rows], dtype=torch.float64)
