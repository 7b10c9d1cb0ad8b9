"""Verdicts and speed of the structure matcher here and in pymatgen, on real crystals.

    python benchmarks/matching.py [--pairs 1000]

Four kinds of pairs, in equal shares: different crystals of MP-20 with as many atoms and the same anonymous formula, elements
renamed so that only the structure can tell them apart; copies shaken by 0.02 to 0.6 Angstrom and strained by 2%; and copies in
another cell (twice as large, skewed, turned, shifted, atoms in another order) shaken by 0.05 Angstrom before or after. Each
matcher is given structures it has not seen; default tolerances.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pymatgen.core
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

import euhedral
from euhedral.core.composition import anonymous_formula
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import MissingDataError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.geometry.matching import Matcher

TARGET = Path(__file__).parent / "results" / "matching.json"


def renamed_like(crystal, other):
    """Give the elements of one crystal the names of another's, commonest to commonest."""
    own, theirs = (sorted(Counter(c.numbers.tolist()).items(), key=lambda t: (t[1], t[0])) for c in (crystal, other))
    names = {a: b for (a, _), (b, _) in zip(own, theirs, strict=True)}
    return crystal.replace(numbers=[names[number] for number in crystal.numbers.tolist()])


def shaken(crystal, *, by, rng, strain=0.0):
    cell = crystal.cell @ (np.eye(3) + rng.normal(0, strain, (3, 3)) if strain else np.eye(3))
    return crystal.replace(
        cell=cell, frac=crystal.frac + rng.normal(0, by / 3**0.5, crystal.frac.shape) @ np.linalg.inv(cell)
    )


def described_anew(crystal, *, rng):
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(len(crystal))
    moved = Crystal(
        cell=crystal.cell @ rotation, frac=crystal.frac[order] + rng.random(3), numbers=crystal.numbers[order]
    )
    return supercell(with_cell(moved, matrix=[[1, 1, 0], [0, 1, 0], [0, -1, 1]]), matrix=[1, 1, 2])


def pairs_of(crystals, *, count, rng):
    alike = defaultdict(list)
    for index, crystal in enumerate(crystals):
        alike[anonymous_formula(crystal.numbers), len(crystal)].append(index)
    kinds = [own for own in alike.values() if len(own) > 1]
    result = []
    for _ in range(count // 4):
        own = kinds[rng.integers(len(kinds))]
        a, b = (crystals[i] for i in rng.choice(own, 2, replace=False))
        result.append(("other crystal, elements renamed", a, renamed_like(b, a)))
    for _ in range(count // 4):
        a = crystals[rng.integers(len(crystals))]
        result.append(("shaken copy", a, shaken(a, by=rng.uniform(0.02, 0.6), rng=rng, strain=0.02)))
    for _ in range(count // 4):
        a = crystals[rng.integers(len(crystals))]
        result.append(("shaken, then in another cell", a, described_anew(shaken(a, by=0.05, rng=rng), rng=rng)))
    for _ in range(count - len(result)):
        a = crystals[rng.integers(len(crystals))]
        result.append(("in another cell, then shaken", a, shaken(described_anew(a, rng=rng), by=0.05, rng=rng)))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=1000)
    options = parser.parse_args()
    try:
        data = load("mp-20")
    except MissingDataError:
        data = load("mp-20-sample")
    rng = np.random.default_rng(5)
    crystals = [data[int(i)] for i in rng.choice(len(data), min(6000, len(data)), replace=False)]
    pairs = pairs_of(crystals, count=options.pairs, rng=rng)
    structures = [tuple(Structure(c.cell, c.numbers.tolist(), c.frac) for c in pair[1:]) for pair in pairs]
    ours, theirs = Matcher(), StructureMatcher()
    began = time.process_time()
    ours.matches(crystals[0], crystals[0])
    ready = time.process_time() - began
    rows = defaultdict(lambda: {"pairs": 0, "both": 0, "neither": 0, "only_ours": 0, "only_pymatgen": 0,
                                "our_ms": 0.0, "pymatgen_ms": 0.0})  # fmt: skip
    disagree, differences = [], []
    for (kind, a, b), (p, q) in zip(pairs, structures, strict=True):
        start = time.process_time()
        mine = ours.matches(a, b)
        middle = time.process_time()
        their = theirs.fit(p, q)
        end = time.process_time()
        row = rows[kind]
        row["pairs"] += 1
        row[{(1, 1): "both", (0, 0): "neither", (1, 0): "only_ours", (0, 1): "only_pymatgen"}[mine, their]] += 1
        row["our_ms"] += 1e3 * (middle - start)
        row["pymatgen_ms"] += 1e3 * (end - middle)
        if mine != their:
            disagree.append(
                {
                    "kind": kind,
                    "id": a.id,
                    "other": b.id,
                    "ours": bool(mine),
                    "rms_ours": ours.displacement(a, b),
                    "rms_pymatgen": theirs.get_rms_dist(p, q),
                }
            )
        elif mine and len(differences) < 150:
            rms, oracle = ours.displacement(a, b), theirs.get_rms_dist(p, q)
            if rms is not None and oracle is not None:
                differences.append(rms - oracle[0])
    for row in rows.values():
        for key in ("our_ms", "pymatgen_ms"):
            row[key] /= row["pairs"]
        row["faster_by"] = row["pymatgen_ms"] / row["our_ms"]
    agreed = sum(row["both"] + row["neither"] for row in rows.values())
    result = {
        "what": "verdicts of Matcher().matches and StructureMatcher().fit; processor time per pair, first meeting",
        "machine": {"cores": os.cpu_count(), "threads": 1, "python": platform.python_version(),
                    "pymatgen": pymatgen.core.__version__, "euhedral": euhedral.__version__,
                    "load_average": os.getloadavg()[0]},
        "crystals": f"{data.card.name}, seed 5",
        "seconds_until_ready": ready,
        "agreement": agreed / len(pairs),
        "kinds": rows,
        "rms_ours_minus_pymatgen": {"pairs": len(differences), "median": float(np.median(differences)),
                                    "least": float(min(differences)), "most": float(max(differences))},
        "disagreements": disagree,
    }  # fmt: skip
    print(json.dumps(result, indent=1, default=str))
    write_atomically(TARGET, content=json.dumps(result, indent=2, default=float) + "\n")


if __name__ == "__main__":
    main()
