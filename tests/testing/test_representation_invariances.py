"""Every representation has the symmetries that its card says, and no others."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from euhedral.testing.behaviours import Invariant, Unordered
from euhedral.testing.chiral import alpha_quartz, tellurium
from euhedral.testing.invariance import OnBatch, check_chirality, check_invariances
from euhedral.testing.representation_cards import CARDS
from euhedral.testing.representation_features import lattice_edges, lattice_frame
from euhedral.testing.transforms import SYMMETRIES, OtherElements, Strain

CHANGES = (OtherElements(), Strain(factor=1.05))


@pytest.fixture(scope="module")
def some(crystals):
    chosen = {name: crystals[name] for name in ("triclinic", "fcc", "heusler", "hexagonal", "vacuum")}
    return {**chosen, "quartz": alpha_quartz(152), "tellurium": tellurium(154)}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_representation_has_the_symmetries_of_its_card_and_no_others(card, some):
    report = check_invariances(
        card.features, some, expected=card.expected, tolerance=card.tolerance, rng=np.random.default_rng(1)
    )
    assert not any(finding.note for finding in report.findings), str(report)
    missing = {transform.name for transform in SYMMETRIES} - report.symmetries
    assert missing == set(card.lacks), f"{card.name}\n{report}"


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_representation_sees_elements_and_distances_unless_its_card_says_otherwise(card, some):
    report = check_invariances(
        card.features, some, expected=card.expected, transforms=CHANGES, tolerance=card.tolerance,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    assert not any(finding.note for finding in report.findings), str(report)
    for change in CHANGES:
        unseen = {name for name in some if not report.largest(change.name, crystal=name) > card.tolerance}
        assert bool(unseen) == (change.name in card.blind), f"{card.name}: {change.name} unseen in {unseen}\n{report}"


def test_every_card_names_what_it_is_about():
    assert len({card.name for card in CARDS}) == len(CARDS)
    for card in CARDS:
        module, _, name = card.where.partition(":")
        assert hasattr(import_module(f"euhedral.{module}"), name), card.where
        assert set(card.lacks) <= {transform.name for transform in SYMMETRIES}
        assert set(card.blind) <= {change.name for change in CHANGES}


def test_the_lattice_frame_separates_the_hands_of_quartz_and_tellurium_and_lengths_do_not():
    framed = OnBatch(lambda batch: {"atoms": lattice_frame(batch)["atoms"]})
    report = check_chirality(
        framed, expected={"atoms": Unordered(Invariant())}, visible=1e-3, rng=np.random.default_rng(2)
    )
    report.raise_if_failed()
    with pytest.raises(AssertionError, match="do not tell the two crystals apart"):
        check_chirality(
            OnBatch(lattice_edges), expected={"edges": Unordered(Invariant())}, rng=np.random.default_rng(2)
        ).raise_if_failed()
