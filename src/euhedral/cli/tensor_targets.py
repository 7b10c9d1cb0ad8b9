"""Targets that are Cartesian tensors: which arrays are taken for them, and which of their components are equal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from euhedral.data.tensors import VOIGT_SHAPES, written_out

if TYPE_CHECKING:
    from euhedral.data.column import Column
    from euhedral.data.dataset import Dataset


def is_tensor(column: Column) -> bool:
    """Tell whether a column's arrays are taken for Cartesian tensors; three numbers are one only where a frame is stated."""
    cartesian = set(column.shape) == {3} and (len(column.shape) > 1 or bool(column.frame))
    return column.kind == "array" and (cartesian or column.shape in VOIGT_SHAPES)


def tensor_target(train: Dataset, *, name: str, start: str) -> dict[str, Any]:
    """Describe a target that is a tensor, and say how its arrays are taken.

    Args:
        train: what it is learnt from; its labels tell which components are equal.
        name: of the target.
        start: weights that training begins from, whose index symmetry stays; empty for none.

    Raises:
        UnknownNameError: there are no such weights.
    """
    import torch

    from euhedral.nn.cartesian_irreps import symmetry_of

    column = train.described[name]
    values = written_out(train, names=[name]).column(name)
    rank = values.ndim - 1
    known = _symmetries(start).get((name, rank))
    complete = values[~np.isnan(values).any(axis=tuple(range(1, values.ndim)))]
    symmetry = symmetry_of(torch.from_numpy(complete)) if known is None else known
    order = " in Voigt's order (xx, yy, zz, yz, xz, xy)" if column.shape in VOIGT_SHAPES else ""
    whose = "as in all training labels" if known is None else f"as in {start}"
    typer.echo(
        f"note: {name}, arrays {column.shape}{order}, is taken for a Cartesian tensor of rank {rank} in the axes of the structures as given; "
        f"index symmetry {symmetry or 'none'}, {whose}",
        err=True,
    )
    return {"kind": "tensor", "rank": rank, "symmetry": symmetry}


def _symmetries(start: str) -> Mapping[tuple[str, int], str]:
    """Give the index symmetries of the tensors that weights predict, by name and rank."""
    from euhedral.tasks.targets import CartesianTensor, target_of
    from euhedral.tasks.weights import load_weights
    from euhedral.training.predictor import weights_folder

    targets = load_weights(weights_folder(start)).config.get("targets", ()) if start else ()
    kinds = (target_of(one) for one in targets)
    return {(kind.name, kind.rank): kind.symmetry for kind in kinds if isinstance(kind, CartesianTensor)}
