from __future__ import annotations

import numpy as np
import pytest

from euhedral.campaign.goal import Goal, parse_goal
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.tasks.property import Prediction

KNOWN = ["band_gap", "formation_energy_per_atom"]


def prediction(value, half, lower=None):
    value = np.atleast_1d(np.asarray(value, dtype=float))
    low = value - half if lower is None else np.full_like(value, lower)
    return Prediction("band_gap", value, low, value + half, coverage=0.9, novelty=np.zeros_like(value))


@pytest.mark.parametrize(
    ("text", "goal"),
    [
        ("band_gap > 1", Goal("band_gap", lower=1.0)),
        ("band_gap>=1.5e0", Goal("band_gap", lower=1.5)),
        ("formation_energy_per_atom < -.5", Goal("formation_energy_per_atom", upper=-0.5)),
        ("band_gap 1..2", Goal("band_gap", lower=1.0, upper=2.0)),
        ("band_gap = 1.0 .. 2.5", Goal("band_gap", lower=1.0, upper=2.5)),
    ],
)
def test_goals_are_read_as_users_write_them(text, goal):
    assert parse_goal(text, known=KNOWN) == goal
    assert parse_goal(str(goal), known=KNOWN) == goal


@pytest.mark.parametrize(
    "text", ["", "band_gap", "band_gap ~ 1", "band_gap > one", "> 1", "band_gap 2..1", "band_gap > 1 > 2"]
)
def test_what_is_not_a_goal_is_refused_with_an_example(text):
    with pytest.raises(InvalidRequestError, match=r"target"):
        parse_goal(text, known=KNOWN)


def test_a_property_that_nobody_trained_names_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean band_gap"):
        parse_goal("bandgap > 1", known=KNOWN)


def test_the_chance_of_a_goal_follows_from_the_interval():
    goal = Goal("band_gap", lower=1.0)
    assert goal.probability(prediction(1.0, 0.5)) == pytest.approx(0.5)
    # an interval of 90% ends 1.645 standard deviations away: 5% lie beyond
    assert goal.probability(prediction(1.5, 0.5)) == pytest.approx(0.95, abs=1e-6)
    assert Goal("band_gap", lower=1.0, upper=2.0).probability(prediction(1.5, 0.5)) == pytest.approx(0.9, abs=1e-6)


def test_an_interval_cut_at_zero_keeps_its_true_width():
    cut = Goal("band_gap", lower=1.0).probability(prediction(0.1, 0.9, lower=0.0))
    whole = Goal("band_gap", lower=1.0).probability(prediction(0.1, 0.9))
    assert cut == pytest.approx(whole)


def test_a_goal_is_met_inside_its_window_only():
    met = Goal("band_gap", lower=1.0, upper=2.0).met(np.array([0.5, 1.0, 1.5, 2.5]))
    assert met.tolist() == [False, False, True, False]
