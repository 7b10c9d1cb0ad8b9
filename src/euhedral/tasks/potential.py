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

    A system implements `graph`, `elements` and `energy`; forces and stress follow here, once for all.
    """

    #: which atoms interact
    graph: GraphSpec
    #: atomic numbers that the potential knows
    elements: frozenset[int]

    @abstractmethod
    def energy(self, batch: CrystalBatch, graph: Graph) -> Energy:
        """Compute (B,) energies, eV, differentiable in `frac` and `cell`."""

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
        if graph is None:
            graph = self.graph.build(batch)
        if not (forces or stress):
            with torch.no_grad():
                result = self.energy(batch, graph)
            return Evaluation(energy=result.total, site=result.site)
        with torch.enable_grad():
            frac = batch.frac.detach().requires_grad_(forces)
            strain = torch.zeros_like(batch.cell).requires_grad_(stress)
            result = self.energy(batch.replace(frac=frac, cell=batch.cell.detach()).strained(strain), graph)
            leaves = [leaf for leaf, wanted in ((frac, forces), (strain, stress)) if wanted]
            gradients = list(torch.autograd.grad(result.total.sum(), leaves, allow_unused=True, materialize_grads=True))
        cart_forces = None
        if forces:
            by_frac = gradients.pop(0)
            cart_forces = -torch.linalg.solve(batch.cell[batch.crystal_idx], by_frac.unsqueeze(-1)).squeeze(-1)
        cell_stress = None
        if stress:
            by_strain = gradients.pop(0)
            cell_stress = 0.5 * (by_strain + by_strain.transpose(1, 2)) / batch.volume.detach()[:, None, None]
        return Evaluation(
            energy=result.total.detach(),
            forces=cart_forces,
            stress=cell_stress,
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
