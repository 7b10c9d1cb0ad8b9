"""From the folders of finished jobs to one table: every score with its interval, and who beats the composition alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.benchmarks.baselines import BASELINES
from euhedral.benchmarks.job import PREDICTIONS
from euhedral.benchmarks.protocol import Protocol, parts_of
from euhedral.benchmarks.runner import records
from euhedral.benchmarks.scores import Comparison, Score, adjusted, best_of, compare, determination, errors_of, score
from euhedral.core.batch import CrystalBatch
from euhedral.errors import FileFormatError

if TYPE_CHECKING:
    import pyarrow as pa

#: What a system that looks at structures must beat.
COMPOSITION_ONLY: Final = ("roost", *BASELINES)
_SEED: Final = 0


@dataclass(frozen=True, eq=False)
class Entry:
    """One system's results over the folds and seeds that are finished.

    Args:
        system: its name.
        scores: {target: score over all folds pooled}.
        r2: {target: R2 over all folds pooled}; empty for classes.
        folds: how many.
        costs: means over the jobs, and in words the weights that they began from and the splits.
        beats_composition: {target: comparison with the best that sees the composition alone}; empty for those themselves.
    """

    system: str
    scores: Mapping[str, Score]
    r2: Mapping[str, float]
    folds: int
    costs: Mapping[str, Any]
    beats_composition: Mapping[str, Comparison]


@dataclass(frozen=True)
class Pair:
    """Two systems on the same test crystals.

    Args:
        target: its name.
        first: a system.
        second: another one.
        comparison: the error of the first against that of the second.
        p: of the comparison, raised for all pairs of this target together.
    """

    target: str
    first: str
    second: str
    comparison: Comparison
    p: float


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Systems by the error of the first target, the best first.

    Args:
        protocol: what they were asked.
        entries: one a system.
        units: {target: unit}, as the data set's card says.
        pairs: every two systems on each target, on the folds and seeds that both have.
    """

    protocol: Protocol
    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    units: Mapping[str, str]


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
    units: Mapping[str, str] = {}
    ids: dict[str, list[str]] = {}
    truths: dict[str, Mapping[str, NDArray]] = {}
    errors: dict[str, dict[str, dict[tuple[str, int], NDArray]]] = {name: {} for name in kinds}
    answered: dict[tuple[str, str], list[tuple[NDArray, NDArray]]] = {}
    inside: dict[tuple[str, str], list[NDArray]] = {}
    costs: dict[str, list[dict[str, Any]]] = {}
    for folder, record in records(asked, out=out):
        split, system = record["split"], record["system"]
        if split not in truths:
            part = parts_of(asked, split=split).test
            units, test = part.card.units, list(part)
            batch = CrystalBatch.from_crystals(test, dtype=torch.float64, targets=tuple(kinds))
            ids[split] = [crystal.id for crystal in test]
            truths[split] = {name: value.numpy() for name, value in batch.targets.items()}
        table = _of(ids[split], pq.read_table(folder / PREDICTIONS), whose=folder / PREDICTIONS)
        costs.setdefault(system, []).append(record)
        for name, kind in kinds.items():
            truth = truths[split][name]
            errors[name].setdefault(system, {})[split, record["seed"]] = errors_of(table[name], truth, kind=kind)
            if not hasattr(kind, "classes"):
                given = np.asarray(table[name], dtype=np.float64).reshape(truth.shape)
                answered.setdefault((name, system), []).append((given, truth))
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
        r2 = {
            name: determination(*map(np.concatenate, zip(*answered[name, system], strict=True)))
            for name in kinds
            if (name, system) in answered
        }
        entries.append(Entry(system, scores, r2, len(spent), _means(spent), _beaten(system, errors, rng=rng)))
    first = next(iter(kinds))
    entries.sort(key=lambda entry: entry.scores[first].error)
    pairs = [pair for name in kinds for pair in _pairs(name, errors[name], rng=rng)]
    return Leaderboard(asked, tuple(entries), tuple(pairs), units)


def _of(ids: Sequence[str], table: pa.Table, *, whose: Path) -> dict[str, list[Any]]:
    """The columns of a table of predictions for these crystals, in their order; it may hold more."""
    place = {name: row for row, name in enumerate(table["id"].to_pylist())}
    lost = [name for name in ids if name not in place]
    if lost:
        raise FileFormatError(
            f"{whose} holds no prediction of the test crystal {lost[0]!r} ({len(lost):,} are missing): the data have changed since; "
            "delete that folder and run its system again"
        )
    return table.take([place[name] for name in ids]).to_pydict()


def rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One flat row for each system and target, as a table takes them."""
    return [
        {
            "protocol": board.protocol.name, "version": board.protocol.version, "system": entry.system, "target": name,
            "unit": board.units.get(name, ""),
            "error": one.error, "low": one.low, "high": one.high, "r2": entry.r2.get(name),
            "coverage": one.coverage, "crystals": one.crystals,
            "folds": entry.folds, **entry.costs,
            "composition_difference": entry.beats_composition[name].difference if name in entry.beats_composition else None,
            "beats_composition": entry.beats_composition[name].first_is_better if name in entry.beats_composition else None,
            "p": entry.beats_composition[name].p if name in entry.beats_composition else None,
        }
        for entry in board.entries
        for name, one in entry.scores.items()
    ]  # fmt: skip


def pair_rows(board: Leaderboard) -> list[dict[str, Any]]:
    """One flat row for each pair of systems and target, as a table takes them."""
    return [
        {
            "protocol": board.protocol.name, "version": board.protocol.version, "target": pair.target,
            "first": pair.first, "second": pair.second, "difference": pair.comparison.difference,
            "low": pair.comparison.low, "high": pair.comparison.high, "p": pair.p,
        }
        for pair in board.pairs
    ]  # fmt: skip


def _pairs(
    target: str, errors: Mapping[str, Mapping[tuple[str, int], NDArray]], *, rng: np.random.Generator
) -> list[Pair]:
    names, compared = best_of({name: np.concatenate(list(of.values())) for name, of in errors.items()}), []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            shared = [key for key in errors[first] if key in errors[second]]
            if shared:
                own, other = (np.concatenate([errors[name][key] for key in shared]) for name in (first, second))
                compared.append((first, second, compare(own, other, rng=rng)))
    raised = adjusted([found.p for _, _, found in compared])
    return [Pair(target, first, second, found, p) for (first, second, found), p in zip(compared, raised, strict=True)]


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


def _means(records_of_system: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = (
        "parameters", "epochs", "published_epochs", "training_seconds", "seconds_per_epoch", "inference_ms_per_crystal",
        "peak_memory_mb", "share_unlike_training", "train", "validation", "test", "graph_seconds", "minutes",
    )  # fmt: skip
    means = {
        name: float(np.mean([record[name] for record in records_of_system]))
        for name in names
        if all(record.get(name) is not None for record in records_of_system)
    }
    splits = dict.fromkeys(record["split"] for record in records_of_system)
    return {**means, "start": records_of_system[0].get("start", ""), "splits": ", ".join(splits)}
