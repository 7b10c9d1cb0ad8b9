"""5,000 candidates against the hull of a real chemical system: here and in pymatgen's PhaseDiagram, with equal results.

    python benchmarks/hull_speed.py [--candidates 5000] [--rounds 3]

Both build the hull of the labelled MP-20 phases and place the same candidates, half of them on faces of the simplex. They
take turns in one process. pymatgen's own per-entry call is timed, with entries made beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import pymatgen.core
import scipy
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from euhedral.core.writing import write_atomically
from euhedral.data.references import reference_phases
from euhedral.metrics.hull import LowerHull

TARGET = Path(__file__).parent / "results" / "hull_speed.json"
SYSTEMS = (("Fe", "Li", "O"), ("Fe", "Li", "O", "P"), ("Co", "Fe", "Li", "Mn", "O"))


def candidates(n_elements: int, *, count: int) -> np.ndarray:
    fractions = np.random.default_rng(0).dirichlet(np.ones(n_elements), count)
    sparse = np.where(fractions < 0.2, 0.0, fractions)
    half = (np.arange(count) % 2 == 0) & (sparse.sum(axis=1) > 0)
    fractions = np.where(half[:, None], sparse, fractions)
    return fractions / fractions.sum(axis=1, keepdims=True)


def clock(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(elements: tuple[str, ...], *, count: int, rounds: int) -> dict[str, object]:
    phases = reference_phases().within(elements).labelled("formation_energy_per_atom")
    fractions, energies = phases.fractions(elements), phases.column("formation_energy_per_atom")
    asked = candidates(len(elements), count=count)
    names = [dict(zip(elements, row, strict=True)) for row in fractions]
    references = [PDEntry(Composition(name), energy) for name, energy in zip(names, energies, strict=True)]
    entries = [PDEntry(Composition(dict(zip(elements, row, strict=True))), 0.0) for row in asked]

    def ours():
        hull = LowerHull(compositions=fractions, energies=energies, elements=elements)
        return hull.distance(asked, energies=np.zeros(count)).distance

    def theirs():
        diagram = PhaseDiagram(references)
        return np.array([diagram.get_e_above_hull(entry, allow_negative=True, check_stable=False) for entry in entries])

    mine, pymatgens, difference = [], [], 0.0
    for _ in range(rounds):
        seconds, found = clock(ours)
        mine.append(seconds)
        seconds, expected = clock(theirs)
        pymatgens.append(seconds)
        difference = max(difference, float(np.abs(found - expected).max()))
    return {
        "elements": elements,
        "phases": len(phases),
        "candidates": count,
        "seconds": statistics.median(mine),
        "seconds_pymatgen": statistics.median(pymatgens),
        "ratio": statistics.median(b / a for a, b in zip(mine, pymatgens, strict=True)),
        "largest_difference_ev_per_atom": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    result = {
        "what": "hull distances: build the hull and place the candidates, processor seconds",
        "machine": {
            "cores": os.cpu_count(), "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
            "pymatgen": pymatgen.core.__version__, "threads": 1, "load_average": os.getloadavg()[0],
        },
        "systems": [measure(system, count=options.candidates, rounds=options.rounds) for system in SYSTEMS],
    }  # fmt: skip
    write_atomically(TARGET, content=json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
