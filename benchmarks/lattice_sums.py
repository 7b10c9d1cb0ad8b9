"""Microseconds per pair of atoms of the infinite sums here, in pymatgen, and by brute force with NumPy, on real small cells.

    python benchmarks/lattice_sums.py [--crystals 48] [--rounds 5]

Coulomb: pymatgen's `EwaldSummation` gives the matrix of pair energies of given charges; ours is the matrix of sums times the
charges. Energies are compared, for neutral random charges. Dispersion and Pauli: brute force sums r^-6 and exp(-3 r) over all
images within a radius, vectorised over images, and adds to r^-6 the integral over evenly spread atoms beyond. Both sides work in one
process in turns; the ratio of each round is kept. All results are checked first. Gaussian images are timed alone.
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
import torch
from pymatgen.analysis.ewald import EwaldSummation

import euhedral
from euhedral.core.batch import CrystalBatch
from euhedral.core.bridges import to_pymatgen
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import MissingDataError
from euhedral.representations.ewald import COULOMB_CONSTANT, coulomb_energy
from euhedral.representations.gaussian_images import GaussianImages
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums, lattice_sums
from euhedral.representations.potentials import POTNET, Exponential, Power

TARGET = Path(__file__).parent / "results" / "lattice_sums.json"
RADIUS = 30.0
ACCURACY = 1e-8


def crystals_to_use(count):
    try:
        data = load("mp-20")
    except MissingDataError:
        data = load("mp-20-sample")
    chosen = np.random.default_rng(5).choice(len(data), min(count, len(data)), replace=False)
    return data.card.name, [data[int(i)] for i in np.sort(chosen)]


def brute(crystal):
    """(n, n, 2) sums of r^-6 and exp(-3 r)."""
    reach = np.ceil(RADIUS * np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)).astype(int) + 1
    axes = [np.arange(-m, m + 1) for m in reach]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
    longest = np.linalg.norm(crystal.cell.sum(0)) + np.linalg.norm(crystal.cell, axis=1).sum()
    lattice = lattice[(lattice**2).sum(1) < (RADIUS + longest) ** 2]
    n = len(crystal)
    out = np.empty((n, n, 2))
    cart = crystal.frac @ crystal.cell
    for i in range(n):
        for j in range(i, n):
            d2 = ((lattice + (cart[j] - cart[i])) ** 2).sum(1)
            d2 = d2[(d2 <= RADIUS**2) & (d2 > 1e-12)]
            out[i, j, 0] = out[j, i, 0] = (1.0 / d2**3).sum()
            out[i, j, 1] = out[j, i, 1] = np.exp(-3.0 * np.sqrt(d2)).sum()
    out[:, :, 0] += 4.0 * np.pi / (3.0 * crystal.volume * RADIUS**3)
    return out


def ours_coulomb(crystals, charges):
    for crystal, charge in zip(crystals, charges, strict=True):
        matrix = lattice_sums(crystal, potentials=(Power(1.0),), accuracy=ACCURACY)[:, :, 0]
        0.5 * COULOMB_CONSTANT * charge[:, None] * matrix * charge


def theirs_coulomb(structures):
    for structure in structures:
        _ = EwaldSummation(structure, acc_factor=8.0).total_energy_matrix


def in_turns(ours, theirs, *, pairs, rounds):
    times = {"ours": [], "peer": []}
    for _ in range(rounds):
        for name, function in (("ours", ours), ("peer", theirs)):
            began = time.process_time()
            function()
            times[name].append(time.process_time() - began)
    return {
        "ours_us_per_pair": 1e6 * statistics.median(times["ours"]) / pairs,
        "peer_us_per_pair": 1e6 * statistics.median(times["peer"]) / pairs,
        "faster_by": statistics.median(t / o for o, t in zip(times["ours"], times["peer"], strict=True)),
    }


def timed(function, *, rounds):
    function()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    began = time.perf_counter()
    one = CrystalBatch.from_crystals(crystals_to_use(1)[1], dtype=torch.float64)
    PotentialSums().build(one), GaussianImages().build(one)
    ready = time.perf_counter() - began
    name, crystals = crystals_to_use(options.crystals)
    pairs = sum(len(c) ** 2 for c in crystals)
    rng = np.random.default_rng(0)
    charges = [rng.normal(size=len(c)) for c in crystals]
    charges = [charge - charge.mean() for charge in charges]
    structures = []
    for crystal, charge in zip(crystals, charges, strict=True):
        structure = to_pymatgen(crystal)
        structure.add_oxidation_state_by_site(charge.tolist())
        structures.append(structure)

    energies = [coulomb_energy(c, charges=q) for c, q in zip(crystals, charges, strict=True)]
    theirs = [EwaldSummation(s, acc_factor=12.0).total_energy for s in structures]
    coulomb_difference = float(np.abs(np.array(energies) - theirs).max())
    sums = [lattice_sums(c, potentials=(Power(6.0), Exponential(3.0)), accuracy=ACCURACY) for c in crystals]
    brute_difference = np.max([np.abs(s - brute(c)).max((0, 1)) for c, s in zip(crystals, sums, strict=True)], axis=0)

    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    result = {
        "what": "infinite sums over the lattice between all ordered pairs of atoms; processor time of one thread",
        "crystals": f"{len(crystals)} of {name}, seed 5, {sum(map(len, crystals)) / len(crystals):.1f} atoms each on average",
        "pairs": pairs,
        "accuracy": ACCURACY,
        "machine": {
            "cpu": next(
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            "cores": os.cpu_count(), "load_average": os.getloadavg()[0], "python": platform.python_version(),
            "numpy": np.__version__, "numba": numba.__version__, "pymatgen": pymatgen.core.__version__,
            "euhedral": euhedral.__version__,
        },
        "seconds_until_ready": ready,
        "note": "seconds_until_ready: loading the compiled loops from the cache, or compiling them when there is none",
        "equal": {
            "largest_difference_of_coulomb_energy_eV": coulomb_difference,
            "largest_difference_of_dispersion": float(brute_difference[0]),
            "largest_difference_of_pauli": float(brute_difference[1]),
        },
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    result["Coulomb, pymatgen EwaldSummation"] = in_turns(
        lambda: ours_coulomb(crystals, charges), lambda: theirs_coulomb(structures), pairs=pairs, rounds=options.rounds
    )
    both = PotentialSums(potentials=(Power(6.0), Exponential(3.0)), accuracy=ACCURACY)
    result[f"dispersion and Pauli, NumPy within {RADIUS:g} A"] = in_turns(
        lambda: both.build(batch), lambda: [brute(c) for c in crystals], pairs=pairs, rounds=options.rounds
    )
    for accuracy in (1e-4, 1e-8, 1e-12):
        spec = PotentialSums(potentials=POTNET, accuracy=accuracy)
        seconds = timed(lambda spec=spec: spec.build(batch).extra[POTENTIAL_SUMS], rounds=options.rounds)
        result[f"three potentials of PotNet to {accuracy:g}"] = {"ours_us_per_pair": 1e6 * seconds / pairs}
    images = GaussianImages()
    count = images.build(batch).source.numel()
    seconds = timed(lambda: images.build(batch), rounds=options.rounds)
    result["images of Gaussians of 1.98 A to 1e-4"] = {
        "images_per_pair": count / pairs, "ours_us_per_pair": 1e6 * seconds / pairs,
        "ours_ns_per_image": 1e9 * seconds / count,
    }  # fmt: skip
    big = CrystalBatch(
        cell=torch.eye(3, dtype=torch.float64)[None] * (500 * 20.0) ** (1 / 3),
        frac=torch.from_numpy(rng.random((500, 3))), numbers=torch.ones(500, dtype=torch.int64),
        n_atoms=torch.tensor([500]),
    )  # fmt: skip
    spec = PotentialSums(accuracy=ACCURACY)
    seconds = timed(lambda: spec.build(big), rounds=3)
    result["three potentials of PotNet, 500 atoms"] = {"seconds": seconds, "ours_us_per_pair": 1e6 * seconds / 500**2}
    result["machine"]["load_average_at_end"] = os.getloadavg()[0]
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
