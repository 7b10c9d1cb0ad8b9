"""The most likely of many samples comes first, no kind too often, always as many as asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.errors import InvalidRequestError
from euhedral.tasks.generation import Generator, Request
from euhedral.tasks.likely import MostLikely, Scored


def crystal(*numbers: int) -> Crystal:
    frac = np.arange(3 * len(numbers)).reshape(-1, 3) / 50
    return Crystal(cell=np.eye(3) * 5, frac=frac, numbers=list(numbers))


class Deck:
    """Deals the same cards for every request, in an order that the rng decides."""

    capabilities = frozenset({"chemical_system"})
    cards = (
        *[Scored(crystal=crystal(3, 8), score=-1.0, kind="common")] * 3,
        Scored(crystal=crystal(3, 3, 8), score=-2.0, kind="rare"),
        Scored(crystal=crystal(3), score=5.0, kind="lacks oxygen"),
        Failure(reason="dead end"),
    )

    def sample_scored(self, request: Request, *, rng: torch.Generator) -> list[Scored | Failure]:
        order = torch.randperm(len(self.cards), generator=rng).tolist()
        return [self.cards[i % len(self.cards)] for i in (order * request.n)[: request.n]]


REQUEST = Request(n=4, chemical_system=("Li", "O"))


def sample(n: int = 4, seed: int = 0, **changes) -> list[Crystal | Failure]:
    generator = MostLikely(Deck(), **{"pool": 6, **changes})
    return generator.sample(Request(n=n, chemical_system=("Li", "O")), rng=torch.Generator().manual_seed(seed))


def test_the_likeliest_comes_first_and_crystals_that_lack_an_element_last():
    assert [each.numbers.tolist() for each in sample()] == [[3, 8], [3, 8], [3, 3, 8], [3]]
    assert [each.numbers.tolist() for each in sample(n=3, per_kind=1)] == [[3, 8], [3, 3, 8], [3]]


def test_fewer_asked_for_are_the_first_of_more():
    assert [id(each) for each in sample(n=2)] == [id(each) for each in sample(n=4)][:2]


def test_a_pool_that_runs_dry_is_filled_up_with_failures():
    results = sample(n=6)
    assert len(results) == 6
    assert [isinstance(each, Failure) for each in results] == [False] * 4 + [True] * 2
    assert "4 of different kinds" in results[-1].reason


def test_asking_again_draws_no_second_pool_and_leaves_the_rng_where_drawing_would():
    drawn = []

    class Counting(Deck):
        def sample_scored(self, request, *, rng):
            drawn.append(request.n)
            return super().sample_scored(request, rng=rng)

    generator = MostLikely(Counting(), pool=6)
    states = []
    for n in (1, 3):
        rng = torch.Generator().manual_seed(0)
        generator.sample(Request(n=n, chemical_system=("Li", "O")), rng=rng)
        states.append(rng.get_state())
    assert drawn == [6]
    assert torch.equal(*states)
    generator.sample(REQUEST, rng=torch.Generator().manual_seed(1))
    assert drawn == [6, 6]


def test_it_is_a_generator_that_refuses_what_its_own_generator_cannot():
    generator = MostLikely(Deck())
    assert isinstance(generator, Generator)
    with pytest.raises(InvalidRequestError, match="space_group"):
        generator.sample(Request(n=1, space_group=2), rng=torch.Generator())
