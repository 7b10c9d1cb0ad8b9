"""Tokenisers: exact inverses, on vocabularies that never change."""

from __future__ import annotations

import hashlib
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from euhedral.data import load
from euhedral.errors import FileFormatError, InvalidRequestError, UnknownNameError
from euhedral.geometry.space_groups import space_group
from euhedral.representations.cif_text.cif_format import CifFormat
from euhedral.representations.cif_text.plain_formats import CoordinateFormat, PlainFormat
from euhedral.representations.cif_text.tokenisers import (
    character_tokeniser,
    cif_tokeniser,
    coordinate_tokeniser,
    encode_batch,
)
from euhedral.representations.cif_text.vocabulary import VOCABULARIES, vocabulary

CHARACTERS, CIF, COORDINATES = character_tokeniser(), cif_tokeniser(), coordinate_tokeniser()
#: The first digits of the SHA-256 of each file: models are trained on these numbers.
FIXED = {"characters-1": "a5f7934d169f7b50", "cif-1": "9a8b77cdc19e88ae", "coordinates-1": "dae928e7fc2df70b"}


def words(tokeniser, text):
    return [tokeniser.vocabulary.tokens[token] for token in tokeniser.encode(text)]


def test_a_vocabulary_never_changes_under_its_name():
    assert set(FIXED) == set(VOCABULARIES)
    for name, start in FIXED.items():
        path = files("euhedral.representations.cif_text").joinpath("vocabularies", f"{name}.json")
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(start)
        known = vocabulary(name)
        assert (known.name, known.pad, known.start, known.end) == (name, 0, 1, 2)
        assert len(known.numbers) == len(known)
    with pytest.raises(UnknownNameError, match="cif-2"):
        vocabulary("cif-2")


def test_cif_tokens_are_tags_elements_digits_and_groups():
    text = "data_Pm2Co1\n_symmetry_space_group_name_H-M Pm\n_cell_length_a 4.10\n"
    assert words(CIF, text) == [
        "data_", "Pm", "2", "Co", "1", "\n", "_symmetry_space_group_name_H-M", " ", "Pm_sg", "\n", "_cell_length_a",
        " ", "4", ".", "1", "0", "\n",
    ]  # fmt: skip
    assert CIF.decode(CIF.encode(text)) == text


def test_every_space_group_is_one_token_after_its_tag():
    for number in range(1, 231):
        text = f"_symmetry_space_group_name_H-M {space_group(number).symbol}\n"
        assert len(CIF.encode(text)) == 4
        assert CIF.decode(CIF.encode(text)) == text


def test_coordinate_tokens_are_whole_numbers(crystals):
    text = CoordinateFormat().write(crystals["hexagonal"])
    assert words(COORDINATES, text)[:10] == ["3.2", "3.2", "5.2", "90", "90", "120", "Zn", "0.33", "0.67", "0.00"]
    assert len(COORDINATES.encode(text)) == 6 + 4 * 4


@pytest.mark.parametrize(
    "name", ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum", "large"]
)
def test_encoding_and_decoding_are_inverses_on_the_fixed_crystals(name, crystals):
    crystal = crystals[name]
    whole, symmetric, plain, atoms = (
        CifFormat(symprec=None).write(crystal), CifFormat().write(crystals["fcc" if name == "large" else name]),
        PlainFormat().write(crystal), CoordinateFormat().write(crystal),
    )  # fmt: skip
    for tokeniser, text in (
        (CIF, whole), (CIF, symmetric), (CHARACTERS, whole), (CHARACTERS, plain), (CHARACTERS, atoms), (COORDINATES, atoms),
    ):  # fmt: skip
        tokens = tokeniser.encode(text)
        assert tokeniser.decode(tokens) == text
        assert tokeniser.encode(tokeniser.decode(tokens)) == tokens
    if name != "large":  # tags are one token each; digits stay digits
        assert len(CIF.encode(whole)) < 0.6 * len(CHARACTERS.encode(whole))


def test_encoding_and_decoding_are_inverses_on_real_crystals():
    data = load("mp-20-sample")
    for index in np.random.default_rng(2).choice(len(data), 500, replace=False).tolist():
        text, atoms = CifFormat(symprec=None).write(data[index]), CoordinateFormat().write(data[index])
        for tokeniser, written in ((CIF, text), (CHARACTERS, text), (COORDINATES, atoms)):
            assert tokeniser.decode(tokeniser.encode(written)) == written


@pytest.mark.parametrize("tokeniser", [CIF, CHARACTERS, COORDINATES], ids=["cif", "characters", "coordinates"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_tokens_a_model_draws_have_a_text(tokeniser, data):
    tokens = data.draw(st.lists(st.integers(3, len(tokeniser.vocabulary) - 1), max_size=40))
    text = tokeniser.decode(tokens)
    if tokeniser is CIF:  # the text may be tokenised otherwise: a group's symbol where no group is expected
        try:
            again = tokeniser.encode(text)
        except FileFormatError:
            return
        assert tokeniser.decode(again) == text
        return
    if tokeniser is COORDINATES:
        tokens = tokens[: 6 + (len(tokens) - 6) // 4 * 4]
        if len(tokens) < 6:
            return
        text = tokeniser.decode(tokens)
    assert tokeniser.encode(text) == tokens


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_encoded_exactly_or_refused_with_its_place(text):
    for tokeniser in (CIF, CHARACTERS, COORDINATES):
        message = ""
        try:
            assert tokeniser.decode(tokeniser.encode(text)) == text
        except FileFormatError as error:
            message = str(error)
        assert not message or "line" in message


def test_what_the_vocabulary_lacks_is_named_with_its_place():
    with pytest.raises(FileFormatError, match=r"line 2, column 3: no token of 'characters-1' begins with 'é'"):
        CHARACTERS.encode("ab\ncdé")
    with pytest.raises(FileFormatError, match=r"line 1, column 6.*'q1"):
        CIF.encode("data_q1\n")
    with pytest.raises(FileFormatError, match=r"line 2, word 3: '0.125' is not in the vocabulary"):
        COORDINATES.encode("4.0 4.0 4.0 90 90 90\nNa 0.00 0.125 0.00\n")
    with pytest.raises(FileFormatError, match=r"line 2: 3 words, expected 4"):
        COORDINATES.encode("4.0 4.0 4.0 90 90 90\nNa 0.00 0.12\n")
    with pytest.raises(FileFormatError, match="last line has no end"):
        COORDINATES.encode("4.0 4.0 4.0 90 90 90")
    with pytest.raises(FileFormatError, match="<pad>"):
        COORDINATES.encode("<pad> 4.0 4.0 90 90 90\n")
    with pytest.raises(InvalidRequestError, match="token 1 is 405"):
        CIF.decode([5, 405])


def test_a_batch_has_start_end_and_padding(crystals):
    texts = [CoordinateFormat().write(crystals[name]) for name in ("fcc", "heusler")]
    batch = encode_batch(COORDINATES, texts)
    assert batch.shape == (2, 2 + 6 + 16)
    assert batch[:, 0].tolist() == [1, 1]
    assert batch[0, 11] == 2
    assert (batch[0, 12:] == 0).all()
    assert [COORDINATES.decode(row) for row in batch] == texts
    assert encode_batch(COORDINATES, texts, length=40).shape == (2, 40)
    with pytest.raises(InvalidRequestError, match="24 tokens"):
        encode_batch(COORDINATES, texts, length=20)
