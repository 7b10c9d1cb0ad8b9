"""Rediscovery: are phases of chemical systems that nothing here has seen among the best-ranked candidates?

    python benchmarks/rediscovery/run.py --part a --work FOLDER [--relax 64] [--budget SECONDS]
    python benchmarks/rediscovery/run.py --summary --work FOLDER

The 66 systems of `held_out.json` (drawn by `draw.py`) are left out of the templates and likenesses of element substitution, of
the training of CrystalFormer's shipped weights, and of the references of the run. For each system the proposers are asked for
distinct, valid candidates; `discover` relaxes the first of them with CHGNet in its own loop, ranks these as a run does, and what
was not relaxed follows in the order proposed. A phase is found at k when one of the first k candidates
matches it (`geometry.matching.Matcher`, its default tolerances, primitive cells, volumes scaled).

CHGNet's training set (MPtrj) has probably seen these phases: the ranking by its energies is flattered, the proposers are not.

Each system's result is one file in the work folder; a run that was stopped goes on with the systems that have none.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from euhedral.campaign.discover import Loop, Relaxed
from euhedral.campaign.filters import Shelf, fault
from euhedral.campaign.ledger import Ledger
from euhedral.campaign.proposers import Proposer
from euhedral.campaign.question import Question
from euhedral.campaign.ranking import distances_among, plausibility
from euhedral.campaign.run_folder import machine, versions
from euhedral.core.composition import chemical_system
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data.references import reference_phases
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.matching import Matcher
from euhedral.models.generation.crystalformer import CrystalFormer
from euhedral.models.generation.substitution import Substitution
from euhedral.models.registry import load_trained
from euhedral.simulation.references import ReferenceHull

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "rediscovery.json"
AT = (8, 32, 256)
SEED = 20261124
NEVER = 1_000_000
PLAIN_SUBSTITUTION = {"a": {"8": 0.66, "32": 0.79, "256": 0.80}, "b": {"256": 0.20}}


def distinct(proposer: Proposer, question: Question, *, n: int, matcher: Matcher) -> Iterator[Crystal]:
    """Give valid candidates of which no two are the same, until n proposals of each wanted one have been spent."""
    shelf = Shelf(matcher)
    found = start = 0
    while found < n and start < 4 * n:
        for result in proposer.batch(question, start=start, n=n):
            start += 1
            if found < n and isinstance(result, Crystal) and not fault(result, question=question):
                try:
                    if shelf.twin(result):
                        continue
                except InvalidCrystalError:
                    continue
                shelf.add(result)
                found += 1
                yield result


def first_matches(candidates: Sequence[Crystal], phases: Sequence[Crystal], *, matcher: Matcher) -> dict[str, int]:
    """Return the position of the first candidate that matches each phase."""
    return {
        phase.id: next((i for i, one in enumerate(candidates) if matcher.matches(one, phase)), NEVER)
        for phase in phases
    }


def answer(
    system: str,
    *,
    phases: Sequence[Crystal],
    proposers: Sequence[Proposer],
    tools: dict[str, Any],
    relax: int,
    work: Path,
) -> dict[str, Any]:
    """Do one system."""
    matcher: Matcher = tools["matcher"]
    question = Question(elements=tuple(system.split("-")), candidates=max(relax, 1), seed=SEED)
    begun = time.monotonic()
    proposed = {one.name: list(distinct(one, question, n=max(AT), matcher=matcher)) for one in proposers}
    record: dict[str, Any] = {
        "system": system,
        "phases": [phase.id for phase in phases],
        "proposers": {name: first_matches(found, phases, matcher=matcher) for name, found in proposed.items()},
        "proposed": {name: len(found) for name, found in proposed.items()},
        "seconds_to_propose": round(time.monotonic() - begun, 1),
    }
    ranked: list[Crystal] = []
    shares = dict.fromkeys(proposed, 1.0)
    if relax:
        known = Shelf(matcher)
        known.extend(
            phase for phase in reference_phases().within(question.elements)
            if chemical_system(phase.numbers) not in tools["held_out"]
        )  # fmt: skip
        ledger = Ledger(work / f"{system}.sqlite")
        loop = Loop(
            question, ledger=ledger, proposers=proposers, potential=tools["potential"], hull=tools["hull"], known=known
        )
        relaxed = loop.run()
        yields = loop.yields(loop.accepted())
        ledger.close()
        placed = [item for item in relaxed if item.hull_distance is not None]
        among = distances_among(
            [item.crystal for item in placed], energies_per_atom=[item.energy_per_atom for item in placed],
            converged=[item.converged for item in placed], hull=tools["hull"], elements=question.elements,
        )  # fmt: skip
        merit = plausibility(among, places=[item.place for item in placed])
        order = sorted(range(len(placed)), key=lambda i: (-merit[i], placed[i].hull_distance))
        ranked = [placed[leader[0]].crystal for leader in matcher_groups(placed, order, matcher=matcher)]
        shares = {name: (one.good + 1) / (one.relaxed + 2) for name, one in yields.items()}
        record |= {"relaxed": len(relaxed), "yields": {name: vars(one) for name, one in yields.items()}}
    listed = ranked + _merged(proposed, shares=shares, before=ranked, n=max(AT), matcher=matcher)
    record["discover"] = first_matches(listed[: max(AT)], phases, matcher=matcher)
    record["seconds"] = round(time.monotonic() - begun, 1)
    return record


def matcher_groups(placed: Sequence[Relaxed], order: Sequence[int], *, matcher: Matcher) -> list[list[int]]:
    """Put candidates that relaxed to the same structure together, in order of rank."""
    groups = matcher.groups([placed[i].crystal for i in order])
    return [[order[member] for member in group] for group in groups]


def _merged(
    proposed: dict[str, list[Crystal]], *, shares: dict[str, float], before: Sequence[Crystal], n: int, matcher: Matcher
) -> list[Crystal]:
    """Take from each proposer in proportion to its share what is not there yet."""
    shelf = Shelf(matcher)
    shelf.extend(before)
    waiting = {name: iter(found) for name, found in proposed.items()}
    taken = dict.fromkeys(proposed, 0)
    merged: list[Crystal] = []
    while waiting and len(before) + len(merged) < n:
        name = min(waiting, key=lambda name: ((taken[name] + 1) / shares[name], name))
        crystal = next(waiting[name], None)
        if crystal is None:
            del waiting[name]
            continue
        taken[name] += 1
        if not shelf.twin(crystal):
            shelf.add(crystal)
            merged.append(crystal)
    return merged


def summary(work: Path, *, held_out: dict[str, Any]) -> dict[str, Any]:
    """Count what was found, with 95% bootstrap intervals over systems."""
    result: dict[str, Any] = {}
    for part in ("a", "b"):
        records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted((work / part).glob("*.json"))]
        if not records:
            continue
        lists = {"discover": [record["discover"] for record in records]}
        for name in records[0]["proposers"]:
            lists[name] = [record["proposers"][name] for record in records]
        result[part] = {
            "systems": len(records),
            "phases": sum(len(record["phases"]) for record in records),
            "all_systems": len(held_out[part]["systems"]),
            "relaxed": sum(record.get("relaxed", 0) for record in records),
            "seconds": round(sum(record["seconds"] for record in records), 1),
            "found": {name: {str(k): share(found, k) for k in AT} for name, found in lists.items()},
            "either_proposer_within_256": share([{p: min(r["proposers"][n][p] for n in r["proposers"]) for p in r["phases"]} for r in records], 256),
            "plain_substitution_in_a_trial": PLAIN_SUBSTITUTION[part],
        }  # fmt: skip
    return result


def share(found: Sequence[dict[str, int]], k: int) -> dict[str, Any]:
    """Give the share of phases found at k, and the interval that 95% of resamples of systems lie in."""
    hits = np.array([sum(position < k for position in one.values()) for one in found], dtype=float)
    sizes = np.array([len(one) for one in found], dtype=float)
    drawn = np.random.default_rng(SEED).integers(len(found), size=(10_000, len(found)))
    low, high = np.quantile(hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return {
        "share": round(float(hits.sum() / sizes.sum()), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("a", "b"), help="which phases; with --summary both")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is finished")
    parser.add_argument("--relax", type=int, default=0, help="candidates to relax in each system")
    parser.add_argument("--systems", type=int, default=None, help="only the first so many")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds; no system is begun after them")
    parser.add_argument("--summary", action="store_true", help="write the results of what is finished")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    held_out = json.loads((HERE / "held_out.json").read_text(encoding="utf-8"))
    if arguments.part:
        work(arguments, held_out=held_out)
    if arguments.summary:
        head = {
            "matcher": repr(Matcher()), "templates": "MP-20 train split without the held-out systems",
            "caution": "CHGNet has probably seen these phases in training (MPtrj); its ranking is flattered",
            "discover": "the relaxed candidates in the order of a run, then what was not relaxed in the order proposed, each "
            "proposer in proportion to its yield; where nothing was relaxed, one from each in turn",
            "seconds": "without relaxations that a stopped run had left in its ledgers",
            "machine": machine(), "versions": versions(),
        }  # fmt: skip
        report = {**head, **summary(arguments.work, held_out=held_out)}
        write_atomically(arguments.out, content=json.dumps(report, indent=1) + "\n")
        print(json.dumps(report, indent=1))


def work(arguments: argparse.Namespace, *, held_out: dict[str, Any]) -> None:
    begun = time.monotonic()
    folder = arguments.work / arguments.part
    folder.mkdir(parents=True, exist_ok=True)
    table = reference_phases()
    rows = {name: row for row, name in enumerate(table.ids.tolist())}
    phases: dict[str, list[Crystal]] = {}
    for name in held_out[arguments.part]["phases"]:
        phase = table[rows[name]]
        phases.setdefault(chemical_system(phase.numbers), []).append(phase)
    tools: dict[str, Any] = {"matcher": Matcher(), "held_out": set(held_out["held_out_systems"])}
    if arguments.relax:
        tools["potential"] = load_trained("chgnet", wing="potential")
        tools["hull"] = ReferenceHull.shipped(exclude_systems=held_out["held_out_systems"])
    proposers = (
        Proposer("substitution", Substitution(exclude_systems=held_out["held_out_systems"]), ordered=True),
        Proposer("crystalformer", CrystalFormer.load()),
    )
    for system in held_out[arguments.part]["systems"][: arguments.systems]:
        file = folder / f"{system}.json"
        if file.exists():
            continue
        if time.monotonic() - begun > arguments.budget:
            print("the budget is spent; the same command goes on")
            return
        record = answer(
            system, phases=phases[system], proposers=proposers, tools=tools, relax=arguments.relax, work=folder
        )
        write_atomically(file, content=json.dumps(record, indent=1) + "\n")
        print(system, {name: list(found.values()) for name, found in record["proposers"].items()}, "discover", list(record["discover"].values()), record["seconds"], "s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
