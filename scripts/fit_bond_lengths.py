"""Fit `bond_lengths.json`: the length that a bond should have, from elements and the net, on the training split of MP-20.

    EUHEDRAL_DATA=... python scripts/fit_bond_lengths.py [--epochs 40]

Bonds are those of SLICES strings: by Hoppe's weights from 0.2, 0.02 and 1e-4 on, of 12,000, 7,000 and 5,000 random crystals. The
network's two outputs are a correction to the logarithm of the sum of the covalent radii and the logarithm of its expected error; both
are learnt at once by the likelihood of a rounded Laplace distribution. Every tenth crystal is kept for the printed errors.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import euhedral.representations.slices as package
from euhedral.core.elements import MAX_NUMBER
from euhedral.data import load
from euhedral.errors import EuhedralError
from euhedral.geometry.cells import niggli, primitive
from euhedral.representations.bonds import EffectiveCoordination, covalent_radii
from euhedral.representations.slices.barycentric import barycentric
from euhedral.representations.slices.joining import joined_net
from euhedral.representations.slices.lengths import bond_features, degrees

TARGET = Path(package.__file__).parent / "bond_lengths.json"
SETS = ((0.2, 12_000), (0.02, 7_000), (1e-4, 5_000))
WIDTH, HIDDEN, BATCH, SEED = 10, 64, 200, 1
SWAPPED = [0, 1, 3, 2, 5, 4]


class Lengths(nn.Module):
    """The network of `slices.lengths`, in torch."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Parameter(0.3 * torch.randn(MAX_NUMBER + 1, WIDTH))
        self.layers = nn.ModuleList([nn.Linear(5 * WIDTH + 6, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 2)])

    def forward(self, bonds: dict[str, torch.Tensor]) -> torch.Tensor:
        """(m, 2) correction and error of each bond."""
        u, v, crystal = bonds["u"], bonds["v"], bonds["crystal"]
        element = self.embedding[bonds["numbers"]]
        around = torch.zeros_like(element).index_add(0, u, element[v]).index_add(0, v, element[u])
        around = around / bonds["degrees"][:, None]
        size = torch.bincount(crystal).to(element.dtype)
        everywhere = (torch.zeros(len(size), WIDTH).index_add(0, crystal, element) / size[:, None])[crystal[u]]
        there = torch.cat([element[u], element[v], around[u], around[v], everywhere, bonds["features"]], 1)
        back = torch.cat([element[v], element[u], around[v], around[u], everywhere, bonds["features"][:, SWAPPED]], 1)
        return 0.5 * (self._network(there) + self._network(back))

    def _network(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = nn.functional.silu(layer(x))
        return self.layers[-1](x)


def nets() -> Iterator[dict[str, NDArray]]:
    """One dictionary of arrays for each crystal and rule."""
    data = load("mp-20").split("official")["train"]
    for weight, count in SETS:
        rng = np.random.default_rng(SEED)
        for index in rng.choice(len(data), min(count, len(data)), replace=False):
            try:
                crystal = niggli(primitive(data[int(index)]))
                net = joined_net(crystal, bonds=EffectiveCoordination(least_weight=weight))
            except EuhedralError:
                continue
            yield {"numbers": net.numbers, "u": net.source, "v": net.target, "degrees": degrees(net),
                   "features": bond_features(net, barycentric(net)),
                   "length": np.linalg.norm(net.vectors(crystal), axis=1)}  # fmt: skip


def joined(parts: list[dict[str, NDArray]]) -> dict[str, torch.Tensor]:
    """Many nets as one, in torch."""
    sizes = [len(part["numbers"]) for part in parts]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("u", "v"):
        whole[name] = np.concatenate([part[name] + start for part, start in zip(parts, starts, strict=True)])
    whole["crystal"] = np.repeat(np.arange(len(parts)), sizes)
    return {name: torch.as_tensor(array, dtype=torch.float32 if array.dtype.kind == "f" or name == "degrees" else torch.int64)
            for name, array in whole.items()}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    everything = list(nets())
    features = np.concatenate([part["features"] for part in everything])
    mean, scale = features.mean(0), features.std(0)
    for pair in ([2, 3], [4, 5]):  # both atoms of a bond alike
        mean[pair], scale[pair] = mean[pair].mean(), scale[pair].mean()
    for part in everything:
        part["features"] = (part["features"] - mean) / scale
    kept = everything[::10]
    fitted = [part for k, part in enumerate(everything) if k % 10]
    radius = torch.as_tensor(covalent_radii(), dtype=torch.float32)

    def outcome(bonds: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        out = model(bonds)
        numbers = bonds["numbers"]
        guess = out[:, 0] + torch.log(radius[numbers[bonds["u"]]] + radius[numbers[bonds["v"]]])
        return guess - torch.log(bonds["length"]), out[:, 1].clamp(-2.5, 3.0)

    model = Lengths()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    batches = len(fitted) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=options.epochs * batches)
    for epoch in range(options.epochs):
        start = time.perf_counter()
        order = rng.permutation(len(fitted))
        for k in range(batches):
            error, spread = outcome(joined([fitted[i] for i in order[k * BATCH : (k + 1) * BATCH]]))
            loss = (torch.sqrt(error**2 + 1e-4) * torch.exp(-spread) / 0.05 + spread).mean()
            loss = loss + 1e-4 * (model.embedding**2).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            error = outcome(joined(kept))[0].abs()
        print(f"{epoch}: median error {error.median():.4f}, mean {error.mean():.4f}; {time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip

    seen = np.unique(np.concatenate([part["numbers"] for part in everything]))
    embedding = model.embedding.detach().numpy().copy()
    embedding[np.setdiff1d(np.arange(MAX_NUMBER + 1), seen)] = embedding[seen].mean(0)
    table = {"about": "made by scripts/fit_bond_lengths.py from the training split of MP-20 (Materials Project, CC BY 4.0)",
             "embedding": embedding, "mean": mean, "scale": scale}  # fmt: skip
    for k, layer in enumerate(model.layers):
        table |= {f"weight_{k}": layer.weight.detach().numpy(), f"bias_{k}": layer.bias.detach().numpy()}
    rounded = {
        name: value if isinstance(value, str) else np.round(value.astype(float), 4).tolist()
        for name, value in table.items()
    }
    options.output.write_text(json.dumps(rounded, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
