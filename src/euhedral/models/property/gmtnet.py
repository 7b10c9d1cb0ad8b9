"""GMTNet: tensors of crystals by an equivariant network that enforces the crystal's own symmetry.

Yan, Saxton, Qian, Qian and Ji 2024, "A Space Group Symmetry Informed Network for O(3) Equivariant Crystal Tensor Prediction",
ICML, arXiv:2406.12888.

Atoms exchange invariant messages as in ComFormer; three tensor field layers with spherical harmonics of the edges turn them
into irreps, whose mean over the atoms is linear in the tensor. The tensor is then projected on those that the
crystal's point group leaves unchanged, so that what symmetry forbids is zero whatever the network or noise in the positions
says.

| paper and released code | here |
|---|---|
| f_i, `embsize` | `width` |
| `att_layers` | `n_layers` |
| RBF of -0.75 / r, `bins` | `n_basis` |
| `max_neighbors` | `neighbours` |
| `ns`, `nv` | `scalars`, `channels` |
| degree of `sh` | `lmax` |
| copies of the last irreps, "1x0e + ..." or "2x0e + ..." | `copies` |
| feature mask, mean of D(R) over the space group | projection of the tensor |
| `symprec` | `symprec` |

Departures:

- The paper projects the irreps of the crystal and then maps them to the tensor; here the tensor is projected. All maps between
  are linear and commute with rotations: the same numbers, to rounding.
- The paper differentiates the response to a field or a strain; that is linear in the irreps too, and is written here as a
  linear map on the irreps that a tensor of the given index symmetry has. The program's dielectric tensor may have an
  antisymmetric part, which it averages out when it is tested.
- The symmetry tolerance is that of the whole package; the program's is 1e-5 Angstrom, under which relaxed structures often
  have fewer operations than their labels.
- The released graph keeps the 16 nearest neighbours and all that tie with the last; its cutoff of 4 Angstrom only begins
  the search for them, and so there is none here.
- Each element has a learnt vector beside its 92 properties, so that all 118 can be told apart.
- Numbers, classes and spectra can be learnt too, from the scalars of the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.cartesian_irreps import CartesianIrreps
from euhedral.nn.comformer_layers import NodeTransformer
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.irreps import IrrepsLinear, irreps, spherical_harmonics
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_mean
from euhedral.nn.tensor_field import TensorFieldLayer
from euhedral.representations.distinct_lengths import EDGE_LENGTH, WithDistinctLengths, distinct_lengths
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.point_groups import OPERATION, OPERATION_CRYSTAL, WithPointGroup
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import INVARIANT, CartesianTensor, TargetLike, read_targets, split_outputs

_DIELECTRIC = {"kind": "tensor", "name": "dielectric_tensor", "rank": 2, "symmetry": "ij=ji"}
#: Angstrom^-1, the range of -0.75 / r.
_LOWEST = -4.0


class GMTNet(nn.Module):
    """Predict tensors, and other properties, that obey the symmetry of the crystal.

    Args:
        targets: what is predicted of a crystal: tensors, numbers, classes or spectra.
        width: features of an atom and of an edge.
        n_layers: invariant message-passing layers.
        n_basis: Gaussians of -0.75 / distance.
        neighbours: how many, at the least; whole shells.
        scalars: of an atom in the equivariant layers.
        channels: of every other irrep there.
        lmax: degree of the harmonics. On sites of high symmetry a tensor needs that of its own irreps: with degree 2 the
            piezoelectric tensor of zinc blende is zero and the elastic tensor of rock salt isotropic; 3 and 4 see them.
        copies: of each irrep of a tensor in the last layer.
        enforce: project tensors on those that the point group allows.
        symprec: Angstrom, how far an atom may lie from its symmetric place.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = (_DIELECTRIC,), width: int = 128, n_layers: int = 2, n_basis: int = 512,
        neighbours: int = 16, scalars: int = 16, channels: int = 2, lmax: int = 2, copies: int = 2,
        enforce: bool = True, symprec: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="GMTNet", kinds=(CartesianTensor, *INVARIANT))
        self.targets = tuple(self.kinds)
        near = WithDistinctLengths(Undirected(Nearest(k=neighbours)))
        self.graph: GraphSpec = WithPointGroup(edges=near, symprec=symprec) if enforce else near
        self.enforce, self.lmax = enforce, lmax
        self.atoms = ElementEmbedding(width)
        step = -_LOWEST / (n_basis - 1)
        self.basis = GaussianBasis(start=_LOWEST, stop=0.0, step=step, gamma=1.0 / step)
        self.edges = nn.Linear(n_basis, width)
        self.layers = nn.ModuleList(NodeTransformer(width, edge_width=width, normalise=False) for _ in range(n_layers))
        self.narrow = nn.Linear(width, scalars)
        self.tensors = nn.ModuleDict()
        self.crystal_widths: dict[str, int] = {}
        last = []
        for name, kind in self.kinds.items():
            if isinstance(kind, CartesianTensor):
                basis = CartesianIrreps(kind.rank, symmetry=kind.symmetry)
                needed = irreps("+".join(f"{copies}x{part.ir}" for part in basis.kind))
                self.tensors[str(len(last))] = TensorHead(basis, needed=needed)
            else:
                needed = irreps(f"{scalars}x0e")
                self.tensors[str(len(last))] = nn.Sequential(nn.Softplus(), nn.Linear(scalars, kind.outputs))
            self.crystal_widths[name] = needed.dim
            last.append(str(needed))
        v, s = channels, scalars
        sequence = [
            f"{s}x0e", f"{s}x0e+{v}x1o+{v}x2e", f"{s}x0e+{v}x1o+{v}x1e+{v}x2e+{v}x2o", "+".join(last),
        ]  # fmt: skip
        self.fields = nn.ModuleList(
            TensorFieldLayer(kind_in, kind_out, lmax=lmax, edge_width=width, residual=place == 0)
            for place, (kind_in, kind_out) in enumerate(pairwise(sequence))
        )
        self.scaling = TargetScaling(sum(kind.outputs for kind in self.kinds.values()))

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit; tensors in the axes of the cells."""
        vectors = graph.vectors(batch)
        atoms, radial = self._invariants(batch, graph, vectors)
        harmonics = spherical_harmonics(vectors, lmax=self.lmax)
        features = self.narrow(atoms)
        for layer in self.fields:
            features = layer(
                features, harmonics, radial, source=graph.source, target=graph.target, rows=graph.extra[EDGE_LENGTH]
            )
        crystals = segment_mean(features, owner=batch.crystal_idx, n=len(batch))
        parts = crystals.split(list(self.crystal_widths.values()), dim=1)
        values = torch.cat([head(part) for head, part in zip(self.tensors.values(), parts, strict=True)], dim=1)
        found = split_outputs(self.scaling(values), kinds=self.kinds)
        if not self.enforce:
            return found
        operations, owner = graph.extra[OPERATION].to(values.dtype), graph.extra[OPERATION_CRYSTAL]
        return {
            name: invariant_part(value, operations=operations, owner=owner)
            if isinstance(self.kinds[name], CartesianTensor)
            else value
            for name, value in found.items()
        }

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) mean over the atoms of the invariant features."""
        atoms, _ = self._invariants(batch, graph, graph.vectors(batch))
        return segment_mean(atoms, owner=batch.crystal_idx, n=len(batch))

    def _invariants(self, batch: CrystalBatch, graph: Graph, vectors: Tensor) -> tuple[Tensor, Tensor]:
        lengths = distinct_lengths(graph, vectors.norm(dim=1))
        radial = F.softplus(self.edges(self.basis(-0.75 / lengths)))
        atoms = self.atoms(batch.numbers)
        for layer in self.layers:
            atoms = layer(atoms, radial, source=graph.source, target=graph.target, rows=graph.extra[EDGE_LENGTH])
        return atoms, radial


class TensorHead(nn.Module):
    """Irreps to the components of a Cartesian tensor.

    Args:
        basis: of the tensors.
        needed: irreps that come in, several copies of each of the basis.
    """

    def __init__(self, basis: CartesianIrreps, *, needed: object) -> None:
        super().__init__()
        self.mix = IrrepsLinear(str(needed), basis.kind)
        self.basis = basis

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, needed.dim) to (B, 3^rank)."""
        return self.basis.to_cartesian(self.mix(features)).flatten(1)


def invariant_part(tensors: Tensor, *, operations: Tensor, owner: Tensor) -> Tensor:
    """Project tensors on those that do not change under the operations of their crystal (equation 11 of the paper).

    Args:
        tensors: (B, 3, ..., 3).
        operations: (K, 3, 3) orthogonal, those of each crystal a group.
        owner: (K,) int64 the crystal of each.
    """
    turned = tensors.index_select(0, owner)
    for _ in range(tensors.dim() - 1):
        # the first index is turned and then put last, so that after all of them the order is the old one
        turned = torch.bmm(operations, turned.flatten(2)).view(turned.shape).movedim(1, -1)
    return segment_mean(turned, owner=owner, n=tensors.shape[0])
