"""Text as whole numbers and back: by characters, by words of CIF, by whole coordinates.

For every tokeniser `decode(encode(text)) == text`, and `encode(decode(tokens)) == tokens` for tokens that `encode` gave. What
cannot be written with the vocabulary is an error that names the place; there is no token for the unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import FileFormatError, InvalidRequestError
from euhedral.representations.cif_text.vocabulary import Vocabulary, vocabulary

# A space-group symbol is a token of its own only after its tag: elsewhere "Pm" is promethium and "P1" is phosphorus, one.
_GROUP_TAG = "_symmetry_space_group_name_H-M "
_GROUP_SUFFIX = "_sg"


class Tokeniser(Protocol):
    """Turns text into the numbers of a vocabulary and back."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Tokens and their numbers."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a text, without start and end."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of tokens; start, padding and whatever follows the end are left out."""
        ...


@dataclass(frozen=True, eq=False)
class PatternTokeniser:
    """Reads the longest token of the vocabulary at each place; the tokens' own text, joined, is the text.

    Args:
        vocabulary: tokens and their numbers.
    """

    vocabulary: Vocabulary

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without start and end.

        Raises:
            FileFormatError: at some place no token begins; the message says which.
        """
        pattern, texts = _pattern(self.vocabulary.name)
        tokens, place = [], 0
        while place < len(text):
            match = pattern.match(text, place)
            if match is None:
                raise _unwritable(text, place=place, name=self.vocabulary.name)
            group = match.lastgroup == "group"
            tokens.append(texts[match[0] + _GROUP_SUFFIX if group else match[0]])
            place = match.end()
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Join the text of tokens; start, padding and whatever follows the end are left out.

        Raises:
            InvalidRequestError: a number is not in the vocabulary.
        """
        return "".join(word.removesuffix(_GROUP_SUFFIX) for word in _words(tokens, vocabulary=self.vocabulary))


@dataclass(frozen=True, eq=False)
class CoordinateTokeniser:
    """One token a number: each lattice parameter, symbol and coordinate of a `CoordinateFormat` text as it stands.

    Spaces and line ends are no tokens: they follow from the count, six lattice parameters and then four words an atom.

    Args:
        vocabulary: tokens and their numbers.

    Source: the atom and coordinate level (LM-AC) of Flam-Shepherd and Aspuru-Guzik 2023, arXiv:2305.05708.
    """

    vocabulary: Vocabulary

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without start and end.

        Raises:
            FileFormatError: a word is not in the vocabulary, or the text is not laid out as `CoordinateFormat` writes it.
        """
        numbers = self.vocabulary.numbers
        tokens: list[int] = []
        for row, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            words = line.split(" ")
            expected = 4 if row > 1 else 6
            if len(words) != expected:
                raise FileFormatError(f"line {row}: {len(words)} words, expected {expected}: {line[:40]!r}")
            for column, word in enumerate(words, start=1):
                if word not in numbers or numbers[word] in _special(self.vocabulary):
                    raise FileFormatError(
                        f"line {row}, word {column}: {word[:20]!r} is not in the vocabulary {self.vocabulary.name!r}; write the text "
                        "with the default `CoordinateFormat`"
                    )
                tokens.append(numbers[word])
        if not text.endswith("\n"):
            raise FileFormatError(f"line {text.count(chr(10)) + 1}: the last line has no end")
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Lay out tokens in lines; start, padding and whatever follows the end are left out.

        Raises:
            InvalidRequestError: a number is not in the vocabulary.
        """
        words = _words(tokens, vocabulary=self.vocabulary)
        rows = [words[:6], *(words[place : place + 4] for place in range(6, len(words), 4))]
        return "".join(" ".join(row) + "\n" for row in rows if row)


def character_tokeniser() -> PatternTokeniser:
    """Return the tokeniser whose tokens are the printable characters (LM-CM)."""
    return PatternTokeniser(vocabulary=vocabulary("characters-1"))


def cif_tokeniser() -> PatternTokeniser:
    """Return the tokeniser of CIF: tags, elements, space groups, digits, marks (CrystaLLM)."""
    return PatternTokeniser(vocabulary=vocabulary("cif-1"))


def coordinate_tokeniser() -> CoordinateTokeniser:
    """Return the tokeniser of whole numbers and symbols (LM-AC)."""
    return CoordinateTokeniser(vocabulary=vocabulary("coordinates-1"))


def encode_batch(tokeniser: Tokeniser, texts: Sequence[str], *, length: int | None = None) -> NDArray[np.int64]:
    """Encode texts between start and end, padded to one length.

    Args:
        tokeniser: any.
        texts: B of them.
        length: tokens a row, or None for what the longest needs.

    Returns:
        (B, T) numbers.

    Raises:
        FileFormatError: a text cannot be encoded.
        InvalidRequestError: a text needs more than `length`.
    """
    vocabulary_ = tokeniser.vocabulary
    rows = [[vocabulary_.start, *tokeniser.encode(text), vocabulary_.end] for text in texts]
    longest = max(map(len, rows), default=0)
    if length is not None and longest > length:
        raise InvalidRequestError(
            f"a text needs {longest} tokens, more than the length of {length}; raise it or leave the crystal out"
        )
    batch = np.full((len(rows), longest if length is None else length), vocabulary_.pad, dtype=np.int64)
    for row, tokens in enumerate(rows):
        batch[row, : len(tokens)] = tokens
    return batch


@cache
def _pattern(name: str) -> tuple[re.Pattern[str], dict[str, int]]:
    known = vocabulary(name)
    texts = {token: number for token, number in known.numbers.items() if number not in _special(known)}
    longest_first = sorted(texts, key=len, reverse=True)
    plain = "|".join(re.escape(token) for token in longest_first if not token.endswith(_GROUP_SUFFIX))
    groups = [re.escape(token.removesuffix(_GROUP_SUFFIX)) for token in longest_first if token.endswith(_GROUP_SUFFIX)]
    if groups:
        plain = rf"(?P<group>(?<={re.escape(_GROUP_TAG)})(?:{'|'.join(groups)})(?=\n))|{plain}"
    return re.compile(plain), texts


def _special(known: Vocabulary) -> tuple[int, int, int]:
    return known.pad, known.start, known.end


def _words(tokens: Sequence[int], *, vocabulary: Vocabulary) -> list[str]:
    words = []
    for place, token in enumerate(np.asarray(tokens, dtype=np.int64).tolist()):
        if token == vocabulary.end:
            break
        if not 0 <= token < len(vocabulary):
            raise InvalidRequestError(
                f"token {place} is {token}, and the vocabulary {vocabulary.name!r} has {len(vocabulary)}"
            )
        if token not in (vocabulary.pad, vocabulary.start):
            words.append(vocabulary.tokens[token])
    return words


def _unwritable(text: str, *, place: int, name: str) -> FileFormatError:
    line = text.count("\n", 0, place) + 1
    column = place - (text.rfind("\n", 0, place) + 1) + 1
    return FileFormatError(
        f"line {line}, column {column}: no token of {name!r} begins with {text[place : place + 12]!r}"
    )
