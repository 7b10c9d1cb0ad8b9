"""Vocabularies: the tokens of a tokeniser and their numbers, as versioned data.

The files are made by `scripts/make_text_vocabularies.py`. A file never changes: weights are trained on its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from euhedral.errors import unknown_name

#: Names of the vocabularies that are shipped.
VOCABULARIES: Final = ("characters-1", "cif-1", "coordinates-1")


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Tokens by number.

    Args:
        name: with its version, such as "cif-1".
        tokens: by number; the three special ones come first.
        numbers: the number of each token.
        pad: number of the token that fills up short sequences.
        start: number of the token before a text.
        end: number of the token after a text.
    """

    name: str
    tokens: tuple[str, ...]
    numbers: Mapping[str, int]
    pad: int
    start: int
    end: int

    def __len__(self) -> int:
        return len(self.tokens)


@cache
def vocabulary(name: str) -> Vocabulary:
    """Load a vocabulary by name.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in VOCABULARIES:
        raise unknown_name(
            "vocabulary", name, VOCABULARIES, where="euhedral.representations.cif_text.vocabulary.VOCABULARIES"
        )
    path = files("euhedral.representations.cif_text").joinpath("vocabularies", f"{name}.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    tokens = (*data["special"], *data["tokens"])
    numbers = {token: number for number, token in enumerate(tokens)}
    return Vocabulary(
        name=data["name"],
        tokens=tokens,
        numbers=MappingProxyType(numbers),
        pad=numbers["<pad>"],
        start=numbers["<start>"],
        end=numbers["<end>"],
    )
