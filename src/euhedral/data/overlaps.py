"""Which materials the data sets share, so that nothing is tested on what it was trained on.

`overlaps.json` gives every material of the known sets one name: that of its first row, the Materials Project's where it has
one. Crystals with one id, or with one formula and matching structures, are one material; likeness is passed on.
`scripts/make_overlaps.py` finds them. Crystals that the table does not know, as those of users, are compared by structure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import SYMBOLS
from euhedral.errors import InvalidRequestError

if TYPE_CHECKING:
    from euhedral.data.dataset import Dataset
    from euhedral.data.splits import Divisible

_BEGINNING: Final = re.compile(r"^.*?-(?=\d)")


@dataclass(frozen=True)
class Shared:
    """What two known sets have in common.

    Args:
        materials: how many.
        ids: names that both use.
        rows: of the first and of the second set, that are of these materials.
        formulas: reduced formulas that both have, whether or not the structures match.
    """

    materials: int
    ids: int
    rows: tuple[int, int]
    formulas: int


@cache
def _table() -> Mapping[str, Any]:
    return json.loads(files("euhedral.data").joinpath("overlaps.json").read_text(encoding="utf-8"))


def beginning(name: str) -> str:
    """Return a name up to its first number: "mp-" of "mp-149"; empty when there is none."""
    match = _BEGINNING.match(name)
    return match.group() if match else ""


def shared_with(name: str) -> Mapping[str, Shared]:
    """Tell what a known set shares with each of the others; those with which it shares nothing are absent.

    Args:
        name: as given to `load`.

    Returns:
        By the other set; `rows` and all counts as seen from `name`.
    """
    found = {}
    for pair, row in _table()["shared"].items():
        first, second = pair.split()
        if name in (first, second):
            rows = tuple(row["rows"] if name == first else reversed(row["rows"]))
            other = second if name == first else first
            found[other] = Shared(materials=row["materials"], ids=row["ids"], rows=rows, formulas=row["formulas"])  # type: ignore[arg-type]
    return MappingProxyType(found)


def sentences(name: str) -> dict[str, str]:
    """Say in a sentence for each known set, itself among them, what a known set shares with it."""
    row = _table()["sets"].get(name, {"rows": 0, "materials": 0})
    rows = row["rows"]
    again = rows - row["materials"]
    within = (
        {name: f"{again:,} of its {rows:,} crystals have the structure of an earlier one, under another id"}
        if again
        else {}
    )
    return within | {
        other: f"{shared.rows[0]:,} of its {rows:,} crystals are materials of {other} ({shared.rows[1]:,} there), by id or structure"
        for other, shared in shared_with(name).items()
    }


def material_names(dataset: Divisible) -> NDArray[np.str_]:
    """Give the name of each crystal's material, the same in every known set.

    Args:
        dataset: any.

    Returns:
        (n,) names; of crystals that the table does not know, their own.
    """
    return np.array(canonical_names(dataset.ids.tolist()), dtype=str)


def canonical_names(ids: Sequence[str]) -> list[str]:
    """Give the material's name for each id; an id that the table does not know stays as it is."""
    same = _table()["same"]
    return [same.get(name, name) for name in ids]


def known_rows(dataset: Dataset) -> NDArray[np.bool_]:
    """Tell which crystals the table knows: rows of a known set, under the names that they had when it was made.

    Args:
        dataset: any.

    Returns:
        (n,) truth values.
    """
    table = _table()
    name = table["subsets"].get(dataset.card.name, dataset.card.name)
    if name in table["alone"]:
        return np.ones(len(dataset), dtype=bool)
    if name not in table["sets"]:
        return np.zeros(len(dataset), dtype=bool)
    beginnings = set(table["sets"][name]["beginnings"])
    return np.array([beginning(identifier) in beginnings for identifier in dataset.ids.tolist()], dtype=bool)


def shared_rows(first: Dataset, second: Dataset) -> NDArray[np.bool_]:
    """Tell which crystals of one set are in another: by id, by the table, and by structure where the table does not know them.

    Args:
        first: any.
        second: the other.

    Returns:
        (n,) truth values of the rows of `first`.
    """
    shared = np.isin(first.ids, second.ids) | np.isin(material_names(first), material_names(second))
    alone = set(_table()["alone"])
    if {first.card.name, second.card.name} & alone and known_rows(first).all() and known_rows(second).all():
        return shared
    mine, others = known_rows(first), known_rows(second)
    # what both tables know is settled; the rest is compared
    for ours, theirs in ((~mine, np.ones_like(others)), (mine, ~others)):
        open_rows = np.flatnonzero(ours & ~shared)
        candidates = np.flatnonzero(theirs)
        if open_rows.size and candidates.size:
            shared[open_rows[_matching(first.select(open_rows), second.select(candidates))]] = True
    return shared


def _matching(first: Dataset, second: Dataset) -> NDArray[np.int64]:
    """Positions in the first of crystals whose structure is in the second; only equal formulas are decoded."""
    from euhedral.data.duplicates import shared_structures

    mine, others = _formulas(first), _formulas(second)
    both = np.intersect1d(mine, others)
    rows = [np.flatnonzero(np.isin(own, both)) for own in (mine, others)]
    if not both.size:
        return np.array([], dtype=np.int64)
    pairs = shared_structures(list(first.select(rows[0])), list(second.select(rows[1])))
    return rows[0][np.array([a for a, _ in pairs], dtype=np.int64)]


def _formulas(dataset: Dataset) -> NDArray[np.str_]:
    """(n,) a text for each composition, the same for every cell of it; no structure is decoded."""
    fractions = dataset.fractions(SYMBOLS[1:])
    return np.array([" ".join(f"{i}:{row[i]:.9f}" for i in np.flatnonzero(row)) for row in fractions], dtype=str)


def shared_materials(first: Dataset, second: Dataset) -> list[str]:
    """Return the ids of one set whose materials are in another, sorted; see `shared_rows`."""
    return sorted(first.ids[shared_rows(first, second)].tolist())


def require_disjoint(train: Dataset, *, test: Dataset) -> None:
    """Refuse to train, or to pre-train, on materials that a test is made of.

    Two parts of one known set need different ids only: a published split stands as it is, and the card of the set says how
    many structures are on both sides (`train.without(test)` leaves them out).

    Args:
        train: what would be learnt from.
        test: what would be predicted.

    Raises:
        InvalidRequestError: they share materials.
    """
    same_set = train.card.name == test.card.name and known_rows(train).all() and known_rows(test).all()
    rows = np.isin(test.ids, train.ids) if same_set else shared_rows(test, train)
    if rows.any():
        names = test.ids[rows].tolist()
        raise InvalidRequestError(
            f"{len(names):,} materials of {test.card.name} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}) are in "
            f"the training data {train.card.name}; leave them out: train.without(test)"
        )
