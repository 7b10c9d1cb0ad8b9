"""Microseconds per atom of the neighbour search here and in vesin: batches of small real cells, and one large cell.

    python benchmarks/graphs.py [--crystals 512] [--batch 128] [--rounds 5]

Both sides are given the same arrays and must return source, target, image and distance in full; what a call returned is let go
before the next. vesin takes one crystal a
call; its k nearest are its neighbours within 8 Angstrom sorted by centre and distance. With two threads ours works on two
batches at once; vesin is given the better of two threads of its own and two crystals at once. They take turns in one process
and the ratio of each round is kept, so that a busy machine disturbs both sides of a ratio. Results are checked equal first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import vesin

import euhedral
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import MissingDataError
from euhedral.geometry.neighbours import nearest_neighbours, neighbours_within

TARGET = Path(__file__).parent / "results" / "graphs.json"
CUTOFF = 8.0
K = 12


def crystals_to_use(count):
    try:
        data = load("mp-20")
    except MissingDataError:
        data = load("mp-20-sample")
    chosen = np.random.default_rng(3).choice(len(data), min(count, len(data)), replace=False)
    return data.card.name, [data[int(i)] for i in np.sort(chosen)]


def flat(crystals):
    return {
        "cell": np.stack([c.cell for c in crystals]),
        "frac": np.concatenate([c.frac for c in crystals]),
        "n_atoms": np.array([len(c) for c in crystals]),
    }


def within(arrays):
    return neighbours_within(arrays["cell"], frac=arrays["frac"], n_atoms=arrays["n_atoms"], cutoff=CUTOFF)


def nearest(arrays, *, strict):
    return nearest_neighbours(
        arrays["cell"], frac=arrays["frac"], n_atoms=arrays["n_atoms"], k=K,
        tie=0.0 if strict else 0.01, strict=strict, largest=CUTOFF if strict else np.inf,
    )  # fmt: skip


def vesin_within(search, points, box):
    return search.compute(points=points, box=box, periodic=True, quantities="ijSd")


def vesin_nearest(search, points, box):
    i, j, shift, distance = vesin_within(search, points, box)
    order = np.lexsort((distance, i))
    i = i[order]
    starts = np.searchsorted(i, np.arange(len(points)))
    chosen = order[np.arange(len(i)) - starts[i] < K]
    return i[np.arange(len(i)) - starts[i] < K], j[chosen], shift[chosen], distance[chosen]


def over(items, function, threads):
    if threads == 1:
        for item in items:
            function(item)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(over, items[start::threads], function, 1) for start in range(threads)]:
            done.result()


def check_equal(batches, systems):
    """Count pairs on both sides, compare all distances, and all (target, source, image) of the radius search."""
    search = vesin.NeighborList(cutoff=CUTOFF, full_list=True, n_threads=1)
    ours = [within(batch) for batch in batches]
    theirs = [vesin_within(search, *system) for system in systems]
    n_ours, n_theirs = sum(len(o) for o in ours), sum(len(t[0]) for t in theirs)
    worst = different = at = 0
    for batch, found in zip(batches, ours, strict=True):
        first = 0
        for n in batch["n_atoms"]:
            i, j, shift, distance = theirs[at]
            own = slice(*np.searchsorted(found.target, [first, first + n]))
            rows = np.column_stack([found.target[own] - first, found.source[own] - first, found.image[own]])
            other = np.column_stack([i, j, shift]).astype(np.int64)
            a, b = np.lexsort(rows.T), np.lexsort(other.T)
            if len(a) != len(b):
                different += 1
            else:
                different += not np.array_equal(rows[a], other[b])
                worst = max(worst, float(np.abs(found.distance[own][a] - distance[b]).max(initial=0.0)))
            first, at = first + n, at + 1
    strict = np.concatenate([nearest(batch, strict=True).distance for batch in batches])
    sorted_theirs = np.concatenate([vesin_nearest(search, *system)[3] for system in systems])
    return {
        "pairs_ours": n_ours,
        "pairs_vesin": n_theirs,
        "crystals_whose_pairs_differ": int(different),
        "largest_difference_of_distance": worst,
        "largest_difference_of_12_nearest": float(np.abs(strict - sorted_theirs).max())
        if len(strict) == len(sorted_theirs) else None,
    }  # fmt: skip


def compare(ours, theirs, *, atoms, rounds):
    times = {"ours": [], "vesin": []}
    processor = {"ours": [], "vesin": []}
    for _ in range(rounds):
        for name, function in (("ours", ours), ("vesin", theirs)):
            wall, used = time.perf_counter(), time.process_time()
            function()
            times[name].append(time.perf_counter() - wall)
            processor[name].append(time.process_time() - used)
    result = {}
    for name, values in times.items():
        result[name] = {
            "us_per_atom": 1e6 * statistics.median(values) / atoms,
            "fastest_us_per_atom": 1e6 * min(values) / atoms,
            "processor_us_per_atom": 1e6 * statistics.median(processor[name]) / atoms,
        }
    for name, values in (("faster_by", times), ("faster_by_processor_time", processor)):
        result[name] = statistics.median(t / o for o, t in zip(values["ours"], values["vesin"], strict=True))
    return result


def best_of_vesin(work, threads):
    """Choose between threads inside vesin and crystals side by side; return the function and its name."""
    choices = {"threads inside": (threads, 1)}
    if threads > 1:
        choices["crystals at once"] = (1, threads)
    timed = {}
    for name, (inside, outside) in choices.items():
        search = vesin.NeighborList(cutoff=CUTOFF, full_list=True, n_threads=inside)
        if outside > 1:  # one search must not be shared between threads
            function = lambda outside=outside: over(  # noqa: E731
                work["systems"],
                lambda s: work["vesin"](vesin.NeighborList(cutoff=CUTOFF, full_list=True, n_threads=1), *s),
                outside,
            )
        else:
            function = lambda search=search: over(work["systems"], lambda s: work["vesin"](search, *s), 1)  # noqa: E731
        began = time.perf_counter()
        function()
        timed[name] = (time.perf_counter() - began, function)
    name = min(timed, key=lambda key: timed[key][0])
    return timed[name][1], name


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        "cores": os.cpu_count(), "load_average": os.getloadavg()[0], "python": platform.python_version(),
        "numpy": np.__version__, "numba": numba.__version__, "vesin": vesin.__version__,
        "euhedral": euhedral.__version__,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--atoms", type=int, default=4000)
    options = parser.parse_args()
    began = time.perf_counter()
    tiny = {"cell": np.eye(3)[None] * 3.0, "frac": np.zeros((1, 3)), "n_atoms": np.array([1])}
    within(tiny), nearest(tiny, strict=True)
    ready = time.perf_counter() - began
    name, crystals = crystals_to_use(options.crystals)
    batches = [flat(crystals[i : i + options.batch]) for i in range(0, len(crystals), options.batch)]
    systems = [(c.cart, np.ascontiguousarray(c.cell)) for c in crystals]
    rng = np.random.default_rng(0)
    side = (options.atoms * 20.0) ** (1.0 / 3.0)
    large = {
        "cell": np.eye(3)[None] * side, "frac": rng.random((options.atoms, 3)), "n_atoms": np.array([options.atoms]),
    }  # fmt: skip
    large_system = [(large["frac"] * side, np.eye(3) * side)]
    small = sum(len(c) for c in crystals)
    works = {
        "MP-20, within 8 A": {"ours": within, "vesin": vesin_within, "batches": batches, "systems": systems},
        "MP-20, 12 nearest, strict": {
            "ours": lambda b: nearest(b, strict=True), "vesin": vesin_nearest, "batches": batches, "systems": systems,
        },
        "MP-20, 12 nearest, whole shells (vesin: strict)": {
            "ours": lambda b: nearest(b, strict=False), "vesin": vesin_nearest, "batches": batches, "systems": systems,
        },
        f"{options.atoms} atoms, within 8 A": {
            "ours": within, "vesin": vesin_within, "batches": [large], "systems": large_system,
        },
    }  # fmt: skip
    result = {
        "what": "neighbours: source, target, image, distance; microseconds per atom",
        "crystals": f"{len(crystals)} of {name}, seed 3, {small / len(crystals)} atoms each on average, batches of {options.batch}",
        "large": f"{options.atoms} atoms at random, 20 cubic Angstrom each, cubic cell",
        "machine": machine(),
        "seconds_until_ready": ready,
        "note": "seconds_until_ready: loading the compiled loops from the cache, or compiling them when there is none",
        "equal": {
            "MP-20": check_equal(batches, systems),
            "large": check_equal([large], large_system),
        },
        "threads": {},
    }
    print(json.dumps({key: result[key] for key in ("machine", "equal", "seconds_until_ready")}, indent=1))
    for threads in (1, 2):
        result["threads"][threads] = {}
        for title, work in works.items():
            alone = threads > 1 and len(work["batches"]) == 1
            theirs, way = best_of_vesin(work, threads)
            ours = lambda work=work, threads=threads: over(work["batches"], work["ours"], threads)  # noqa: E731
            ours()
            atoms = sum(int(b["n_atoms"].sum()) for b in work["batches"])
            row = compare(ours, theirs, atoms=atoms, rounds=options.rounds) | {"vesin_way": way}
            result["threads"][threads][title] = row | (
                {"note": "ours searches one crystal with one thread"} if alone else {}
            )
            print(threads, title, f"{row['faster_by']:.1f}x", json.dumps(row))
    result["machine"]["load_average_at_end"] = os.getloadavg()[0]
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
