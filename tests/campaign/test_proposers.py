from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euhedral.campaign.proposers import Proposer, Yield, seed_of, shares
from euhedral.campaign.question import Question


def test_without_experience_the_budget_is_split_evenly():
    assert shares({"a": Yield(), "b": Yield()}, n=16) == {"a": 8, "b": 8}


def test_the_budget_follows_what_each_yields():
    budget = shares({"a": Yield(50, 16, 14), "b": Yield(50, 16, 1)}, n=16)
    assert budget["a"] > 12
    assert budget["b"] >= 2  # never nothing: the next wave may differ


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=5), st.integers(1, 64))
def test_shares_add_up(experience, n):
    yields = {str(i): Yield(a + b, a + b, a) for i, (a, b) in enumerate(experience)}
    budget = shares(yields, n=n)
    assert sum(budget.values()) == n
    assert min(budget.values()) >= 0


class Counting:
    capabilities = frozenset({"chemical_system", "n_atoms"})

    def __init__(self):
        self.asked = []

    def sample(self, request, *, rng):
        self.asked.append((request.n, rng.initial_seed()))
        return list(range(request.n))


def test_an_ordered_proposer_goes_on_where_it_was():
    generator = Counting()
    proposer = Proposer("ordered", generator, ordered=True)
    question = Question(elements=("Li", "O"))
    assert proposer.batch(question, start=0, n=3) == [0, 1, 2]
    assert proposer.batch(question, start=3, n=2) == [3, 4]


def test_a_drawing_proposer_gets_a_new_seed_for_each_batch_and_the_same_in_every_run():
    generator = Counting()
    proposer = Proposer("drawn", generator)
    question = Question(elements=("Li", "O"), seed=3)
    proposer.batch(question, start=0, n=2)
    proposer.batch(question, start=2, n=2)
    proposer.batch(question, start=0, n=2)
    first, second, third = (seed for _, seed in generator.asked)
    assert first == third != second
    assert seed_of(3, name="drawn", start=0) == first
    assert first == pytest.approx(first)
