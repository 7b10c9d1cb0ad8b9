"""Milliseconds per powder pattern, 5 to 90 degrees, Cu K alpha, here and in pymatgen's XRDCalculator, on real cells.

    python benchmarks/xrd.py [--crystals 512] [--batch 128] [--rounds 3]

One thread on both sides. Each is given its own crystals, made before, and returns angles, intensities, indices, multiplicities
and spacings of all peaks. They take turns; of each crystal's times the median over the rounds is kept. pymatgen works on one
crystal a call; ours is timed so too, and on batches. Results are compared first, with the same scattering factors. Reflections
within 1e-5 degrees are one peak on both sides, but pymatgen rounds angles to bins and so may leave a pair as two peaks, which
moves what 100 percent is; so sums over 3e-5 degrees are compared, and it is counted how many crystals have such a pair.
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

import numba
import numpy as np
import pymatgen.core
from pymatgen.analysis.diffraction.xrd import XRDCalculator

import euhedral
from euhedral.core.bridges import to_pymatgen
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import MissingDataError
from euhedral.representations.spectra.diffraction import powder_pattern, powder_patterns
from euhedral.representations.spectra.radiation import WAVELENGTHS, XRays

TARGET = Path(__file__).parent / "results" / "xrd.json"
RANGE = (5.0, 90.0)
LIGHT = XRays.of(WAVELENGTHS["CuKa"])
SAME = 1e-5  # degrees
# Percent of the strongest: a peak this weak may be missing on one side, where a cut at 0.001 falls between two roundings.
WEAK = 0.002


def crystals_to_use(count):
    try:
        data = load("mp-20")
    except MissingDataError:
        data = load("mp-20-sample")
    chosen = np.random.default_rng(3).choice(len(data), min(count, len(data)), replace=False)
    return data.card.name, [data[int(i)] for i in np.sort(chosen)]


def compare(ours, theirs):
    """Add up the peaks of both that are closer than 3e-5 degrees, and compare these sums, as percent of the largest."""
    worst_angle = worst_intensity = 0.0
    n_ours = n_theirs = n_sums = only_ours = only_theirs = split = 0
    for a, b in zip(ours, theirs, strict=True):
        x, y = np.asarray(b.x), np.asarray(b.y)
        n_ours, n_theirs, split = n_ours + len(a), n_theirs + len(x), split + bool((np.diff(x) < SAME).any())
        angles = np.concatenate([a.two_theta, x])
        order = np.argsort(angles, kind="stable")
        place = np.empty(len(angles), int)
        place[order] = np.concatenate([[0], np.cumsum(np.diff(angles[order]) > 3 * SAME)])
        here, there = place[: len(a)], place[len(a) :]
        sums = [np.bincount(at, weights=w, minlength=place.max() + 1) for at, w in ((here, a.intensity), (there, y))]
        sums = [100.0 * s / s.max() for s in sums]
        strongest = [np.full(place.max() + 1, np.nan) for _ in range(2)]
        for into, at, own_angles, own in ((strongest[0], here, a.two_theta, a.intensity), (strongest[1], there, x, y)):
            for i in np.argsort(own):  # the strongest of a sum gives its angle
                into[at[i]] = own_angles[i]
        n_sums += len(sums[0])
        only_ours += int(((sums[1] == 0.0) & (sums[0] > WEAK)).sum())
        only_theirs += int(((sums[0] == 0.0) & (sums[1] > WEAK)).sum())
        worst_angle = max(worst_angle, float(np.nanmax(np.abs(strongest[0] - strongest[1]))))
        worst_intensity = max(worst_intensity, float(np.abs(sums[0] - sums[1]).max()))
    return {
        "peaks_here": n_ours, "peaks_in_pymatgen": n_theirs, "sums_compared": n_sums,
        "only_here": only_ours, "only_in_pymatgen": only_theirs,
        "largest_difference_of_angle_degrees": worst_angle,
        "largest_difference_of_intensity_percent_of_strongest": worst_intensity,
        "crystals_where_pymatgen_splits_a_peak": split,
    }  # fmt: skip


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "cpu": next(line.split(":")[1].strip() for line in lines if line.startswith("model name")),
        "cores": os.cpu_count(), "load_average": os.getloadavg()[0], "python": platform.python_version(),
        "numpy": np.__version__, "numba": numba.__version__, "pymatgen": pymatgen.core.__version__,
        "euhedral": euhedral.__version__,
    }  # fmt: skip


def timed(function):
    wall, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - used


def ratios(theirs, ours):
    """Of lists of seconds by crystal: of the sums, median, and over the tenth that is slowest here and there."""
    theirs, ours = np.array(theirs), np.array(ours)
    tenth = max(1, len(ours) // 10)
    slow_here, slow_there = np.argsort(-ours)[:tenth], np.argsort(-theirs)[:tenth]
    return {
        "ratio_of_sums": theirs.sum() / ours.sum(),
        "median_ratio": float(np.median(theirs / ours)),
        "ratio_over_the_tenth_slowest_here": theirs[slow_here].sum() / ours[slow_here].sum(),
        "ratio_over_the_tenth_slowest_in_pymatgen": theirs[slow_there].sum() / ours[slow_there].sum(),
        "smallest_ratio": float((theirs / ours).min()),
    }


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    name, crystals = crystals_to_use(options.crystals)
    structures = [to_pymatgen(crystal) for crystal in crystals]
    calculator = XRDCalculator(wavelength=WAVELENGTHS["CuKa"])
    ready, _ = timed(lambda: powder_pattern(crystals[0], radiation=LIGHT, two_theta=RANGE))
    result = {
        "what": "powder patterns, 5 to 90 degrees, Cu K alpha, one thread; milliseconds per crystal",
        "crystals": f"{len(crystals)} of {name}, seed 3, {np.mean([len(c) for c in crystals]):.2f} atoms on average",
        "batch": options.batch,
        "machine": machine(),
        "seconds_until_ready": ready,
        "note": "seconds_until_ready: loading the compiled loops from the cache, or compiling them when there is none",
        "same": compare(
            powder_patterns(crystals, radiation=LIGHT, two_theta=RANGE),
            [calculator.get_pattern(s, two_theta_range=RANGE, scaled=False) for s in structures],
        ),
    }
    print(json.dumps(result, indent=1))
    there, here, batches = [], [], []
    for _ in range(options.rounds):
        there.append([timed(lambda s=s: calculator.get_pattern(s, two_theta_range=RANGE)) for s in structures])
        here.append([timed(lambda c=c: powder_pattern(c, radiation=LIGHT, two_theta=RANGE)) for c in crystals])
        batches.append([
            timed(lambda i=i: powder_patterns(crystals[i : i + options.batch], radiation=LIGHT, two_theta=RANGE))
            for i in range(0, len(crystals), options.batch)
        ])  # fmt: skip
    tenth = max(1, len(crystals) // 10)
    slow = {}
    for where, rounds in (("here", here), ("in_pymatgen", there)):
        used = np.median([[t[1] for t in round_] for round_ in rounds], axis=0)
        slow[where] = np.argsort(-used)[:tenth]
    slowest = {
        where: [
            timed(lambda i=i: powder_patterns([crystals[j] for j in i], radiation=LIGHT, two_theta=RANGE))
            for _ in range(options.rounds)
        ]
        for where, i in slow.items()
    }
    for clock, kind in enumerate(("wall", "processor")):
        one, theirs, many = (
            np.median([[t[clock] for t in round_] for round_ in rounds], axis=0) for rounds in (here, there, batches)
        )
        in_batch = many.sum() / len(crystals)
        by_batch = [theirs[i : i + options.batch].sum() for i in range(0, len(crystals), options.batch)]
        result[kind] = {
            "pymatgen": {"mean_ms": 1e3 * theirs.mean(), "median_ms": 1e3 * float(np.median(theirs)), "worst_ms": 1e3 * theirs.max()},
            "one_at_a_time": {"mean_ms": 1e3 * one.mean(), "median_ms": 1e3 * float(np.median(one)), "worst_ms": 1e3 * one.max()}
            | ratios(theirs, one),
            "batches": {
                "mean_ms": 1e3 * in_batch, "ratio_of_sums": theirs.sum() / many.sum(),
                "median_ratio_of_batches": statistics.median(t / m for t, m in zip(by_batch, many, strict=True)),
            } | {
                f"ratio_over_the_tenth_slowest_{where}": theirs[slow[where]].sum() / statistics.median(t[clock] for t in times)
                for where, times in slowest.items()
            },
        }  # fmt: skip
        print(kind, json.dumps(result[kind], indent=1))
    result["machine"]["load_average_at_end"] = os.getloadavg()[0]
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
