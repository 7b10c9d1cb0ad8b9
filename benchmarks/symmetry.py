"""Symmetry and Wyckoff positions there and back: random crystals of all 230 space groups, and real ones; times beside spglib.

    python benchmarks/symmetry.py [--each 20] [--crystals 2000] [--rounds 3]

Random: crystals that occupy the general position and up to three others, in a skewed primitive or conventional cell with a
random origin, are read as Wyckoff positions and written out again; right means the same group, and that a rotation and a
translation lay one structure on the other to 1e-4 Angstrom, its mirror image not counting. Real: MP-20 crystals within 0.01 Angstrom; right means that the structure comes back within that
tolerance, that the crystal written out is read as what it was written from, and that asymmetric unit and cell lead to each
other. A crystal on the edge of the tolerance may gain symmetry when it is symmetrised and read at that tolerance once more;
those are listed apart.
Processor times: `symmetry` and spglib's `get_symmetry_dataset` are given the same crystals in turn, in one process and one thread; both
give group, operations, letters, orbits and the standard cell.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

import euhedral
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import EuhedralError, MissingDataError
from euhedral.geometry.asymmetric_unit import asymmetric_unit, expand
from euhedral.geometry.matching import Matcher
from euhedral.geometry.symmetrise import symmetrise
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import to_crystal
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.testing.congruence import congruent
from euhedral.testing.random_crystals import random_wyckoff_crystal

TARGET = Path(__file__).parent / "results" / "symmetry.json"
SYMPREC = 0.01
CHANGE = np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]])


def crystals_to_use(count):
    try:
        data = load("mp-20")
    except MissingDataError:
        data = load("mp-20-sample")
    chosen = np.random.default_rng(3).choice(len(data), min(count, len(data)), replace=False)
    return data.card.name, [data[int(i)] for i in np.sort(chosen)]


def random_round_trips(each):
    wrong, positions = [], set()
    for number in range(1, 231):
        for seed in range(each):
            rng = np.random.default_rng([number, seed])
            crystal = random_wyckoff_crystal(number, rng=rng)
            positions |= {(number, letter) for letter in crystal.letters}
            atoms = to_crystal(crystal, primitive=bool(seed % 2))
            atoms = atoms.replace(cell=CHANGE @ atoms.cell, frac=(atoms.frac + rng.random(3)) @ np.linalg.inv(CHANGE))
            try:
                form = from_crystal(atoms, symprec=1e-3)
                right = form.space_group == number and congruent(to_crystal(form), to_crystal(crystal))
                reason = "" if right else f"group {form.space_group} or another structure"
            except EuhedralError as error:
                reason = str(error)
            if reason:
                wrong.append({"group": number, "seed": seed, "reason": reason})
    return {
        "groups": 230, "crystals": 230 * each, "right": 230 * each - len(wrong), "wrong": wrong,
        "positions_occupied": len(positions), "positions_in_tables": 1731,
    }  # fmt: skip


def real_round_trips(crystals):
    within = Matcher(length_tolerance=0.01, site_tolerance=0.01, angle_tolerance=0.5)
    wrong, rising = [], []
    for crystal in crystals:
        reasons = []
        try:
            form = from_crystal(crystal, symprec=SYMPREC)
            back = to_crystal(form)
            if not within.matches(back, crystal):
                reasons.append("another structure")
            said = form.space_group, form.letters
            again = from_crystal(back, symprec=1e-4)
            if (again.space_group, again.letters) != said:
                reasons.append(f"read again as group {again.space_group}, was {form.space_group}")
            loose = from_crystal(back, symprec=SYMPREC)
            if (loose.space_group, loose.letters) != said:
                rising.append({"id": crystal.id, "first": form.space_group, "again": loose.space_group})
            exact = symmetrise(crystal, symprec=SYMPREC)
            whole = expand(asymmetric_unit(crystal, symprec=SYMPREC))
            if len(whole) != len(crystal) or not congruent(whole, exact):
                reasons.append("asymmetric unit makes another crystal")
        except EuhedralError as error:
            reasons.append(str(error))
        if reasons:
            wrong.append({"id": crystal.id, "atoms": len(crystal), "reasons": reasons})
    return {
        "crystals": len(crystals), "right": len(crystals) - len(wrong), "wrong": wrong,
        "another_group_when_the_symmetrised_crystal_is_read_at_the_same_tolerance": rising,
    }  # fmt: skip


def milliseconds(function, crystals):
    times = []
    for crystal in crystals:
        start = time.process_time()
        function(crystal)
        times.append(1e3 * (time.process_time() - start))
    return times


def summary(times):
    ordered = np.sort(times)
    return {
        "mean_ms": float(ordered.mean()), "median_ms": float(np.median(ordered)),
        "slowest_tenth_mean_ms": float(ordered[-max(1, len(ordered) // 10) :].mean()), "worst_ms": float(ordered[-1]),
    }  # fmt: skip


def beside_spglib(crystals, rounds):
    import spglib

    def theirs(crystal):
        return spglib.get_symmetry_dataset((crystal.cell, crystal.frac, crystal.numbers), symprec=SYMPREC)

    def ours(crystal):
        return symmetry(crystal, symprec=SYMPREC)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        differ = [
            {"id": crystal.id, "ours": mine.number, "spglib": dataset.number}
            for crystal in crystals
            if (mine := ours(crystal)).number != (dataset := theirs(crystal)).number
        ]
        runs = {"symmetry": [], "spglib": []}
        for turn in range(rounds):
            order = [("symmetry", ours), ("spglib", theirs)]
            for name, function in order if turn % 2 == 0 else order[::-1]:
                runs[name].append(milliseconds(function, crystals))
    best = {name: np.min(times, axis=0) for name, times in runs.items()}
    ratios = [sum(b) / sum(a) for a, b in zip(runs["symmetry"], runs["spglib"], strict=True)]
    others = {
        "from_crystal": lambda crystal: from_crystal(crystal, symprec=SYMPREC),
        "asymmetric_unit": lambda crystal: asymmetric_unit(crystal, symprec=SYMPREC),
        "asymmetric_unit_and_expand": lambda crystal: expand(asymmetric_unit(crystal, symprec=SYMPREC)),
        "symmetrise": lambda crystal: symmetrise(crystal, symprec=SYMPREC),
    }
    return {
        "symmetry": summary(best["symmetry"]), "spglib": summary(best["spglib"]),
        "spglib_over_symmetry_total_time": statistics.median(ratios), "same_group": len(crystals) - len(differ),
        "groups_that_differ": differ,
        "not_in_spglib": {name: summary(milliseconds(function, crystals)) for name, function in others.items()},
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--crystals", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    name, crystals = crystals_to_use(options.crystals)
    report = {
        "euhedral": euhedral.__version__,
        "versions": {part: version(part) for part in ("moyopy", "spglib", "numpy")},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "threads": 1,
            "load_average": os.getloadavg()[0],
        },
        "data": name,
        "symprec_angstrom": SYMPREC,
        "random": random_round_trips(options.each),
        "real": real_round_trips(crystals),
        "speed": beside_spglib(crystals, options.rounds),
    }
    write_atomically(TARGET, content=json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
