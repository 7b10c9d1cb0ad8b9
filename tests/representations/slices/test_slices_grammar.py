"""The text of SLICES: what it means, and where it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from euhedral.core.elements import SYMBOLS
from euhedral.errors import FileFormatError, InvalidRequestError
from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices.grammar import parse, write

DIAMOND = "C C 01ooo 01oo+ 01o+o 01+oo"


def test_a_bond_is_two_atoms_and_the_cell_of_the_second():
    net = parse("Na Cl 01o+-")
    assert net.numbers.tolist() == [11, 17]
    assert (net.source.tolist(), net.target.tolist(), net.image.tolist()) == ([0], [1], [[0, 1, -1]])


@pytest.mark.parametrize("text", [
    "C C 0 1 ooo 0 1 oo+ 0 1 o+o 0 1 +oo",
    "C C 0 1 o o o 0 1 o o + 0 1 o + o 0 1 + o o ",
    "C C 10ooo 10oo- 10o-o 10-oo",
    "  C C  01ooo 01oo+ 01ooo 01o+o 01+oo\n",
])  # fmt: skip
def test_other_ways_to_write_the_same_bonds_mean_the_same(text):
    assert write(parse(text)) == DIAMOND


def test_each_style_is_read_back():
    net = parse(DIAMOND)
    for style in ("compact", "spaced", "characters"):
        assert write(parse(write(net, style=style))) == DIAMOND


def test_atoms_beyond_the_tenth_take_two_digits():
    net = LabelledQuotientGraph.from_bonds([6] * 12, source=[0, 3], target=[11, 4], image=[[0, 0, 1], [1, 0, -1]])
    text = write(net)
    assert text.split()[12:] == ["0011oo+", "0304+o-"]
    assert np.array_equal(parse(text).image, net.image)


@pytest.mark.parametrize(("text", "position", "what"), [
    ("", 1, "no element"),
    ("   ", 1, "no element"),
    ("01ooo", 1, "no element"),
    ("C Xx 01ooo", 3, "'Xx' is no element"),
    ("C C", 4, "ends before the first bond"),
    ("C C 01ooo 02ooo", 12, "no atom '2'"),
    ("C C 01ooo 01oo", 11, "'01oo' is no atom number"),
    ("C C 0 1 oo", 11, "ends within a bond"),
    ("C C 0 1 o o x", 13, "'x' is no step"),
    ("C C 0 1 oo+-", 12, "'-' is no step"),
    ("C C 00ooo", 7, "bonded to itself"),
    ("C C 011ooo", 5, "two atom numbers"),
    ("C C 01ooo C", 11, "'C' is no atom number"),
    ("C C 0 99999999999999999999999999 ooo", 7, "no atom"),
])  # fmt: skip
def test_the_first_fault_is_named_with_its_position(text, position, what):
    with pytest.raises(FileFormatError) as caught:
        parse(text)
    assert f"at position {position} " in str(caught.value)
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_label_beyond_the_next_cell_cannot_be_written():
    net = LabelledQuotientGraph.from_bonds([6], source=[0], target=[0], image=[[0, 0, 2]])
    with pytest.raises(InvalidRequestError, match="2 cells away"):
        write(net)


@given(st.text(alphabet="o+-012 9CXeNa\n²٣", max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        net = parse(text)
    except FileFormatError as error:
        message = str(error)
    else:
        message = "position"
        assert np.array_equal(parse(write(net)).image, net.image)
    assert "position" in message
    assert "\n" not in message


@given(st.data())
def test_any_net_is_read_back_as_written(data):
    n = data.draw(st.integers(1, 25))
    numbers = data.draw(st.lists(st.integers(1, len(SYMBOLS) - 1), min_size=n, max_size=n))
    atom, step = st.integers(0, n - 1), st.integers(-1, 1)
    bond = st.tuples(atom, atom, step, step, step).filter(lambda b: b[0] != b[1] or any(b[2:]))
    bonds = np.array(data.draw(st.lists(bond, min_size=1, max_size=30)))
    net = LabelledQuotientGraph.from_bonds(numbers, source=bonds[:, 0], target=bonds[:, 1], image=bonds[:, 2:])
    for style in ("compact", "spaced", "characters"):
        back = parse(write(net, style=style))
        assert np.array_equal(back.numbers, net.numbers)
        assert np.array_equal(np.column_stack([back.source, back.target, back.image]),
                              np.column_stack([net.source, net.target, net.image]))  # fmt: skip
