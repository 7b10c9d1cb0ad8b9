"""Phonon densities of states on the published split: E(3)NN and DOSTransformer beside the mean and the nearest neighbour.

    python benchmarks/phonon_dos.py [--minutes 10] [--systems e3nn dostransformer] [--seeds 0]

Each system is trained on the 1,192 training crystals within the minutes given, with its published settings shortened to what
fits. "mean" is the mean spectrum of the training set; "nearest" is the spectrum of the training crystal whose composition is
nearest (standardised features of `benchmarks.baselines.composition_features`, Euclidean). R2 is over all points of all test crystals
together, as the papers give it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.benchmarks.baselines import composition_features
from euhedral.benchmarks.budget import seconds_per_step, within
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.models.registry import row
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, predict
from euhedral.training.settings import settings_of

TARGET = Path(__file__).parent / "results" / "phonon_dos.json"
NAME = "phonon_dos"
SIZE = 51


def scores(predicted: NDArray[np.float64], labels: NDArray[np.float64]) -> dict[str, float]:
    """What the table says of one system."""
    error = predicted - labels
    spread = ((labels - labels.mean()) ** 2).sum()
    return {
        "mae": round(float(np.abs(error).mean()), 4), "r2": round(float(1.0 - (error**2).sum() / spread), 4),
        "rmse": round(float(np.sqrt((error**2).mean(1)).mean()), 4),
    }  # fmt: skip


def nearest(train: list[Crystal], test: list[Crystal], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The spectrum of the training crystal whose composition is nearest."""
    known, asked = composition_features(train), composition_features(test)
    spread = known.std(0)
    known, asked = known[:, spread > 0.0] / spread[spread > 0.0], asked[:, spread > 0.0] / spread[spread > 0.0]
    squares = (asked**2).sum(1)[:, None] + (known**2).sum(1) - 2.0 * asked @ known.T
    return labels[squares.argmin(1)]


def trained(system: str, crystals: dict[str, list[Crystal]], *, minutes: float, seed: int) -> tuple[NDArray, dict]:
    """Train a system and predict the test crystals."""
    known = row(system)
    torch.manual_seed(seed)
    model = known.load()(targets=[{"kind": "spectrum", "name": NAME, "size": SIZE}])
    began = time.perf_counter()
    sets = {
        part: GraphSet.from_crystals(crystals[part], spec=model.graph, targets=(NAME,)) for part in ("train", "test")
    }
    graphs = time.perf_counter() - began
    published = settings_of(known.training, whose=system)
    a_step = seconds_per_step(model, train=sets["train"], settings=published)
    settings = within(published, minutes=minutes, seconds_a_step=a_step, n_crystals=len(sets["train"]))
    began = time.perf_counter()
    fit(model, train=sets["train"], settings=settings, rng=torch.Generator().manual_seed(seed))
    seconds = time.perf_counter() - began
    steps, batches = settings.length(len(sets["train"]))[0], -(-len(sets["train"]) // settings.batch_size)
    costs = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()), "graph_seconds": round(graphs, 1),
        "seconds_per_step": round(a_step, 4), "training_seconds": round(seconds, 1), "epochs": round(steps / batches, 1),
        "published_epochs": published.epochs, "batch_size": settings.batch_size, "seed": seed,
    }  # fmt: skip
    return predict(model, sets["test"], batch_size=32)[NAME].double().numpy(), costs


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of training for each system and seed")
    parser.add_argument("--systems", nargs="+", default=["e3nn", "dostransformer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = {part: list(found) for part, found in load("phonon-dos").split("official").items()}
    labels = {part: np.stack([crystal.props[NAME] for crystal in found]) for part, found in parts.items()}
    result: dict[str, Any] = {
        "what": "phonon DOS, published split, largest value 1", "minutes": options.minutes,
        "train": len(parts["train"]), "test": len(parts["test"]),
        "published": {"Mat2Spec": {"r2": 0.63, "mae": 0.083}, "E3NN": {"r2": 0.56, "mae": 0.094}},
        "machine": {
            "processor": platform.machine(), "cores": os.cpu_count(), "threads": options.threads,
            "python": platform.python_version(), "torch": torch.__version__.split("+")[0],
            "load_average_at_start": os.getloadavg()[0],
        },
        "mean": scores(np.broadcast_to(labels["train"].mean(0), labels["test"].shape), labels["test"]),
        "nearest": scores(nearest(parts["train"], parts["test"], labels["train"]), labels["test"]),
    }  # fmt: skip
    for name in ("mean", "nearest"):
        print(name, json.dumps(result[name]), flush=True)
    for system in options.systems:
        result[system] = []
        for seed in options.seeds:
            predicted, costs = trained(system, parts, minutes=options.minutes, seed=seed)
            result[system].append({**scores(predicted, labels["test"]), **costs})
            print(system, json.dumps(result[system][-1]), flush=True)
            write_atomically(options.out, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
