"""Named ways to divide a data set; the same name gives the same parts on every machine.

    official                    the parts that the source published (column `split`)
    mp-2018.6.1                 the parts of the JARVIS-Leaderboard (60,000 / 5,000 / 4,239) for the Materials Project of
                                2018-06-01, by id; crystals without such an id are in none of them
    random-SEED                 80% train, 10% val, 10% test
    fold-K                      test is fold K of five, with the shuffle that Matbench uses (Dunn et al. 2020,
                                doi:10.1038/s41524-020-00406-3: KFold(5, shuffle=True, random_state=18012019); classes are
                                divided evenly, as by its StratifiedKFold)
    leave-element-out-X         test is every crystal with the element X
    leave-system-out-A-B        test is every crystal of exactly the chemical system A-B
    leave-cluster-out-K         test is cluster K of ten of like crystals, the largest being 0 (`data.clusters`)
    leave-prototype-out-K       test is every crystal of the most common prototype but K, or of the prototype named
                                (`geometry.prototype`: leave-prototype-out-ABC3_221_a_b_c)
    leave-range-out-TARGET-low  test is the tenth with the lowest values; with "high", the highest. What has no value is in
                                no part.

With "+val" after any of these that has no validation part, a tenth of train becomes one: fold-0+val.

Crystals that are the same structure under two ids (column `duplicate_of`, where the set has one), or that belong together
(column `group`), stay in one part in "random" splits, in clusters and in "+val", the last two also where only
`data.overlaps` knows that they are the same; official splits and folds are kept as published, and the card says how many
duplicates there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import atomic_number
from euhedral.errors import UnknownNameError, unknown_name

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal
    from euhedral.data.card import DatasetCard
    from euhedral.data.column import Column

Positions = Mapping[str, NDArray[np.int64]]

_MATBENCH_SEED: Final = 18012019
_FOLDS: Final = 5
_TENTH: Final = 0.1
_VALIDATION: Final = "+val"
_EXPECTED: Final = (
    "official, mp-2018.6.1, random-SEED, fold-0 to fold-4, leave-element-out-SYMBOL, leave-system-out-A-B, "
    "leave-cluster-out-K, leave-prototype-out-K, leave-range-out-TARGET-low or -high, and +val after those without val"
)


class Divisible(Protocol):
    """What can be divided: a data set of crystals, or of compositions."""

    def __len__(self) -> int: ...
    @property
    def card(self) -> DatasetCard:
        """What it is."""
        ...

    @property
    def ids(self) -> NDArray[np.str_]:
        """(n,) names."""
        ...

    @property
    def described(self) -> Mapping[str, Column]:
        """Every column."""
        ...

    @property
    def classes(self) -> str:
        """The column of classes that folds divide evenly; empty for others."""
        ...

    def column(self, name: str) -> NDArray:
        """One column."""
        ...

    def element_table(self) -> NDArray[np.bool_]:
        """(n, 119) which elements each has."""
        ...

    def fractions(self, elements: Sequence[str]) -> NDArray[np.float64]:
        """(n, k) atomic fractions."""
        ...

    def crystals(self) -> Iterable[Crystal] | None:
        """The structures; None where there are none."""
        ...


def positions(dataset: Divisible, name: str) -> Positions:
    """Return the positions of each part.

    Args:
        dataset: what to divide.
        name: a rule and its argument, as in this module's text.

    Raises:
        UnknownNameError: no rule has this name, its argument makes no sense, or a part would be empty.
    """
    base = name.removesuffix(_VALIDATION)
    parts = dict(_divided(dataset, base))
    if name != base:
        if "val" in parts:
            raise UnknownNameError(f"split {base!r} of {dataset.card.name!r} has a validation part already; drop +val")
        parts = _with_validation(dataset, parts)
    empty = [part for part, rows in parts.items() if rows.size == 0]
    if empty or not parts:
        raise UnknownNameError(
            f"split {name!r} of {dataset.card.name!r} ({len(dataset)} crystals) leaves {empty[0] if empty else 'all'} empty; give more crystals or another split"
        )
    return parts


def _divided(dataset: Divisible, name: str) -> Positions:
    if name in _WHOLE:
        return _WHOLE[name](dataset)
    rule = next((rule for rule in _RULES if name.startswith(f"{rule}-")), None)
    if rule is None:
        raise UnknownNameError(f"no split named {name!r}; expected {_EXPECTED}")
    argument = name.removeprefix(f"{rule}-")
    try:
        return _RULES[rule](dataset, argument)
    except ValueError as error:
        raise UnknownNameError(f"no split named {name!r}: {argument!r} does not fit; expected {_EXPECTED}") from error


def _official(dataset: Divisible) -> Positions:
    if "split" not in dataset.described:
        raise UnknownNameError(f"{dataset.card.name!r} has no official split; use random-0 or fold-0 to fold-4")
    part = dataset.column("split")
    return {name: np.flatnonzero(part == name) for name in ("train", "val", "test") if (part == name).any()}


@cache
def _mp_2018() -> Mapping[str, NDArray[np.str_]]:
    path = files("euhedral.data").joinpath("published_splits/mp-2018.6.1.npz")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as table:
        return {
            part: np.concatenate([[f"{prefix}-{number}" for number in table[f"{part}_{prefix}"]] for prefix in ("mp", "mvc")])
            for part in ("train", "val", "test")
        }  # fmt: skip


def _jarvis(dataset: Divisible) -> Positions:
    ids = dataset.ids
    parts = {name: np.flatnonzero(np.isin(ids, members)) for name, members in _mp_2018().items()}
    if not any(rows.size for rows in parts.values()):
        raise UnknownNameError(f"no crystal of {dataset.card.name!r} has an id of the Materials Project of 2018-06-01")
    return parts


def _random(dataset: Divisible, argument: str) -> Positions:
    order, draw = _drawn(_groups(dataset), rng=np.random.default_rng(int(argument)))
    train, val, test = np.split(order, [_cut(draw[order], 0.8), _cut(draw[order], 0.9)])
    return {"train": np.sort(train), "val": np.sort(val), "test": np.sort(test)}


def _drawn(groups: NDArray, *, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffle so that groups stay together: the order, and each one's number in it."""
    _, group = np.unique(groups, return_inverse=True)
    draw = rng.permutation(int(group.max(initial=-1)) + 1)[group]
    return np.argsort(draw, kind="stable"), draw


