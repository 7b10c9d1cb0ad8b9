"""MEGNet: bonds, atoms and a global state, updated in turn.

Chen, Ye, Zuo, Zheng and Ong 2019, "Graph Networks as a Universal Machine Learning Framework for Molecules and Crystals",
doi:10.1021/acs.chemmater.9b01294.

A block updates each bond from its atoms and the state, each atom from the mean of its bonds and the state, and the state from
the means of all bonds and atoms (equations 1 to 7). Set2Set reads bonds and atoms out. The state begins as the conditions of
the crystal (temperature, pressure); the 16 numbers of each element can be taken over into another network
(`tasks.transfer.take_over` with the tensors "embedding.*").

| paper and released code | here |
|---|---|
| e_k, v_i, u | bonds, atoms, state |
| `nblocks` | `n_blocks` |
| `n1`, `n2`, `n3` | `hidden_width`, `width`, `readout_width` |
| `embedding_dim` | `embedding_width` |
| `npass` | `n_passes` |
| `nfeat_global`, u at the beginning | `inputs` |
| Gaussians: centres from 0 to r_c + 1, `width` | `n_radial`, `gaussian_width` |

Departures:

- The sphere is 0.0001 Angstrom wider than its name, so that a shell at a round distance is inside it as a whole.
- An atom without bonds, which the released code refuses, has a mean of zeros.
- Without conditions the published state is two zeros, of which only the first layer's constant remains: it is what is learnt here.
- Conditions are standardised by their mean and deviation in training; the released code takes them as they are.
- Equal atoms and equal bonds are kept once, with their number (`representations.condensed`): the same numbers.
- The product with the first weights over [v_s, v_r, e, u] is taken as four, those of atoms once an atom, that of the state once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.activations import shifted_softplus
from euhedral.nn.dense import MLP
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_softmax
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Radius
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

# Angstrom by which the sphere is wider than its name.
_MARGIN = 1e-4


class MEGNet(nn.Module):
    """Predict properties of crystals, and of crystals under given conditions, from distances.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        inputs: names of the crystal's conditions, a number each, as `Crystal.props` holds them.
        n_blocks: rounds of updates.
        hidden_width: features between the layers of an update.
        width: features of a bond, of an atom and of the state.
        readout_width: features in Set2Set and before the last layer.
        embedding_width: learnt numbers of an element.
        n_passes: of Set2Set.
        cutoff: Angstrom, of bonds.
        n_radial: Gaussians of a distance, from 0 to 1 Angstrom beyond the cutoff.
        gaussian_width: Angstrom.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), inputs: Sequence[str] = (),
        n_blocks: int = 3, hidden_width: int = 64, width: int = 32, readout_width: int = 16, embedding_width: int = 16,
        n_passes: int = 3, cutoff: float = 4.0, n_radial: int = 100, gaussian_width: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="MEGNet")
        self.targets = tuple(self.kinds)
        self.inputs = tuple(inputs)
        self.graph: GraphSpec = Condensed(Radius(cutoff=cutoff + _MARGIN))
        self.embedding = nn.Embedding(MAX_NUMBER + 1, embedding_width)
        step = (cutoff + 1.0) / (n_radial - 1)
        self.basis = GaussianBasis(start=0.0, stop=cutoff + 1.0, step=step, gamma=gaussian_width**-2)
        widths = [hidden_width, width]
        self.atoms = _dense([embedding_width, *widths])
        self.bonds = _dense([self.basis.size, *widths])
        start = torch.empty(hidden_width).uniform_(-0.7, 0.7)  # as the constant of a layer on two numbers begins
        self.first_state = nn.Linear(len(inputs), hidden_width) if inputs else nn.Parameter(start)
        self.conditions = RowBatchNorm(len(inputs), affine=False) if inputs else None
        self.state = _dense(widths)
        self.blocks = nn.ModuleList(
            Block(width, hidden_width=hidden_width, has_dense=depth > 0) for depth in range(n_blocks)
        )
        self.read_atoms = Set2Set(width, hidden_width=readout_width, n_passes=n_passes)
        self.read_bonds = Set2Set(width, hidden_width=readout_width, n_passes=n_passes)
        self.hidden = _dense([4 * readout_width + width, width, readout_width])
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(readout_width, n_outputs)
        self.scaling = TargetScaling(n_outputs)
        for layer in self.modules():
            if isinstance(
                layer, nn.Linear
            ):  # as the released code begins; torch's own smaller weights learn more slowly here
                nn.init.xavier_uniform_(layer.weight)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, readout_width) the crystals as the last layer sees them."""
        links = Links.of(batch, graph, dtype=self.output.weight.dtype)
        atoms = self.atoms(self.embedding(batch.numbers.index_select(0, graph.extra[ORBIT_ATOM])))
        bonds = self.bonds(self.basis(graph.extra[DISTANCE].to(atoms.dtype)))
        state = self.state(shifted_softplus(self._first(batch, dtype=atoms.dtype)))
        for block in self.blocks:
            atoms, bonds, state = block(atoms, bonds, state, links)
        read = [
            self.read_atoms(atoms, weight=links.atom_weight, owner=links.atom_owner),
            self.read_bonds(bonds, weight=links.bond_weight, owner=links.bond_owner),
        ]
        return self.hidden(torch.cat([*read, state], dim=1))

    def _first(self, batch: CrystalBatch, *, dtype: torch.dtype) -> Tensor:
        if isinstance(self.first_state, nn.Parameter):
            return self.first_state.expand(len(batch), -1)
        given = torch.stack([batch.inputs[name].to(dtype) for name in self.inputs], dim=1)
        return self.first_state(given if self.conditions is None else self.conditions(given))


@dataclass(frozen=True, eq=False)
class Links:
    """What belongs to what in a batch, and how often it is there.

    Args:
        source: (E,) atom at the far end of each bond.
        target: (E,) atom at the near end.
        atom_owner: (O,) crystal of each atom.
        bond_owner: (E,) crystal of each bond.
        count: (E,) equal bonds of one atom that a bond stands for.
        atom_weight: (O,) equal atoms that an atom stands for.
        bond_weight: (E,) equal bonds of a crystal that a bond stands for.
    """

    source: RowIndex
    target: RowIndex
    atom_owner: RowIndex
    bond_owner: RowIndex
    count: Tensor
    atom_weight: Tensor
    bond_weight: Tensor

    @classmethod
    def of(cls, batch: CrystalBatch, graph: Graph, *, dtype: torch.dtype) -> Links:
        """Read them from a condensed graph."""
        extra = graph.extra
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        size, count = extra[ORBIT_COUNT].to(dtype), extra[MULTIPLICITY].to(dtype)
        target = extra[EDGE_TARGET]
        return cls(
            source=RowIndex(extra[EDGE_SOURCE], n=len(owner)),
            target=RowIndex(target, n=len(owner)),
            atom_owner=RowIndex(owner, n=len(batch)),
            bond_owner=RowIndex(owner.index_select(0, target), n=len(batch)),
            count=count,
            atom_weight=size,
            bond_weight=count * size.index_select(0, target),
        )


class Block(nn.Module):
    """Bonds, then atoms, then the state, each by a network of three layers, added to what they were (equations 1 to 7).

    Args:
        width: features of a bond, an atom, the state.
        hidden_width: features between layers.
        has_dense: whether two dense layers come before.
    """

    def __init__(self, width: int, *, hidden_width: int, has_dense: bool) -> None:
        super().__init__()
        self.width = width
        self.before = nn.ModuleList(_dense([width, hidden_width, width]) for _ in range(3)) if has_dense else None
        self.bond = nn.Linear(4 * width, hidden_width)
        self.bond_rest = MLP([hidden_width, hidden_width, width], activation=shifted_softplus)
        self.atom = MLP([3 * width, hidden_width, hidden_width, width], activation=shifted_softplus)
        self.state = MLP([3 * width, hidden_width, hidden_width, width], activation=shifted_softplus)

    def forward(self, atoms: Tensor, bonds: Tensor, state: Tensor, links: Links) -> tuple[Tensor, Tensor, Tensor]:
        """Update (O, width) atoms, (E, width) bonds and (B, width) states."""
        v, e, u = atoms, bonds, state
        if self.before is not None:
            v, e, u = (layer(rows) for layer, rows in zip(self.before, (atoms, bonds, state), strict=True))
        near, far, along, everywhere = self.bond.weight.split(self.width, dim=1)
        mixed = F.linear(e, along, self.bond.bias) + links.target.take(F.linear(v, near))
        mixed = mixed + links.source.take(F.linear(v, far)) + links.bond_owner.take(F.linear(u, everywhere))
        e = self.bond_rest(shifted_softplus(mixed))
        v = self.atom(torch.cat([_mean(e, links.count, links.target), v, links.atom_owner.take(u)], dim=1))
        of_bonds, of_atoms = (
            _mean(e, links.bond_weight, links.bond_owner),
            _mean(v, links.atom_weight, links.atom_owner),
        )
        u = self.state(torch.cat([of_bonds, of_atoms, u], dim=1))
        return atoms + v, bonds + e, state + u


class Set2Set(nn.Module):
    """A set read by attention, several times, by a recurrent cell (Vinyals et al. 2015, arXiv:1511.06391).

    Args:
        width: features of an element of a set.
        hidden_width: features to which they are brought first; half of those of the result.
        n_passes: readings.
    """

    def __init__(self, width: int, *, hidden_width: int, n_passes: int) -> None:
        super().__init__()
        self.inward = nn.Linear(width, hidden_width)
        self.cell = nn.LSTMCell(2 * hidden_width, hidden_width)
        self.n_passes = n_passes

    def forward(self, rows: Tensor, *, weight: Tensor, owner: RowIndex) -> Tensor:
        """(B, 2 hidden_width) of (M, width) rows; `weight` (M,) is how many equal rows each stands for."""
        memory = self.inward(rows)
        n = owner.n
        query = memory.new_zeros(n, memory.shape[1])
        cell = torch.zeros_like(query)
        result = memory.new_zeros(n, 2 * memory.shape[1])
        often = weight.log()
        for _ in range(self.n_passes):
            query, cell = self.cell(result, (query, cell))
            scores = (memory * owner.take(query)).sum(1) + often
            attention = segment_softmax(scores, owner=owner.index, n=n)
            result = torch.cat([query, owner.add(memory * attention[:, None])], dim=1)
        return result


def _dense(widths: Sequence[int]) -> MLP:
    return MLP(widths, activation=shifted_softplus, last=True)


def _mean(rows: Tensor, weight: Tensor, owner: RowIndex) -> Tensor:
    """(n, F) weighted means of (M, F) rows by owner; zeros for one that owns nothing."""
    total = owner.add(torch.cat([rows * weight[:, None], weight[:, None]], dim=1))
    return total[:, :-1] / total[:, -1:].clamp(min=1.0)
