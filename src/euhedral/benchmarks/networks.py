"""What networks of a system say after training within a protocol's budget."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from euhedral.benchmarks.budget import seconds_per_step, within
from euhedral.benchmarks.job import Job, Outcome
from euhedral.benchmarks.protocol import Parts, Protocol
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.errors import InvalidRequestError
from euhedral.models.registry import row
from euhedral.tasks.weights import load_weights
from euhedral.training.ensemble import Ensemble
from euhedral.training.graph_set import GraphSet
from euhedral.training.loggers import Journal
from euhedral.training.loop import fit
from euhedral.training.network import inputs_of
from euhedral.training.predictor import Predictor, weights_folder
from euhedral.training.recipes import BOUNDS, EnsembleRecipe, begin_from, calibrate, learnt_from, size_of
from euhedral.training.seen import unseen
from euhedral.training.settings import settings_of

_COVERAGE: Final = 0.9


def train_and_predict(job: Job, *, asked: Protocol, parts: Parts, test: Sequence[Crystal], folder: Path) -> Outcome:
    """Train one network, or several, within the budget and let them predict.

    A network that begins from weights has their size and not the published one; it is trained as any other.

    Raises:
        EuhedralError: the data are missing, the system cannot learn these targets, training diverged, or the weights to begin
            from learnt from test crystals.
    """
    known = row(job.system)
    special = asked.hyperparameters.get(job.system, {})
    config, begun = dict(special.get("config", {})), ""
    if job.start:
        config, begun = _start(job, test=test)
    members = [_network(job, config=config, targets=asked.targets, member=member) for member in range(job.members)]
    began = time.process_time()
    pattern: Any = members[0]
    inputs = inputs_of(pattern)
    merges = bool(getattr(pattern, "merges_equal", False))
    sets = [
        GraphSet.from_crystals(
            list(part), spec=pattern.graph, targets=tuple(asked.kinds), inputs=inputs, merge_equal=merges
        )
        for part in (parts.train, parts.validation)
    ]
    graph_seconds = time.process_time() - began
    published = settings_of(special.get("training", known.training), whose=known.name)
    minutes = job.minutes if job.minutes is not None else asked.minutes
    budget = folder / "budget.json"
    settings, a_step = published, None
    if minutes is not None:
        if budget.exists():  # a run that goes on keeps the length that it began with
            a_step = float(json.loads(budget.read_text(encoding="utf-8"))["seconds_per_step"])
        else:
            a_step = seconds_per_step(members[0], train=sets[0], settings=published) / asked.threads
            write_atomically(budget, content=json.dumps({"seconds_per_step": a_step}) + "\n")
        settings = within(published, minutes=minutes / job.members, seconds_a_step=a_step, n_crystals=len(sets[0]))
    recipe = EnsembleRecipe(system=job.system, targets=asked.targets, start=job.start)
    began = time.process_time()
    journal = Journal(folder)
    for index, model in enumerate(members):
        _, goes_on = begin_from(recipe, model, index=index)
        done = fit(
            model, train=sets[0], validation=sets[1] if settings.watches else None, settings=settings,
            rng=torch.Generator().manual_seed(_seed(job, index)), checkpoint=folder / f"checkpoint{index or ''}.safetensors",
            on_epoch=lambda epoch, index=index: journal.write(epoch, network=index), keep_scaling=goes_on,
        )  # fmt: skip
        journal.complete(done.history, network=index)
    training_seconds = (time.process_time() - began) / asked.threads
    ensemble = Ensemble(members, bounds={name: BOUNDS[name] for name in asked.kinds if name in BOUNDS})
    conformal, novelty = calibrate(
        ensemble, train=sets[0], validation=sets[1], rng=torch.Generator().manual_seed(job.seed)
    )
    predictor = Predictor(
        system=job.system, config={}, ensemble=ensemble, conformal=conformal, novelty=novelty, card={}
    )  # fmt: skip
    began = time.process_time()
    answers = predictor.predict(test, coverage=_COVERAGE)
    seconds = (time.process_time() - began) / asked.threads
    steps, published_steps = settings.length(len(sets[0]))[0], published.length(len(sets[0]))[0]
    batches = -(-len(sets[0]) // settings.batch_size)
    return Outcome(
        predicted={name: answer.value for name, answer in answers.items()},
        lower={name: answer.lower for name, answer in answers.items()},
        upper={name: answer.upper for name, answer in answers.items()},
        costs={
            "start": begun, "members": job.members,
            "parameters": sum(parameter.numel() for model in members for parameter in model.parameters()),
            "graph_seconds": round(graph_seconds, 2), "training_seconds": round(training_seconds, 1),
            "seconds_per_epoch": round((a_step or training_seconds / steps / job.members) * batches, 2),
            "epochs": round(steps / batches, 2), "published_epochs": round(published_steps / batches, 2), "minutes": minutes,
            "settings": str(settings), "config": json.dumps(config),
            "inference_ms_per_crystal": round(1000.0 * seconds / len(test), 3),
            "share_unlike_training": round(float(next(iter(answers.values())).unlike_training.mean()), 4),
        },
    )  # fmt: skip


def _seed(job: Job, member: int) -> int:
    return job.seed + 1000 * member  # those of other jobs lie between


def _network(job: Job, *, config: dict[str, Any], targets: Sequence[Any], member: int) -> nn.Module:
    torch.manual_seed(_seed(job, member))
    return row(job.system).load()(**{**config, "targets": list(targets)})


def _start(job: Job, *, test: Sequence[Crystal]) -> tuple[dict[str, Any], str]:
    """The size of the weights to begin from, which must not know the test crystals, and what they are."""
    weights = load_weights(weights_folder(job.start))
    if weights.system != job.system:
        raise InvalidRequestError(f"{job.start} holds weights of {weights.system}, not of {job.system}")
    seen = learnt_from(job.start)
    if not len(seen):
        raise InvalidRequestError(
            f"{job.start} does not tell which materials it learnt from, so that test crystals may be among them; train it again"
        )
    known = len(test) - len(unseen(test, seen=seen))
    if known:
        raise InvalidRequestError(
            f"{job.start} learnt from {known:,} of the {len(test):,} test crystals; train it without these data "
            "(euhedral train --without DATA_SET)"
        )
    named = weights.config.get("targets", ())
    learnt = ", ".join(one if isinstance(one, str) else one["name"] for one in named) or "without labels"
    how, data = weights.card.get("training", {}), weights.card.get("data", "data that they do not tell")
    return size_of(weights), f"weights of {data} ({learnt}; {how.get('settings', 'settings not told')})"
