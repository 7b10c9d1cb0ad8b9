"""Tensor field layers: every path of a product has a matrix between channels that the edge gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.edge_products import EdgeProduct
from euhedral.nn.irreps import irreps, join_irreps
from euhedral.nn.segments import segment_mean

if TYPE_CHECKING:
    from e3nn.o3 import Irrep, Irreps


class TensorFieldLayer(nn.Module):
    """Mean over neighbours of a product in which every path has its own matrix between channels, given by the edge.

    Source: Thomas et al. 2018, arXiv:1802.08219; Corso et al. 2022, arXiv:2210.01776, for the networks that give matrices;
    Yan et al. 2024, arXiv:2403.11857, for crystals.

    Args:
        kind_in: irreps of the features.
        kind_out: irreps of the result.
        lmax: degree of the harmonics.
        edge_width: features of an edge.
        residual: add the input, which must be how the output begins, to the mean.
    """

    def __init__(
        self, kind_in: str | Irreps, kind_out: str | Irreps, *, lmax: int, edge_width: int, residual: bool = False
    ) -> None:
        super().__init__()
        self.kind_in, self.kind_out, self.residual = irreps(kind_in), irreps(kind_out), residual
        self.product = EdgeProduct(self.kind_in, lmax=lmax, wanted=self.kind_out)
        channels = [part.mul for part in self.kind_in]
        self.inputs = [
            sum(channels[path.part] for paths in self.product.paths for path in paths if path.result == part.ir)
            for part in self.kind_out
        ]
        count = sum(inputs * part.mul for inputs, part in zip(self.inputs, self.kind_out, strict=True))
        self.hidden, self.matrices = nn.Linear(edge_width, edge_width), nn.Linear(edge_width, count)

    def forward(
        self, features: Tensor, harmonics: Tensor, edges: Tensor, *, source: Tensor, target: Tensor,
        rows: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Map (N, kind_in.dim) to (N, kind_out.dim).

        Args:
            features: of the atoms.
            harmonics: (E, (lmax + 1)^2).
            edges: (K, edge_width) features that do not turn.
            source: (E,) int64.
            target: (E,) int64.
            rows: (E,) int64 the features of each edge; without it each has its own, in order.
        """
        products = self.product(features, harmonics, source=source)
        matrices = self.matrices(F.softplus(self.hidden(edges)))
        results, first = [], 0
        for part, inputs in zip(self.kind_out, self.inputs, strict=True):
            if not inputs:
                results.append(harmonics.new_zeros(len(harmonics), part.ir.dim, part.mul))
                continue
            matrix = matrices[:, first : first + inputs * part.mul].unflatten(1, (inputs, part.mul))
            matrix = matrix if rows is None else matrix.index_select(0, rows)
            first += inputs * part.mul
            values = self._ending_in(part.ir, products) / math.sqrt(inputs)
            # of single rows a batched product costs more than their terms one by one
            mixed = (values.mT * matrix).sum(1, keepdim=True) if part.ir.l == 0 else torch.bmm(values, matrix)
            results.append(mixed)
        total = segment_mean(join_irreps(results), owner=target, n=features.shape[0])
        return total + F.pad(features, (0, total.shape[1] - features.shape[1])) if self.residual else total

    def _ending_in(self, result: Irrep, products: list[Tensor]) -> Tensor:
        """(E, 2l + 1, inputs) what all paths to an irrep give, side by side as channels."""
        found = []
        for paths, values in zip(self.product.paths, products, strict=True):
            before = sum(
                path.result.dim for path in paths[: next((i for i, p in enumerate(paths) if p.result == result), 0)]
            )
            count = sum(path.result == result for path in paths)
            if count:
                rows = values[:, before : before + count * result.dim].unflatten(1, (count, result.dim))
                found.append(rows.transpose(1, 2).flatten(2))
        return torch.cat(found, dim=2) if len(found) > 1 else found[0]
