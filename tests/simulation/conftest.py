"""A potential with closed forms, for tests of what is done with potentials."""

from __future__ import annotations

import pytest
import torch

from euhedral.representations.graphs import Radius
from euhedral.tasks.potential import Energy, Potential


class LennardJones(Potential):
    """Twelve-six pairs that fade to zero at the cutoff; every element alike."""

    def __init__(self, *, well: float = 0.4, size: float = 2.3, cutoff: float = 6.0, elements=range(1, 90)) -> None:
        super().__init__()
        self.well = torch.nn.Parameter(torch.tensor(well, dtype=torch.float64), requires_grad=False)
        self.size, self.cutoff = size, cutoff
        self.graph = Radius(cutoff=cutoff)
        self.elements = frozenset(elements)
        self.evaluations = 0
        self.largest_batch = 0

    def energy(self, batch, graph, *, vectors):
        self.evaluations += len(batch)
        self.largest_batch = max(self.largest_batch, len(batch))
        ratio = (self.size**2 / vectors.square().sum(1)) ** 3
        fade = (1 - vectors.square().sum(1) / self.cutoff**2).clamp(min=0) ** 2
        pairs = 2.0 * self.well * (ratio**2 - ratio) * fade
        total = torch.zeros(len(batch), dtype=pairs.dtype).index_add(0, batch.crystal_idx[graph.target], pairs)
        return Energy(total=total)


@pytest.fixture(scope="session")
def lennard_jones() -> type[LennardJones]:
    """The class, so that a test may derive from it."""
    return LennardJones


@pytest.fixture
def potential() -> LennardJones:
    """A fresh Lennard-Jones potential in double precision."""
    return LennardJones()
