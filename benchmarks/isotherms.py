"""Do the isotherms of Uni-MOF rise with pressure on frameworks that it has not seen?

    python benchmarks/isotherms.py [--minutes 5] [--seeds 0 1 2]

Uptakes of CO2 and CH4 at five pressures each in 100 frameworks (hMOF). Of each seed's random split by frameworks 80 are trained on and 20
judged. The network is an eighth of the published width and a quarter of its depth, with batches of 16 instead of 128, for a processor. "rising" is the share of
steps from one pressure to the next at which the predicted uptake rises, "monotonous" the share of whole isotherms; "shuffled" is "rising" when
the pressures of training are shuffled within each isotherm, "mean isotherm" the error of the mean of the training frameworks at the same gas
and pressure. Far too few frameworks to say how accurate the system is. The data state no unit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.benchmarks.budget import seconds_per_step, within
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.data.isotherms import points
from euhedral.models.property.unimof import UniMOF
from euhedral.models.registry import row
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, predict
from euhedral.training.settings import Adam, settings_of

TARGET = Path(__file__).parent / "results" / "isotherms.json"
INPUTS = ("pressure", "gas")
CONFIG: dict[str, Any] = {"width": 64, "n_layers": 2, "heads": 8, "hidden_width": 256}
BATCH, RATE = 16, 1e-3


def shuffled(crystals: list[Crystal], *, rng: np.random.Generator) -> list[Crystal]:
    """The same points with the pressures of each isotherm handed round."""
    found = list(crystals)
    for places in curves_of(crystals).values():
        for place, other in zip(places, rng.permutation(places), strict=True):
            props = {**crystals[place].props, "pressure": crystals[int(other)].props["pressure"]}
            found[place] = crystals[place].replace(props=props)
    return found


def curves_of(crystals: list[Crystal]) -> dict[tuple[str, float], list[int]]:
    """{(framework, gas): positions of its points by rising pressure}."""
    found: dict[tuple[str, float], list[int]] = {}
    for place in sorted(range(len(crystals)), key=lambda i: crystals[i].props["pressure"]):
        found.setdefault((crystals[place].id.split("@")[0], crystals[place].props["gas"]), []).append(place)
    return found


def trained(crystals: list[Crystal], test: list[Crystal], *, minutes: float, seed: int) -> tuple[NDArray, str]:
    """Train on some points and predict others."""
    torch.manual_seed(seed)
    model = UniMOF(targets=("uptake",), inputs=INPUTS, **CONFIG)
    sets = [
        GraphSet.from_crystals(part, spec=model.graph, targets=("uptake",), inputs=INPUTS) for part in (crystals, test)
    ]
    published = settings_of(row("unimof").training, whose="unimof")
    published = replace(published, batch_size=BATCH, optimizer=Adam(learning_rate=RATE))  # few steps fit the minutes
    a_step = seconds_per_step(model, train=sets[0], settings=published)
    settings = within(published, minutes=minutes, seconds_a_step=a_step, n_crystals=len(crystals))
    fit(model, train=sets[0], settings=settings, rng=torch.Generator().manual_seed(seed))
    return predict(model, sets[1], batch_size=32)["uptake"].double().numpy(), str(settings)


def steps(values: NDArray, crystals: list[Crystal]) -> list[NDArray]:
    """Differences of neighbouring points of each isotherm."""
    return [np.diff(values[places]) for places in curves_of(crystals).values()]


def measured(*, minutes: float, seed: int) -> dict[str, Any]:
    """One split: train on 80 frameworks, judge the isotherms of the other 20."""
    whole = points(load("hmof-100"), curves={"co2_uptake": 0, "ch4_uptake": 1}, target="uptake", kind="gas")
    crystals = list(whole)
    names = sorted({crystal.id.split("@")[0] for crystal in crystals})
    held_out = set(np.random.default_rng(seed).permutation(names)[: len(names) // 5].tolist())
    train, test = (
        [crystal for crystal in crystals if (crystal.id.split("@")[0] in held_out) == wanted]
        for wanted in (False, True)
    )
    truth = np.array([crystal.props["uptake"] for crystal in test])
    known: dict[tuple[float, float], list[float]] = {}
    for crystal in train:
        known.setdefault((crystal.props["gas"], crystal.props["pressure"]), []).append(crystal.props["uptake"])
    mean = np.array([np.mean(known[crystal.props["gas"], crystal.props["pressure"]]) for crystal in test])
    values, settings = trained(train, test, minutes=minutes, seed=seed)
    blind, _ = trained(shuffled(train, rng=np.random.default_rng(seed)), test, minutes=minutes, seed=seed)
    found = steps(values, test)
    return {
        "frameworks": len(held_out), "isotherms": len(found), "steps": int(sum(len(one) for one in found)),
        "rising": float((np.concatenate(found) > 0).mean()), "monotonous": float(np.mean([(one > 0).all() for one in found])),
        "shuffled": float((np.concatenate(steps(blind, test)) > 0).mean()),
        "mae": float(np.abs(values - truth).mean()), "mae_mean_isotherm": float(np.abs(mean - truth).mean()), "settings": settings,
    }  # fmt: skip


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0, help="of processor time for each network")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {
        "what": "isotherms of Uni-MOF on frameworks that it has not seen, hmof-100", "minutes": options.minutes, "config": CONFIG,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "threads": 1, "torch": torch.__version__.split("+")[0]},
        "seeds": {},
    }  # fmt: skip
    for seed in options.seeds:
        report["seeds"][str(seed)] = measured(minutes=options.minutes, seed=seed)
        print(seed, json.dumps(report["seeds"][str(seed)]), flush=True)
        write_atomically(options.out, content=json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
