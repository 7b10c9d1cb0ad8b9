"""Named ways to divide a data set; the same name gives the same parts on every machine.

    official                 the parts that the source published (column `split`)
    random-SEED              80% train, 10% val, 10% test
    fold-K                   test is fold K of five, with the shuffle that Matbench uses (Dunn et al. 2020,
                             doi:10.1038/s41524-020-00406-3: KFold(5, shuffle=True, random_state=18012019))
    leave-element-out-X      test is every crystal with the element X
    leave-system-out-A-B     test is every crystal of exactly the chemical system A-B

Crystals that are the same structure under two ids (column `duplicate_of`, where the set has one) stay in one part in
"random" splits; official splits and folds are kept as published, and the card says how many duplicates cross them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.elements import atomic_number
from euhedral.errors import UnknownNameError

if TYPE_CHECKING:
    from euhedral.data.dataset import Dataset

Positions = Mapping[str, NDArray[np.int64]]

_MATBENCH_SEED: Final = 18012019
_FOLDS: Final = 5


def positions(dataset: Dataset, name: str) -> Positions:
    """Return the positions of each part.

    Args:
        dataset: what to divide.
        name: a rule and its argument, as in this module's text.

    Raises:
        UnknownNameError: no rule has this name, its argument makes no sense, or a part would be empty.
    """
    if name == "official":
        parts = _official(dataset)
    else:
        rule, _, argument = name.partition("-") if not name.startswith("leave-") else _leave(name)
        try:
            parts = _RULES[rule](dataset, argument)
        except (KeyError, ValueError) as error:
            raise UnknownNameError(
                f"no split named {name!r}; expected official, random-SEED, fold-0 to fold-4, leave-element-out-SYMBOL "
                "or leave-system-out-A-B"
            ) from error
    empty = [part for part, rows in parts.items() if rows.size == 0]
    if empty:
        raise UnknownNameError(
            f"split {name!r} of {dataset.card.name!r} ({len(dataset)} crystals) leaves {empty[0]} empty"
        )
    return parts


def _leave(name: str) -> tuple[str, str, str]:
    for rule in ("leave-element-out", "leave-system-out"):
        if name.startswith(f"{rule}-"):
            return rule, "-", name.removeprefix(f"{rule}-")
    return name, "-", ""


def _official(dataset: Dataset) -> Positions:
    if "split" not in dataset.described:
        raise UnknownNameError(f"{dataset.card.name!r} has no official split; use random-0 or fold-0 to fold-4")
    part = dataset.column("split")
    return {name: np.flatnonzero(part == name) for name in ("train", "val", "test") if (part == name).any()}


def _random(dataset: Dataset, argument: str) -> Positions:
    rng = np.random.default_rng(int(argument))
    _, group = np.unique(_groups(dataset), return_inverse=True)
    # each group of duplicates draws one number, so that it stays together
    draw = rng.permutation(group.max() + 1)[group]
    order = np.argsort(draw, kind="stable")
    ordered = draw[order]
    cuts = [int(0.8 * len(dataset)), int(0.9 * len(dataset))]
    cuts = [int(np.searchsorted(ordered, ordered[cut])) if cut < len(ordered) else len(ordered) for cut in cuts]
    train, val, test = np.split(order, cuts)
    return {"train": np.sort(train), "val": np.sort(val), "test": np.sort(test)}


def _groups(dataset: Dataset) -> NDArray:
    ids = dataset.ids
    if "duplicate_of" not in dataset.described:
        return ids
    first = dataset.column("duplicate_of")
    return np.where(first == "", ids, first)


def _fold(dataset: Dataset, argument: str) -> Positions:
    fold = int(argument)
    if not 0 <= fold < _FOLDS:
        raise ValueError(fold)
    # scikit-learn's KFold shuffles with the legacy generator and gives the first n % 5 folds one more
    shuffled = np.arange(len(dataset))
    np.random.RandomState(_MATBENCH_SEED).shuffle(shuffled)  # published folds are drawn from it
    test = np.sort(np.array_split(shuffled, _FOLDS)[fold])
    return {"train": np.setdiff1d(np.arange(len(dataset)), test), "test": test}


def _leave_element_out(dataset: Dataset, argument: str) -> Positions:
    has = dataset.element_table()[:, atomic_number(argument)]
    return {"train": np.flatnonzero(~has), "test": np.flatnonzero(has)}


def _leave_system_out(dataset: Dataset, argument: str) -> Positions:
    table = dataset.element_table()
    wanted = np.zeros(table.shape[1], dtype=bool)
    wanted[[atomic_number(symbol) for symbol in argument.split("-")]] = True
    same = (table == wanted).all(axis=1)
    return {"train": np.flatnonzero(~same), "test": np.flatnonzero(same)}


_RULES: Final[Mapping[str, Callable[[Dataset, str], Positions]]] = {
    "random": _random,
    "fold": _fold,
    "leave-element-out": _leave_element_out,
    "leave-system-out": _leave_system_out,
}
