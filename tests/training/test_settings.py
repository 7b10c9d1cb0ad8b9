import math

import pytest
import torch
from torch import nn

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.models.registry import ROWS
from euhedral.training.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseRoot,
    MomentumCycle,
    Plateau,
    Polynomial,
    Steps,
)
from euhedral.training.settings import Adam, AdamW, SquaredLoss, TrainingSettings, settings_of


def test_a_table_gives_the_settings_that_it_names():
    table = {
        "epochs": 30, "optimizer": {"name": "adamw", "learning_rate": 1e-3}, "loss": "squared",
        "schedule": {"name": "steps", "milestones": [0.5, 0.75]},
    }  # fmt: skip
    assert settings_of(table, whose="here") == TrainingSettings(
        epochs=30, optimizer=AdamW(learning_rate=1e-3), loss=SquaredLoss(), schedule=Steps((0.5, 0.75))
    )


@pytest.mark.parametrize(
    ("table", "error", "match"),
    [
        ({"epoch": 3}, UnknownNameError, "did you mean epochs"),
        ({"loss": "cubed"}, UnknownNameError, "cubed"),
        ({"optimizer": {"name": "adam", "rate": 1.0}}, InvalidRequestError, "unexpected keyword"),
    ],
)
def test_a_table_with_a_mistake_is_refused_in_one_line(table, error, match):
    with pytest.raises(error, match=match):
        settings_of(table, whose="here")


@pytest.mark.parametrize("candidate", ROWS, ids=lambda candidate: candidate.name)
def test_every_row_of_the_registry_has_settings_that_can_be_read(candidate):
    assert isinstance(settings_of(candidate.training, whose=candidate.name), TrainingSettings)


def test_schedules_begin_and_end_where_they_say():
    assert (Exponential(end=0.01)(0.0), Exponential(end=0.01)(0.5), Exponential(end=0.01)(1.0)) == pytest.approx(
        (1, 0.1, 0.01)
    )
    assert (Cosine()(0.0), Cosine()(0.5), Cosine()(1.0)) == pytest.approx((1.0, 0.5, 0.0))
    assert Cosine(warmup=0.1)(0.05) == pytest.approx(0.5)
    assert Steps((0.5, 0.8), factor=0.3)(0.9) == pytest.approx(0.09)


def test_a_polynomial_fall_is_what_the_released_codes_compute():
    start, end, total = 1e-3, 1e-5, 40
    for power in (1.0, 2.0):
        schedule = Polynomial(power=power, end=end / start)
        expected = [(start - end) * (1 - i / total) ** power + end for i in range(total + 1)]
        assert [start * schedule(i / total) for i in range(total + 1)] == pytest.approx(expected)
    assert Polynomial(warmup=0.2)(0.1) == pytest.approx(0.5)
    assert Polynomial(warmup=0.2)(0.2) == pytest.approx(1.0)


def test_the_inverse_root_is_that_of_t_fixup_and_that_of_the_first_transformer():
    total, decay = 234_000, 4000
    t_fixup = InverseRoot(decay=decay / total)
    for step in (0, 1000, 100_000):
        assert t_fixup(step / total) == pytest.approx((decay / (decay + step)) ** 0.5)
    first = InverseRoot(decay=decay / total, warmup=decay / total)
    for step in (1, 1000, 4000, 100_000):
        expected = decay**0.5 * min(step**-0.5, step * decay**-1.5)
        assert first(step / total) == pytest.approx(expected)


def test_a_momentum_cycle_is_that_of_torch():
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    total = 50
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total, pct_start=0.3)
    ours = MomentumCycle(warmup=(0.3 * total - 1) / (total - 1))
    for step in range(total):
        group = optimizer.param_groups[0]
        assert ours(step / (total - 1)) == pytest.approx(group["lr"], rel=1e-9, abs=1e-12)
        assert ours.momentum(step / (total - 1)) == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if step < total - 1:
            theirs.step()


def test_a_plateau_falls_when_that_of_torch_does():
    errors = [math.exp(-0.1 * i) + 0.3 * math.sin(3.0 * i) ** 2 for i in range(200)]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5, min_lr=1e-2)
    ours = Plateau(patience=5 / 200, factor=0.5, floor=1e-2)
    looks, falls = [], 0
    for epoch, error in enumerate(errors, start=1):
        theirs.step(error)
        looks.append((epoch, error))
        assert ours.after(looks, epochs=200) == pytest.approx(optimizer.param_groups[0]["lr"])
        falls = max(falls, round(-math.log2(optimizer.param_groups[0]["lr"])))
    assert falls > 3


def test_where_nothing_is_watched_a_plateau_becomes_a_fall():
    settings = TrainingSettings(schedule=Plateau(patience=0.025, factor=0.5, floor=1e-3), patience=4)
    assert settings.watches
    blind = settings.unwatched()
    assert not blind.watches
    assert blind.schedule == Exponential(end=1e-3)
    assert TrainingSettings(schedule=Constant()).unwatched().schedule == Constant()


def test_what_was_added_later_is_told_only_where_it_is_set():
    assert repr(Adam()) == "Adam(learning_rate=0.001, weight_decay=0.0)"
    assert repr(Adam(amsgrad=True)) == "Adam(learning_rate=0.001, weight_decay=0.0, amsgrad=True)"
    assert "averaged" not in repr(TrainingSettings())
    assert "averaged=0.1" in repr(TrainingSettings(averaged=0.1))
    assert repr(Steps((0.5,))) == "Steps(milestones=(0.5,))"


def test_adam_is_made_as_it_is_asked_for():
    table = {"optimizer": {"name": "adam", "betas": [0.9, 0.98], "epsilon": 1e-9, "amsgrad": True}}
    group = settings_of(table, whose="here").optimizer.make([nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.9, 0.98), 1e-9, True)
