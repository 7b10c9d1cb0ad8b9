"""Equivariant convolutions: messages of neighbours are their features times harmonics of the edge times radial weights.

Source: Thomas et al. 2018, arXiv:1802.08219; Batzner et al. 2022, doi:10.1038/s41467-022-29939-5, equation 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.edge_products import EdgeProduct
from euhedral.nn.irreps import IrrepsLinear, connected, harmonic_irreps, irreps, unit_moment
from euhedral.nn.row_index import RowIndex

if TYPE_CHECKING:
    from e3nn.o3 import Irreps


class NeighbourProduct(nn.Module):
    """Sum over neighbours of their features times harmonics times radial weights, each path a part of the result.

    Args:
        kind_in: irreps of the features.
        lmax: degree of the harmonics.
        wanted: irreps that may come out; `kind_out` says which do.
        radial: maps (E, B) functions of the distance to (E, `n_weights`): made by the caller's function from that number.
    """

    def __init__(
        self, kind_in: str | Irreps, *, lmax: int, wanted: str | Irreps, radial: Callable[[int], nn.Module]
    ) -> None:
        super().__init__()
        self.product = EdgeProduct(irreps(kind_in), lmax=lmax, wanted=irreps(wanted))
        channels = [part.mul for part in self.product.kind_in]
        groups = list(zip(self.product.groups, self.product.paths, strict=True))
        self.kind_out = irreps("+".join(f"{channels[g[0]]}x{path.result}" for g, paths in groups for path in paths))
        self.n_weights = sum(channels[group[0]] * len(paths) for group, paths in groups)
        self.radial = radial(self.n_weights)
        for place, (_, paths) in enumerate(groups):
            rows = torch.tensor([i for i, path in enumerate(paths) for _ in range(path.result.dim)], dtype=torch.int64)
            self.register_buffer(f"rows_{place}", rows, persistent=False)

    def forward(
        self, features: Tensor, harmonics: Tensor, basis: Tensor, *, source: Tensor, target: Tensor,
        lengths: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return (N, kind_out.dim) sums over the edges of each target.

        Args:
            features: (N, kind_in.dim).
            harmonics: (E, (lmax + 1)^2), times whatever takes an edge smoothly to zero.
            basis: (K, B) functions of the distance.
            source: (E,) int64.
            target: (E,) int64.
            lengths: (E,) int64 the row of each edge's distance; without it each has its own, in order.
        """
        weights, sums, first = self.radial(basis), [], 0
        receivers = RowIndex(target, n=features.shape[0])
        by_length = None if lengths is None else RowIndex(lengths, n=len(basis))
        for place, message in enumerate(self.product(features, harmonics, source=source)):
            width = message.shape[2]
            count = width * len(self.product.paths[place])
            own = weights[:, first : first + count]
            own = (own if by_length is None else by_length.take(own)).unflatten(1, (-1, width))
            first += count
            weighted = message * own.index_select(1, getattr(self, f"rows_{place}"))
            sums.append(receivers.add(weighted.flatten(1)))
        return sums[0] if len(sums) == 1 else torch.cat(sums, dim=1)


class RadialNetwork(nn.Module):
    """A network without biases whose weights begin normal and are divided by the root of their inputs, as in e3nn.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: between layers; scaled to a second moment of one.
    """

    def __init__(self, widths: Sequence[int], *, activation: Callable[[Tensor], Tensor] = F.silu) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(i, o)) for i, o in pairwise(widths))
        self.activation, self.scale = activation, unit_moment(activation)

    def forward(self, values: Tensor) -> Tensor:
        """Map (E, widths[0]) to (E, widths[-1])."""
        for depth, weight in enumerate(self.weights):
            values = (self.scale * self.activation(values)) if depth else values
            values = values @ (weight / math.sqrt(weight.shape[0]))
        return values


