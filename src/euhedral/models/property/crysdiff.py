"""CrysDiff: an equivariant network pre-trained to take noise out of crystals, then properties by diffusion.

Song, Meng and King 2024, "A Diffusion-Based Pre-training Framework for Crystal Property Prediction",
doi:10.1609/aaai.v38i8.28748.

`CrysDiffDenoiser` learns from crystals without labels (`Denoising`): coordinates and the cell are disturbed, elements stay, and
the network says how. `CrysDiff` goes on with its encoder, on crystals as they are: noise is put on the property instead, and a
small network that sees the crystal takes it out. A prediction begins at no knowledge of the property and takes the noise out in a
few steps.

    fit(denoiser, train=unlabelled, settings=settings, rng=rng, objective=Denoising())
    take_over(model, tensors=denoiser.state_dict())

| paper | here |
|---|---|
| phi_theta, EGNN-based | `CrystalEGNN`, `width`, `n_layers` |
| noise of the fractional coordinates F | `Denoising(displacement=...)`, wrapped normal (`processes.wrapped_normal`) |
| noise of the lattice L | `Denoising(strain=...)` |
| noise of the target y, p(y given C') | `PropertyDenoiser`, cosine schedule (`processes.variance_preserving`) |

Neither code nor the paper's table of hyperparameters could be had. Noise levels and schedules are those of DiffCSP (Jiao et al.
2023, arXiv:2309.04475), on which the paper builds; width, depth and the deviations of the strain are ours.

Departures:

- DiffCSP's network joins all atoms of a cell by fractional differences beside the cell's metric, so that its answer depends on the
  choice of the cell. Here edges are the nearest neighbours in space with their lengths, found anew for each disturbed
  crystal; a property depends neither on the cell nor on a supercell.
- The cell is strained by a random symmetric strain, with deviations that grow like those of the coordinates, and the network
  predicts that strain. Noise that brings the matrix itself to a normal distribution passes through cells of no volume, in which
  there are no nearest neighbours.
- Times are drawn from an interval instead of from 1,000 steps.
- The small network predicts the property and not its noise, so that the loss is the property's own at all times; the paper's weighs the
  beginning of a prediction least.
- The review's table names the space group as its physics; here no group is looked up, and only the graph is symmetric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.nn.dense import MLP
from euhedral.nn.periodic_egnn import TIME_WIDTH, CrystalEGNN, Edges, time_features
from euhedral.nn.row_index import RowIndex
from euhedral.nn.scaling import TargetScaling
from euhedral.processes.variance_preserving import cosine_kept, deterministic_step, noised
from euhedral.processes.wrapped_normal import geometric_sigma, mean_square_score, wrapped_score
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.tasks.pretraining import PretrainingTask
from euhedral.tasks.targets import Scalar, Spectrum, TargetLike, read_targets, split_outputs


class CrysDiff(nn.Module):
    """Predict properties of crystals by taking noise out of them.

    Args:
        targets: numbers and spectra.
        width: features of an atom.
        n_layers: message-passing layers.
        hidden_width: of the network that takes the noise out of the property.
        steps: in which a prediction is made.
        neighbours: how many, at the least; whole shells.
        reach: Angstrom, the longest length that the Gaussians tell apart.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 128, n_layers: int = 4,
        hidden_width: int = 128, steps: int = 10, neighbours: int = 12, reach: float = 8.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="CrysDiff", kinds=(Scalar, Spectrum))
        self.targets = tuple(self.kinds)
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.graph: GraphSpec = Condensed(Nearest(k=neighbours))
        self.encoder = CrystalEGNN(width, n_layers=n_layers, reach=reach)
        self.denoiser = PropertyDenoiser(n_outputs, width=width, hidden_width=hidden_width)
        self.register_buffer("times", torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64), persistent=False)
        self.scaling = TargetScaling(n_outputs)

    times: Tensor

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit.

        In training labels of the batch are disturbed, and the answer is what the network makes of them.
        """
        latent = self.latent(batch, graph)
        scaled = self._from_labels(latent, batch) if self.training else self._from_nothing(latent)
        return split_outputs(self.scaling(scaled), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) mean over the atoms of the crystals as they are, without noise."""
        extra, dtype = graph.extra, self.scaling.mean.dtype
        owner = batch.crystal_idx.index_select(0, extra[ORBIT_ATOM])
        edges = Edges.of(
            extra[EDGE_SOURCE], extra[EDGE_TARGET], distance=extra[DISTANCE].to(dtype), n=len(owner),
            count=extra[MULTIPLICITY].to(dtype),
        )  # fmt: skip
        atoms, _ = self.encoder(
            batch.numbers.index_select(0, extra[ORBIT_ATOM]), edges=edges, time=extra[DISTANCE].new_zeros(len(owner))
        )
        total = RowIndex(owner, n=len(batch)).add(atoms * extra[ORBIT_COUNT].to(dtype)[:, None])
        return total / batch.n_atoms.to(dtype)[:, None]

    def _from_labels(self, latent: Tensor, batch: CrystalBatch) -> Tensor:
        """(B, outputs) what is made of disturbed labels; what is not known counts as the mean."""
        known = [batch.targets[name].reshape(len(batch), -1) for name in self.kinds if name in batch.targets]
        labels = torch.cat(known, dim=1) if len(known) == len(self.kinds) else latent.new_full((1,), torch.nan)
        clean = ((labels - self.scaling.mean) / self.scaling.std).nan_to_num(0.0).expand(len(batch), -1)
        time = torch.rand(len(batch), 1, dtype=latent.dtype, device=latent.device)
        noisy = noised(clean, noise=torch.randn_like(clean), kept=cosine_kept(time))
        return self.denoiser(noisy, time=time[:, 0], latent=latent)

    def _from_nothing(self, latent: Tensor) -> Tensor:
        """(B, outputs) from the middle of the noise, deterministically."""
        value = latent.new_zeros(len(latent), len(self.scaling.mean))
        for now, then in pairwise(self.times.to(latent.dtype)):
            clean = self.denoiser(value, time=now.expand(len(latent)), latent=latent)
            value = deterministic_step(value, clean=clean, kept=cosine_kept(now), kept_next=cosine_kept(then))
        return value


