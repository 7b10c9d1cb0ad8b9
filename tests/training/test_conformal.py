from __future__ import annotations

import math

import numpy as np
import pytest

from euhedral.errors import InvalidRequestError
from euhedral.training.conformal import Conformal, ConformalByPrediction, coverage_of


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
    telling = ConformalByPrediction.narrowest(
        predicted=nothing, spread=spread, truth=spread * rng.normal(size=12_000), rng=rng
    )
    useless = ConformalByPrediction.narrowest(predicted=nothing, spread=spread, truth=rng.normal(size=12_000), rng=rng)
    assert telling.groups[0].floor < np.median(spread) < useless.groups[0].floor
    widths = [each.half_width(nothing, spread=spread, coverage=0.9).std() for each in (telling, useless)]
    assert widths[0] > 10 * widths[1]


def test_the_choice_of_the_narrowest_does_not_cost_coverage():
    rng, held = np.random.default_rng(5), []
    for _ in range(300):
        spread, truth = rng.lognormal(sigma=0.7, size=(2, 400)), rng.normal(size=(2, 400))
        nothing = np.zeros(400)
        conformal = ConformalByPrediction.narrowest(predicted=nothing, spread=spread[0], truth=truth[0], rng=rng)
        half = conformal.half_width(nothing, spread=spread[1], coverage=0.9)
        held.append(coverage_of(truth=truth[1], lower=-half, upper=half))
    assert np.mean(held) == pytest.approx(
        242 / 268, abs=0.004
    )  # the 242nd of 267 scores, as in the finite-sample formula


def test_one_member_gives_equal_widths():
    truth = np.random.default_rng(3).normal(size=500)
    conformal = ConformalByPrediction.narrowest(
        predicted=np.zeros(500), spread=np.zeros(500), truth=truth, rng=np.random.default_rng(0)
    )
    widths = conformal.half_width(np.linspace(-2.0, 2.0, 9), spread=np.zeros(9), coverage=0.9)
    assert np.ptp(widths) == 0.0
    assert widths[0] == pytest.approx(1.64, abs=0.2)
    assert len(conformal.groups[0].scores) == 500  # nothing was chosen, so none is kept back


def _gaps(count: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Half metals, known to a hundredth, half semiconductors, known to 0.4 eV; predictions and truths."""
    metal = rng.random(count) < 0.5
    predicted = np.where(metal, 0.0, rng.uniform(0.2, 5.0, count))
    return predicted, np.maximum(predicted + rng.normal(size=count) * np.where(metal, 0.01, 0.4), 0.0)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_metals_and_semiconductors_each_have_intervals_that_hold(coverage):
    rng = np.random.default_rng(7)
    predicted, truth = _gaps(9000, rng=rng)
    nothing = np.zeros(9000)
    apart = ConformalByPrediction.narrowest(
        predicted=predicted, spread=nothing, truth=truth, rng=rng, bounds=(0.0, math.inf)
    )
    together = Conformal.calibrate(predicted=predicted, spread=nothing, truth=truth, floor=1.0)
    predicted, truth = _gaps(9000, rng=rng)
    half = apart.half_width(predicted, spread=nothing, coverage=coverage)
    alike = together.half_width(nothing, coverage=coverage)
    semiconductor = predicted > 0.0

    def held(widths: np.ndarray) -> float:
        return coverage_of(
            truth=truth[semiconductor],
            lower=(predicted - widths)[semiconductor], upper=(predicted + widths)[semiconductor],
        )  # fmt: skip

    assert held(half) == pytest.approx(coverage, abs=0.03)
    assert held(alike) < coverage - 0.08
    assert half[~semiconductor].max() < 0.05


def test_groups_keep_their_share_over_many_calibrations():
    rng, held = np.random.default_rng(8), []
    for _ in range(200):
        predicted, truth = rng.normal(size=(2, 1200)), rng.normal(size=(2, 1200))
        conformal = ConformalByPrediction.narrowest(
            predicted=predicted[0], spread=np.zeros(1200), truth=truth[0], rng=rng
        )
        half = conformal.half_width(predicted[1], spread=np.zeros(1200), coverage=0.9)
        held.append(coverage_of(truth=truth[1], lower=predicted[1] - half, upper=predicted[1] + half))
    assert len(conformal.groups) == 4
    assert np.mean(held) == pytest.approx(0.9 + 0.5 / 201, abs=0.003)  # each group's share lies in [0.9, 0.9 + 1 / 201]


@pytest.mark.parametrize("lowest", [0.0, 1.0])
def test_equal_predictions_make_no_empty_group(lowest):
    rng = np.random.default_rng(9)
    predicted = np.where(rng.random(3000) < 0.97, lowest, 2.0)
    conformal = ConformalByPrediction.narrowest(
        predicted=predicted, spread=np.zeros(3000), truth=predicted + rng.normal(size=3000), rng=rng
    )
    assert all(len(group.scores) for group in conformal.groups)
    assert np.isfinite(conformal.half_width(np.array([-9.0, lowest, 2.0, 9.0]), spread=np.zeros(4), coverage=0.9)).all()


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