class EquivariantConvolution(nn.Module):
    """e3nn's convolution of points: linear, product with neighbours, linear, beside a connection of each atom to itself.

    All linear maps depend on scalar attributes of the receiving atom, its element for instance. Where the self-connection can
    give an irrep it has sin(pi / 8) of the amplitude and the neighbours cos(pi / 8).

    Source: Geiger and Smidt 2022, arXiv:2207.09453, and `e3nn.nn.models.gate_points_2101`.

    Args:
        kind_in: irreps of the features.
        kind_out: irreps of the result.
        attributes: scalars of an atom that weights depend on.
        lmax: degree of the harmonics.
        radial: widths of the radial network's input and hidden layers.
        neighbours: typical number of them; sums are divided by its root.
    """

    def __init__(
        self, kind_in: str | Irreps, kind_out: str | Irreps, *, attributes: int, lmax: int, radial: Sequence[int],
        neighbours: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.neighbours = neighbours
        self.itself = IrrepsLinear(kind_in, kind_out, attributes=attributes)
        self.before = IrrepsLinear(kind_in, kind_in, attributes=attributes)
        self.product = NeighbourProduct(
            kind_in, lmax=lmax, wanted=kind_out, radial=lambda n: RadialNetwork([*radial, n])
        )
        self.after = IrrepsLinear(self.product.kind_out, kind_out, attributes=attributes)
        shares = [math.cos(math.pi / 8) if found else 1.0 for found in self.itself.sources]
        widths = torch.tensor([part.dim for part in self.itself.kind_out])
        share = torch.tensor(shares, dtype=torch.float64).repeat_interleave(widths)
        self.register_buffer("share", share, persistent=False)

    def forward(
        self, features: Tensor, harmonics: Tensor, basis: Tensor, *, source: Tensor, target: Tensor, attributes: Tensor,
        rows: Tensor, lengths: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Map (N, kind_in.dim) to (N, kind_out.dim).

        Args:
            features: of the atoms.
            harmonics: (E, (lmax + 1)^2) times the cutoff function.
            basis: (K, radial[0]).
            source: (E,) int64.
            target: (E,) int64.
            attributes: (K, attributes) one row for each element.
            rows: (N,) int64 the row of each atom.
            lengths: (E,) int64 the row of each edge's distance; without it each has its own, in order.
        """
        values = self.before(features, attributes, rows)
        values = self.product(values, harmonics, basis, source=source, target=target, lengths=lengths)
        values = values / math.sqrt(self.neighbours)
        values = self.after(values, attributes, rows) * self.share.to(features.dtype)
        return values + math.sin(math.pi / 8) * self.itself(features, attributes, rows)


def reachable_irreps(kind: str | Irreps, *, n_layers: int, channels: int, lmax: int) -> list[Irreps]:
    """List the irreps of each hidden layer: all up to a degree that products with harmonics reach from the layer before.

    Args:
        kind: irreps of the input.
        n_layers: hidden layers.
        channels: of each irrep.
        lmax: degree of the harmonics and of the irreps.
    """
    found, before = [], irreps(kind)
    every = [f"{channels}x{degree}{parity}" for degree in range(lmax + 1) for parity in "oe"]
    for _ in range(n_layers):
        before = irreps("+".join(one for one in every if connected(before, harmonic_irreps(lmax), one.split("x")[1])))
        found.append(before)
    return found


def useful_irreps(layers: Sequence[Irreps], *, lmax: int, target: Irreps) -> list[Irreps]:
    """Leave out of each hidden layer the irreps from which no path of products leads to the output.

    Args:
        layers: irreps of the hidden layers, first to last.
        lmax: degree of the harmonics.
        target: irreps of the output.
    """
    kept, after = [], target
    for kind in reversed(layers):
        found = [
            part for part in kind if any(connected(irreps(str(part.ir)), harmonic_irreps(lmax), p.ir) for p in after)
        ]
        after = irreps("+".join(map(str, found)))
        kept.append(after)
    return kept[::-1]
