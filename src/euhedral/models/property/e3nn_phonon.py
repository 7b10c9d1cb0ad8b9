"""E(3)NN: phonon densities of states with Euclidean neural networks.

Chen, Andrejevic, Smidt, Ding, Xu, Chi, Nguyen, Alatas, Kong and Li 2021, "Direct Prediction of Phonon Density of States With
Euclidean Neural Networks", doi:10.1002/advs.202004214.

An atom starts from its mass in the place of its element, a mass-weighted one-hot vector. Gated equivariant convolutions give
each atom a spectrum of scalars; the spectrum of the crystal is their mean, cut off below zero and divided by its maximum, as the
published labels are.

| paper and released code | here |
|---|---|
| `len_embed_feat`, `em_dim` | `width` |
| `num_e3nn_layer`, `layers` | `n_layers`, gated convolutions; one more gives the output |
| `num_channel_irrep`, `mul` | `channels` |
| `lmax` | `lmax` |
| r_max, `max_radius` | `cutoff` |
| `num_basis`, `number_of_basis` | `n_basis` |
| `radial_neurons`, `radial_layers` | `radial` |
| `n_norm`, `num_neighbors` | `neighbours` |

Departures:

- Hyperparameters are those of the paper's program; the layers are those of the authors' later program for e3nn 0.4 and above
  (`gate_points_2101` with the element as attribute of an atom), since the first is of an e3nn that no longer exists.
- The connection of an atom to itself stands for the edge of length zero, which the program adds beside it.
- Irreps of the last hidden layer from which no path leads to a scalar are not computed: the same numbers.
- A spectrum that is nowhere positive is given as zeros; in the program it is divided by zero.
- Numbers and classes can be learnt too; only spectra are cut off and divided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER, elements
from euhedral.nn.cutoff import cosine_envelope
from euhedral.nn.equivariant_convolution import EquivariantConvolution, reachable_irreps, useful_irreps
from euhedral.nn.irreps import Gate, irreps, spherical_harmonics, split_irreps
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_mean
from euhedral.representations.distinct_lengths import EDGE_LENGTH, WithDistinctLengths, distinct_lengths
from euhedral.representations.graphs import Graph, GraphSpec, Radius
from euhedral.tasks.targets import Spectrum, TargetLike, read_targets, split_outputs

#: Of the Gaussians that distances are expanded in, as e3nn scales them.
_GAUSSIAN_HEIGHT = 1.0 / 1.12


class E3NN(nn.Module):
    """Predict spectra of crystals from elements, masses and places of the atoms.

    Args:
        targets: what is predicted of a crystal: spectra, numbers or classes.
        width: features of an element.
        n_layers: gated convolutions.
        channels: of each hidden irrep.
        lmax: degree of harmonics and of hidden irreps.
        cutoff: Angstrom.
        n_basis: Gaussians of the distance.
        radial: widths of the hidden layers of the radial networks.
        neighbours: typical number of them.
        normalise: divide spectra by their maximum, for labels whose maximum is 1.
    """

    scale: Literal["intensive", "extensive"] = "intensive"
    masses: Tensor

    def __init__(
        self, *, targets: Sequence[TargetLike] = ({"kind": "spectrum", "name": "phonon_dos", "size": 51},), width: int = 64,
        n_layers: int = 2, channels: int = 32, lmax: int = 1, cutoff: float = 5.0, n_basis: int = 10,
        radial: Sequence[int] = (100,), neighbours: float = 40.0, normalise: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="E(3)NN")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = WithDistinctLengths(Radius(cutoff))
        self.lmax, self.cutoff, self.n_basis, self.normalise = lmax, cutoff, n_basis, normalise
        masses = torch.tensor([0.0, *(element.mass for element in elements())], dtype=torch.float64)
        self.register_buffer("masses", masses, persistent=False)
        self.embedding = nn.Linear(MAX_NUMBER, width)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        hidden = reachable_irreps(f"{width}x0e", n_layers=n_layers, channels=channels, lmax=lmax)
        self.hidden = kept = useful_irreps(hidden, lmax=lmax, target=irreps(f"{n_outputs}x0e"))
        self.gates = nn.ModuleList(Gate(kind, even=F.silu, gate=torch.sigmoid) for kind in kept)
        inputs = [irreps(f"{width}x0e"), *kept]
        results = [*(gate.kind_in for gate in self.gates), irreps(f"{n_outputs}x0e")]
        self.convolutions = nn.ModuleList(
            EquivariantConvolution(
                kind_in, kind_out, attributes=width, lmax=lmax, radial=[n_basis, *radial], neighbours=neighbours
            )
            for kind_in, kind_out in zip(inputs, results, strict=True)
        )
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        values = segment_mean(self._atoms(batch, graph, last=True), owner=batch.crystal_idx, n=len(batch))
        found = split_outputs(self.scaling(values), kinds=self.kinds)
        return {
            name: self._as_spectrum(value) if isinstance(self.kinds[name], Spectrum) else value
            for name, value in found.items()
        }

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, channels) mean over the atoms of the scalars of the last hidden layer."""
        features = self._atoms(batch, graph, last=False)
        kind = self.hidden[-1] if self.hidden else irreps(f"{features.shape[1]}x0e")
        scalars = [
            value.flatten(1)
            for value, part in zip(split_irreps(features, kind), kind, strict=True)
            if part.ir.l == 0 and part.ir.p == 1
        ]
        return segment_mean(torch.cat(scalars, dim=1), owner=batch.crystal_idx, n=len(batch))

    def _atoms(self, batch: CrystalBatch, graph: Graph, *, last: bool) -> Tensor:
        """(N, outputs) what each atom gives, or its features before the last convolution."""
        vectors = graph.vectors(batch)
        distance = vectors.norm(dim=1)
        near = cosine_envelope(distance / self.cutoff)
        harmonics = near[:, None] * spherical_harmonics(vectors, lmax=self.lmax)
        basis = self._basis(distinct_lengths(graph, distance))
        present, rows = torch.unique(batch.numbers, return_inverse=True)
        columns = self.embedding.weight.T.index_select(0, present - 1)
        mass = self.masses.index_select(0, present).to(columns.dtype)
        attributes = F.relu(columns + self.embedding.bias)
        features = F.relu(mass[:, None] * columns + self.embedding.bias).index_select(0, rows)
        for convolution, gate in zip(self.convolutions, [*self.gates, nn.Identity()], strict=True):
            if not last and convolution is self.convolutions[-1]:
                break
            features = gate(
                convolution(
                    features,
                    harmonics,
                    basis,
                    source=graph.source,
                    target=graph.target,
                    attributes=attributes,
                    rows=rows,
                    lengths=graph.extra[EDGE_LENGTH],
                )
            )
        return features

    def _basis(self, distance: Tensor) -> Tensor:
        """(L, n_basis) Gaussians from 0 to the cutoff, as many times as strong as their number's root."""
        step = self.cutoff / (self.n_basis - 1)
        centres = torch.linspace(0.0, self.cutoff, self.n_basis, dtype=distance.dtype, device=distance.device)
        offset = (distance[:, None] - centres) / step
        return torch.exp(-offset.square()) * (_GAUSSIAN_HEIGHT * math.sqrt(self.n_basis))

    def _as_spectrum(self, values: Tensor) -> Tensor:
        spectrum = F.relu(values)
        if not self.normalise:
            return spectrum
        highest = spectrum.amax(1, keepdim=True)
        return spectrum / torch.where(highest > 0.0, highest, torch.ones_like(highest))
