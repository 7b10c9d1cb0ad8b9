"""The table of shipped predictors, and what is taken from it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from euhedral.core.composition import formula
from euhedral.errors import FileFormatError, InvalidRequestError, UnknownNameError
from euhedral.models.registry import row
from euhedral.training.predictor import Predictor
from euhedral.training.shipped import choose, read_shipped
from euhedral.training.stand_in import stand_in

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("one", read_shipped(), ids=lambda one: one.name)
def test_every_number_of_the_table_is_in_the_result_that_it_names(one):
    report = json.loads((ROOT / one.source).read_text())
    for target, error in one.errors.items():
        value = report
        for key in one.where[target].split("."):
            value = value[key]
        assert error == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("one", read_shipped(), ids=lambda one: one.name)
def test_every_shipped_predictor_is_what_its_table_says(one):
    predictor = Predictor.load(one.name)
    assert predictor.system == one.system
    assert set(one.errors) == set(one.where) == set(predictor.targets)
    assert predictor.sees_structure == one.sees_structure
    assert one.name in row(one.system).weights


def test_errors_of_a_target_are_of_one_test_so_that_they_can_be_compared():
    known = read_shipped()
    for target in {target for one in known for target in one.errors}:
        assert len({one.test for one in known if target in one.errors}) == 1


def test_the_least_error_is_taken_among_those_that_see_what_is_given():
    (first, *_) = read_shipped()
    better = replace(first, name="better", errors={"band_gap": 0.1})
    blind = replace(first, name="blind", sees_structure=False, errors={"band_gap": 0.05, "hardness": 1.0})
    known = (first, better, blind)
    assert choose("band_gap", structure=True, known=known).shipped is better
    assert choose("band_gap", structure=False, known=known).shipped is blind
    # polymorphs are the same to it, so it answers structures only where nothing else does
    assert choose("hardness", structure=True, known=known).shipped is blind
    assert "best of 2" in choose("band_gap", structure=True, known=known).reason
    with pytest.raises(InvalidRequestError, match="from a formula alone"):
        choose("formation_energy_per_atom", structure=False, known=known)
    with pytest.raises(UnknownNameError, match="did you mean hardness"):
        choose("hardnes", structure=True, known=known)


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "t.toml").write_text("[[predictor]]\nname = 'x'\n")
    with pytest.raises(FileFormatError, match=r"t\.toml is no table"):
        read_shipped(tmp_path / "t.toml")


@pytest.mark.parametrize(
    ("text", "reduced", "n"),
    [("Ca(OH)2", "CaH2O2", 5), ("Fe4O6", "Fe2O3", 5), ("Li0.5CoO2", "LiCo2O4", 7), ("Al", "Al", 1)],
)
def test_a_stand_in_has_the_composition_of_its_formula(text, reduced, n):
    crystal = stand_in(text)
    assert (sorted(formula(crystal.numbers)), len(crystal), crystal.id) == (sorted(reduced), n, text)
    assert np.unique(crystal.frac[:, 0]).size == n


def test_amounts_without_a_common_measure_are_refused():
    with pytest.raises(InvalidRequestError, match="parts of a thousandth"):
        stand_in("Li0.0001CoO2")
