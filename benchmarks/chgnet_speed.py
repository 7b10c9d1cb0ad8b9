"""Structures per second of CHGNet here and in the authors' package: energies, forces, stresses and moments of real crystals.

    python benchmarks/chgnet_speed.py [--crystals 96] [--rounds 5] [--threads 2 1]

All are given the same crystals as each side holds them in memory (ours `Crystal`, theirs `pymatgen.Structure`) and must find
neighbours, evaluate and return arrays. They take turns in one process, round by round, and the ratio of each round is kept, so
that a busy machine disturbs both sides of a ratio (on one, OMP_WAIT_POLICY=PASSIVE keeps torch's threads, which are theirs, from
spinning while they wait for each other). Theirs is timed one structure at a time and at the best of its batch sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from pathlib import Path

import chgnet
import numpy as np
import torch
from chgnet.model import CHGNet as Authors
from pymatgen.core import Structure

import euhedral
from euhedral.core.batch import CrystalBatch
from euhedral.core.units import GPA_PER_EV_PER_A3
from euhedral.core.writing import write_atomically
from euhedral.data.catalogue import load
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.nn.kernels import product

TARGET = Path(__file__).parent / "results" / "chgnet_speed.json"
BATCH_SIZES = (2, 4, 8, 16, 32)


def operations(batch, graph, *, width=64, radial=31, angular=31, blocks=4) -> dict[str, float]:
    """Multiplications and additions of the matrix products, forwards and backwards, per structure."""
    n, e, u = len(batch.frac), len(graph.source), len(graph.extra["bond_edge"])
    s, a = len(graph.extra["short_edge"]) // 2, len(graph.extra["angle_first"])
    square, double = 2 * width * width, 4 * width * width
    hidden = 2 * square
    parts = {
        "hidden layers of edges": blocks * e * hidden,
        "hidden layers of angles": (blocks - 1) * a * hidden,
        "projections of angles": (2 * blocks - 5) * a * double + a // 2 * 2 * angular * 5 * width,
        "projections of bonds": u * 2 * radial * (2 * blocks + 1) * width + s * (2 * blocks - 3) * 2 * double,
        "projections of atoms": n * (2 * blocks * double + blocks * square + (2 * blocks - 3) * double),
    }
    return {name: 2.0 * value / len(batch) for name, value in parts.items()}


def product_speed() -> float:
    """Operations per second of the blocks that the kernels multiply, one thread."""
    a, b = np.random.default_rng(0).normal(size=(2, 4096, 64)).astype(np.float32)
    b, out = np.ascontiguousarray(b[:64]), np.empty_like(a)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        product(a, b, out)
        times.append(time.perf_counter() - start)
    return 2 * a.shape[0] * 64 * 64 / min(times)


def differences(ours, theirs, counts) -> dict[str, float]:
    energy = np.array([float(result["e"]) for result in theirs])
    stress = np.stack([result["s"] for result in theirs]) / GPA_PER_EV_PER_A3
    return {
        "energy_ev_per_atom": float(np.abs(ours.energy.numpy() / counts - energy).max()),
        "forces_ev_per_angstrom": float(np.abs(ours.forces.numpy() - np.concatenate([r["f"] for r in theirs])).max()),
        "stress_ev_per_angstrom3": float(np.abs(ours.stress.numpy() - (stress + np.swapaxes(stress, 1, 2)) / 2).max()),
        "magmom_mu_b": float(np.abs(ours.site["magmom"].numpy() - np.concatenate([r["m"] for r in theirs])).max()),
    }


def clock(function) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(ways, *, count: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per structure of each way (medians), and how many times faster ours is (median of the rounds' ratios)."""
    seconds = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            seconds[name].append(clock(way))
    ours = seconds["ours"]
    return {
        name: {
            "ms_per_structure": 1e3 * statistics.median(wall for wall, _ in values) / count,
            "fastest_ms_per_structure": 1e3 * min(wall for wall, _ in values) / count,
            "processor_ms_per_structure": 1e3 * statistics.median(processor for _, processor in values) / count,
            "ours_is_faster_by": statistics.median(
                theirs[0] / mine[0] for theirs, mine in zip(values, ours, strict=True)
            ),
            "ours_is_faster_by_processor_time": statistics.median(
                theirs[1] / mine[1] for theirs, mine in zip(values, ours, strict=True)
            ),
        }
        for name, values in seconds.items()
    }


def machine() -> dict[str, object]:
    model = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "chgnet": chgnet.__version__,
    }
    return {
        "cpu": model[0],
        "cores": os.cpu_count(),
        "euhedral": euhedral.__version__,
        **versions,
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    options = parser.parse_args()
    sample = list(load("mp-20-sample"))
    chosen = np.random.default_rng(11).choice(len(sample), options.crystals, replace=False)
    crystals = [sample[i] for i in chosen]
    structures = [Structure(c.cell, c.numbers.tolist(), c.frac) for c in crystals]
    counts = np.array([len(crystal) for crystal in crystals])
    ours, theirs = CHGNet.load(), Authors.load(use_device="cpu", verbose=False)

    def all_of_ours():
        return ours.evaluate(CrystalBatch.from_crystals(crystals))

    def one_at_a_time():
        return [theirs.predict_structure(structure) for structure in structures]

    def in_batches(size):
        return theirs.predict_structure(structures, batch_size=size)

    batch = CrystalBatch.from_crystals(crystals)
    graph = ours.graph.build(batch)
    result = {
        "what": "energy, forces, stress and magnetic moments, neighbours included",
        "crystals": f"{options.crystals} of mp-20-sample, seed 11, {counts.mean():.1f} atoms each on average",
        "machine": machine(),
        "largest_difference": differences(all_of_ours(), one_at_a_time(), counts),
        "per_structure": {
            "edges": len(graph.source) / len(crystals),
            "angles": len(graph.extra["angle_first"]) / len(crystals),
            "neighbours_ms": 1e3 * min(clock(lambda: ours.graph.build(batch))[0] for _ in range(5)) / len(crystals),
        },
        "threads": {},
    }
    for threads in options.threads:
        torch.set_num_threads(threads)
        trial = {size: clock(lambda size=size: in_batches(size))[0] for size in BATCH_SIZES}
        best = min(trial, key=trial.get)
        ways = {
            "ours": all_of_ours,
            "ours, one at a time": lambda: [
                ours.evaluate(CrystalBatch.from_crystals([crystal])) for crystal in crystals
            ],
            "chgnet package, one at a time": one_at_a_time,
            f"chgnet package, batches of {best}": lambda best=best: in_batches(best),
        }
        all_of_ours()
        result["threads"][threads] = compare(ways, count=len(crystals), rounds=options.rounds)
        print(json.dumps(result["threads"][threads], indent=1))
    needed = operations(batch, graph)
    speed = product_speed()
    limit = 1e3 * sum(needed.values()) / speed
    spent = result["threads"][min(options.threads)]["ours"]["processor_ms_per_structure"]
    result["limit"] = {
        "million_operations_per_structure": {name: value / 1e6 for name, value in needed.items()},
        "measured_gflop_per_second_one_thread": speed / 1e9,
        "ms_per_structure_of_products_alone_one_thread": limit,
        "share_of_limit_reached": limit / spent,
    }
    result["machine"]["load_average_at_end"] = os.getloadavg()[0]
    print(json.dumps(result["limit"], indent=1))
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
