"""What every data set must satisfy: each check takes a data set and raises `AssertionError`.

@pytest.mark.parametrize("check", DATASET_CHECKS)
def test_my_data_set(check):
    check(Dataset.open("mine.parquet"))
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Final

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.data.dataset import Dataset
from euhedral.data.encoding import content_hash
from euhedral.errors import UnknownNameError


def exact_length(dataset: Dataset) -> None:
    """Every pass yields exactly as many crystals as the set says, the same ones, and indexing agrees."""
    first = [crystal.id for crystal in dataset]
    _demand(len(first) == len(dataset) == dataset.card.count, f"{len(first)} crystals, len says {len(dataset)}")
    _demand(all(isinstance(crystal, Crystal) for crystal in dataset), "a pass yields something that is no crystal")
    _demand([dataset[i].id for i in range(-len(dataset), 0)] == first, "indexing and iterating disagree")
    _demand(dataset.ids.tolist() == first, "the column of ids and the crystals disagree")


def unique_ids(dataset: Dataset) -> None:
    """No two crystals have one id, and none is without."""
    ids = dataset.ids.tolist()
    _demand(len(set(ids)) == len(ids), "two crystals have one id")
    _demand(all(ids), "a crystal has no id")


def card_matches_bytes(dataset: Dataset) -> None:
    """The card's checksum, counts, units and audit are those of the contents."""
    card = dataset.card
    _demand(
        content_hash(dataset, columns=dataset.values) == card.sha256, "the card's SHA-256 is not that of the contents"
    )
    _demand(set(card.units) == set(dataset.targets), f"the card names {set(card.units)}, the columns {dataset.targets}")
    for name, unit in card.units.items():
        _demand(dataset.described[name].unit == unit, f"{name}: the card says {unit!r}, the column another unit")
    _demand(card.audit.kept == len(dataset), f"the audit kept {card.audit.kept} of {len(dataset)}")
    _demand(card.audit.read == card.audit.kept + sum(card.audit.rejects.values()), "the audit lost rows")
    if card.splits:
        found = dict(zip(*np.unique(dataset.column("split"), return_counts=True), strict=True))
        _demand({k: int(v) for k, v in found.items()} == dict(card.splits), f"the card's splits are not {found}")


def states_its_origin(dataset: Dataset) -> None:
    """The card says what the set is, under which licence, and every target has a unit and a method."""
    card = dataset.card
    for name in ("name", "version", "title", "licence", "description"):
        _demand(bool(getattr(card, name)), f"the card has no {name}")
    if card.doi:
        _demand("@" in card.citation, "the card has a DOI but no BibTeX citation")


def columns_match_crystals(dataset: Dataset) -> None:
    """A value in a column is the value that the crystal carries; what is not known is absent there."""
    for target in dataset.targets:
        column = dataset.column(target)
        described = dataset.described[target]
        parts = []
        for crystal in dataset:
            carrier = crystal.site if described.kind == "site" else crystal.props
            shape = (len(crystal), *described.shape) if described.kind == "site" else described.shape
            parts.append(np.asarray(carrier[target]) if target in carrier else np.full(shape, np.nan))
        carried = np.concatenate(parts) if described.kind == "site" else np.stack(parts)
        _demand(np.array_equal(column, carried, equal_nan=True), f"{target}: column and crystals disagree")
        known = [target in (crystal.site if described.kind == "site" else crystal.props) for crystal in dataset]
        _demand(dataset.known(target).tolist() == known, f"{target}: what is known differs between column and crystals")
        if described.axis is not None:
            _demand(len(described.axis.values) == column.shape[-1], f"{target}: the axis has another length")


def disjoint_splits(dataset: Dataset) -> None:
    """No crystal is in two parts of a split, nor, where duplicates are marked, a structure in two parts of a random one."""
    names = ["random-0", "random-1", "fold-0", "fold-4"]
    if "split" in dataset.described:
        names.append("official")
    for name in names:
        try:
            parts = dataset.split(name)
        except UnknownNameError:
            _demand(len(dataset) < 20, f"split {name} cannot be made of {len(dataset)} crystals")
            continue
        for (a, first), (b, second) in combinations(parts.items(), 2):
            shared = set(first.ids.tolist()) & set(second.ids.tolist())
            _demand(not shared, f"split {name}: {a} and {b} share {len(shared)} crystals")
        if name.startswith("random") and "duplicate_of" in dataset.described:
            groups = [_structures(part) for part in parts.values()]
            for first, second in combinations(groups, 2):
                _demand(not first & second, f"split {name}: two parts share {len(first & second)} structures")
        if name != "official":
            _demand(sum(len(part) for part in parts.values()) == len(dataset), f"split {name} loses crystals")
            again = dataset.split(name)
            _demand(all((again[p].ids == parts[p].ids).all() for p in parts), f"split {name} differs when made again")


def folds_cover(dataset: Dataset) -> None:
    """The five folds test every crystal exactly once."""
    if len(dataset) < 5:
        return
    tested = np.concatenate([dataset.split(f"fold-{fold}")["test"].ids for fold in range(5)])
    _demand(sorted(tested.tolist()) == sorted(dataset.ids.tolist()), "the folds do not test every crystal once")


def _structures(dataset: Dataset) -> set[str]:
    first = dataset.column("duplicate_of")
    return set(np.where(first == "", dataset.ids, first).tolist())


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


DATASET_CHECKS: Final[tuple[Callable[[Dataset], None], ...]] = (
    exact_length,
    unique_ids,
    card_matches_bytes,
    states_its_origin,
    columns_match_crystals,
    disjoint_splits,
    folds_cover,
)
