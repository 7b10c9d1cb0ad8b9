"""Processor time of a training step of networks on angles and lattices, and what keeping equal things once saves.

    python benchmarks/line_graph_networks.py [--crystals 64] [--rounds 3]

ALIGNN runs on the whole graph and on the graph that keeps equal atoms, edges and angles once; both give the same loss. The other
systems are timed as they are, at their published width.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import MissingDataError
from euhedral.models.registry import row
from euhedral.representations.condensed_angles import ANGLE_COSINE, ANGLE_COUNT, ANGLE_FIRST, ANGLE_SECOND, ATOM_ORBIT
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import PATH_FIRST, PATH_SECOND, path_cosines

TARGET = Path(__file__).parent / "results" / "line_graph_networks.json"
SYSTEMS = ("alignn", "d-alignn", "ae-alignn", "cegann", "matformer", "icomformer", "ecomformer", "cgcnn")


def crystals_to_use(count):
    try:
        data = load("mp-20")
    except MissingDataError:
        data = load("mp-20-sample")
    chosen = np.random.default_rng(5).choice(len(data), count, replace=False)
    return data.card.name, [data[int(i)] for i in np.sort(chosen)]


def whole_graph(model, batch):
    """ALIGNN's graph with every atom, edge and angle."""
    graph = model.graph.angles.build(batch)
    atoms, edges, paths = len(batch.numbers), len(graph.source), len(graph.extra[PATH_FIRST])
    one = torch.ones(paths, dtype=batch.dtype)
    extra = {
        ORBIT_ATOM: torch.arange(atoms), ORBIT_COUNT: one[:atoms], ATOM_ORBIT: torch.arange(atoms), EDGE_SOURCE: graph.source,
        EDGE_TARGET: graph.target, MULTIPLICITY: one[:edges], DISTANCE: graph.vectors(batch).norm(dim=1),
        ANGLE_FIRST: graph.extra[PATH_FIRST], ANGLE_SECOND: graph.extra[PATH_SECOND], ANGLE_COUNT: one,
        ANGLE_COSINE: path_cosines(graph, batch),
    }  # fmt: skip
    return replace(graph, extra=extra, kinds={})


def step(model, batch, graph):
    """Loss, and processor milliseconds of a pass forwards and backwards."""
    model.zero_grad(set_to_none=True)
    began = time.process_time()
    loss = sum(value.square().mean() for value in model(batch, graph).values())
    loss.backward()
    return loss.item(), 1000.0 * (time.process_time() - began)


def median_step(model, batch, graph, *, rounds):
    step(model, batch, graph)
    losses, times = zip(*(step(model, batch, graph) for _ in range(rounds)), strict=True)
    return losses[0], statistics.median(times)


def as_trained(batch, graph):
    extra = {name: value.float() if value.is_floating_point() else value for name, value in graph.extra.items()}
    return batch.to(dtype=torch.float32), replace(graph, extra=extra)


def main() -> None:
    """Check, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crystals", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, crystals = crystals_to_use(options.crystals)
    exact = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    torch.manual_seed(0)
    alignn = row("alignn").load()().train()
    whole, kept = whole_graph(alignn, exact), alignn.graph.build(exact)
    ways: dict[str, tuple[float, float]] = {}
    ways["whole graph"] = median_step(alignn, *as_trained(exact, whole), rounds=options.rounds)
    ways["equal ones once"] = median_step(alignn, *as_trained(exact, kept), rounds=options.rounds)
    losses = [loss for loss, _ in ways.values()]
    systems: dict[str, dict[str, Any]] = {}
    for system in SYSTEMS:
        torch.manual_seed(0)
        model = row(system).load()().train()
        model.graph.build(exact)
        began = time.process_time()
        graph = model.graph.build(exact)
        building = 1000.0 * (time.process_time() - began) / len(crystals)
        _, spent = median_step(model, *as_trained(exact, graph), rounds=options.rounds)
        systems[system] = {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "ms_per_step": round(spent), "graph_ms_per_crystal": round(building, 2),
        }  # fmt: skip
        print(system, systems[system], flush=True)
    result = {
        "what": "one training step forwards and backwards, processor milliseconds on one thread, median",
        "data": name, "crystals": len(crystals), "atoms": len(exact.numbers), "rounds": options.rounds,
        "alignn": {
            "angles": {"whole": len(whole.extra[ANGLE_COUNT]), "once": len(kept.extra[ANGLE_COUNT])},
            "edges": {"whole": len(whole.source), "once": len(kept.source)},
            "ms_per_step": {way: round(spent) for way, (_, spent) in ways.items()},
            "largest_relative_difference_of_losses": max(abs(loss / losses[0] - 1.0) for loss in losses),
        },
        "systems": systems,
        "machine": {
            "processor": platform.machine(), "threads": 1, "torch": torch.__version__.split("+")[0],
            "load_average": round(os.getloadavg()[0], 1),
        },
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
