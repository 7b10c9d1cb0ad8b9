"""Duplicates among 2,000 crystals, here and by pymatgen's StructureMatcher: time, and every verdict that differs.

    EUHEDRAL_DATA=MIRROR python benchmarks/duplicates.py [--crystals 2000] [--pairs 400]

The crystals are those of MP-20 (all splits) whose formula occurs more than once, drawn by a recorded seed, a fifth of them
replaced by copies of others in another cell, turned, moved and permuted: real polymorphs and real duplicates. Both sides find
the groups of equal structures with the same tolerances (0.2, 0.3, 5 degrees, primitive cells, volumes scaled). pymatgen's
`group_structures` is timed on the same list. Verdicts are compared on all pairs of one reduced formula. A pair counts as decided by
pymatgen where its answer does not depend on how the pair is described: it is the same for both orders, with supercells searched
instead of primitive cells (`primitive_cell=False, attempt_supercell=True`), and when both are given by the smallest cells that
translations within 0.25 Angstrom, its own tolerance, leave. All other pairs are counted and listed too. Processor time, one thread;
compilation apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import defaultdict
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

from euhedral.core.bridges import to_pymatgen
from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.geometry.cells import with_cell
from euhedral.geometry.matching import Matcher
from euhedral.geometry.primitive_kernels import shrunk

TARGET = Path(__file__).parent / "results" / "duplicates.json"
SEED = 20261125


def disguised(crystal, rng):
    """The same structure in another cell, orientation, origin and order."""
    matrix = np.array([[1, 1, 0], [0, 1, -1], [1, 1, 1]])
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    order = rng.permutation(len(crystal))
    other = crystal.replace(
        cell=crystal.cell @ turn, frac=(crystal.frac + rng.random(3))[order], numbers=crystal.numbers[order], site={},
        props={}, id=f"{crystal.id} again",
    )  # fmt: skip
    return with_cell(other, matrix=matrix)


def smallest(crystal):
    cell, frac, numbers = shrunk(crystal.cell.copy(), crystal.frac.copy(), crystal.numbers.copy(), 0.25)
    return Crystal(cell=cell, frac=frac, numbers=numbers)


def drawn(count, rng):
    data = load("mp-20")
    by_formula = defaultdict(list)
    for crystal in data:
        by_formula[formula(crystal.numbers)].append(crystal)
    repeated = [name for name, found in by_formula.items() if len(found) > 1]
    chosen = []
    for place in rng.permutation(len(repeated)):
        chosen += by_formula[repeated[place]]
        if len(chosen) >= count * 4 // 5:
            break
    chosen = chosen[: count * 4 // 5]
    copies = rng.choice(len(chosen), count - len(chosen), replace=False)
    crystals = chosen + [disguised(chosen[i], rng) for i in copies]
    return [crystals[i] for i in rng.permutation(len(crystals))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    from pymatgen.analysis.structure_matcher import StructureMatcher

    rng = np.random.default_rng(SEED)
    crystals = drawn(options.crystals, rng)
    structures = [to_pymatgen(crystal) for crystal in crystals]
    matcher, theirs = Matcher(), StructureMatcher()
    by_supercells = StructureMatcher(primitive_cell=False, attempt_supercell=True)
    began = time.process_time()
    Matcher().groups(crystals[:40])
    ready = time.process_time() - began
    began = time.process_time()
    groups = matcher.groups(crystals)
    seconds = time.process_time() - began
    began = time.process_time()
    their_groups = theirs.group_structures(structures)
    their_seconds = time.process_time() - began

    by_formula = defaultdict(list)
    for i, crystal in enumerate(crystals):
        by_formula[formula(crystal.numbers)].append(i)
    pairs = [pair for found in by_formula.values() for pair in combinations(found, 2)]
    both = neither = 0
    ours_ms, theirs_ms, disagreements = [], [], []
    for i, j in pairs:
        began = time.process_time()
        own = bool(matcher.matches(crystals[i], crystals[j]))
        middle = time.process_time()
        other = bool(theirs.fit(structures[i], structures[j]))
        ours_ms.append(1000 * (middle - began))
        theirs_ms.append(1000 * (time.process_time() - middle))
        both += own and other
        neither += not own and not other
        if own != other:
            swapped = bool(theirs.fit(structures[j], structures[i]))
            supercells = bool(by_supercells.fit(structures[i], structures[j]))
            small = bool(theirs.fit(*(to_pymatgen(smallest(crystals[k])) for k in (i, j))))
            disagreements.append(
                {
                    "first": str(crystals[i].id), "second": str(crystals[j].id), "ours": own, "pymatgen": other,
                    "pymatgen_swapped": swapped, "pymatgen_supercells": supercells, "pymatgen_smallest": small,
                    "decided": other == swapped == supercells == small,
                }
            )  # fmt: skip
    decided = sum(item["decided"] for item in disagreements)
    report = {
        "what": "groups of equal structures, and verdicts on all pairs of one formula; processor seconds, one thread",
        "machine": {
            "cores": os.cpu_count(), "python": platform.python_version(), "load_average": os.getloadavg()[0],
        },
        "crystals": len(crystals), "seed": SEED, "compilation_seconds": round(ready, 2),
        "groups": {"ours": len(groups), "pymatgen": len(their_groups)},
        "seconds": {"ours": round(seconds, 2), "pymatgen": round(their_seconds, 2), "ratio": round(their_seconds / seconds, 1)},
        "pairs": {
            "all": len(pairs), "both_same": both, "both_different": neither, "disagree": len(disagreements),
            "agreement": round(1 - len(disagreements) / len(pairs), 5),
            "disagree_where_pymatgen_decides": decided,
            "agreement_where_pymatgen_decides": round(1 - decided / (len(pairs) - len(disagreements) + decided), 5),
            "ours_ms": round(float(np.mean(ours_ms)), 3), "pymatgen_ms": round(float(np.mean(theirs_ms)), 3),
            "ratio_of_sums": round(sum(theirs_ms) / sum(ours_ms), 1),
            "ratio_of_slowest_tenth": round(float(np.sum(np.sort(theirs_ms)[-len(pairs) // 10 :]) / np.sum(np.sort(ours_ms)[-len(pairs) // 10 :])), 1),
        },
        "disagreements": disagreements,
    }  # fmt: skip
    write_atomically(options.output, content=json.dumps(report, indent=1) + "\n")
    print(json.dumps({key: value for key, value in report.items() if key != "disagreements"}, indent=1))
    print(len(disagreements), disagreements[:10])


if __name__ == "__main__":
    main()
