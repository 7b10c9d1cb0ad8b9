"""Microseconds per atom of the neighbour search here, in vesin and in pymatgen: batches of small real cells, and one large cell.

    python benchmarks/graphs.py [--crystals 512] [--batch 64] [--rounds 5]

All sides are given the same arrays and must return source, target, image and distance in full; what a call returned is let go
before the next. vesin and pymatgen take one crystal a call; their k nearest are their neighbours within 8 Angstrom sorted by
centre and distance. With two threads ours works on two batches at once; vesin is given the better of two threads of its own and
two crystals at once. With one thread they take turns batch by batch in one process and the ratio of each turn is kept, so that a busy machine
disturbs all sides of a ratio; the slowest tenth of the turns is told too. Results are checked equal first. At the end many crystals
are streamed through and the growth of memory is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
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


def data_to_use():
    try:
        return load("mp-20")
    except MissingDataError:
        return load("mp-20-sample")


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


def pymatgen_within(structure):
    return structure.get_neighbor_list(CUTOFF)


def pymatgen_nearest(structure):
    centre, neighbour, shift, distance = structure.get_neighbor_list(CUTOFF)
    order = np.lexsort((distance, centre))
    centre = centre[order]
    kept = np.arange(len(centre)) - np.searchsorted(centre, np.arange(len(structure)))[centre] < K
    return centre[kept], neighbour[order[kept]], shift[order[kept]], distance[order[kept]]


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


def compare(sides, *, atoms, rounds):
    """Time all sides turn by turn.

    Args:
        sides: by name, one function a turn; "ours" first.
        atoms: of each turn.
        rounds: how often all turns.
    """
    clocks = {"": time.perf_counter, "_by_processor_time": time.process_time}
    times = {name: {clock: np.empty((rounds, len(atoms))) for clock in clocks} for name in sides}
    for turn in range(rounds):
        for part in range(len(atoms)):
            for name, functions in sides.items():
                began = [clock() for clock in clocks.values()]
                functions[part]()
                ended = [clock() for clock in clocks.values()]
                for clock, start, end in zip(clocks, began, ended, strict=True):
                    times[name][clock][turn, part] = 1e6 * (end - start) / atoms[part]
    result = {
        name: {
            "us_per_atom": float(np.median(values[""])),
            "fastest_us_per_atom": float(values[""].min()),
            "slowest_tenth_us_per_atom": float(np.quantile(values[""], 0.9)),
            "processor_us_per_atom": float(np.median(values["_by_processor_time"])),
        }
        for name, values in times.items()
    }
    for name in list(sides)[1:]:
        for clock in clocks:
            ratio = times[name][clock] / times["ours"][clock]
            result[f"faster_than_{name}{clock}"] = {
                "median": float(np.median(ratio)), "slowest_tenth": float(np.quantile(ratio, 0.1)),
            }  # fmt: skip
    return result


def vesin_sides(systems, function, threads):
    """One function a batch: the better of threads inside vesin and crystals side by side; and which it is."""
    choices = {"threads inside": (threads, 1)}
    if threads > 1:
        choices["crystals at once"] = (1, threads)
    timed = {}
    for name, (inside, outside) in choices.items():

        def run(batch, inside=inside, outside=outside):
            # one search must not be shared between threads
            shared = vesin.NeighborList(cutoff=CUTOFF, full_list=True, n_threads=inside)
            make = lambda: shared if outside == 1 else vesin.NeighborList(cutoff=CUTOFF, full_list=True, n_threads=1)  # noqa: E731
            over(batch, lambda s: function(make(), *s), outside)

        began = time.perf_counter()
        for batch in systems:
            run(batch)
        timed[name] = (time.perf_counter() - began, run)
    name = min(timed, key=lambda key: timed[key][0])
    return [lambda batch=batch: timed[name][1](batch) for batch in systems], name


def growth_while_streaming(data, *, count, batch):
    """Find both kinds of neighbours of many crystals, one batch after another, and watch the memory."""
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0  # noqa: E731
    order = np.random.default_rng(5).permutation(len(data))
    settled, seen = None, 0
    while seen < count:
        chosen = [data[int(order[(seen + i) % len(order)])] for i in range(min(batch, count - seen))]
        arrays = flat(chosen)
        within(arrays), nearest(arrays, strict=False)
        seen += len(chosen)
        if settled is None and seen >= count // 10:
            settled = peak()
    return {"crystals": seen, "peak_mb_after_a_tenth": settled, "peak_mb_at_the_end": peak()}


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        "cores": os.cpu_count(), "load_average": os.getloadavg()[0], "python": platform.python_version(),
        "numpy": np.__version__, "numba": numba.__version__, "vesin": vesin.__version__, "pymatgen": version("pymatgen"),
        "euhedral": euhedral.__version__,
    }  # fmt: skip


def main() -> None:
    from euhedral.core.bridges import to_pymatgen

    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--atoms", type=int, default=4000)
    parser.add_argument("--stream", type=int, default=28_000)
    options = parser.parse_args()
    began = time.perf_counter()
    tiny = {"cell": np.eye(3)[None] * 3.0, "frac": np.zeros((1, 3)), "n_atoms": np.array([1])}
    within(tiny), nearest(tiny, strict=True)
    ready = time.perf_counter() - began
    data = data_to_use()
    chosen = np.random.default_rng(3).choice(len(data), min(options.crystals, len(data)), replace=False)
    crystals = [data[int(i)] for i in np.sort(chosen)]
    groups = [crystals[i : i + options.batch] for i in range(0, len(crystals), options.batch)]
    batches = [flat(group) for group in groups]
    systems = [[(c.cart, np.ascontiguousarray(c.cell)) for c in group] for group in groups]
    structures = [[to_pymatgen(c) for c in group] for group in groups]
    rng = np.random.default_rng(0)
    side = (options.atoms * 20.0) ** (1.0 / 3.0)
    large = {
        "cell": np.eye(3)[None] * side, "frac": rng.random((options.atoms, 3)), "n_atoms": np.array([options.atoms]),
    }  # fmt: skip
    large_system = [[(large["frac"] * side, np.eye(3) * side)]]
    strict, shells = lambda b: nearest(b, strict=True), lambda b: nearest(b, strict=False)
    works = {
        "MP-20, within 8 A": (within, vesin_within, pymatgen_within, batches, systems, structures),
        "MP-20, 12 nearest, strict": (strict, vesin_nearest, pymatgen_nearest, batches, systems, structures),
        "MP-20, 12 nearest, whole shells (peers: strict)": (
            shells, vesin_nearest, pymatgen_nearest, batches, systems, structures,
        ),
        f"{options.atoms} atoms, within 8 A": (within, vesin_within, None, [large], large_system, None),
    }  # fmt: skip
    small = sum(len(c) for c in crystals)
    result = {
        "what": "neighbours: source, target, image, distance; microseconds per atom",
        "crystals": f"{len(crystals)} of {data.card.name}, seed 3, {small / len(crystals)} atoms each on average, batches of {options.batch}",
        "large": f"{options.atoms} atoms at random, 20 cubic Angstrom each, cubic cell",
        "slowest_tenth": "of times the 90th percentile over batches and rounds, of ratios the 10th",
        "machine": machine(),
        "seconds_until_ready": ready,
        "note": "seconds_until_ready: loading the compiled loops from the cache, or compiling them when there is none",
        "equal": {
            "MP-20": check_equal(batches, [system for group in systems for system in group]),
            "large": check_equal([large], large_system[0]),
        },
        "threads": {},
    }
    print(json.dumps({key: result[key] for key in ("machine", "equal", "seconds_until_ready")}, indent=1))
    for threads in (1, 2):
        result["threads"][threads] = {}
        for title, (ours, theirs, others, parts, points, frozen) in works.items():
            # small batches take turns one by one; with two threads, which take time to start, all are one turn
            turns = [[part] for part in parts] if threads == 1 else [parts]
            crystalwise = points if threads == 1 else [[system for group in points for system in group]]
            vesin_functions, way = vesin_sides(crystalwise, theirs, threads)
            together = min(threads, len(turns[0]))
            sides = {
                "ours": [lambda t=t, ours=ours, n=together: over(t, ours, n) for t in turns],
                "vesin": vesin_functions,
            }
            if others is not None and threads == 1:  # it holds the interpreter's lock
                sides["pymatgen"] = [lambda f=f, others=others: over(f, others, 1) for f in frozen]
            for functions in sides.values():
                functions[0]()
            atoms = [sum(int(part["n_atoms"].sum()) for part in turn) for turn in turns]
            row = compare(sides, atoms=atoms, rounds=options.rounds if threads == 1 else 3 * options.rounds)
            result["threads"][threads][title] = row | {"vesin_way": way}
            print(threads, title, json.dumps({k: v for k, v in row.items() if k.startswith("faster")}), flush=True)
    result["streaming"] = growth_while_streaming(data, count=options.stream, batch=options.batch)
    print(json.dumps(result["streaming"]))
    result["machine"]["load_average_at_end"] = os.getloadavg()[0]
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
