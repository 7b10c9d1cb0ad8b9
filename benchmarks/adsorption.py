"""Whether the search finds configurations as low as those that people found: GAME-Net pairs with several labelled ones.

    EUHEDRAL_DATA=... python benchmarks/adsorption.py [--pairs 20] [--random 20] [--turns 2] [--largest 18]

A pair is a metal and a molecule of which the set holds several configurations. Every labelled configuration is relaxed with
CHGNet, and CHGNet searches on the same slab with the molecule as the first configuration has it; one and the same potential, so
that what is measured is the search and not the potential. A search succeeds when its lowest configuration is at most 0.1 eV
above the lowest labelled one. Pairs are drawn by a recorded seed; every pair is written when it is done and not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data.catalogue import load
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.simulation.adsorption import anomaly_of, find_adsorption
from euhedral.simulation.placements import ADSORBATE, FIXED, Molecule, Surface
from euhedral.simulation.relax import relax

TARGET = Path(__file__).parent / "results" / "adsorption.json"
SEED = 20261125
WITHIN = 0.1
FREE_DEPTH = 1.0


def pairs(largest: int) -> dict[str, list[Crystal]]:
    found = defaultdict(list)
    for crystal in load("gamenet-fg"):
        if 2 <= np.count_nonzero(crystal.site[ADSORBATE]) <= largest:
            found[crystal.id.rsplit("-", 1)[0]].append(crystal)
    return {name: crystals for name, crystals in sorted(found.items()) if len(crystals) > 1}


def ordered(crystal: Crystal) -> Crystal:
    """The slab's atoms first, as placements have them."""
    order = np.argsort(crystal.site[ADSORBATE], kind="stable")
    site = {ADSORBATE: crystal.site[ADSORBATE][order]}
    return Crystal(
        cell=crystal.cell, frac=crystal.frac[order], numbers=crystal.numbers[order], id=crystal.id, site=site
    )


def parts(crystal: Crystal) -> tuple[Crystal, Molecule]:
    """The clean slab and the molecule, whole, with the atom nearest to the slab as the one that binds."""
    mark = crystal.site[ADSORBATE] != 0
    slab = Crystal(cell=crystal.cell, frac=crystal.frac[~mark], numbers=crystal.numbers[~mark], id=crystal.id)
    frac = crystal.frac[mark] - crystal.frac[mark][0]
    positions = (frac - np.round(frac)) @ crystal.cell
    numbers = crystal.numbers[mark]
    heavy = np.where(numbers > 1, positions[:, 2], np.inf)
    return slab, Molecule(numbers=numbers, positions=positions, binding=int(np.argmin(heavy)))


def one(potential: CHGNet, crystals: list[Crystal], *, arguments: argparse.Namespace, rng: np.random.Generator) -> dict:
    labelled = [ordered(crystal) for crystal in crystals]
    slab, molecule = parts(labelled[0])
    began = time.perf_counter()
    search = find_adsorption(
        potential, slab, molecule, rng=rng, n_random=arguments.random, turns_per_site=arguments.turns, fmax=arguments.fmax,
        steps=arguments.steps, free_depth=FREE_DEPTH,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    height = Surface.of(slab).height
    deep = np.concatenate([height < height.max() - FREE_DEPTH, np.zeros(len(molecule.numbers), dtype=bool)])
    starts = [crystal.replace(site={**crystal.site, FIXED: deep.astype(float)}) for crystal in labelled]
    results = relax(potential, starts, fmax=arguments.fmax, steps=arguments.steps, cell=False, fixed=FIXED)
    zero = search.slab.energy + search.molecule.energy
    known = [
        result.energy - zero for start, result in zip(starts, results, strict=True) if not anomaly_of(start, result)
    ]
    best = search.best()
    return {
        "atoms": len(labelled[0]), "attempts": len(search.attempts), "anomalies": search.anomalies(),
        "labelled_eV": [result.energy - zero for result in results], "lowest_labelled_eV": min(known, default=None),
        "lowest_found_eV": best[0].adsorption_energy if best else None, "site": best[0].site if best else "",
        "seconds": seconds,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--random", type=int, default=20)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--largest", type=int, default=18)
    parser.add_argument("--fmax", type=float, default=0.05)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, default=TARGET)
    arguments = parser.parse_args()
    chosen = pairs(arguments.largest)
    names = list(np.random.default_rng(SEED).permutation(list(chosen))[: arguments.pairs])
    settings = {key: value for key, value in vars(arguments).items() if key not in ("out", "pairs")}
    kept = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() else {}
    done = kept.get("pairs", {}) if kept.get("settings") == settings else {}
    potential = CHGNet.load()
    for number, name in enumerate(names):
        if name not in done:
            rng = np.random.default_rng([SEED, number])
            done[str(name)] = one(potential, chosen[name], arguments=arguments, rng=rng)
        comparable = [pair for pair in done.values() if pair["lowest_labelled_eV"] is not None]
        good = sum(
            pair["lowest_found_eV"] is not None and pair["lowest_found_eV"] <= pair["lowest_labelled_eV"] + WITHIN
            for pair in comparable
        )
        report = {
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
            "potential": "CHGNet 0.3.0", "seed": SEED, "settings": settings, "pairs_with_several": len(chosen),
            "compared": len(comparable), "as_low_within_0.1_eV": good, "pairs": done,
        }  # fmt: skip
        write_atomically(arguments.out, content=json.dumps(report, indent=1) + "\n")
        print(name, done[name], f"{good} of {len(comparable)}")


if __name__ == "__main__":
    main()
