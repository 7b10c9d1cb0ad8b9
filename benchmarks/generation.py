"""Crystals from CrystalFormer before any filter: parsed, symmetric, valid, unique, new; MP-20's own test set beside.

    python benchmarks/generation.py [--n 2000]      # minutes on one thread; writes benchmarks/results/generation.json

Needs MP-20 (`euhedral fetch mp-20`, or EUHEDRAL_DATA). Definitions: structural validity (shortest distance of at least
0.5 Angstrom, a volume) and composition validity (SMACT rule) as in CDVAE, arXiv:2110.06197; two crystals are the same by
`geometry.matching.Matcher`; unique and new are counted among all samples that parse.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.core.files import parse
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.core.writing import write_atomically
from euhedral.data.catalogue import load
from euhedral.errors import EuhedralError, InvalidRequestError
from euhedral.geometry.matching import Matcher
from euhedral.geometry.symmetry import symmetry
from euhedral.metrics.validity import composition_valid, structurally_valid
from euhedral.models.generation.crystalformer import CrystalFormer
from euhedral.models.generation.substitution import Substitution
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.simulation.references import ReferenceHull
from euhedral.simulation.relax import relax
from euhedral.tasks.generation import Request
from euhedral.tasks.weights import load_weights
from euhedral.testing.generation import contains_group

ROOT = Path(__file__).parents[1]
GROUPS = (2, 12, 14, 62, 63, 123, 139, 166, 194, 221, 225)


def parses(crystal: Crystal) -> bool:
    (again,) = parse(cif_from_crystals([crystal]), format="cif", name="sample")
    same = sorted(again.numbers.tolist()) == sorted(crystal.numbers.tolist())
    return same and np.allclose(again.cell @ again.cell.T, crystal.cell @ crystal.cell.T, rtol=1e-4, atol=1e-3)


def found_group(crystal: Crystal) -> int | None:
    try:
        return symmetry(crystal).number
    except EuhedralError:
        return None


def share(values) -> float:
    return round(float(np.mean(list(values))), 4)


def group_report(crystals: list[Crystal], asked: list[int]) -> dict:
    return {
        "contain_the_group": share(contains_group(c, number=g) for c, g in zip(crystals, asked, strict=True)),
        "have_exactly_the_group": share(found_group(c) == g for c, g in zip(crystals, asked, strict=True)),
    }


def validity_report(crystals: list[Crystal]) -> dict:
    structure, composition = structurally_valid(crystals), composition_valid(crystals)
    return {
        "structurally_valid": share(structure), "composition_valid": share(composition),
        "valid": share(structure & composition),
    }  # fmt: skip


def novelty_report(crystals: list[Crystal], train: list[Crystal], matcher: Matcher) -> dict:
    groups = matcher.groups(crystals)
    leaders = [group[0] for group in groups]
    by_formula: dict[str, list[Crystal]] = {}
    wanted = {formula(crystals[i].numbers) for i in leaders}
    for crystal in train:
        name = formula(crystal.numbers)
        if name in wanted:
            by_formula.setdefault(name, []).append(crystal)
    new = [
        i for i in leaders
        if not any(matcher.matches(crystals[i], known) for known in by_formula.get(formula(crystals[i].numbers), ()))
    ]  # fmt: skip
    structure, composition = structurally_valid(crystals), composition_valid(crystals)
    return {
        "unique": round(len(leaders) / len(crystals), 4),
        "unique_and_new": round(len(new) / len(crystals), 4),
        "unique_new_and_valid": round(sum(bool(structure[i] and composition[i]) for i in new) / len(crystals), 4),
        "formula_new_share_of_unique": share(formula(crystals[i].numbers) not in by_formula for i in leaders),
    }


def stability_report(results: list[Crystal | Failure], train: list[Crystal], matcher: Matcher) -> dict:
    """Relax with CHGNet and place on the shipped hull; what fails anywhere counts as not stable."""
    crystals = [result for result in results if isinstance(result, Crystal)]
    start = time.perf_counter()
    hull, distance = ReferenceHull.shipped(), np.full(len(crystals), np.nan)
    relaxed = relax(CHGNet.load(), crystals, fmax=0.05, steps=200)
    for i, each in enumerate(relaxed):
        if np.isfinite(each.energy):
            try:
                distance[i] = hull.distances([each.crystal], energies_per_atom=[each.energy_per_atom])[0]
            except InvalidRequestError:  # an element without a reference phase
                continue
    ends = [each.crystal for each in relaxed]
    leaders = {group[0] for group in matcher.groups(ends)}
    known = {}
    for crystal in train:
        known.setdefault(formula(crystal.numbers), []).append(crystal)
    new = np.array([
        i in leaders and not any(matcher.matches(end, old) for old in known.get(formula(end.numbers), ()))
        for i, end in enumerate(ends)
    ])  # fmt: skip
    report: dict = {
        "n": len(results), "relaxation": "CHGNet 0.3.0, fmax 0.05 eV/Angstrom, at most 200 steps",
        "seconds": round(time.perf_counter() - start), "converged": round(sum(e.converged for e in relaxed) / len(results), 4),
        "median_distance_to_hull": round(float(np.nanmedian(distance)), 4),
        "unique_and_new_after_relaxation": round(int(new.sum()) / len(results), 4),
    }  # fmt: skip
    for limit in (0.0, 0.1):
        stable = distance <= limit
        report[f"stable_within_{limit}_eV_per_atom"] = round(int(stable.sum()) / len(results), 4)
        report[f"stable_within_{limit}_unique_and_new"] = round(int((stable & new).sum()) / len(results), 4)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=2000)
    parser.add_argument("--per-group", type=int, default=100)
    parser.add_argument("--relax", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    weights = load_weights(ROOT / "src/euhedral/models/weights/crystalformer-mp20")
    model = CrystalFormer.from_weights(weights)
    splits = load("mp-20").split("official")
    matcher = Matcher()

    start, cpu = time.perf_counter(), time.process_time()
    results = model.sample(Request(n=arguments.n), rng=torch.Generator().manual_seed(0))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    crystals = [result for result in results if isinstance(result, Crystal)]
    asked = [int(crystal.props["space_group"]) for crystal in crystals]
    model.attempts, attempts = 1, model.attempts
    first = model.sample_wyckoff(Request(n=arguments.n), rng=torch.Generator().manual_seed(1))
    model.attempts = attempts
    print(f"{len(crystals)} of {len(results)} in {seconds:.1f} s", flush=True)
    free = {
        "n": len(results), "temperature": 1.0, "top_p": 1.0, "seed": 0, "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2), "failures": dict(Counter(str(r)[:60] for r in results if not isinstance(r, Crystal))),
        "generated": round(len(crystals) / len(results), 4),
        "complete_at_first_attempt": share(not isinstance(result, Failure) for result in first), "attempts": attempts, "parse": share(parses(crystal) for crystal in crystals),
        **group_report(crystals, asked), **validity_report(crystals),
        **novelty_report(crystals, list(splits["train"]), matcher),
    }  # fmt: skip
    print(json.dumps(free, indent=1), flush=True)

    by_group, all_crystals, all_asked = {}, [], []
    for number in GROUPS:
        given = model.sample(
            Request(n=arguments.per_group, space_group=number), rng=torch.Generator().manual_seed(number)
        )
        chosen = [result for result in given if isinstance(result, Crystal)]
        all_crystals += chosen
        all_asked += [number] * len(chosen)
        by_group[str(number)] = {"generated": round(len(chosen) / len(given), 4), **group_report(chosen, [number] * len(chosen)),
                                 **validity_report(chosen)}  # fmt: skip
    print("by group done", flush=True)

    test = list(splits["test"])
    some = test[:: max(1, len(test) // 2000)]
    stability = {}
    if arguments.relax:
        baseline = Substitution.load().sample(Request(n=arguments.relax), rng=torch.Generator().manual_seed(0))
        stability = {
            "hull": ReferenceHull.shipped().description,
            "crystalformer": stability_report(results[: arguments.relax], list(splits["train"]), matcher),
            "substitution_at_random": stability_report(baseline, list(splits["train"]), matcher),
        }
        print(json.dumps(stability, indent=1), flush=True)
    report = {
        "benchmark": "generation", "version": 1,
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": 1,
                    "python": platform.python_version(), "torch": torch.__version__, "shared": "other jobs ran beside"},
        "weights": {key: weights.card.get("training", {}).get(key) for key in
                    ("epochs", "steps", "seconds", "validation_nll_nats_per_crystal")},
        "matcher": vars(matcher),
        "any_group": free,
        "asked_for_a_group": {"all": {**group_report(all_crystals, all_asked), **validity_report(all_crystals)}, **by_group},
        "stability_after_relaxation": stability,
        "mp20_test_sample": {
            "n": len(some),
            **validity_report(some),
            **novelty_report(some, list(splits["train"]), matcher),
        },
        "mp20_test_all": {"n": len(test), **validity_report(test)},
    }  # fmt: skip
    write_atomically(ROOT / "benchmarks/results/generation.json", content=json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
