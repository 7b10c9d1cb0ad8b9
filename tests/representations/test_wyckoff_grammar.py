"""The grammar of Wyckoff sequences: cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.failure import Failure
from euhedral.geometry.wyckoff import LETTERS, WyckoffCrystal, wyckoff_positions
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.representations.wyckoff_grammar import FormulaFill, WyckoffGrammar
from euhedral.representations.wyckoff_prior import StructurePrior, stoichiometry
from euhedral.representations.wyckoff_sequences import (
    WyckoffSequences,
    allowed_letters,
    allowed_numbers,
    decode,
    encode,
    free_slots,
    group_tables,
)
from euhedral.representations.wyckoff_tokens import count_tokens, pack

A, B, C = 1, 2, 3
NA, CL, OX, TI, SR, CS = 11, 17, 8, 22, 38, 55
EVERYTHING = torch.ones(119, dtype=torch.bool)


def letters(group: int, previous: int, *, full: bool = False) -> set[int]:
    mask = allowed_letters(torch.tensor([group]), previous=torch.tensor([previous]), full=torch.tensor([full]))
    return set(mask[0].nonzero()[:, 0].tolist())


def test_a_crystal_begins_with_a_site_and_letters_do_not_go_back():
    assert letters(225, 0) == set(range(1, 13))  # Fm-3m has a to l; no end before a site
    assert letters(225, A) == {0, *range(2, 13)}  # a has no freedom: occupied once
    assert letters(225, 5) == {0, *range(5, 13)}  # e is x,0,0: again and again
    assert letters(225, 12) == {0, 12}
    assert letters(225, A, full=True) == {0}


def test_polar_positions_can_be_occupied_again():
    assert letters(186, A) == {0, 1, 2, 3, 4}  # P6_3mc 2a is 0,0,z


def test_among_equal_letters_electropositive_elements_come_first():
    mask = allowed_numbers(
        torch.tensor([5, 6, 5]), previous_letter=torch.tensor([5, 5, 5]), previous_number=torch.tensor([TI, TI, OX]),
        elements=EVERYTHING,
    )  # fmt: skip
    assert mask[0, TI]
    assert mask[0, OX]
    assert not mask[0, SR]  # strontium would come before titanium
    assert mask[1, SR]  # another letter begins anew
    assert not mask[2, TI]
    assert not mask[:, 0].any()


def test_elements_outside_the_request_are_closed():
    elements = torch.zeros(119, dtype=torch.bool)
    elements[[NA, CL]] = True
    mask = allowed_numbers(
        torch.tensor([1]), previous_letter=torch.tensor([0]), previous_number=torch.tensor([0]), elements=elements
    )
    assert mask[0].nonzero()[:, 0].tolist() == [NA, CL]


def test_a_first_site_on_a_polar_axis_has_no_slot_for_it():
    group, letter = torch.tensor([186, 186, 1]), torch.tensor([2, 2, 1])
    first = free_slots(group, letter, first=torch.tensor([True, False, True]))
    assert first.tolist() == [[False] * 3, [False, False, True], [False] * 3]


def test_rock_salt_fits_and_what_does_not_fit_is_known():
    fill = FormulaFill(225, formula={NA: 1, CL: 1})
    assert fill.elements == [NA, CL]
    # conventional cell: 4 + 4 on a and b, or 8 + 8 needs c twice or e; 12 + 12 = (4 + 8) and (4 + ...) has no second 8
    assert 4 in fill.units(most_atoms=2)
    assert fill.units(most_atoms=1) == []
    assert 1 not in fill.units(most_atoms=20)
    perovskite = FormulaFill(221, formula={SR: 1, TI: 1, OX: 3})
    assert perovskite.units(most_atoms=5) == [1]
    assert perovskite.completes(1, 0, (1, 1, 3))
    assert not perovskite.completes(2, 0, (1, 1, 3))  # without a, only one single position is left


def test_a_filled_formula_uses_no_fixed_position_twice():
    fill = FormulaFill(2, formula={NA: 1})  # P-1: eight inversion centres a to h, then pairs
    assert fill.completes(1, 0, (9,))
    assert fill.completes(8, 0, (1,))  # h alone
    assert not fill.completes(9, 0, (1,))  # only pairs are left
    assert fill.completes(9, 0, (4,))
    assert fill.choices(8, 0, (1,)) == {8: [0]}


def test_electropositive_order_is_part_of_what_can_be_completed():
    fill = FormulaFill(1, formula={NA: 1, CL: 1})
    after = fill.after(1, 1, (1, 1))  # chlorine first, on the only letter there is
    assert after == (1, 1, (1, 0))
    assert not fill.completes(*after)
    assert fill.choices(1, 0, (1, 1)) == {1: [0]}


def write(grammar: WyckoffGrammar, script: dict[str, list]) -> None:
    """Fill each slot with the next value of a script."""
    for slot in grammar.slots():
        rows = grammar.active(slot).nonzero()[:, 0]
        if len(rows):
            value = script[slot].pop(0)
            grammar.accept(slot, rows=rows, value=torch.tensor([value]).expand(len(rows), *torch.tensor(value).shape))


def test_a_written_crystal_is_read_back():
    grammar = WyckoffGrammar(torch.tensor([186]), n_max=21, elements=EVERYTHING)
    write(grammar, {
        "letter": [2, 2, 0], "number": [30, 16], "z": [0.375], "lattice": [[2.4, 9.0, 3.9, 0.0, 0.0, 0.0]],
    })  # fmt: skip
    (crystal,) = grammar.results()
    assert crystal.letters == ("b", "b")
    assert crystal.frac == pytest.approx(np.array([[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, 0.375]]))
    a = 2.4 * 4 ** (1 / 3)
    assert np.linalg.norm(crystal.cell, axis=1) == pytest.approx([a, a, 3.9 * 4 ** (1 / 3)])  # b follows a
    assert crystal.cell[0] @ crystal.cell[1] == pytest.approx(-0.5 * a * a)


def test_an_impossible_cell_and_a_dead_end_are_failures():
    grammar = WyckoffGrammar(torch.tensor([2, 2]), n_max=21, elements=EVERYTHING)
    grammar.fail(torch.tensor([1]))
    write(grammar, {"letter": [1, 0], "number": [30], "lattice": [[2.0, 2.0, 2.0, 0.2, 3.0, 0.2]]})
    impossible, dead = grammar.results()
    assert isinstance(impossible, Failure)
    assert "angles" in impossible.reason
    assert isinstance(dead, Failure)
    assert "space group 2" in dead.reason


def test_a_free_coordinate_on_a_special_point_is_a_failure():
    def written(x: float) -> WyckoffCrystal | Failure:
        grammar = WyckoffGrammar(torch.tensor([225]), n_max=21, elements=EVERYTHING)
        write(grammar, {"letter": [5, 0], "number": [30], "x": [x], "lattice": [[2.6, 0.0, 0.0, 0.0, 0.0, 0.0]]})
        return grammar.results()[0]

    assert isinstance(written(0.2), WyckoffCrystal)  # 24e, x 0 0
    assert "share a place" in written(0.001).reason  # four atoms on each a


def test_encoding_is_undone_by_decoding(crystals):
    forms = [from_crystal(crystals[name]) for name in ("triclinic", "heusler", "hexagonal", "one_atom")]
    for form, back in zip(forms, decode(encode(forms)), strict=True):
        assert isinstance(back, WyckoffCrystal)
        assert (back.space_group, back.letters) == (form.space_group, form.letters)
        assert (back.numbers == form.numbers).all()
        assert back.frac == pytest.approx(form.frac, abs=1e-6)
        assert back.cell @ back.cell.T == pytest.approx(form.cell @ form.cell.T, rel=1e-5, abs=1e-4)


def test_what_the_grammar_teaches_allows_every_real_crystal(crystals):
    names = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum")
    sequences = encode([from_crystal(crystals[name]) for name in names])
    tokens, targets = pack(sequences, n_max=21, elements=EVERYTHING)
    for slot in ("letter", "number"):
        target = targets[slot]
        assert target.allowed.gather(1, target.value[:, None]).all()
    assert ((tokens.kind >= 0).sum(1) == count_tokens(sequences)).all()
    # the triclinic cell (P1, three atoms): 3 letters, 3 elements, 6 coordinates and the end
    assert count_tokens(sequences)[0] == 13
    # the fcc metal: letter, element, end
    assert count_tokens(sequences)[1] == 3
    assert targets["lattice"].place.tolist() == count_tokens(sequences).tolist()


def test_tables_agree_with_the_positions():
    tables = group_tables()
    for number in (1, 47, 166, 227):
        table = wyckoff_positions(number)
        assert tables.n_letters[number] == len(table)
        assert tables.multiplicity[number, 1 : len(table) + 1].tolist() == [each.multiplicity for each in table]
        assert tables.multiplicity[number, len(table) + 1 :].sum() == 0
    assert tables.centring[[221, 229, 225, 166]].tolist() == [1, 2, 4, 3]
    assert len(LETTERS) + 1 == tables.multiplicity.shape[1]


def test_the_prior_prefers_groups_seen_with_the_stoichiometry():
    def one(group: int, letter: list[int], number: list[int]) -> dict:
        return {"group": group, "letters": letter, "numbers": number}

    rows = [one(225, [1, 2], [NA, CL]), one(225, [1, 2], [SR, OX]), one(221, [1, 2], [CS, CL])]
    sequences = WyckoffSequences(
        group=torch.tensor([row["group"] for row in rows]), letters=torch.tensor([row["letters"] for row in rows]),
        numbers=torch.tensor([row["numbers"] for row in rows]), frac=torch.zeros(3, 2, 3), lattice=torch.zeros(3, 6),
    )  # fmt: skip
    prior = StructurePrior()
    prior.observe(sequences)
    assert prior.group_weights(2)[[221, 225]].tolist() == [1.0, 2.0]
    assert prior.group_weights(3).sum() == 0
    assert prior.group_weights(3, or_fewer=True)[[221, 225]].tolist() == [1.0, 2.0]
    assert prior.group_weights(0)[225] == 2.0
    choices = [(221, 1), (221, 2), (225, 4)]
    weights = prior.formula_weights([3, 3], choices=choices)
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights.tolist() == pytest.approx([0.9 / 3 + 0.1 / 6, 0.1 / 6, 0.9 * 2 / 3 + 0.1 * 2 / 3])
    assert stoichiometry([2, 4, 2]) == (1, 1, 2)
