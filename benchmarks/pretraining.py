"""Does pre-training without labels help where labels are few? CrysGNN, CrysDiff and Uni-MOF with and without, on equal terms.

    python benchmarks/pretraining.py [--labels 1000] [--minutes 10] [--pretraining-minutes 20] [--seeds 0 1 2]
        [--pretraining-rate 0.003]

Labelled crystals are a random part of the training split of MP-20, test crystals a random part of its test split. Pre-training sees
the structures of the training split, without those that are materials of the test split (`Dataset.without`), and none of their
labels. For each seed the same network is trained on the same labelled crystals for the same number of steps

- "scratch": from random weights,
- "finetuned": from the pre-trained encoder, as many of its layers as there are in the network,
- "distilled" (CrysGNN): from random weights, drawn to the pre-trained network's atoms.

Training has published settings, shortened to what fits the minutes; what pre-training takes is told beside. Networks have their
published sizes, but for Uni-MOF: a quarter of its width and half of its depth, for a processor ("config"). "gain" is the mean difference
to "scratch" over the seeds with its standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from euhedral.benchmarks.budget import seconds_per_step, within
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.models.property.crysgnn import CrysGNNAutoencoder
from euhedral.models.registry import row
from euhedral.tasks.pretraining import PretrainingTask
from euhedral.tasks.transfer import output_layer, take_over
from euhedral.training.distillation import Distillation
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.objective import Objective, fit_scaling
from euhedral.training.settings import TrainingSettings, settings_of

OUT = Path(__file__).parent / "results" / "pretraining.json"


#: Arguments of the networks where they are not as published.
CONFIGS: dict[str, dict[str, Any]] = {
    "crysgnn": {}, "crysdiff": {}, "unimof": {"width": 128, "n_layers": 4, "heads": 16, "hidden_width": 512},
}  # fmt: skip


def pretrained(
    system: str,
    structures: list[Crystal],
    *,
    minutes: float,
    rate: float | None,
) -> tuple[PretrainingTask, dict[str, Any]]:
    """Pre-train within the minutes given."""
    published = settings_of(row(system).pretraining_settings, whose=system)
    if rate is not None:
        published = replace(published, optimizer=replace(published.optimizer, learning_rate=rate))  # type: ignore[type-var]
    torch.manual_seed(1000)
    task = row(system).load_pretraining()(CONFIGS[system])
    model, objective = task.module, task.objective
    began = time.perf_counter()
    data = GraphSet.from_crystals(structures, spec=task.graph)
    graphs = time.perf_counter() - began
    a_step = seconds_per_step(model, train=data, settings=published, objective=objective)
    settings = within(published, minutes=minutes, seconds_a_step=a_step, n_crystals=len(data))
    began = time.perf_counter()
    history = fit(
        model, train=data, settings=settings, rng=torch.Generator().manual_seed(1000), objective=objective
    ).history
    return task, {
        "structures": len(data), "graph_seconds": round(graphs, 1), "seconds": round(time.perf_counter() - began, 1),
        "epochs": round(settings.length(len(data))[0] * settings.batch_size / len(data), 2),
        "settings": str(settings), "config": CONFIGS[system], "first_loss": history[0].loss, "last_loss": history[-1].loss,
    }  # fmt: skip


def error_of(
    way: str, system: str, *, task: PretrainingTask, sets: dict[str, GraphSet], settings: TrainingSettings, target: str, seed: int,
) -> float:  # fmt: skip
    """Mean absolute test error of one network."""
    torch.manual_seed(seed)
    model: Any = row(system).load()(targets=[target], **CONFIGS[system])
    objective: Objective | None = None
    if way == "finetuned":
        take_over(model, tensors=task.learnt(), leave=("scaling.*", *output_layer(model)))
    if way == "distilled" and isinstance(task.module, CrysGNNAutoencoder):
        fit_scaling(model, labels=sets["train"].labels(model.targets))
        objective = Distillation(task.module, loss=settings.loss)
    fit(model, train=sets["train"], settings=settings, rng=torch.Generator().manual_seed(seed), objective=objective)
    return mean_errors(model, sets["test"])[target]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--structures", type=int, default=None, help="for pre-training; all when not given")
    parser.add_argument("--target", default="formation_energy_per_atom")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each network with labels")
    parser.add_argument("--pretraining-minutes", type=float, default=20.0)
    parser.add_argument(
        "--pretraining-rate",
        type=float,
        default=None,
        help="learning rate of pre-training instead of the published one",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    split = load("mp-20").split("official")
    order = np.random.default_rng(0)
    unseen = split["train"].without(split["test"])
    shuffled = order.permutation(len(unseen))
    structures = list(unseen.select(np.sort(shuffled[: options.structures])))
    test = list(split["test"].select(np.sort(order.permutation(len(split["test"]))[: options.test])))
    result: dict[str, Any] = {
        "what": "MP-20 from few labels, mean absolute error on test crystals; minutes are of processor time times threads",
        "left_out_of_pretraining": len(split["train"]) - len(unseen),
        "machine": {
            "processor": platform.machine(), "cores": os.cpu_count(), "threads": options.threads,
            "python": platform.python_version(), "torch": torch.__version__.split("+")[0],
            "load_average_at_start": os.getloadavg()[0],
        },
        "systems": json.loads(options.out.read_text(encoding="utf-8"))["systems"] if options.out.exists() else {},
    }  # fmt: skip
    for system in options.systems:
        task, costs = pretrained(system, structures, minutes=options.pretraining_minutes, rate=options.pretraining_rate)
        print(system, "pre-trained", json.dumps(costs), flush=True)
        ways = ("scratch", "finetuned", *(["distilled"] if system == "crysgnn" else []))
        asked = {
            "target": options.target, "labels": options.labels, "test": len(test), "seeds": options.seeds, "minutes": options.minutes,
            "pretraining_minutes": options.pretraining_minutes, "pretraining_rate": options.pretraining_rate,
        }  # fmt: skip
        table: dict[str, Any] = {"asked": asked, "pretraining": costs, **{way: [] for way in ways}}
        for seed in options.seeds:
            rows = np.random.default_rng(seed).permutation(len(unseen))[: options.labels]
            parts = {"train": list(unseen.select(np.sort(rows))), "test": test}
            trial: Any = row(system).load()(targets=[options.target], **CONFIGS[system])
            sets = {
                name: GraphSet.from_crystals(
                    crystals, spec=trial.graph, targets=(options.target,),
                    merge_equal=getattr(trial, "merges_equal", False),
                )
                for name, crystals in parts.items()
            }  # fmt: skip
            published = replace(settings_of(row(system).training, whose=system), patience=None)
            a_step = seconds_per_step(trial, train=sets["train"], settings=published)
            settings = within(published, minutes=options.minutes, seconds_a_step=a_step, n_crystals=options.labels)
            for way in ways:
                error = error_of(way, system, task=task, sets=sets, settings=settings, target=options.target, seed=seed)
                table[way].append(error)
                print(
                    system, way, "seed", seed, "steps", settings.length(options.labels)[0], f"{error:.4f}", flush=True
                )
        for way in ways[1:]:
            gain = np.array(table["scratch"]) - np.array(table[way])
            spread = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
            table[f"gain_{way}"] = {"mean": float(gain.mean()), "standard_error": float(spread)}
        result["systems"][system] = table
        write_atomically(options.out, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
