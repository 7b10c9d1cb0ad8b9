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
from euhedral.core.values import ValueShape, value_shapes
from euhedral.errors import InvalidRequestError

__all__ = ["CrystalBatch", "ValueShape", "value_shapes"]


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
        inputs: (B, ...) or (N, ...) conditions that are given (temperature, pressure, which atoms are the adsorbate's).
    """

    cell: Tensor
    frac: Tensor
    numbers: Tensor
    n_atoms: Tensor
    targets: Mapping[str, Tensor] = field(default_factory=dict)
    ids: tuple[str, ...] = ()
    inputs: Mapping[str, Tensor] = field(default_factory=dict)

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
        inputs: Sequence[str] = (), shapes: Mapping[str, ValueShape] | None = None,
    ) -> CrystalBatch:  # fmt: skip
        """Stack crystals; their order is kept and none is dropped.

        A name that crystals have among their `props` gives (B, ...), one that they have in `site` gives (N, ...).

        Args:
            crystals: at least one.
            dtype: floating-point type of the batch; every value gets it, except that an input of truth values stays one.
            targets: names of values to carry; NaN where a crystal has none.
            inputs: names of values that every crystal must have.
            shapes: of targets and inputs, by name, as `value_shapes` found them in a larger set; found in these crystals
                for what is not named. A set that is stacked piece by piece needs it where values are scarce.

        Raises:
            InvalidRequestError: the sequence is empty, a crystal lacks an input, a value is no number, or the values of
                one name differ in shape.
        """
        if not crystals:
            raise InvalidRequestError("a batch needs at least one crystal, got none")
        shapes = shapes or {}
        found = value_shapes(crystals, names=[name for name in (*targets, *inputs) if name not in shapes])
        known = {**found, **shapes}
        return cls(
            cell=torch.as_tensor(np.stack([crystal.cell for crystal in crystals]), dtype=dtype),
            frac=torch.as_tensor(np.concatenate([crystal.frac for crystal in crystals]), dtype=dtype),
            numbers=torch.as_tensor(np.concatenate([crystal.numbers for crystal in crystals])),
            n_atoms=torch.tensor([len(crystal) for crystal in crystals], dtype=torch.int64),
            targets={name: _stacked(crystals, name=name, shape=known[name], dtype=dtype) for name in targets},
            ids=tuple(crystal.id for crystal in crystals),
            inputs={
                name: _stacked(crystals, name=name, shape=known[name], dtype=dtype, required=True) for name in inputs
            },
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
            targets=_moved(self.targets, device=device, dtype=dtype),
            inputs=_moved(self.inputs, device=device, dtype=dtype),
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

        def chosen(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            # with as many atoms as crystals each has one atom, and both ways agree
            return {
                name: value[crystals] if value.shape[0] == len(self) else value[atoms] for name, value in values.items()
            }

        return CrystalBatch(
            cell=self.cell[crystals],
            frac=self.frac[atoms],
            numbers=self.numbers[atoms],
            n_atoms=counts,
            targets=chosen(self.targets),
            ids=tuple(self.ids[i] for i in crystals.tolist()) if self.ids else (),
            inputs=chosen(self.inputs),
        )


def _stacked(
    crystals: Sequence[Crystal], *, name: str, shape: ValueShape, dtype: torch.dtype, required: bool = False
) -> Tensor:
    values = [crystal.site.get(name) if shape.per_atom else crystal.props.get(name) for crystal in crystals]
    if required:
        for crystal in crystals:
            if fault := input_fault(crystal, name=name):
                raise InvalidRequestError(f"crystal {crystal.id!r}: {fault}")
    filled = []
    for crystal, value in zip(crystals, values, strict=True):
        expected = (len(crystal), *shape.shape) if shape.per_atom else shape.shape
        array = np.full(expected, np.nan) if value is None and not required else np.asarray(value)
        if array.shape != expected:
            raise InvalidRequestError(
                f"crystal {crystal.id!r}: {name!r} has shape {array.shape}, expected {expected} ({shape})"
            )
        if array.dtype.kind not in "fiub":
            raise InvalidRequestError(f"crystal {crystal.id!r}: {name!r} is {value!r}, expected numbers")
        filled.append(array)
    joined = np.concatenate(filled) if shape.per_atom else np.stack(filled)
    return torch.as_tensor(joined, dtype=torch.bool if required and joined.dtype.kind == "b" else dtype)


def input_fault(crystal: Crystal, *, name: str) -> str:
    """Say why a crystal cannot be given to a model that needs a value as an input; empty where it can.

    Args:
        crystal: any.
        name: of the value, in `props` or in `site`.
    """
    value = crystal.props.get(name, crystal.site.get(name))
    if value is None:
        has = ", ".join(sorted({*crystal.props, *crystal.site})) or "none"
        return f"no {name!r}, which the model needs as an input (it has: {has}); add it to each crystal"
    array = np.asarray(value)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return f"its input {name!r} is not finite; give a number, or leave the crystal out"
    return ""


def _moved(
    values: Mapping[str, Tensor], *, device: torch.device | str | None, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    return {
        name: value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        for name, value in values.items()
    }
