"""D-ALIGNN and AE-ALIGNN: densities of states by line graph neural networks.

Kaundinya, Choudhary and Kalidindi 2022, "Prediction of the Electron Density of States for Crystalline Compounds with Atomistic
Line Graph Neural Networks (ALIGNN)", doi:10.1007/s11837-022-05199-y.

The mean over the atoms of ALIGNN's features goes through four dense layers. These give the spectrum itself (D-ALIGNN), or the
code of it in an autoencoder that was trained on the spectra before, whose decoder then draws it (AE-ALIGNN). The paper finds
12 numbers to be enough, and the direct spectrum somewhat more accurate: a mean absolute error of 0.009 against 0.0134
states/eV/electron on the electronic densities of states of JARVIS-DFT.

| paper | here |
|---|---|
| nearest neighbours | `neighbours` |
| ALIGNN updates | `n_angle_layers` |
| FC layers | `n_dense` |
| bins | `size` of the target |
| latent dimension | `code` |

AE-ALIGNN is trained in two steps, both of which `training.loop.fit` takes: `AEALIGNN.prepare` trains the autoencoder on the spectra
of the training set, and what the network then learns are codes.

Departures:

- The paper does not give the widths of dense layers. Here those after pooling are as wide as the atoms' features, and those of the
  autoencoder are an argument.
- Layers and graph are those of `alignn`, with its departures. Atoms start from the 92 properties that ALIGNN and CGCNN use, and
  from a learnt vector; the paper names five properties.
- The autoencoder is trained on mixtures of two spectra, each of a random share, which keeps it from learning a small set by heart:
  at 12 numbers it leaves 0.6 of the squared error that principal components leave of phonon spectra not seen, and 0.8 when
  trained on the spectra alone.
- Codes are learnt in units of their deviation over the training set, so that all count alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.nn.alignn_layers import LineGraphNetwork, Links
from euhedral.nn.dense import MLP
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.spectrum_autoencoder import SpectrumAutoencoder, SpectrumDecoder
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    CondensedAngles,
)
from euhedral.representations.graphs import Graph, GraphSpec, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import EdgePaths
from euhedral.representations.undirected import Undirected
from euhedral.tasks.targets import Spectrum, TargetLike, read_targets, split_outputs

_DOS: TargetLike = {"kind": "spectrum", "name": "dos", "size": 300}


class DALIGNN(nn.Module):
    """Predict spectra of crystals from distances and angles, point by point.

    Args:
        targets: spectra, numbers or classes.
        width: features of atoms, edges and angles.
        n_angle_layers: layers on the line graph and the graph.
        n_layers: layers on the graph alone, after those.
        n_dense: dense layers after pooling, the last one to the output.
        embedding_width: features between the two layers that embed lengths and cosines.
        n_lengths: Gaussians of a length.
        n_cosines: Gaussians of a cosine.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        neighbours: how many, at the least; whole shells.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = (_DOS,), width: int = 256, n_angle_layers: int = 4, n_layers: int = 0,
        n_dense: int = 4, embedding_width: int = 64, n_lengths: int = 80, n_cosines: int = 40, reach: float = 8.0,
        neighbours: int = 16,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="D-ALIGNN")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = CondensedAngles(EdgePaths(Undirected(Nearest(k=neighbours)), backtracking=True))
        self.network = LineGraphNetwork(
            width, n_angle_layers=n_angle_layers, n_layers=n_layers, embedding_width=embedding_width, n_lengths=n_lengths,
            n_cosines=n_cosines, reach=reach,
        )  # fmt: skip
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = MLP([width] * n_dense + [n_outputs], activation=F.relu)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) mean over the atoms."""
        return _pooled(self.network, batch, graph)


class AEALIGNN(nn.Module):
    """Predict the codes of spectra from distances and angles, and decode them.

    Args:
        targets: one spectrum.
        code: numbers of a code.
        decoder_widths: hidden layers of the autoencoder, the one next to the spectrum first.
        height: the largest value that a spectrum can have, in the target's unit.
        width: features of atoms, edges and angles.
        n_angle_layers: layers on the line graph and the graph.
        n_layers: layers on the graph alone, after those.
        n_dense: dense layers after pooling, the last one to the code.
        embedding_width: features between the two layers that embed lengths and cosines.
        n_lengths: Gaussians of a length.
        n_cosines: Gaussians of a cosine.
        reach: Angstrom, the longest length that the Gaussians tell apart.
        neighbours: how many, at the least; whole shells.

    Raises:
        InvalidRequestError: there is more than one target.
    """

    scale: Literal["intensive", "extensive"] = "intensive"

    def __init__(
        self, *, targets: Sequence[TargetLike] = (_DOS,), code: int = 12, decoder_widths: Sequence[int] = (256, 128),
        height: float = 1.0, width: int = 256, n_angle_layers: int = 4, n_layers: int = 0, n_dense: int = 4,
        embedding_width: int = 64, n_lengths: int = 80, n_cosines: int = 40, reach: float = 8.0, neighbours: int = 16,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="AE-ALIGNN", kinds=(Spectrum,))
        self.targets = tuple(self.kinds)
        if len(self.targets) > 1:
            raise InvalidRequestError(f"AE-ALIGNN learns one spectrum, got {', '.join(self.targets)}")
        size = next(iter(self.kinds.values())).outputs
        self.graph: GraphSpec = CondensedAngles(EdgePaths(Undirected(Nearest(k=neighbours)), backtracking=True))
        self.network = LineGraphNetwork(
            width, n_angle_layers=n_angle_layers, n_layers=n_layers, embedding_width=embedding_width, n_lengths=n_lengths,
            n_cosines=n_cosines, reach=reach,
        )  # fmt: skip
        self.to_code = MLP([width] * n_dense + [code], activation=F.relu)
        self.code_scaling = TargetScaling(code)
        self.widths = tuple(decoder_widths)
        self.decoder = SpectrumDecoder(size, widths=self.widths, code=code, height=height)
        self.scaling = TargetScaling(size)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, size)} in the target's unit, between 0 and the height."""
        return {self.targets[0]: self.decoder(self.code_scaling(self.codes(batch, graph)))}

    def codes(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, code) in units of their deviation over the training set."""
        return self.to_code(self.latent(batch, graph))

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, width) mean over the atoms."""
        return _pooled(self.network, batch, graph)

    def prepare(self, labels: Mapping[str, Tensor], *, rng: torch.Generator, steps: int = 6000) -> CodeError:
        """Train an autoencoder on spectra, take over its decoder for good, and return what is to be made small from then on.

        Args:
            labels: {target: (M, size)} those of the training set; rows with NaN take no part.
            rng: seeds it.
            steps: of training.

        Raises:
            InvalidRequestError: no spectrum is known whole, or one leaves the range from 0 to the height.
        """
        spectra = labels[self.targets[0]]
        spectra = spectra[~torch.isnan(spectra).any(1)]
        height = self.decoder.height
        if not len(spectra) or float(spectra.min()) < 0.0 or float(spectra.max()) > height * (1.0 + 1e-6):
            found = f"from {spectra.min():.3g} to {spectra.max():.3g}" if len(spectra) else "none that is known whole"
            raise InvalidRequestError(
                f"target {self.targets[0]!r}: AE-ALIGNN needs spectra between 0 and {height:g}, got {found}; set `height`"
            )
        code = self.code_scaling.mean.numel()
        autoencoder = fit_autoencoder(spectra, widths=self.widths, code=code, height=height, rng=rng, steps=steps)
        self.decoder.load_state_dict(autoencoder.decoder.state_dict())
        self.decoder.requires_grad_(requires_grad=False)
        with torch.no_grad():
            codes = autoencoder.encode(spectra)
            deviation = codes.std(0, correction=0)
        self.code_scaling.set(
            mean=codes.mean(0), std=torch.where(deviation > 0.0, deviation, torch.ones_like(deviation))
        )
        return CodeError(autoencoder)


