"""From the folders of finished jobs to one table: every score with its interval, and who beats the composition alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.benchmarks.job import PREDICTIONS
from euhedral.benchmarks.protocol import Protocol, parts_of
from euhedral.benchmarks.runner import records
from euhedral.benchmarks.scores import Comparison, Score, best_of, compare, errors_of, score
from euhedral.core.batch import CrystalBatch

#: What a system that looks at structures must beat.
COMPOSITION_ONLY: Final = ("roost", "random-forest", "constant")
_SEED: Final = 0


@dataclass(frozen=True, eq=False)
class Entry:
    """One system's results over the folds and seeds that are finished.

    Args:
        system: its name.
        scores: {target: score over all folds pooled}.
        folds: how many.
        costs: means over the jobs.
        beats_composition: {target: comparison with the best that sees the composition alone}; empty for those themselves.
    """

    system: str
    scores: Mapping[str, Score]
    folds: int
    costs: Mapping[str, float]
    beats_composition: Mapping[str, Comparison]


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Systems by the error of the first target, the best first.

    Args:
        protocol: what they were asked.
        entries: one a system.
    """

    protocol: Protocol
    entries: tuple[Entry, ...]


def leaderboard(asked: Protocol, *, out: Path) -> Leaderboard:
    """Read what is finished and score it; systems that lack a fold that others have are scored on what they have.

    Args:
        asked: the protocol.
        out: the folder that `runner.run` wrote to.

    Raises:
        MissingDataError: the data of the protocol are not on this machine.
    """
    import pyarrow.parquet as pq
    import torch

    rng = np.random.default_rng(_SEED)
    kinds = asked.kinds
    truths: dict[str, Mapping[str, NDArray]] = {}
    errors: dict[str, dict[str, dict[tuple[str, int], NDArray]]] = {name: {} for name in kinds}
    inside: dict[tuple[str, str], list[NDArray]] = {}
    costs: dict[str, list[dict[str, Any]]] = {}
    for folder, record in records(asked, out=out):
        split, system = record["split"], record["system"]
        if split not in truths:
            test = list(parts_of(asked, split=split).test)
            batch = CrystalBatch.from_crystals(test, dtype=torch.float64, targets=tuple(kinds))
            truths[split] = {name: value.numpy() for name, value in batch.targets.items()}
        table = pq.read_table(folder / PREDICTIONS).to_pydict()
        costs.setdefault(system, []).append(record)
        for name, kind in kinds.items():
            truth = truths[split][name]
            errors[name].setdefault(system, {})[split, record["seed"]] = errors_of(table[name], truth, kind=kind)
            if f"{name}.lower" in table and not hasattr(kind, "classes"):
                low, high = (np.asarray(table[name + end]).reshape(truth.shape) for end in (".lower", ".upper"))
                known = ~np.isnan(truth)
                inside.setdefault((name, system), []).append(((truth >= low) & (truth <= high))[known])
    entries = []
    for system, spent in costs.items():
        scores = {}
        for name in kinds:
            pooled = np.concatenate(list(errors[name][system].values()))
            held = inside.get((name, system))
            scores[name] = score(pooled, target=name, inside=np.concatenate(held) if held else None, rng=rng)
        entries.append(Entry(system, scores, len(spent), _means(spent), _beaten(system, errors, rng=rng)))
    first = next(iter(kinds))
    return Leaderboard(asked, tuple(sorted(entries, key=lambda entry: entry.scores[first].error)))


def rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One flat row for each system and target, as a table takes them."""
    return [
        {
            "protocol": board.protocol.name, "version": board.protocol.version, "system": entry.system, "target": name,
            "error": one.error, "low": one.low, "high": one.high, "coverage": one.coverage, "crystals": one.crystals,
            "folds": entry.folds, **entry.costs,
            "composition_difference": entry.beats_composition[name].difference if name in entry.beats_composition else None,
            "beats_composition": entry.beats_composition[name].first_is_better if name in entry.beats_composition else None,
            "p": entry.beats_composition[name].p if name in entry.beats_composition else None,
        }
        for entry in board.entries
        for name, one in entry.scores.items()
    ]  # fmt: skip


def _beaten(
    system: str, errors: Mapping[str, Mapping[str, Mapping[tuple[str, int], NDArray]]], *, rng: np.random.Generator,
) -> dict[str, Comparison]:  # fmt: skip
    found = {}
    for name, by_system in errors.items():
        own = by_system[system]
        rivals = {
            rival: np.concatenate([by_system[rival][key] for key in own])
            for rival in COMPOSITION_ONLY
            if rival in by_system and rival != system and set(own) <= set(by_system[rival])
        }
        if system in COMPOSITION_ONLY or not rivals:
            continue
        best = best_of(rivals)[0]
        found[name] = compare(np.concatenate(list(own.values())), rivals[best], rng=rng)
    return found


def _means(records_of_system: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = (
        "parameters", "epochs", "published_epochs", "training_seconds", "seconds_per_epoch", "inference_ms_per_crystal",
        "peak_memory_mb", "share_unlike_training", "train",
    )  # fmt: skip
    return {
        name: float(np.mean([record[name] for record in records_of_system]))
        for name in names
        if all(name in record for record in records_of_system)
    }