class CrysDiffDenoiser(nn.Module):
    """Say by how much each atom was moved and a cell strained.

    Args:
        width: features of an atom; that of the `CrysDiff` that goes on with the encoder.
        n_layers: message-passing layers.
        neighbours: how many, at the least; whole shells.
        reach: Angstrom, the longest length that the Gaussians tell apart.
    """

    def __init__(self, *, width: int = 128, n_layers: int = 4, neighbours: int = 12, reach: float = 8.0) -> None:
        super().__init__()
        self.graph: GraphSpec = Nearest(k=neighbours)
        self.encoder = CrystalEGNN(width, n_layers=n_layers, reach=reach)
        self.move = MLP([width, width, 1], activation=F.silu)
        self.strain = MLP([width, width, 1], activation=F.silu)

    def forward(self, batch: CrystalBatch, graph: Graph, time: Tensor) -> tuple[Tensor, Tensor]:
        """Tell the noise of disturbed crystals from their neighbours.

        Args:
            batch: B crystals, N atoms.
            graph: of the disturbed crystals.
            time: (B,) of the noise, 0 to 1.

        Returns:
            (N, 3) scores of the fractional coordinates over their usual size, and (B, 3, 3) symmetric strains in
            deviations. Both turn with the crystal.
        """
        vectors = graph.vectors(batch)
        distance = vectors.norm(dim=1)
        edges = Edges.of(graph.source, graph.target, distance=distance, n=len(batch.numbers))
        _, messages = self.encoder(batch.numbers, edges=edges, time=time.index_select(0, batch.crystal_idx))
        moved = edges.target.add(self.move(messages) * edges.share[:, None] * vectors)
        inverse = torch.linalg.inv(batch.cell).index_select(0, batch.crystal_idx)
        unit = vectors / distance.clamp(min=1e-9)[:, None]
        products = (unit[:, :, None] * unit[:, None, :]).flatten(1)
        atoms = edges.target.add(self.strain(messages) * edges.share[:, None] * products)
        strain = RowIndex(batch.crystal_idx, n=len(batch)).add(atoms) / batch.n_atoms.to(atoms.dtype)[:, None]
        return torch.einsum("ni,nij->nj", moved, inverse), strain.view(-1, 3, 3)


