"""Evaluations of CHGNet that a relaxation needs: here and with ASE's optimisers, on the same crystals, to the same forces.

    python benchmarks/relaxation.py [--crystals 20] [--fmax 0.05]

Two kinds of start, both drawn from MP-20 by a recorded seed: cells perturbed at random (0.1 Angstrom, 3% strain), and cells
whose elements were exchanged for others of the same group and whose volume was scaled by the covalent radii, as a proposer
makes them. ASE relaxes atoms and cell through FrechetCellFilter; what is counted is calls of the potential, since they
cost all the time. Energies at the end tell whether the same minimum was found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from pathlib import Path

import ase
import numpy as np
import torch
from ase import Atoms
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS

from euhedral.core.crystal import Crystal
from euhedral.core.elements import element
from euhedral.core.writing import write_atomically
from euhedral.data.references import reference_phases
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.simulation.ase_calculator import ase_calculator
from euhedral.simulation.relax import relax

TARGET = Path(__file__).parent / "results" / "relaxation.json"
SEED = 20261124
GROUPS = (
    "Li Na K Rb", "Mg Ca Sr Ba", "F Cl Br I", "O S Se Te", "N P As", "Mn Fe Co Ni", "Ti Zr Hf", "Al Ga In", "Si Ge Sn",
    "La Ce Nd Gd Y", "Cu Ag Au", "Zn Cd", "V Nb Ta", "Cr Mo W", "Pd Pt Rh Ir",
)  # fmt: skip


def perturbed(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    strain = rng.normal(0.0, 0.03, (3, 3))
    shift = rng.normal(0.0, 0.1 / np.sqrt(3.0), crystal.frac.shape) @ np.linalg.inv(crystal.cell)
    return crystal.replace(cell=crystal.cell @ (np.eye(3) + 0.5 * (strain + strain.T)), frac=crystal.frac + shift)


def substituted(crystal: Crystal, rng: np.random.Generator) -> Crystal | None:
    groups = [[element(symbol).number for symbol in group.split()] for group in GROUPS]
    change = {}
    for number in sorted(set(crystal.numbers.tolist())):
        own = [group for group in groups if number in group]
        change[number] = int(rng.choice([other for other in own[0] if other != number])) if own else number
    if len(set(change.values())) < len(change) or all(old == new for old, new in change.items()):
        return None
    numbers = np.array([change[number] for number in crystal.numbers.tolist()])
    radii = [sum(element(int(n)).covalent_radius for n in which) for which in (numbers, crystal.numbers)]
    return crystal.replace(cell=crystal.cell * (radii[0] / radii[1]), numbers=numbers)


def draw(kind, *, count: int) -> list[Crystal]:
    rng = np.random.default_rng(SEED)
    phases = reference_phases()
    found: list[Crystal] = []
    while len(found) < count:
        start = kind(phases[int(rng.integers(len(phases)))], rng)
        if start is not None:
            found.append(start)
    return found


def by_ase(potential: CHGNet, starts: list[Crystal], *, optimiser, fmax: float, limit: int) -> dict[str, list]:
    calculator = ase_calculator(potential)
    plain, calls = calculator.calculate, [0]

    def counted(*arguments, **named):
        calls[0] += 1
        return plain(*arguments, **named)

    calculator.calculate = counted
    result = {"evaluations": [], "energy": [], "converged": []}
    for start in starts:
        atoms = Atoms(numbers=start.numbers, cell=start.cell, scaled_positions=start.frac, pbc=True)
        atoms.calc = calculator
        calls[0] = 0
        done = optimiser(FrechetCellFilter(atoms), logfile=None).run(fmax=fmax, steps=limit)
        result["evaluations"].append(calls[0])
        result["energy"].append(atoms.get_potential_energy() / len(atoms))
        result["converged"].append(bool(done))
    return result


def by_us(potential: CHGNet, starts: list[Crystal], *, fmax: float, limit: int) -> dict[str, list]:
    results = relax(potential, starts, fmax=fmax, steps=limit)
    return {
        "evaluations": [result.steps + 1 for result in results],
        "energy": [result.energy_per_atom for result in results],
        "converged": [result.converged for result in results],
        "ended_higher": [result.energy > result.start_energy for result in results],
    }


def summary(result: dict[str, list], *, best: np.ndarray, seconds: float) -> dict[str, float]:
    evaluations = np.array(result["evaluations"])
    above = 1000.0 * (np.array(result["energy"]) - best)
    return {
        "evaluations_mean": float(evaluations.mean()), "evaluations_median": float(np.median(evaluations)),
        "evaluations_largest": int(evaluations.max()), "converged": float(np.mean(result["converged"])),
        "ended_higher_than_start": int(sum(result.get("ended_higher", []))),
        "share_within_2_mev_per_atom_of_the_best": float((above < 2.0).mean()),
        "mev_per_atom_above_the_best_mean": float(above.mean()), "processor_seconds": seconds,
    }  # fmt: skip


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crystals", type=int, default=20)
    parser.add_argument("--fmax", type=float, nargs="+", default=[0.05, 0.02])
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    potential = CHGNet.load()
    report = {
        "what": "evaluations of CHGNet until the largest force and cell force are below fmax (eV/Angstrom), first included",
        "seed": SEED,
        "machine": {
            "cores": os.cpu_count(), "threads": 1, "python": platform.python_version(), "torch": torch.__version__,
            "ase": ase.__version__, "load_average": os.getloadavg()[0],
        },
        "results": {},
    }  # fmt: skip
    for kind in (perturbed, substituted):
        starts = draw(kind, count=options.crystals)
        for fmax in options.fmax:
            runs, seconds = {}, {}
            for optimiser in (FIRE, BFGS, LBFGS):
                begun = time.process_time()
                name = f"ASE {optimiser.__name__}"
                runs[name] = by_ase(potential, starts, optimiser=optimiser, fmax=fmax, limit=options.limit)
                seconds[name] = time.process_time() - begun
            begun = time.process_time()
            runs["euhedral"] = by_us(potential, starts, fmax=fmax, limit=options.limit)
            seconds["euhedral"] = time.process_time() - begun
            best = np.min([run["energy"] for run in runs.values()], axis=0)
            report["results"][f"{kind.__name__}, fmax {fmax:g}"] = {
                name: summary(run, best=best, seconds=seconds[name]) for name, run in runs.items()
            }
            print(json.dumps(report["results"][f"{kind.__name__}, fmax {fmax:g}"], indent=1), flush=True)
    write_atomically(TARGET, content=json.dumps({"crystals": options.crystals, **report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
