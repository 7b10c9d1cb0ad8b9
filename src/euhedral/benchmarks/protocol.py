"""A protocol: which data, which split, which targets, which budget. Small readable files, one for each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from euhedral.errors import FileFormatError, unknown_name
from euhedral.tasks.targets import KINDS, Target, read_targets

if TYPE_CHECKING:
    from euhedral.data.dataset import Dataset


@dataclass(frozen=True)
class Protocol:
    """What every system of a comparison is given.

    Args:
        name: as the command line calls it.
        task: the wing whose systems it compares.
        title: one line.
        dataset: a name that `data.catalogue.load` knows.
        splits: names of splits; one fold each.
        targets: what is learnt, in the form that a model's constructor takes; all of one data set by one network.
        version: raised whenever a number could change.
        minutes: of training, for each system and fold, while nothing else keeps the processor busy; None for as long as the
            system's paper says.
        threads: of the processor, for each system.
        seeds: of starts and draws; one run each.
        train_crystals: at most; None for all of the split.
        validation_crystals: at most; taken from the training part where the split has none.
        test_crystals: at most; None for all of the split.
        unseen_only: leave out test crystals whose material is in the training or validation part under another id, as published
            splits have some; where results are held against figures in print, they stay.
        hyperparameters: {system: {"config", "training", "source"}} that were published for these very data, where those of the
            system's own paper are for others.
        published: figures in print for the same data, by system or source, for the first target: one, or one for each of the splits.
        published_in: where they are in print.
        note: what to know before comparing.
    """

    name: str
    task: str
    title: str
    dataset: str
    splits: tuple[str, ...]
    targets: tuple[Any, ...]
    version: int = 1
    minutes: float | None = None
    threads: int = 1
    seeds: tuple[int, ...] = (0,)
    train_crystals: int | None = None
    validation_crystals: int = 1000
    test_crystals: int | None = None
    unseen_only: bool = False
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    published: Mapping[str, float | Sequence[float]] = field(default_factory=lambda: MappingProxyType({}))
    published_in: str = ""
    note: str = ""

    @property
    def kinds(self) -> dict[str, Target]:
        """What each target is."""
        return read_targets(self.targets, system=f"protocol {self.name}", kinds=tuple(KINDS.values()), per_atom=True)


@dataclass(frozen=True, eq=False)
class Parts:
    """The crystals of one fold.

    Args:
        train: to learn from.
        validation: to calibrate intervals on; they decide nothing else.
        test: to be judged on.
    """

    train: Dataset
    validation: Dataset
    test: Dataset


@cache
def protocols() -> Mapping[str, Protocol]:
    """Return every protocol that ships, by name.

    Raises:
        FileFormatError: one has fields that it should not have.
    """
    found = {}
    for file in sorted((files("euhedral.benchmarks") / "protocols").iterdir(), key=lambda path: path.name):
        if file.name.endswith(".toml"):
            read = read_protocol(file.read_text(encoding="utf-8"), where=file.name)
            found[read.name] = read
    return MappingProxyType(found)


def protocol(name: str) -> Protocol:
    """Return one protocol.

    Raises:
        UnknownNameError: none has this name.
    """
    try:
        return protocols()[name]
    except KeyError:
        raise unknown_name("protocol", name, protocols(), where="euhedral benchmark --list") from None


def read_protocol(text: str, *, where: str) -> Protocol:
    """Read a protocol from TOML.

    Raises:
        FileFormatError: it is no TOML, or its fields are not those of a protocol.
    """
    try:
        table = tomllib.loads(text)
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
        read = Protocol(**values)
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise FileFormatError(f"{where} is no protocol: {error}") from error
    _ = read.kinds
    for name, value in read.published.items():
        if isinstance(value, Sequence) and len(value) != len(read.splits):
            raise FileFormatError(
                f"{where}: {name} has {len(value)} published figures, expected one for each of {len(read.splits)} splits"
            )
    return read


def in_print(asked: Protocol, *, name: str, splits: Sequence[str]) -> float | None:
    """What is in print of a system for these splits: the mean over them, or the one figure that there is; None without any.

    Args:
        asked: the protocol.
        name: a system or a source.
        splits: of the protocol.
    """
    value = asked.published.get(name)
    if not isinstance(value, Sequence):
        return value
    return sum(value[asked.splits.index(split)] for split in splits) / len(splits)


def parts_of(asked: Protocol, *, split: str) -> Parts:
    """Divide the data of a protocol; the same crystals on every machine.

    Args:
        asked: names data and sizes.
        split: one of its splits.

    Raises:
        MissingDataError: the data are not on this machine.
        UnknownNameError: the data have no such split.
    """
    from euhedral.data.catalogue import load

    whole = load(asked.dataset)
    divided = whole.split(split)
    rng = np.random.default_rng(0)  # which crystals are taken must not depend on the seed of a run
    train, test = _labelled(divided["train"], asked.kinds), _labelled(divided["test"], asked.kinds)
    test = _some(test, asked.test_crystals, rng=rng)
    if "val" in divided:
        validation = _some(_labelled(divided["val"], asked.kinds), asked.validation_crystals, rng=rng)
    else:
        order = rng.permutation(len(train))
        n = min(asked.validation_crystals, len(train) // 10)
        validation, train = train.select(np.sort(order[:n])), train.select(np.sort(order[n:]))
    train = _some(train, asked.train_crystals, rng=rng)
    if asked.unseen_only:
        test = test.without(train).without(validation)
    return Parts(train=train, validation=validation, test=test)


def _labelled(data: Dataset, kinds: Mapping[str, Target]) -> Dataset:
    """Leave out crystals of which no target is known."""
    known = np.zeros(len(data), dtype=bool)
    for name in kinds:
        values = data.column(name)
        known |= ~np.isnan(values.reshape(len(data), -1)).all(axis=1) if values.dtype.kind == "f" else True
    return data.select(known)


def _some(data: Dataset, count: int | None, *, rng: np.random.Generator) -> Dataset:
    if count is None or len(data) <= count:
        return data
    chosen: Sequence[int] = np.sort(rng.choice(len(data), count, replace=False)).tolist()
    return data.select(chosen)
