"""Fine-tuning and extracted features beside a network from scratch, with few labels of a real property.

    python benchmarks/transfer.py [--pretraining 3000] [--labels 50] [--seeds 3]

The transfer framework (`banik`, narrowed as written in the results) learns the formation energy of MP-20 crystals. Few labels of
another set are then learnt from scratch, with all weights going on, and with the encoder kept: another property (bulk moduli of
binaries of the Materials Project), and another class of materials (heats of formation of Perov-5's hypothetical perovskites). No
formula of these sets is among those of the pre-training. Every network of one seed and number of labels sees the same crystals for
the same number of steps. Needs the three sets (`euhedral fetch`, or EUHEDRAL_DATA).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from euhedral.core.composition import formula
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.training.recipes import EnsembleRecipe, train_ensemble
from euhedral.training.settings import AdamW, TrainingSettings

TARGET = Path(__file__).parent / "results" / "transfer.json"
SOURCE = "formation_energy_per_atom"
CASES = {"mp-binary-elasticity": "bulk_modulus", "perov-5": "heat_all"}
CONFIG = {"width": 64, "n_angle_layers": 2, "n_layers": 2, "hidden_width": 64}
WAYS = {"scratch": (False, ()), "fine-tuned": (True, ()), "extracted": (True, ("encoder.*",))}
TEST = 300


def settings(epochs):
    return TrainingSettings(epochs=epochs, batch_size=32, optimizer=AdamW(learning_rate=2e-3))


def pretrained(crystals, *, folder, epochs):
    recipe = EnsembleRecipe(system="banik", targets=(SOURCE,), config=CONFIG, members=1, settings=settings(epochs))
    predictor = train_ensemble(recipe, train=crystals[200:], validation=crystals[:200], work=folder)
    return predictor.save(folder / "source")


def error(start, freeze, *, target, train, test, seed, folder):
    """Mean absolute error of a network after some 250 steps."""
    epochs = max(1, round(250 * 32 / len(train)))
    recipe = EnsembleRecipe(
        system="banik", targets=(target,), config=CONFIG, members=1, seed=seed, settings=settings(epochs),
        start=str(start) if start else "", freeze=freeze,
    )  # fmt: skip
    predictor = train_ensemble(recipe, train=train, validation=test[TEST:], work=folder)
    truth = np.array([crystal.props[target] for crystal in test[:TEST]])
    return float(np.abs(predictor.predict(test[:TEST])[target].value - truth).mean())


def compared(name, target, *, crystals, labels, seed, start, work):
    """Errors of all ways, and of the median label, with one choice of crystals."""
    chosen = np.random.default_rng(seed).permutation(len(crystals))[: labels + TEST + 100]
    train, test = [crystals[i] for i in chosen[:labels]], [crystals[i] for i in chosen[labels:]]
    median = np.median([crystal.props[target] for crystal in train])
    row = {"set": name, "target": target, "labels": labels, "seed": seed}
    row["constant"] = float(np.mean([abs(crystal.props[target] - median) for crystal in test[:TEST]]))
    for way, (warm, freeze) in WAYS.items():
        folder = Path(work) / f"{name}-{labels}-{seed}-{way}"
        row[way] = error(
            start if warm else None, freeze, target=target, train=train, test=test, seed=seed, folder=folder
        )
    print(row, flush=True)
    return row


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pretraining", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--labels", type=int, nargs="+", default=[50])
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    sets = {name: [crystal for crystal in load(name) if target in crystal.props] for name, target in CASES.items()}
    known = {formula(crystal.numbers) for crystals in sets.values() for crystal in crystals}
    pool = load("mp-20").split("official")["train"]
    source = []
    for place in np.random.default_rng(0).permutation(len(pool)):
        crystal = pool[int(place)]
        if SOURCE in crystal.props and formula(crystal.numbers) not in known:
            source.append(crystal)
        if len(source) == asked.pretraining + 200:
            break
    with tempfile.TemporaryDirectory() as work:
        began = time.perf_counter()
        start = pretrained(source, folder=Path(work), epochs=asked.epochs)
        seconds = time.perf_counter() - began
        rows = [
            compared(name, target, crystals=sets[name], labels=labels, seed=seed, start=start, work=work)
            for name, target in CASES.items()
            for labels in asked.labels
            for seed in range(asked.seeds)
        ]
    means = [
        {"set": name, "labels": labels}
        | {
            way: float(np.mean([row[way] for row in rows if (row["set"], row["labels"]) == (name, labels)]))
            for way in ("constant", *WAYS)
        }
        for name in CASES
        for labels in asked.labels
    ]
    report = {
        "what": f"mean absolute errors on {TEST} crystals, in the unit of each set",
        "config": CONFIG,
        "pretraining": {"target": SOURCE, "crystals": asked.pretraining, "epochs": asked.epochs, "seconds": round(seconds)},
        "means": means,
        "rows": rows,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
    }  # fmt: skip
    write_atomically(TARGET, content=json.dumps(report, indent=1) + "\n")
    print(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
