"""CGCNN: crystal graph convolutional neural networks.

Xie and Grossman 2018, "Crystal Graph Convolutional Neural Networks for an Accurate and Interpretable Prediction of Material
Properties", doi:10.1103/PhysRevLett.120.145301.

Atoms start from a table of 92 binary properties of their element; each convolution adds gated messages of the neighbours
(equation 5); the mean over the atoms goes through a small dense network.

| paper and released code | here |
|---|---|
| v_i, `atom_fea_len` | `atom_width` |
| u_(i,j)k, Gaussian expansion | `basis`, `step` |
| R, `n_conv` | `n_convolutions` |
| `h_fea_len`, `n_h` | `hidden_width`, `n_hidden` |
| `radius`, `max_num_nbr` | `cutoff`, `neighbours` |

The published table gives La and Ce, Sm and Gd, Ho and Er, Th and Np the same properties (and some elements after Pu), so
that the network cannot tell these apart.

Departures:

- All atoms of the last shell are neighbours, so that the result does not depend on the order in which equally distant atoms
  are met; the paper's exact number of neighbours, which cuts a shell in most cells, is `strict`.
- An atom with fewer neighbours than that has fewer edges; the released code adds edges of length radius + 1 to the first
  atom of the cell.
- The product with W over [v_i, v_j, u_ij] is taken as three products, the first two once an atom instead of once an edge:
  the same numbers.
- Equal atoms and equal edges may be given once with their number (`representations.quotient`); batch normalisation then
  weighs them by it, so that training gives the same numbers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError
from euhedral.nn.element_properties import element_properties
from euhedral.nn.gated_convolution import CountedEdges, GatedConvolution
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.graphs import Graph, GraphSpec, Nearest, StrictNearest
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY, ORBIT_SIZE
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class CGCNN(nn.Module):
    """Predict scalar properties of crystals from distances to the nearest neighbours.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        atom_width: features of an atom.
        n_convolutions: message-passing layers.
        hidden_width: features of a crystal after pooling.
        n_hidden: dense layers after pooling.
        cutoff: Angstrom.
        neighbours: how many, at least, unless fewer are within the cutoff.
        strict: exactly that many.
        step: Angstrom, between the Gaussians of the distance expansion.
        pool_sites_last: average over the sites after the dense layers instead of before, so that the mean of `site_values` is
            the prediction (the paper's interpretable variant).
    """

    scale: Literal["intensive", "extensive"] = "intensive"
    #: equal atoms and edges may be given once, with their number
    merges_equal = True
    elements: Tensor

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), atom_width: int = 64,
        n_convolutions: int = 3, hidden_width: int = 128, n_hidden: int = 1, cutoff: float = 8.0, neighbours: int = 12,
        strict: bool = False, step: float = 0.2, pool_sites_last: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="CGCNN")
        self.targets = tuple(self.kinds)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.pool_sites_last = pool_sites_last
        self.graph: GraphSpec = (
            StrictNearest(k=neighbours, cutoff=cutoff) if strict else ShellsWithin(k=neighbours, cutoff=cutoff)
        )
        table = element_properties()
        self.register_buffer("elements", table, persistent=False)
        self.embedding = nn.Linear(table.shape[1], atom_width)
        self.basis = GaussianBasis(start=0.0, stop=cutoff, step=step)
        self.convolutions = nn.ModuleList(
            GatedConvolution(atom_width, edge_width=self.basis.size) for _ in range(n_convolutions)
        )
        widths = [atom_width] + [hidden_width] * n_hidden
        self.hidden = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))
        self.output = nn.Linear(widths[-1], n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B,)} in the target's unit.

        Raises:
            InvalidRequestError: a crystal holds an element that the table of element properties ends before.
        """
        return self.from_latent(self.latent(batch, graph))

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, hidden_width) the crystals as the last layer sees them."""
        return self._pooled(self.atom_features(batch, graph), batch=batch, graph=graph)

    def from_atoms(self, atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B,)} from (N, atom_width) features of the atoms."""
        return self.from_latent(self._pooled(atoms, batch=batch, graph=graph))

    def from_latent(self, latent: Tensor) -> dict[str, Tensor]:
        """Apply the last layer: {target: (B,)} in the target's unit."""
        return split_outputs(self.scaling(self.output(latent)), kinds=self.kinds)

    def site_values(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """What each site alone would be given, {target: (N,)}; their mean is the prediction if `pool_sites_last` is set."""
        return self.from_latent(self._dense(self.atom_features(batch, graph)))

    def atom_features(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(N, atom_width) features of the atoms after all convolutions."""
        self._check_elements(batch)
        distance = graph.extra[DISTANCE] if DISTANCE in graph.extra else graph.vectors(batch).norm(dim=1)
        bonds = self.basis(distance)
        between = CountedEdges(
            source=RowIndex(graph.source, n=len(batch.numbers)), target=RowIndex(graph.target, n=len(batch.numbers)),
            of_edge=graph.extra.get(MULTIPLICITY), of_atom=graph.extra.get(ORBIT_SIZE),
        )  # fmt: skip
        # embedding first, lookup second: as many products as elements, not as atoms
        atoms = self.embedding(self.elements.to(bonds.dtype)).index_select(0, batch.numbers)
        for convolution in self.convolutions:
            atoms = convolution(atoms, bonds, between)
        return atoms

    def _pooled(self, atoms: Tensor, *, batch: CrystalBatch, graph: Graph) -> Tensor:
        if self.pool_sites_last:
            return _mean(self._dense(atoms), batch, graph)
        return self._dense(_mean(atoms, batch, graph))

    def _dense(self, features: Tensor) -> Tensor:
        features = F.softplus(features)
        for layer in self.hidden:
            features = F.softplus(layer(features))
        return features

    def _check_elements(self, batch: CrystalBatch) -> None:
        known = self.elements.shape[0] - 1
        if batch.numbers.numel() and int(batch.numbers.max()) > known:
            first = int(batch.crystal_idx[batch.numbers > known][0])
            name = batch.ids[first] if batch.ids else str(first)
            raise InvalidRequestError(
                f"crystal {name!r}: CGCNN knows the elements H to {SYMBOLS[known]}, got "
                f"{SYMBOLS[int(batch.numbers.max())]}; leave the crystal out"
            )


@dataclass(frozen=True)
class ShellsWithin:
    """The k nearest neighbours and the rest of the last one's shell, none of them beyond a radius.

    Args:
        k: how many, at the least, where there are so many.
        cutoff: Angstrom.
    """

    k: int
    cutoff: float

    def build(self, batch: CrystalBatch) -> Graph:
        """Find the edges of a batch, nearest first."""
        return Nearest(k=self.k).build(batch).within(batch, cutoff=self.cutoff)


def _mean(values: Tensor, batch: CrystalBatch, graph: Graph) -> Tensor:
    """(B, F) average of (N, F) over the atoms of each crystal."""
    count = batch.n_atoms.to(values.dtype)
    if ORBIT_SIZE in graph.extra:
        size = graph.extra[ORBIT_SIZE]
        values = values * size[:, None]
        count = torch.zeros_like(count).index_add_(0, batch.crystal_idx, size)
    total = values.new_zeros(len(batch), values.shape[1]).index_add_(0, batch.crystal_idx, values)
    return total / count[:, None]
