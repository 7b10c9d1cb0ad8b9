"""Element substitution: what it puts first, what it leaves out, and what it obeys."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.composition import chemical_system, formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.core.failure import Failure
from euhedral.data.prototypes import element_volumes, reference_prototypes
from euhedral.data.references import reference_phases
from euhedral.errors import InvalidRequestError
from euhedral.geometry.matching import Matcher
from euhedral.models.generation.substitution import Substitution
from euhedral.representations.element_likeness import chemical_likeness, log_likeness
from euhedral.tasks.generation import Request


@pytest.fixture(scope="module")
def validation_templates():
    return Substitution(splits=("val",))


@pytest.fixture(scope="module")
def without_rock_salt():
    return Substitution(exclude_systems=("Cl-Na",))


def _first(generator, n, **request):
    return generator.sample(Request(n=n, **request), rng=torch.Generator())


def test_rock_salt_is_found_again_when_sodium_chloride_is_kept_out(without_rock_salt):
    rock_salt = Crystal(
        cell=2.82 * (np.ones((3, 3)) - np.eye(3)), frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11, 17], id="halite"
    )
    found = _first(without_rock_salt, 8, chemical_system=("Na", "Cl"))
    assert any(Matcher().matches(rock_salt, crystal) for crystal in found)


def test_an_excluded_system_is_no_template(without_rock_salt):
    excluded = {
        str(name)
        for name, slots in zip(reference_phases().ids, reference_prototypes().slots, strict=True)
        if set(slots) == {11, 17}
    }
    assert excluded
    found = _first(without_rock_salt, 64, chemical_system=("Na", "Cl"))
    assert not {crystal.id.split()[0] for crystal in found if isinstance(crystal, Crystal)} & excluded


def test_all_elements_of_the_system_are_in_every_result(validation_templates):
    found = _first(validation_templates, 32, chemical_system=("Li", "Mn", "O"))
    assert {chemical_system(crystal.numbers) for crystal in found} == {"Li-Mn-O"}


def test_no_two_results_are_the_same_structure(validation_templates):
    found = _first(validation_templates, 40, chemical_system=("Ca", "Ti", "O"))
    assert len(Matcher().groups(found)) == len(found)


def test_a_longer_request_begins_with_the_shorter_one(validation_templates):
    short = _first(validation_templates, 5, chemical_system=("K", "Br"))
    between = _first(validation_templates, 2, chemical_system=("K", "I"))
    long = _first(validation_templates, 12, chemical_system=("K", "Br"))
    assert [crystal.id for crystal in long[:5]] == [crystal.id for crystal in short]
    assert not {crystal.id for crystal in between} & {crystal.id for crystal in long}


def test_the_ranking_does_not_depend_on_the_generator_of_random_numbers(validation_templates):
    one = validation_templates.sample(Request(n=6, chemical_system=("Al", "N")), rng=torch.Generator().manual_seed(1))
    two = validation_templates.sample(Request(n=6, chemical_system=("Al", "N")), rng=torch.Generator().manual_seed(2))
    assert [crystal.id for crystal in one] == [crystal.id for crystal in two]


def test_where_the_ranking_ends_the_rest_are_failures(validation_templates):
    results = _first(validation_templates, 6, composition={"Xe": 7, "F": 13})
    assert len(results) == 6
    assert isinstance(results[-1], Failure)
    assert results[-1].reason


def test_a_composition_is_reached_from_templates_with_more_elements(validation_templates):
    found = [c for c in _first(validation_templates, 120, chemical_system=("Mg", "Si")) if isinstance(c, Crystal)]
    merged = [crystal for crystal in found if crystal.id.count(">") > 2]
    assert merged
    assert {chemical_system(crystal.numbers) for crystal in merged} == {"Mg-Si"}


def test_the_volume_follows_the_elements(validation_templates):
    found = [c for c in _first(validation_templates, 20, chemical_system=("Cs", "I")) if isinstance(c, Crystal)]
    small = [c for c in _first(validation_templates, 20, chemical_system=("Li", "F")) if isinstance(c, Crystal)]
    assert np.median([c.volume / len(c) for c in found]) > 2.5 * np.median([c.volume / len(c) for c in small])
    assert element_volumes()[55] > 3.0 * element_volumes()[3]


def test_templates_that_run_out_are_an_error():
    with pytest.raises(InvalidRequestError, match="no templates left"):
        Substitution(splits=("nowhere",))


def test_likeness_counts_shared_places():
    slots = [(11, 17), (19, 17), (37, 17), (11, 35), (19, 35), (12, 8)]
    likeness = log_likeness(np.zeros(6, dtype=np.int64), slots=slots)
    sodium, potassium, oxygen = 11, 19, 8
    assert likeness[sodium, potassium] > likeness[sodium, oxygen]
    np.testing.assert_allclose(likeness, likeness.T)
    np.testing.assert_allclose(np.diag(likeness), 0.0)


def test_neighbours_in_a_group_are_chemically_alike():
    likeness = chemical_likeness()
    calcium = atomic_number("Ca")
    assert np.argsort(likeness[calcium, 1:])[::-1][1] + 1 == atomic_number("Sr")


def test_prototypes_are_those_of_the_reference_phases():
    known, phases = reference_prototypes(), reference_phases()
    assert known.ids.tolist() == phases.ids.tolist()
    for row in range(0, len(phases), 997):
        crystal = phases[row]
        assert set(known.slots[row]) == set(crystal.numbers.tolist()), crystal.id
        assert sum(known.amounts[row]) == len(crystal)
    perovskites = [
        row for row, slots in enumerate(known.slots) if set(slots) == {38, 22, 8} and known.space_group[row] == 221
    ]
    assert perovskites
    assert formula(phases[perovskites[0]].numbers) == "SrTiO3"
