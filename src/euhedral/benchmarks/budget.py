"""How many steps of training fit into so many minutes: measured once, then fixed, so that a run can be repeated and resumed."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import Preparable, fit
from euhedral.training.objective import Objective
from euhedral.training.settings import TrainingSettings

# Steps that are thrown away (compilation, caches), and the time for which steps are then watched.
_WARM_UP: Final = 2
_WATCHED_SECONDS: Final = 15.0
_MOST_WATCHED: Final = 64


def seconds_per_step(
    model: nn.Module, *, train: GraphSet, settings: TrainingSettings, objective: Objective | None = None,
    clock: Callable[[], float] = time.process_time,
) -> float:  # fmt: skip
    """Time a step of training on a copy of a network: what a longer run takes more than a shorter one.

    What is done once a run, such as settling batch normalisation, is not counted. Processor time and not
    that on the wall, so that what else the machine does takes no steps away from a system.

    Args:
        model: as it will be trained; it is left as it is.
        train: what it will be trained on.
        settings: how.
        objective: what is made small, where it is not the error of labels.
        clock: tells seconds; those of all threads together, as it stands.
    """
    trial = copy.deepcopy(model)
    if objective is None and isinstance(trial, Preparable):
        objective = trial.prepare(train.labels(trial.targets), rng=torch.Generator().manual_seed(0))

    def run(steps: int) -> float:
        few = replace(settings.unwatched(), steps=steps)
        began = clock()
        # settling batch normalisation would take far longer than the few steps, and drown them in its own noise
        fit(trial, train=train, settings=few, rng=torch.Generator().manual_seed(0), objective=objective, settle_on=0)
        return clock() - began

    run(_WARM_UP)
    once = run(1)
    steps, spent = 1, 0.0
    while spent < _WATCHED_SECONDS and steps < _MOST_WATCHED:
        steps *= 2
        spent = run(1 + steps) - once
    return max(spent / steps, 1e-4)  # a noisy clock may run backwards


def within(settings: TrainingSettings, *, minutes: float, seconds_a_step: float, n_crystals: int) -> TrainingSettings:
    """Shorten a run to what fits into a budget, never lengthen it; the schedule is shortened with it.

    The validation set decides nothing in such a run: no epoch is the best one, and a `Plateau` becomes a fall.

    Args:
        settings: the paper's.
        minutes: of training.
        seconds_a_step: as measured.
        n_crystals: in the training set.
    """
    affordable = max(1, math.floor(60.0 * minutes / seconds_a_step))
    steps, _ = settings.length(n_crystals)
    return replace(settings.unwatched(), steps=min(steps, affordable), validate_every=10**9)
