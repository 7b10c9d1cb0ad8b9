"""The contract of interatomic potentials: energy in, forces and stress by differentiation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph, GraphSpec


@dataclass(frozen=True, eq=False)
class Energy:
    """What a potential's network gives.

    Args:
        total: (B,) eV, the energy of each cell.
        site: (N, ...) values of each atom, such as "magmom" in mu_B.
    """

    total: Tensor
    site: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Energies and their derivatives.

    Args:
        energy: (B,) eV.
        forces: (N, 3) eV/Angstrom; None when not asked for.
        stress: (B, 3, 3) eV/Angstrom^3, tension positive; None when not asked for.
        site: (N, ...) values of each atom.
        uncertainty: (B,) eV; None when the potential has no estimate.
    """

    energy: Tensor
    forces: Tensor | None = None
    stress: Tensor | None = None
    site: Mapping[str, Tensor] = field(default_factory=dict)
    uncertainty: Tensor | None = None


class Potential(nn.Module, ABC):
    """A differentiable energy of a batch of crystals.

    A system implements `graph`, `elements` and `energy`; forces and stress follow here, once for all, from the derivative
    of the energy by the vectors between neighbours.
    """

    #: which atoms interact
    graph: GraphSpec
    #: atomic numbers that the potential knows
    elements: frozenset[int]

    @abstractmethod
    def energy(self, batch: CrystalBatch, graph: Graph, *, vectors: Tensor) -> Energy:
        """Compute (B,) energies, eV.

        Args:
            batch: the crystals; only what does not depend on geometry is read from them.
            graph: their edges.
            vectors: (E, 3) Angstrom, `graph.vectors(batch)`; the energy is differentiable in them. Their precision may be
                higher than that of the parameters.
        """

    @final
    def evaluate(
        self, batch: CrystalBatch, *, graph: Graph | None = None, forces: bool = True, stress: bool = True,
    ) -> Evaluation:  # fmt: skip
        """Compute energies and, when asked, forces and stress.

        Args:
            batch: the crystals, on the potential's device.
            graph: edges found before; built from the spec when None.
            forces: differentiate by positions.
            stress: differentiate by strain.

        Raises:
            InvalidRequestError: a crystal holds an element that the potential does not know.
        """
        self._check_elements(batch)
        with torch.no_grad():
            if graph is None:
                graph = self.graph.build(batch)
            vectors = graph.vectors(batch)
            if not (forces or stress):
                result = self.energy(batch, graph, vectors=vectors)
                return Evaluation(energy=result.total, site=result.site)
        with torch.enable_grad():
            vectors.requires_grad_()
            result = self.energy(batch, graph, vectors=vectors)
            (pull,) = torch.autograd.grad(result.total.sum(), vectors, allow_unused=True, materialize_grads=True)
        vectors = vectors.detach()
        return Evaluation(
            energy=result.total.detach(),
            forces=_forces(batch, graph, pull) if forces else None,
            stress=_stress(batch, graph, pull, vectors) if stress else None,
            site={name: value.detach() for name, value in result.site.items()},
        )

    def _check_elements(self, batch: CrystalBatch) -> None:
        present = set(torch.unique(batch.numbers).tolist())
        unknown = present - self.elements
        if unknown:
            bad = torch.isin(batch.numbers, torch.tensor(sorted(unknown), device=batch.device))
            first = int(batch.crystal_idx[bad][0])
            name = batch.ids[first] if batch.ids else str(first)
            symbols = ", ".join(SYMBOLS[number] for number in sorted(unknown))
            raise InvalidRequestError(
                f"crystal {name!r}: {type(self).__name__} was not trained on {symbols}; leave it out or use another potential"
            )


def _forces(batch: CrystalBatch, graph: Graph, pull: Tensor) -> Tensor:
    # a vector runs from the target to the source, so the source's force is minus its derivative
    forces = torch.zeros_like(batch.frac)
    return forces.index_add_(0, graph.target, pull).index_add_(0, graph.source, pull, alpha=-1.0)


def _stress(batch: CrystalBatch, graph: Graph, pull: Tensor, vectors: Tensor) -> Tensor:
    # under strain each vector v becomes v (1 + strain); antisymmetric parts are rotations and cost nothing
    crystal = batch.crystal_idx[graph.target]
    virial = torch.zeros_like(batch.cell).index_add_(0, crystal, vectors[:, :, None] * pull[:, None, :])
    return 0.5 * (virial + virial.transpose(1, 2)) / batch.volume[:, None, None]
