import math

import numpy as np
import pytest

from euhedral.benchmarks.scores import best_of, bootstrap_interval, compare, errors_of, score
from euhedral.tasks.targets import CartesianTensor, Category, Scalar, Spectrum


def rng():
    return np.random.default_rng(0)


def test_errors_are_counted_as_the_kind_says():
    assert errors_of(np.array([1.0, 5.0]), np.array([2.0, math.nan]), kind=Scalar("x")).tolist()[:1] == [1.0]
    flat = np.zeros((1, 9))
    assert errors_of(flat, np.ones((1, 3, 3)), kind=CartesianTensor("e", rank=2))[0] == pytest.approx(3.0)
    assert errors_of(np.zeros((1, 4)), np.full((1, 4), 0.5), kind=Spectrum("d", size=4)).tolist() == [0.5]
    chance = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert errors_of(chance, np.array([1.0, 1.0]), kind=Category("m")).tolist() == [1.0, 0.0]


def test_an_unknown_label_does_not_count():
    errors = errors_of(np.array([1.0, 5.0]), np.array([2.0, math.nan]), kind=Scalar("x"))
    one = score(errors, target="x", rng=rng())
    assert (one.error, one.crystals) == (1.0, 1)
    assert math.isnan(one.coverage)


def test_the_bootstrap_interval_is_that_of_the_standard_error():
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(values, rng=rng())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_a_small_steady_gain_is_seen_only_in_pairs():
    draws = np.random.default_rng(2)
    second = draws.exponential(size=300)
    first = second - 0.05 + 0.02 * draws.normal(size=300)
    paired = compare(first, second, rng=rng())
    assert paired.first_is_better
    assert paired.p < 1e-6
    apart = [bootstrap_interval(one, rng=rng()) for one in (first, second)]
    assert apart[0][1] > apart[1][0]  # the intervals of each alone overlap


def test_equal_systems_are_equal():
    same = np.ones(10)
    assert compare(same, same, rng=rng()).p == 1.0
    assert not compare(same, same, rng=rng()).first_is_better
    assert best_of({"b": same, "a": same * 0.5}) == ["a", "b"]
