"""Do 90% intervals hold 90% of the truths, in distribution and out of it?

    python benchmarks/intervals.py [--system cgcnn] [--members 2] [--train 4000] [--calibration 2000] [--test 1000]

An ensemble is trained on a random part of a split's training set, calibrated on other crystals of it and asked about crystals of its
test set. In distribution: the five folds. Out of it: an element, a cluster of like crystals, a prototype, or the highest tenth of a
property is in the test set alone. "interval" is the 95% binomial (Clopper-Pearson) interval of the share of truths inside;
"unlike training" the share of test crystals that the novelty flag marks, and "coverage where not marked" the share inside among the
others; "of 50% intervals" is the same for narrower intervals, and "of high predictions" the share inside of 90% intervals among the
upper half of what was predicted (semiconductors, for the gap). A split that is recorded is not run again. Needs MP-20 (`euhedral fetch mp-20`, or EUHEDRAL_DATA).
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
from scipy.stats import binomtest

from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.training.recipes import EnsembleRecipe, train_ensemble
from euhedral.training.settings import AdamW, TrainingSettings

TARGET = Path(__file__).parent / "results" / "intervals.json"
TARGETS = ("formation_energy_per_atom", "band_gap")
GOAL = 0.9
FOLDS = tuple(f"fold-{fold}+val" for fold in range(5))
OUT = (
    *(f"leave-element-out-{symbol}+val" for symbol in ("O", "F", "S", "Li", "Fe")),
    *(f"leave-cluster-out-{cluster}+val" for cluster in (0, 3, 6)),
    *(f"leave-prototype-out-{prototype}+val" for prototype in (0, 1)),
    "leave-range-out-formation_energy_per_atom-high+val",
    "leave-range-out-band_gap-high+val",
)


def drawn(part, count, *, rng):
    """Some crystals of a part that have both labels."""
    chosen = []
    for place in rng.permutation(len(part)):
        crystal = part[int(place)]
        if all(name in crystal.props for name in TARGETS):
            chosen.append(crystal)
        if len(chosen) == count:
            break
    return chosen


def measured(split, *, data, asked):
    """Train, calibrate and count for one split: {target: what was counted}."""
    began, rng = time.process_time(), np.random.default_rng(0)
    parts = data.split(split)
    train, validation, test = (
        drawn(parts[name], count, rng=rng)
        for name, count in (("train", asked.train), ("val", asked.calibration), ("test", asked.test))
    )
    recipe = EnsembleRecipe(
        system=asked.system, targets=TARGETS, members=asked.members,
        settings=TrainingSettings(epochs=asked.epochs, optimizer=AdamW(learning_rate=8e-3), validate_every=10**9),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as work:
        predictor = train_ensemble(recipe, train=train, validation=validation, work=work)
    answers, half = (predictor.predict(test, coverage=coverage) for coverage in (GOAL, 0.5))
    found = {}
    for name, answer in answers.items():
        truth = np.array([crystal.props[name] for crystal in test])
        inside = (truth >= answer.lower) & (truth <= answer.upper)
        usual, high = ~answer.unlike_training, answer.value > np.median(answer.value)
        found[name] = {
            "inside": int(inside.sum()), "crystals": len(test), "mae": float(np.abs(truth - answer.value).mean()),
            "mean_width": float((answer.upper - answer.lower).mean()), "unlike_training": float(answer.unlike_training.mean()),
            "inside_where_not_marked": int(inside[usual].sum()), "not_marked": int(usual.sum()),
            "inside_of_high": int(inside[high].sum()), "high": int(high.sum()),
            "inside_of_half": int(((truth >= half[name].lower) & (truth <= half[name].upper)).sum()),
        }  # fmt: skip
    print(split, {name: f"{row['inside'] / row['crystals']:.3f}" for name, row in found.items()}, flush=True)
    return {"train": len(train), "seconds": round(time.process_time() - began), **found}


def pooled(rows, target):
    """Coverage over several splits together."""
    total = {
        key: sum(row[target][key] for row in rows) for key in rows[0][target] if isinstance(rows[0][target][key], int)
    }
    inside, count = total["inside"], total["crystals"]
    low, high = binomtest(inside, count).proportion_ci(0.95)
    return {
        "coverage": inside / count, "interval": [float(low), float(high)], "crystals": count,
        "coverage where not marked": total["inside_where_not_marked"] / total["not_marked"] if total["not_marked"] else None,
        "of high predictions": total["inside_of_high"] / total["high"], "of 50% intervals": total["inside_of_half"] / count,
        "unlike training": float(np.mean([row[target]["unlike_training"] for row in rows])),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--system", default="cgcnn")
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--train", type=int, default=4000)
    parser.add_argument("--calibration", type=int, default=2000)
    parser.add_argument("--test", type=int, default=1000)
    asked = parser.parse_args()
    settings = vars(asked)
    before = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else {}
    rows = before.get("splits", {}) if before.get("settings") == settings else {}
    data = load("mp-20")
    for split in (*FOLDS, *OUT):
        if split in rows:
            continue
        rows[split] = measured(split, data=data, asked=asked)
        kinds = {"in distribution": FOLDS} | {kind: tuple(name for name in OUT if kind.replace(" ", "-") in name) for kind in (
            "leave element out", "leave cluster out", "leave prototype out", "leave range out",
        )}  # fmt: skip
        report = {
            "what": f"share of truths inside {GOAL:.0%} intervals, MP-20",
            "settings": settings,
            "summary": {
                kind: {target: pooled([rows[name] for name in names if name in rows], target) for target in TARGETS}
                for kind, names in kinds.items()
                if any(name in rows for name in names)
            },
            "splits": rows,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
        }  # fmt: skip
        write_atomically(TARGET, content=json.dumps(report, indent=1) + "\n")
    print(json.dumps(json.loads(TARGET.read_text(encoding="utf-8"))["summary"], indent=1))


if __name__ == "__main__":
    main()
