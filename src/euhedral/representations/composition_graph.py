"""The composition alone: one node for each element of a crystal, each joined to all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import ExtraKind, Graph


@dataclass(frozen=True)
class CompositionGraph:
    """No neighbours at all; extra tensors hold the elements of each crystal and all ordered pairs of them.

    The graph's `extra`, for M elements in B crystals and P pairs (an element with itself included):

    - "element_number" (M,): atomic numbers, rising in each crystal.
    - "element_share" (M,): atomic fraction.
    - "element_crystal" (M,): the crystal of each.
    - "pair_target", "pair_source" (P,): positions among the M elements; pairs of one target together.
    """

    def build(self, batch: CrystalBatch) -> Graph:
        """Count the elements of a batch."""
        key = batch.crystal_idx * 128 + batch.numbers
        found, count = torch.unique(key, return_counts=True)
        crystal, number = found // 128, found % 128
        share = count.to(batch.dtype) / batch.n_atoms[crystal].to(batch.dtype)
        target, source = _all_pairs(torch.bincount(crystal, minlength=len(batch)))
        none = batch.numbers.new_zeros(0)
        return Graph(
            source=none,
            target=none,
            image=batch.numbers.new_zeros(0, 3),
            extra={
                "element_number": number, "element_share": share, "element_crystal": crystal, "pair_target": target,
                "pair_source": source,
            },
            kinds={
                "element_number": ExtraKind(of="element"),
                "element_share": ExtraKind(of="element"),
                "element_crystal": ExtraKind(of="element", to="crystal"),
                "pair_target": ExtraKind(of="pair", to="element"),
                "pair_source": ExtraKind(of="pair", to="element"),
            },
        )  # fmt: skip


def _all_pairs(counts: Tensor) -> tuple[Tensor, Tensor]:
    """All ordered pairs within groups of consecutive rows, whose sizes are given."""
    first = counts.cumsum(0) - counts
    of_row = torch.repeat_interleave(counts, counts)
    target = torch.repeat_interleave(torch.arange(int(counts.sum()), device=counts.device), of_row)
    squares = counts * counts
    within = torch.arange(len(target), device=counts.device) - torch.repeat_interleave(
        squares.cumsum(0) - squares, squares
    )
    source = torch.repeat_interleave(first, squares) + within % torch.repeat_interleave(counts, squares)
    return target, source