def _cut(ordered: NDArray[np.int64], share: float) -> int:
    cut = int(share * len(ordered))
    return int(np.searchsorted(ordered, ordered[cut])) if cut < len(ordered) else len(ordered)


def _with_validation(dataset: Divisible, parts: Positions) -> dict[str, NDArray[np.int64]]:
    train = parts["train"]
    order, draw = _drawn(_materials(dataset)[train], rng=np.random.default_rng(0))
    kept, val = np.split(order, [_cut(draw[order], 1.0 - _TENTH)])
    return {"train": np.sort(train[kept]), "val": np.sort(train[val]), "test": parts["test"]}


def _groups(dataset: Divisible) -> NDArray:
    ids = dataset.ids
    for name in ("group", "duplicate_of"):
        if name in dataset.described:
            first = dataset.column(name)
            return np.where(first == "", ids, first)
    return ids


def _materials(dataset: Divisible) -> NDArray:
    from euhedral.data.overlaps import material_names

    if {"group", "duplicate_of"} & set(dataset.described):
        return _groups(dataset)
    return material_names(dataset)


def _fold(dataset: Divisible, argument: str) -> Positions:
    fold = int(argument)
    if not 0 <= fold < _FOLDS:
        raise ValueError(fold)
    rng = np.random.RandomState(_MATBENCH_SEED)  # published folds are drawn from the legacy generator
    if dataset.classes:
        test = np.flatnonzero(_stratified(dataset.column(dataset.classes), rng=rng) == fold)
    else:
        # scikit-learn's KFold gives the first n % 5 folds one more
        shuffled = np.arange(len(dataset))
        rng.shuffle(shuffled)
        test = np.sort(np.array_split(shuffled, _FOLDS)[fold])
    return {"train": np.setdiff1d(np.arange(len(dataset)), test), "test": test}


