"""PotNet: complete interatomic potentials by infinite summation.

Lin, Yan, Luo, Liu, Qian and Ji 2023, "Efficient Approximations of Complete Interatomic Potentials for Crystal Property
Prediction", ICML, arXiv:2306.10045.

Every pair of atoms of the cell has one edge whose feature is the sum, over all images of the pair, of the Coulomb, London
dispersion and Pauli potentials; near neighbours have edges of their own, whose feature is -0.75 / r. One gated convolution
(equation 12 with the gate of CGCNN) runs over both kinds of edges, and the mean over the atoms goes through a small network.

| paper and released code | here |
|---|---|
| h_i, `fc_features` | `width` |
| L, `conv_layers` | `n_layers` |
| S(e_ij), `inf_edge_attr` | "potential_sums" in `Graph.extra` |
| hyperparameters of the potentials, `potentials` | `coefficients` |
| `inf_edge_features` | `n_infinite` |
| `rbf_min`, `rbf_max` | `span` |
| `max_neighbors` | `neighbours` |
| not `euclidean` | `infinite` |

Departures:

- The sums are exact to the accuracy asked for and those that the paper defines (`potentials.POTNET`); the released program
  measures the Pauli repulsion's decay in a unit that depends on the cell and counts an atom's repulsion of itself
  (`potentials.POTNET_PROGRAM`), so that a supercell has other sums.
- Copies of an atom within a supercell share the sum over all of them and the weight of one pair (`merged_sums`); in the
  released program a supercell is another crystal.
- Each element has a learnt vector beside its 92 properties, so that all 118 can be told apart.
- The released graph keeps the 16 nearest neighbours and all that tie with the last; its cutoff of 4 Angstrom only begins
  the search for them, and so there is none here.
- Equal atoms and equal edges are worked on once, with their number (`condensed`); batch normalisation weighs them by it, so that
  training gives the same numbers too.
- The products over [h_i, h_j, e_ij] are taken as three, the first two once an atom instead of once an edge: the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.nn.activations import shifted_softplus
from euhedral.nn.element_embedding import ElementEmbedding
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_sum
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums
from euhedral.representations.merged_sums import PAIR_SHARE, PAIR_SOURCE, PAIR_TARGET, WithMergedSums
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.potentials import POTNET
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class PotNet(nn.Module):
    """Predict properties of crystals from near neighbours and from potentials summed over the whole lattice.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom, of an edge, and Gaussians of a near edge.
        n_layers: convolutions.
        n_infinite: multiquadrics in which a sum is expanded.
        span: -span to span is the range of -0.75 / r and of the sums in both expansions, 1/Angstrom.
        coefficients: of the Coulomb, dispersion and Pauli sums.
        neighbours: how many near ones, at the least; whole shells.
        infinite: use the sums; without them the network sees near neighbours only.
        accuracy: largest error of a sum, in the unit of its potential with r in Angstrom.

    Raises:
        InvalidRequestError: there are not three coefficients.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 256, n_layers: int = 3,
        n_infinite: int = 64, span: float = 4.0, coefficients: Sequence[float] = (-0.801, -0.074, 0.145),
        neighbours: int = 16, infinite: bool = True, accuracy: float = 1e-10,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(coefficients) != len(POTNET):
            raise InvalidRequestError(
                f"PotNet needs {len(POTNET)} coefficients, of the Coulomb, dispersion and Pauli sums, got {len(coefficients)}"
            )
        self.kinds = read_targets(targets, system="PotNet")
        self.targets = tuple(self.kinds)
        near = Undirected(Nearest(k=neighbours))
        sums = PotentialSums(potentials=POTNET, accuracy=accuracy)
        self.graph: GraphSpec = Condensed(WithMergedSums(edges=near, sums=sums) if infinite else near)
        self.atoms = ElementEmbedding(width)
        self.near_basis = GaussianBasis(start=-span, stop=span, step=2.0 * span / (width - 1))
        self.near = nn.Linear(width, width)
        self.infinite = (
            SummedPotentials(width, n_functions=n_infinite, span=span, coefficients=coefficients) if infinite else None
        )
        self.layers = nn.ModuleList(PotentialConvolution(width) for _ in range(n_layers))
        self.hidden = nn.Linear(width, width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(width, n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) the crystals as the last layer sees them."""
        extra = graph.extra
        counts = extra[ORBIT_COUNT].to(batch.dtype)
        edges = F.silu(self.near(self.near_basis(-0.75 / extra[DISTANCE].to(batch.dtype))))
        source, target, share = extra[EDGE_SOURCE], extra[EDGE_TARGET], extra[MULTIPLICITY].to(batch.dtype)
        if self.infinite is not None:
            of_pair = extra[PAIR_SHARE].to(batch.dtype)
            pair_counts = of_pair * counts.index_select(0, extra[PAIR_TARGET])
            edges = torch.cat([edges, self.infinite(extra[POTENTIAL_SUMS].to(batch.dtype), pair_counts)])
            source, target = torch.cat([source, extra[PAIR_SOURCE]]), torch.cat([target, extra[PAIR_TARGET]])
            share = torch.cat([share, of_pair])
        messages = Messages(
            source=source, target=target, share=share, counts=share * counts.index_select(0, target), atom_counts=counts
        )
        atoms = self.atoms(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        for layer in self.layers:
            atoms = layer(atoms, edges, messages)
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        pooled = segment_sum(counts[:, None] * atoms, owner=owner, n=len(batch)) / batch.n_atoms[:, None]
        return shifted_softplus(self.hidden(pooled))


@dataclass(frozen=True, eq=False)
class Messages:
    """Which atoms send to which, near or by sums, equal ones once.

    Args:
        source: (E,) int64.
        target: (E,) int64.
        share: (E,) how many messages to one atom each stands for.
        counts: (E,) how many in the whole crystal.
        atom_counts: (N,) how many atoms each stands for.
    """

    source: Tensor
    target: Tensor
    share: Tensor
    counts: Tensor
    atom_counts: Tensor


class SummedPotentials(nn.Module):
    """Features of sums of potentials: their weighted total in multiquadrics, a linear layer, softplus, batch normalisation.

    Args:
        width: features of an edge.
        n_functions: multiquadrics.
        span: their centres are at equal steps from -span to span.
        coefficients: of the sums.
    """

    centres: Tensor
    coefficients: Tensor

    def __init__(self, width: int, *, n_functions: int, span: float, coefficients: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("coefficients", torch.tensor(coefficients, dtype=torch.float64), persistent=False)
        self.register_buffer("centres", torch.linspace(-span, span, n_functions, dtype=torch.float64), persistent=False)
        self.sharpness = (n_functions - 1) / (2.0 * span)
        self.linear = nn.Linear(n_functions, width)
        self.norm = RowBatchNorm(width)

    def forward(self, sums: Tensor, counts: Tensor) -> Tensor:
        """Map (P, V) sums to (P, width) features; `counts` (P,) is how many pairs each stands for."""
        total = sums @ self.coefficients.to(sums.dtype)
        offset = self.sharpness * (total[:, None] - self.centres.to(sums.dtype))
        return self.norm(F.softplus(self.linear(torch.sqrt(1.0 + offset.square()))), counts)


class PotentialConvolution(nn.Module):
    """h_i <- relu(h_i + BN(sum_e sigmoid(BN(f(z_e))) * g(z_e))), z_e = [h_i, h_j, e], f and g of two layers each.

    Args:
        width: features of an atom and of an edge.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Linear(3 * width, 2 * width)
        self.gate, self.core = nn.Linear(width, width), nn.Linear(width, width)
        self.gate_norm, self.norm = RowBatchNorm(width), RowBatchNorm(width)

    def forward(self, atoms: Tensor, edges: Tensor, messages: Messages) -> Tensor:
        """Update (N, width) atoms by (E, width) edges."""
        own, other, edge = self.first.weight.split(self.width, dim=1)
        mixed = F.linear(edges, edge, self.first.bias)
        mixed = mixed + F.linear(atoms, own).index_select(0, messages.target)
        mixed = mixed + F.linear(atoms, other).index_select(0, messages.source)
        gate, core = F.silu(mixed).chunk(2, dim=1)
        message = torch.sigmoid(self.gate_norm(self.gate(gate), messages.counts)) * self.core(core)
        total = torch.zeros_like(atoms).index_add(0, messages.target, message * messages.share[:, None])
        return F.relu(atoms + self.norm(total, messages.atom_counts))
