"""SchNet: continuous-filter convolutions over periodic images.

Schuett, Sauceda, Kindermans, Tkatchenko and Mueller 2018, "SchNet - a deep learning architecture for molecules and materials",
doi:10.1063/1.5019779, arXiv:1712.06113; first in Schuett et al. 2017, arXiv:1706.08566.

A convolution multiplies the neighbours' features by a filter that a small network makes of the distance, so that atoms need no
grid; over a crystal the sum runs over all periodic images within the cutoff. Each atom gives its share of the property.

| paper and SchNetPack | here |
|---|---|
| F, `n_atom_basis`, `n_filters` | `width` |
| T, `n_interactions` | `n_interactions` |
| r_cut, `cutoff` | `cutoff` |
| mu_k, step of the centres; gamma | `step`, `gamma` |

Departures:

- Filters go to zero at the cutoff with a cosine, as in the authors' SchNetPack, where the paper cuts them off: a shell at the
  very cutoff has no weight instead of a weight that rounding decides.
- Equal atoms and equal edges are kept once, with their number (`representations.condensed`): the same numbers.
- The atoms' shares are averaged, as a property per atom or of no extent asks for.
- Elements begin nearly alike (Keras' uniform start, that of the settings in print for Matbench) and not at random places of unit
  spread, as in SchNetPack: with a thousand crystals the latter are learnt by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.activations import shifted_softplus
from euhedral.nn.dense import MLP
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Radius
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs

# Largest number of an element's features at the beginning.
_NEARLY_ALIKE = 0.05


class SchNet(nn.Module):
    """Predict properties of crystals from distances within a cutoff.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an atom and of a filter.
        n_interactions: blocks.
        cutoff: Angstrom.
        step: Angstrom, between the centres of the Gaussians.
        gamma: 1/Angstrom^2, their sharpness.
        readout_widths: features between the layers that make an atom's share; half of `width` when empty.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 64, n_interactions: int = 6,
        cutoff: float = 5.0, step: float = 0.1, gamma: float = 10.0, readout_widths: Sequence[int] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="SchNet")
        self.targets = tuple(self.kinds)
        self.cutoff = cutoff
        self.graph: GraphSpec = Condensed(Radius(cutoff=cutoff))
        self.embedding = nn.Embedding(MAX_NUMBER + 1, width)
        self.basis = GaussianBasis(start=0.0, stop=cutoff, step=step, gamma=gamma)
        self.interactions = nn.ModuleList(Interaction(width, n_radial=self.basis.size) for _ in range(n_interactions))
        widths = [width, *(readout_widths or (width // 2,))]
        self.share = MLP(widths, activation=shifted_softplus, last=True)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(widths[-1], n_outputs)
        self.scaling = TargetScaling(n_outputs)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):  # as SchNetPack begins; torch's own smaller weights learn more slowly here
                nn.init.xavier_uniform_(layer.weight)
        nn.init.uniform_(self.embedding.weight, -_NEARLY_ALIKE, _NEARLY_ALIKE)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, readout_widths[-1]) mean over the atoms of what the last layer, which is linear, makes their shares of."""
        extra, dtype = graph.extra, self.output.weight.dtype
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        size = extra[ORBIT_COUNT].to(dtype)
        atoms = self.share(self.atom_features(batch, graph))
        return RowIndex(owner, n=len(batch)).add(atoms * size[:, None]) / batch.n_atoms.to(dtype)[:, None]

    def atom_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(O, width) features of the orbits of atoms after all interactions."""
        extra, dtype = graph.extra, self.output.weight.dtype
        atoms = self.embedding(batch.numbers.index_select(0, extra[ORBIT_ATOM]))
        source = RowIndex(extra[EDGE_SOURCE], n=len(atoms))
        target = RowIndex(extra[EDGE_TARGET], n=len(atoms))
        # filters know nothing but the distance: one for each that occurs, which many edges of a crystal share
        distance, place = torch.unique(extra[DISTANCE].to(dtype), return_inverse=True)
        edges = RowIndex(place, n=len(distance))
        radial = self.basis(distance)
        fade = 0.5 * (1.0 + torch.cos(torch.pi * (distance / self.cutoff).clamp(max=1.0)))
        count = extra[MULTIPLICITY].to(dtype)
        for interaction in cast("list[Interaction]", self.interactions):
            filters = edges.take(interaction.filter(radial) * fade[:, None])
            atoms = interaction(atoms, filters * count[:, None], source=source, target=target)
        return atoms


class Interaction(nn.Module):
    """x_i <- x_i + V2 ssp(V1 sum_j (W x_j) * filter(|r_j - r_i|)) (section II of the 2018 paper).

    Args:
        width: features of an atom and of a filter.
        n_radial: Gaussians of a distance.
    """

    def __init__(self, width: int, *, n_radial: int) -> None:
        super().__init__()
        self.filter = MLP([n_radial, width, width], activation=shifted_softplus, last=True)
        self.inward = nn.Linear(width, width, bias=False)
        self.outward = MLP([width, width, width], activation=shifted_softplus)

    def forward(self, atoms: Tensor, filters: Tensor, *, source: RowIndex, target: RowIndex) -> Tensor:
        """Update (N, width) atoms by (E, width) filters of edges."""
        return atoms + self.outward(target.add(source.take(self.inward(atoms)) * filters))