@dataclass(frozen=True)
class Denoising:
    """What the denoiser learns: the scores of displaced coordinates and the strain of the cell.

    Args:
        displacement: least and largest deviation of fractional coordinates.
        strain: least and largest deviation of the strain.
        weights: of coordinates and cell.
    """

    displacement: tuple[float, float] = (0.005, 0.5)
    strain: tuple[float, float] = (0.01, 0.5)
    weights: tuple[float, float] = (1.0, 1.0)

    def __call__(self, model: CrysDiffDenoiser, batch: CrystalBatch, graph: Graph) -> Tensor:  # noqa: ARG002
        """Return one number to make small; neighbours are those of the disturbed crystals."""
        parts = self.parts(model, batch, torch.rand(len(batch), dtype=batch.dtype, device=batch.device))
        return self.weights[0] * parts[0] + self.weights[1] * parts[1]

    def parts(self, model: CrysDiffDenoiser, batch: CrystalBatch, time: Tensor) -> tuple[Tensor, Tensor]:
        """Mean square errors of scores and strains, about 1 for a network that says zero, at times (B,) of the noise."""
        noise = torch.randn(len(batch), 3, 3, dtype=batch.dtype, device=batch.device)
        noise = (noise + noise.transpose(1, 2)) * 0.5
        size = geometric_sigma(time, least=self.strain[0], most=self.strain[1])
        sigma = geometric_sigma(time, least=self.displacement[0], most=self.displacement[1])
        usual = mean_square_score(sigma).sqrt().index_select(0, batch.crystal_idx)[:, None]
        sigma = sigma.index_select(0, batch.crystal_idx)[:, None]
        offset = sigma * torch.randn_like(batch.frac)
        noisy = batch.replace(
            frac=batch.frac + offset, cell=batch.cell @ torch.linalg.matrix_exp(size[:, None, None] * noise)
        )
        scores, strains = model(noisy, model.graph.build(noisy), time)
        wanted = wrapped_score(offset, sigma=sigma.expand_as(offset)) / usual
        # of a symmetric matrix six numbers are free; their squares add up to 6 on average, 9 entries to 6
        return (scores - wanted).square().mean(), (strains - noise).square().sum((1, 2)).mean() / 6.0


def pretraining(config: Mapping[str, Any]) -> PretrainingTask:
    """What the encoder of a `CrysDiff` with these arguments learns first."""
    shared = {name: config[name] for name in ("width", "n_layers", "neighbours", "reach") if name in config}
    denoiser = CrysDiffDenoiser(**shared)
    return PretrainingTask(denoiser, graph=denoiser.graph, objective=Denoising(), config=dict(config))


class PropertyDenoiser(nn.Module):
    """Tell properties, in deviations from their means, from disturbed ones and the crystal.

    Args:
        n_outputs: numbers of all properties.
        width: features of a crystal.
        hidden_width: of the layers between.
    """

    def __init__(self, n_outputs: int, *, width: int, hidden_width: int) -> None:
        super().__init__()
        self.layers = MLP([width + n_outputs + TIME_WIDTH, hidden_width, hidden_width, n_outputs], activation=F.silu)

    def forward(self, noisy: Tensor, *, time: Tensor, latent: Tensor) -> Tensor:
        """Give (B, n_outputs) from as many disturbed numbers, times (B,) and (B, width) crystals."""
        return self.layers(torch.cat([latent, noisy, time_features(time)], dim=1))
