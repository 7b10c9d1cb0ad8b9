"""Products of atoms' features with the spherical harmonics of edges, which equivariant layers are made of.

Of each edge the couplings of all paths are one small matrix, linear in its harmonics, so that all channels of an edge go
through one batched product instead of one a path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from euhedral.nn.irreps import coupling, harmonic_irreps, split_irreps
from euhedral.nn.row_index import RowIndex

if TYPE_CHECKING:
    from e3nn.o3 import Irrep, Irreps


@dataclass(frozen=True)
class Path:
    """One way for a part of the features and the harmonics of one degree to give an irrep.

    Args:
        part: of the input.
        degree: of the harmonics.
        result: the irrep that comes out.
    """

    part: int
    degree: int
    result: Irrep


class EdgeProduct(nn.Module):
    """Products of features with harmonics, channel by channel: every path that ends in a wanted irrep.

    Parts of the input that have as many channels as each other are worked on together, a group.

    Args:
        kind_in: irreps of the features.
        lmax: degree of the harmonics.
        wanted: irreps that may come out.
    """

    def __init__(self, kind_in: Irreps, *, lmax: int, wanted: Irreps) -> None:
        super().__init__()
        self.kind_in = kind_in
        order = list(dict.fromkeys(part.ir for part in wanted))
        self.parts = [part.ir for part in kind_in]
        channels = list(dict.fromkeys(part.mul for part in kind_in))
        self.groups = [[i for i, part in enumerate(kind_in) if part.mul == mul] for mul in channels]
        self.paths: list[list[Path]] = []
        for place, group in enumerate(self.groups):
            found = [
                Path(i, degree, result)
                for i in group
                for degree, (_, harmonic) in enumerate(harmonic_irreps(lmax))
                for result in self.parts[i] * harmonic
                if result in order
            ]
            found.sort(key=lambda path: order.index(path.result))
            self.paths.append(found)
            self.register_buffer(f"couplings_{place}", self._couplings(group, found, lmax=lmax), persistent=False)

    def _couplings(self, group: list[int], paths: list[Path], *, lmax: int) -> Tensor:
        """((lmax + 1)^2, rows, components) float64, rows those of the paths, components those of the group's parts."""
        widths = [self.parts[i].dim for i in group]
        first = {i: sum(widths[:place]) for place, i in enumerate(group)}
        matrix = torch.zeros((lmax + 1) ** 2, sum(path.result.dim for path in paths), sum(widths), dtype=torch.float64)
        row = 0
        for path in paths:
            symbol = coupling(self.parts[path.part].l, path.degree, path.result.l)
            harmonics = slice(path.degree**2, (path.degree + 1) ** 2)
            columns = slice(first[path.part], first[path.part] + symbol.shape[0])
            matrix[harmonics, row : row + path.result.dim, columns] = math.sqrt(path.result.dim) * symbol.permute(
                1, 2, 0
            )
            row += path.result.dim
        return matrix

    def forward(self, features: Tensor, harmonics: Tensor, *, source: Tensor) -> list[Tensor]:
        """Multiply what each edge's source has with the edge's harmonics.

        Args:
            features: (N, kind_in.dim).
            harmonics: (E, (lmax + 1)^2).
            source: (E,) int64.

        Returns:
            (E, rows, channels) of each group, path after path.
        """
        parts = split_irreps(features, self.kind_in)
        results, senders = [], RowIndex(source, n=features.shape[0])
        for place, group in enumerate(self.groups):
            values = torch.cat([parts[i] for i in group], dim=1) if len(group) > 1 else parts[group[0]]
            couplings: Tensor = getattr(self, f"couplings_{place}")
            matrix = harmonics @ couplings.to(harmonics.dtype).flatten(1)
            sent = senders.take(values.flatten(1)).unflatten(1, values.shape[1:])
            results.append(torch.bmm(matrix.unflatten(1, couplings.shape[1:]), sent))
        return results
