"""The only batched type: many crystals, flattened into tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError


@dataclass(frozen=True, eq=False)
class CrystalBatch:
    """B crystals with N atoms in all; atoms of one crystal stand together.

    Args:
        cell: (B, 3, 3) Angstrom, rows a, b, c.
        frac: (N, 3) fractional coordinates.
        numbers: (N,) int64 atomic numbers.
        n_atoms: (B,) int64 atoms in each crystal.
        targets: (B, ...) or (N, ...) values to learn; NaN where one is not known.
        ids: one name a crystal, for errors.
    """

    cell: Tensor
    frac: Tensor
    numbers: Tensor
    n_atoms: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.cell.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.frac.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of cells and coordinates."""
        return self.frac.dtype

    @cached_property
    def crystal_idx(self) -> Tensor:
        """(N,) int64, the crystal of each atom."""
        return torch.repeat_interleave(torch.arange(len(self), device=self.device), self.n_atoms)

    @cached_property
    def offsets(self) -> Tensor:
        """(B + 1,) int64, first atom of each crystal, and N at the end."""
        return torch.cat([self.n_atoms.new_zeros(1), torch.cumsum(self.n_atoms, 0)])

    @property
    def cart(self) -> Tensor:
        """(N, 3) Cartesian coordinates, Angstrom; differentiable in `frac` and `cell`."""
        return torch.einsum("ni,nij->nj", self.frac, self.cell[self.crystal_idx])

    @property
    def volume(self) -> Tensor:
        """(B,) Angstrom^3."""
        return torch.linalg.det(self.cell).abs()

    @classmethod
    def from_crystals(
        cls, crystals: Sequence[Crystal], *, dtype: torch.dtype = torch.float32, targets: Sequence[str] = (),
    ) -> CrystalBatch:  # fmt: skip
        """Stack crystals; their order is kept and none is dropped.

        Args:
            crystals: at least one.
            dtype: floating-point type of the batch.
            targets: names of `props` to carry; NaN where a crystal has none.

        Raises:
            InvalidRequestError: the sequence is empty.
        """
        if not crystals:
            raise InvalidRequestError("a batch needs at least one crystal, got none")
        stacked = {
            name: torch.as_tensor(np.array([crystal.props.get(name, np.nan) for crystal in crystals]), dtype=dtype)
            for name in targets
        }
        return cls(
            cell=torch.as_tensor(np.stack([crystal.cell for crystal in crystals]), dtype=dtype),
            frac=torch.as_tensor(np.concatenate([crystal.frac for crystal in crystals]), dtype=dtype),
            numbers=torch.as_tensor(np.concatenate([crystal.numbers for crystal in crystals])),
            n_atoms=torch.tensor([len(crystal) for crystal in crystals], dtype=torch.int64),
            targets=stacked,
            ids=tuple(crystal.id for crystal in crystals),
        )

    def to_crystals(self) -> list[Crystal]:
        """Unstack into crystals, in order; never fewer than went in.

        Raises:
            InvalidCrystalError: a cell or coordinate has become unusable; the message names the crystal.
        """
        cells = self.cell.detach().cpu().double().numpy()
        frac = self.frac.detach().cpu().double().numpy()
        numbers = self.numbers.cpu().numpy()
        bounds = self.offsets.cpu().numpy()
        ids = self.ids or ("",) * len(self)
        return [
            Crystal(cell=cells[i], frac=frac[start:stop], numbers=numbers[start:stop], id=ids[i])
            for i, (start, stop) in enumerate(pairwise(bounds))
        ]

    def to(self, device: torch.device | str | None = None, *, dtype: torch.dtype | None = None) -> CrystalBatch:
        """Move to a device and, when asked, to another floating-point type."""
        return replace(
            self,
            cell=self.cell.to(device=device, dtype=dtype),
            frac=self.frac.to(device=device, dtype=dtype),
            numbers=self.numbers.to(device=device),
            n_atoms=self.n_atoms.to(device=device),
            targets={
                name: value.to(device=device, dtype=dtype if value.is_floating_point() else None)
                for name, value in self.targets.items()
            },
        )

    def replace(self, **changes: Any) -> CrystalBatch:
        """Return a copy with the named fields changed."""
        return replace(self, **changes)

    def strained(self, strain: Tensor) -> CrystalBatch:
        """Deform each cell by (1 + strain); fractional coordinates stay.

        Args:
            strain: (B, 3, 3), dimensionless; the energy's derivative by it, over the volume, is the stress.
        """
        identity = torch.eye(3, dtype=self.dtype, device=self.device)
        return replace(self, cell=self.cell @ (identity + strain))

    def select(self, crystals: Tensor) -> CrystalBatch:
        """Take some of the crystals, in the order given.

        Args:
            crystals: (M,) int64 positions in the batch.
        """
        counts = self.n_atoms[crystals]
        starts = torch.repeat_interleave(self.offsets[:-1][crystals], counts)
        ends = torch.cumsum(counts, 0)
        within = torch.arange(int(counts.sum()), device=self.device) - torch.repeat_interleave(ends - counts, counts)
        atoms = starts + within
        return CrystalBatch(
            cell=self.cell[crystals],
            frac=self.frac[atoms],
            numbers=self.numbers[atoms],
            n_atoms=counts,
            targets={
                name: value[crystals] if value.shape[0] == len(self) else value[atoms]
                for name, value in self.targets.items()
            },
            ids=tuple(self.ids[i] for i in crystals.tolist()) if self.ids else (),
        )
