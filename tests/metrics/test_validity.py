from __future__ import annotations

import itertools

import numpy as np
import pytest
import smact
from hypothesis import given, settings
from hypothesis import strategies as st
from smact.screening import pauling_test

from euhedral.core.composition import parse_formula
from euhedral.core.crystal import Crystal
from euhedral.metrics.oxidation import guess
from euhedral.metrics.validity import METALS, composition_valid, smact_valid, structurally_valid, structure_fault

KNOWN = [symbol for symbol, data in smact.element_dictionary().items() if data.number <= 94]


def by_enumeration(composition: dict[str, int]) -> bool:
    """The rule as CDVAE's evaluation applies it, with the smact package's own data and test."""
    elements = [smact.Element(symbol) for symbol in composition]
    if len(composition) == 1 or all(symbol in smact.metals for symbol in composition):
        return True
    if not all(element.oxidation_states for element in elements):
        return False
    electronegativities = [element.pauling_eneg for element in elements]
    return any(
        sum(state * count for state, count in zip(states, composition.values(), strict=True)) == 0
        and pauling_test(states, electronegativities)
        for states in itertools.product(*[element.oxidation_states for element in elements])
    )


@settings(max_examples=300, deadline=None)
@given(composition=st.dictionaries(st.sampled_from(KNOWN), st.integers(1, 8), min_size=1, max_size=4))
def test_compositions_are_judged_as_smact_judges_them(composition):
    assert smact_valid(composition) == by_enumeration(composition)


def test_the_metals_are_those_of_smact():
    assert frozenset(smact.metals) == METALS


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("NaCl", True),
        ("NaCl2", False),
        ("Fe2O3", True),
        ("AlFe", True),
        ("S8", True),
        ("LiMn2O4", False),
        ("HeO", False),
    ],
)
def test_compositions_of_textbooks(text, valid):
    assert smact_valid(parse_formula(text)) is valid


def test_structures_are_invalid_below_half_an_angstrom(crystals):
    valid = list(crystals.values())
    touching = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.12, 0, 0]], numbers=[11, 17])
    small = Crystal(cell=np.eye(3) * 0.45, frac=[[0, 0, 0]], numbers=[11])
    assert structurally_valid([*valid, touching, small]).tolist() == [True] * len(valid) + [False, False]
    assert [bool(structure_fault(crystal)) for crystal in [*valid, touching, small]] == [False] * len(valid) + [
        True,
        True,
    ]
    assert structure_fault(touching) == "Na (atom 1) and Cl (atom 2) are 0.480 Å apart, less than 0.5 Å"


def test_crystals_are_judged_by_composition(crystals):
    salt = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]], numbers=[11, 17, 17])
    assert composition_valid([crystals["heusler"], crystals["hexagonal"], salt]).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("LiFePO4", "Li+ Fe2+ P5+ O2-"),
        ("LiMn2O4", "Li+ Mn3.5+ O2-"),
        ("Fe3O4", "Fe2.67+ O2-"),
        ("CaTiO3", "Ca2+ Ti4+ O2-"),
        ("K2PtCl6", "K+ Pt4+ Cl-"),
    ],
)
def test_usual_oxidation_states_are_found(text, shown):
    found = guess(parse_formula(text))
    assert str(found) == shown
    assert (found.applies, found.balanced, found.plausible, found.implausible) == (True, True, True, False)


def test_mixed_valence_names_its_element():
    assert guess(parse_formula("LiMn2O4")).mixed == "Mn"
    assert guess(parse_formula("MnO2")).mixed == ""


def test_states_far_apart_do_not_mix():
    found = guess(parse_formula("Li3MnO4"))  # Mn5+, not half Mn4+ and some Mn7+
    assert (str(found), found.mixed, found.implausible) == ("Li+ Mn5+ O2-", "", True)


def test_states_that_crystals_hardly_show_are_flagged():
    found = guess(parse_formula("BaFeO4"))
    assert (found.balanced, found.implausible) == (True, True)
    assert str(found) == "Ba2+ Fe6+ O2-"


def test_what_cannot_balance_is_said():
    found = guess(parse_formula("NaCl2"))
    assert (found.applies, found.balanced, found.implausible) == (True, False, False)
    assert str(found) == "no known states balance"


@pytest.mark.parametrize("text", ["Fe", "AlFe", "LaNi5"])
def test_charges_are_no_notion_for_metals(text):
    found = guess(parse_formula(text))
    assert (found.applies, found.balanced, found.implausible) == (False, False, False)


@settings(max_examples=100, deadline=None)
@given(composition=st.dictionaries(st.sampled_from(KNOWN), st.integers(1, 8), min_size=2, max_size=4))
def test_a_guess_balances(composition):
    found = guess(composition)
    if found.balanced:
        assert sum(found.states[symbol] * count for symbol, count in composition.items()) == pytest.approx(0.0)