def _stratified(labels: NDArray, *, rng: np.random.RandomState) -> NDArray[np.int64]:
    """The fold of each row, as scikit-learn's StratifiedKFold has it: classes by first appearance, dealt out in turn."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[group]
    dealt = np.sort(group)
    fold = np.empty(len(labels), dtype=np.int64)
    for label in range(len(first)):
        share = [int((dealt[start::_FOLDS] == label).sum()) for start in range(_FOLDS)]
        own = np.repeat(np.arange(_FOLDS), share)
        rng.shuffle(own)
        fold[group == label] = own
    return fold


def _leave(test: NDArray[np.bool_]) -> Positions:
    return {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}


def _leave_element_out(dataset: Divisible, argument: str) -> Positions:
    return _leave(dataset.element_table()[:, atomic_number(argument)])


def _leave_system_out(dataset: Divisible, argument: str) -> Positions:
    table = dataset.element_table()
    wanted = np.zeros(table.shape[1], dtype=bool)
    wanted[[atomic_number(symbol) for symbol in argument.split("-")]] = True
    return _leave((table == wanted).all(axis=1))


def _leave_cluster_out(dataset: Divisible, argument: str) -> Positions:
    from euhedral.data.clusters import clusters

    found = clusters(dataset)
    _, first, group = np.unique(_materials(dataset), return_index=True, return_inverse=True)
    found = found[first[group]]  # what belongs together goes with its first member
    return _leave(found == _number(argument, count=int(found.max(initial=0)) + 1))


def _number(argument: str, *, count: int) -> int:
    number = int(argument)
    if not 0 <= number < count:
        raise ValueError(number)
    return number


def _leave_prototype_out(dataset: Divisible, argument: str) -> Positions:
    from euhedral.data.structure_types import prototype_labels

    labels = prototype_labels(dataset)
    known = Counter(label for label in labels.tolist() if label)
    ranked = sorted(known, key=lambda label: (-known[label], label))
    if argument.isdecimal():
        return _leave(labels == ranked[_number(argument, count=len(ranked))])
    if argument not in known:
        raise unknown_name(
            f"prototype in {dataset.card.name!r}", argument, ranked, where="data.structure_types.prototype_labels"
        )
    return _leave(labels == argument)


def _leave_range_out(dataset: Divisible, argument: str) -> Positions:
    target, _, end = argument.rpartition("-")
    if end not in ("low", "high"):
        raise ValueError(end)
    numbers = [name for name, column in dataset.described.items() if column.kind == "float"]
    if target not in numbers:
        raise unknown_name(f"number in {dataset.card.name!r}", target, numbers, where="euhedral datasets")
    values = dataset.column(target)
    known = np.flatnonzero(~np.isnan(values))
    values = values[known] if end == "high" else -values[known]
    limit = np.quantile(values, 1.0 - _TENTH, method="higher") if known.size else 0.0
    test = values >= limit  # equal values stay together
    if test.sum() > known.size / 2:
        raise UnknownNameError(
            f"{int(test.sum()):,} of {known.size:,} values of {target} in {dataset.card.name!r} are the same at the {end} end; "
            "no range can be left out there"
        )
    return {part: known[rows] for part, rows in _leave(test).items()}


_WHOLE: Final[Mapping[str, Callable[[Any], Positions]]] = {"official": _official, "mp-2018.6.1": _jarvis}
_RULES: Final[Mapping[str, Callable[[Any, str], Positions]]] = {
    "random": _random,
    "fold": _fold,
    "leave-element-out": _leave_element_out,
    "leave-system-out": _leave_system_out,
    "leave-cluster-out": _leave_cluster_out,
    "leave-prototype-out": _leave_prototype_out,
    "leave-range-out": _leave_range_out,
}
