"""Every generator of the registry keeps the contract, untrained and with its shipped weights."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.models.registry import ROWS
from euhedral.tasks.generation import Generator
from euhedral.testing.generation import CONDITION_CHECKS, GENERATOR_CHECKS, contains_group

GENERATORS = [row for row in ROWS if row.wing == "generation" and row.tiny]
VARIANTS = [(row, None) for row in GENERATORS] + [(row, weights) for row in GENERATORS for weights in row.weights[:1]]


@pytest.fixture(scope="module", params=VARIANTS, ids=[f"{row.name}-{weights or 'tiny'}" for row, weights in VARIANTS])
def generator(request):
    row, weights = request.param
    return row.load().load() if weights else row.load()(**row.tiny)


def test_it_is_a_generator(generator):
    assert isinstance(generator, Generator)
    assert generator.capabilities


@pytest.mark.parametrize("check", GENERATOR_CHECKS, ids=lambda check: check.__name__)
def test_generator_keeps_the_contract(check, generator):
    check(generator)


@pytest.mark.parametrize("condition", CONDITION_CHECKS)
def test_generator_obeys_what_it_says_it_obeys(condition, generator):
    if condition not in generator.capabilities:
        pytest.skip(f"does not claim to obey {condition}")
    CONDITION_CHECKS[condition](generator)


def test_the_check_of_groups_can_fail(crystals):
    assert contains_group(crystals["heusler"], number=225)
    assert not contains_group(crystals["triclinic"], number=2)
    cube = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[55, 17])
    assert contains_group(cube, number=123)  # a subgroup in the same axes
    assert not contains_group(cube.replace(frac=[[0, 0, 0], [0.5, 0.5, 0.45]]), number=123)
