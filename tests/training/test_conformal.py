from __future__ import annotations

import math

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.training.conformal import Conformal, coverage_of


def test_quantile_is_the_ceil_of_n_plus_one_times_coverage():
    conformal = Conformal(scores=np.arange(1.0, 20.0), floor=1.0)  # 19 scores: 1 .. 19
    assert conformal.quantile(0.9) == 18.0
    assert conformal.quantile(0.91) == 19.0
    assert conformal.quantile(0.5) == 10.0
    assert conformal.quantile(0.96) == math.inf  # 19 scores cannot vouch for more than 95%


def test_coverage_on_exchangeable_data_is_the_finite_sample_formula():
    """With n scores the expected coverage is ceil((n + 1) c) / (n + 1), which is 0.95 for n = 19 and c = 0.91."""
    rng = np.random.default_rng(0)
    n, trials = 19, 4000
    covered = []
    for _ in range(trials):
        truth = rng.normal(size=n + 1)
        conformal = Conformal.calibrate(predicted=np.zeros(n), spread=np.zeros(n), truth=truth[:n], floor=1.0)
        half = conformal.half_width(np.zeros(1), coverage=0.91)[0]
        covered.append(abs(truth[n]) <= half)
    expected = math.ceil((n + 1) * 0.91) / (n + 1)
    assert expected == 0.95
    error = math.sqrt(expected * (1 - expected) / trials)
    assert abs(np.mean(covered) - expected) < 4 * error


def test_intervals_are_wider_where_members_disagree():
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.1, 2.0, 5000)
    truth = spread * rng.normal(size=5000)
    conformal = Conformal.calibrate(predicted=np.zeros(5000), spread=spread, truth=truth, floor=1e-3)
    easy, hard = conformal.half_width(np.array([0.1, 2.0]), coverage=0.9)
    assert hard / easy == pytest.approx(2.001 / 0.101)
    for wanted in (spread < 0.5, spread > 1.5):  # conditional coverage, which equal widths would miss
        half = conformal.half_width(spread[wanted], coverage=0.9)
        assert coverage_of(truth=truth[wanted], lower=-half, upper=half) == pytest.approx(0.9, abs=0.03)


def test_the_floor_follows_what_the_spread_is_worth():
    rng = np.random.default_rng(2)
    spread = rng.uniform(0.1, 2.0, 12_000)
    nothing = np.zeros(12_000)
    telling = Conformal.narrowest(predicted=nothing, spread=spread, truth=spread * rng.normal(size=12_000), rng=rng)
    useless = Conformal.narrowest(predicted=nothing, spread=spread, truth=rng.normal(size=12_000), rng=rng)
    assert telling.floor < np.median(spread) < useless.floor
    assert telling.half_width(spread, coverage=0.9).std() > 10 * useless.half_width(spread, coverage=0.9).std()


def test_the_choice_of_the_narrowest_does_not_cost_coverage():
    rng, held = np.random.default_rng(5), []
    for _ in range(300):
        spread, truth = rng.lognormal(sigma=0.7, size=(2, 400)), rng.normal(size=(2, 400))
        nothing = np.zeros(400)
        conformal = Conformal.narrowest(predicted=nothing, spread=spread[0], truth=truth[0], rng=rng)
        half = conformal.half_width(spread[1], coverage=0.9)
        held.append(coverage_of(truth=truth[1], lower=-half, upper=half))
    assert np.mean(held) == pytest.approx(
        242 / 268, abs=0.004
    )  # the 242nd of 267 scores, as in the finite-sample formula


def test_one_member_gives_equal_widths():
    truth = np.random.default_rng(3).normal(size=500)
    conformal = Conformal.narrowest(
        predicted=np.zeros(500), spread=np.zeros(500), truth=truth, rng=np.random.default_rng(0)
    )
    assert np.ptp(conformal.half_width(np.zeros(9), coverage=0.9)) == 0.0
    assert conformal.half_width(np.zeros(1), coverage=0.9)[0] == pytest.approx(1.64, abs=0.2)


def test_labels_that_are_not_known_are_left_out():
    truth = np.array([1.0, math.nan, 3.0])
    conformal = Conformal.calibrate(predicted=np.zeros(3), spread=np.zeros(3), truth=truth, floor=1.0)
    assert conformal.scores.tolist() == [1.0, 3.0]
    assert coverage_of(truth=truth, lower=np.zeros(3), upper=np.full(3, 2.0)) == 0.5
    assert math.isnan(coverage_of(truth=np.full(2, math.nan), lower=np.zeros(2), upper=np.ones(2)))


@pytest.mark.parametrize("coverage", [0.0, 1.0, 1.5, -0.1])
def test_coverage_must_be_a_share(coverage):
    with pytest.raises(InvalidRequestError, match="between 0 and 1"):
        Conformal(scores=np.ones(3), floor=1.0).quantile(coverage)


def test_calibration_without_labels_or_with_a_zero_floor_is_refused():
    nothing = np.full(3, math.nan)
    with pytest.raises(InvalidRequestError, match="known label"):
        Conformal.calibrate(predicted=np.zeros(3), spread=np.zeros(3), truth=nothing, floor=1.0)
    with pytest.raises(InvalidRequestError, match="floor"):
        Conformal.calibrate(predicted=np.zeros(3), spread=np.zeros(3), truth=np.ones(3), floor=0.0)
