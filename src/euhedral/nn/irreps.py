"""Representations of rotations and mirrors: what equivariant systems take from e3nn. No other file imports it.

e3nn (Geiger and Smidt 2022, arXiv:2207.09453) gives the algebra of irreps, the coupling coefficients and the spherical
harmonics. Its modules are not used: the products here are written for one memory layout, take any floating-point type and
are nearly twice as fast on a processor, more than twice with distinct lengths (`benchmarks/equivariant.py`).

Layout: features of M rows are (M, irreps.dim), one part for each "mul x ir" of the irreps, in order, and a part is
(2l + 1, mul), components first, so that the channels stand together; e3nn has (mul, 2l + 1). The three components of l = 1
are x, y, z. Normalisation is e3nn's: "component" for features and harmonics, every path with the same variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from e3nn.o3 import Irrep, Irreps

#: Gauss-Hermite points for the second moment of an activation.
_QUADRATURE = 200


def irreps(description: str | Irreps) -> Irreps:
    """Read irreps such as "16x0e+2x1o": sixteen scalars and two vectors that a mirror through the origin reverses."""
    from e3nn import o3

    return cast("Irreps", o3.Irreps(description))


def harmonic_irreps(lmax: int) -> Irreps:
    """Return the irreps of spherical harmonics up to a degree: 0e + 1o + 2e + ..."""
    from e3nn import o3

    return cast("Irreps", o3.Irreps.spherical_harmonics(lmax))


def spherical_harmonics(vectors: Tensor, *, lmax: int) -> Tensor:
    """Evaluate real spherical harmonics of the directions of vectors.

    Args:
        vectors: (M, 3) of any length.
        lmax: highest degree.

    Returns:
        (M, (lmax + 1)^2), the sum of squares of each degree is 2l + 1; of a vector of length zero only degree 0 is not zero.
    """
    from e3nn import o3

    return o3.spherical_harmonics(list(range(lmax + 1)), vectors, normalize=True, normalization="component")


def coupling(l1: int, l2: int, l3: int) -> Tensor:
    """(2 l1 + 1, 2 l2 + 1, 2 l3 + 1) float64: the one invariant of three irreps of rotations, of Frobenius norm 1."""
    from e3nn import o3

    return o3.wigner_3j(l1, l2, l3, dtype=torch.float64)


def split_irreps(features: Tensor, kind: Irreps) -> list[Tensor]:
    """Part (M, dim) features into (M, 2l + 1, mul) for each part of their irreps."""
    parts = features.split([part.dim for part in kind], dim=1)
    return [value.unflatten(1, (part.ir.dim, part.mul)) for value, part in zip(parts, kind, strict=True)]


def join_irreps(parts: list[Tensor]) -> Tensor:
    """Write (M, 2l + 1, mul) parts as (M, dim) features."""
    return parts[0].flatten(1) if len(parts) == 1 else torch.cat([part.flatten(1) for part in parts], dim=1)


def representation(kind: Irreps, rotation: Tensor) -> Tensor:
    """Find how features turn when everything is turned.

    Args:
        kind: irreps of the features.
        rotation: (3, 3) orthogonal, a column vector v becomes R v; mirrors are fine.

    Returns:
        (dim, dim) float64 D; features (M, dim) become `features @ D.T`.
    """
    rotation = rotation.double()
    sign = torch.linalg.det(rotation).sign()
    points = torch.randn(64, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lmax = max(part.ir.l for part in kind)
    before = spherical_harmonics(points, lmax=lmax)
    after = spherical_harmonics(points @ (sign * rotation).T, lmax=lmax)
    blocks = []
    for part in kind:
        rows = slice(part.ir.l**2, (part.ir.l + 1) ** 2)
        turn = torch.linalg.lstsq(before[:, rows], after[:, rows]).solution.T
        mirrored = float(part.ir.p) if float(sign) < 0.0 else 1.0
        blocks.append(torch.kron(mirrored * turn, torch.eye(part.mul, dtype=torch.float64)))
    return torch.block_diag(*blocks)


def connected(first: Irreps, second: Irreps, target: str | Irrep) -> bool:
    """Tell whether the product of two sets of irreps holds an irrep."""
    from e3nn import o3

    wanted = o3.Irrep(target)
    return any(wanted in one.ir * other.ir for one in first for other in second)


class IrrepsLinear(nn.Module):
    """Mix the channels of each irrep; irreps that the input lacks come out as zeros.

    Weights begin as standard normal numbers and are divided by the root of the number of channels that they sum over.

    Args:
        kind_in: irreps of the input.
        kind_out: irreps of the output.
        attributes: how many scalars beside the features the weights are a linear function of, as for the element of an atom:
            the "fully connected" product of features with scalars. Without them the weights are the same for all rows.
    """

    def __init__(self, kind_in: str | Irreps, kind_out: str | Irreps, *, attributes: int | None = None) -> None:
        super().__init__()
        self.kind_in, self.kind_out = irreps(kind_in), irreps(kind_out)
        self.attributes = attributes
        self.weights = nn.ParameterDict()
        self.sources: list[list[int]] = []
        for place, part in enumerate(self.kind_out):
            found = [i for i, other in enumerate(self.kind_in) if other.ir == part.ir]
            self.sources.append(found)
            channels = sum(other.mul for i, other in enumerate(self.kind_in) if i in found)
            if found:
                extra = () if attributes is None else (attributes,)
                self.weights[str(place)] = nn.Parameter(torch.randn(*extra, channels, part.mul))

    def forward(self, features: Tensor, attributes: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """Map (M, kind_in.dim) to (M, kind_out.dim).

        Args:
            features: the features.
            attributes: (K, attributes) scalars, K sets of weights.
            rows: (M,) int64 the set of weights of each row.
        """
        parts = split_irreps(features, self.kind_in)
        results = []
        for place, (part, found) in enumerate(zip(self.kind_out, self.sources, strict=True)):
            if not found:
                results.append(features.new_zeros(features.shape[0], part.ir.dim, part.mul))
                continue
            value = parts[found[0]] if len(found) == 1 else torch.cat([parts[i] for i in found], dim=2)
            weight = self.weights[str(place)]
            if attributes is None or rows is None:
                results.append((value @ weight) / math.sqrt(value.shape[2]))
                continue
            table = torch.tensordot(attributes, weight, dims=1) / math.sqrt(value.shape[2] * attributes.shape[1])
            results.append(torch.bmm(value, table.index_select(0, rows)))
        return join_irreps(results)


class Gate(nn.Module):
    """Scalars through activations; other irreps times activated scalars, one for each channel.

    Source: Weiler et al. 2018, arXiv:1807.02547, section 4.2; activations are scaled to a second moment of one, as in e3nn.

    Args:
        kind_out: irreps of the output.
        even: activation of scalars that no mirror changes.
        odd: activation of scalars that mirrors reverse; an odd function.
        gate: activation of the gates, which are even scalars.
    """

    def __init__(
        self, kind_out: str | Irreps, *, even: Callable[[Tensor], Tensor], odd: Callable[[Tensor], Tensor] = torch.tanh,
        gate: Callable[[Tensor], Tensor] = torch.sigmoid,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kind_out = irreps(kind_out)
        self.n_gates = sum(part.mul for part in self.kind_out if part.ir.l > 0)
        gates = irreps(f"{self.n_gates}x0e") if self.n_gates else irreps("")
        self.kind_in = irreps(self.kind_out + gates)
        self.activations: Mapping[int, Callable[[Tensor], Tensor]] = {1: even, -1: odd}
        self.scales = {parity: unit_moment(function) for parity, function in self.activations.items()}
        self.gate, self.gate_scale = gate, unit_moment(gate)

    def forward(self, features: Tensor) -> Tensor:
        """Map (M, kind_in.dim), the output's irreps followed by the gates, to (M, kind_out.dim)."""
        own = features.shape[1] - self.n_gates
        gates = self.gate_scale * self.gate(features[:, own:])
        results, first = [], 0
        for part, value in zip(self.kind_out, split_irreps(features[:, :own], self.kind_out), strict=True):
            if part.ir.l == 0:
                results.append(self.scales[part.ir.p] * self.activations[part.ir.p](value))
            else:
                results.append(value * gates[:, None, first : first + part.mul])
                first += part.mul
        return join_irreps(results)


def unit_moment(function: Callable[[Tensor], Tensor]) -> float:
    """Factor that gives a function of a standard normal variable a second moment of one."""
    points, weights = np.polynomial.hermite_e.hermegauss(_QUADRATURE)
    values = function(torch.from_numpy(points)).numpy()
    return float(1.0 / np.sqrt((weights @ values**2) / weights.sum()))