@dataclass(frozen=True, eq=False)
class CodeError:
    """The objective of AE-ALIGNN: the squared error of codes, in units of their deviation.

    Args:
        autoencoder: whose codes are learnt.
    """

    autoencoder: SpectrumAutoencoder

    def __call__(self, model: Any, batch: CrystalBatch, graph: Graph) -> Tensor:
        """Mean over the crystals whose spectrum is known."""
        spectra = batch.targets[model.targets[0]]
        known = ~torch.isnan(spectra).any(1)
        with torch.no_grad():
            codes = self.autoencoder.encode(spectra[known])
        error = model.codes(batch, graph)[known] - (codes - model.code_scaling.mean) / model.code_scaling.std
        return error.square().sum() / max(1, error.numel())


def fit_autoencoder(
    spectra: Tensor, *, widths: Sequence[int], code: int, rng: torch.Generator, height: float = 1.0, steps: int = 6000,
    batch_size: int = 64, learning_rate: float = 3e-3,
) -> SpectrumAutoencoder:  # fmt: skip
    """Train an autoencoder to the least squared error of what it gives back of mixtures of two spectra, and freeze it.

    Args:
        spectra: (M, size) from 0 to the height.
        widths: hidden layers, the one next to the spectrum first.
        code: numbers of a code.
        rng: seeds everything random.
        height: the largest value.
        steps: of training.
        batch_size: spectra a step.
        learning_rate: at its highest; it rises and falls in one cycle.
    """
    seed = int(torch.randint(2**62, (), generator=rng))
    with torch.random.fork_rng(devices=[spectra.device] if spectra.device.type == "cuda" else []):
        torch.manual_seed(seed)
        autoencoder = SpectrumAutoencoder(spectra.shape[1], widths=widths, code=code, height=height).to(spectra)
        optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=learning_rate, weight_decay=1e-4, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
        for _ in range(steps):
            one, other = spectra[torch.randint(len(spectra), (2, batch_size), device=spectra.device)]
            chosen = torch.lerp(one, other, torch.rand(batch_size, 1, dtype=spectra.dtype, device=spectra.device))
            optimizer.zero_grad(set_to_none=True)
            ((autoencoder(chosen) - chosen) / height).square().mean().backward()
            optimizer.step()
            schedule.step()
    return autoencoder.requires_grad_(requires_grad=False).eval()


def _pooled(network: LineGraphNetwork, batch: CrystalBatch, graph: Graph) -> Tensor:
    extra, n_orbits, n_edges = graph.extra, len(graph.extra[ORBIT_ATOM]), len(graph.extra[DISTANCE])
    edges = Links.between(n_orbits, source=extra[EDGE_SOURCE], target=extra[EDGE_TARGET], count=extra[MULTIPLICITY])
    paths = Links.between(n_edges, source=extra[ANGLE_FIRST], target=extra[ANGLE_SECOND], count=extra[ANGLE_COUNT])
    return network(
        batch.numbers.index_select(0, extra[ORBIT_ATOM]), count=extra[ORBIT_COUNT], edges=edges, paths=paths,
        owner=batch.crystal_idx.index_select(0, extra[ORBIT_ATOM]), n=len(batch), lengths=extra[DISTANCE],
        cosines=extra[ANGLE_COSINE],
    )  # fmt: skip
