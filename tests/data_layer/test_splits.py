"""Named splits."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.data.dataset import Dataset
from euhedral.errors import UnknownNameError


def lithium(count: int) -> Dataset:
    return Dataset.from_crystals(
        Crystal(cell=np.eye(3) * (3 + i / 100), frac=[[0, 0, 0]], numbers=[3], id=str(i)) for i in range(count)
    )


def test_a_fold_is_the_published_one():
    # KFold(5, shuffle=True, random_state=18012019) over 12 rows, by scikit-learn 1.9
    tested = [lithium(12).split(f"fold-{fold}")["test"].ids.tolist() for fold in range(5)]
    assert tested == [["1", "7", "8"], ["2", "3", "10"], ["4", "11"], ["0", "5"], ["6", "9"]]


def test_random_parts_have_the_stated_shares_and_depend_on_the_seed():
    parts = lithium(1000).split("random-3")
    assert {name: len(part) for name, part in parts.items()} == {"train": 800, "val": 100, "test": 100}
    other = lithium(1000).split("random-4")
    assert parts["test"].ids.tolist() != other["test"].ids.tolist()


def test_duplicates_stay_together_in_a_random_split():
    import pyarrow as pa

    from euhedral.data.columnar import Column, Columns
    from euhedral.data.encoding import encode

    made = list(lithium(400))
    first = ["" if i % 2 == 0 else str(i - 1) for i in range(400)]
    table = encode(
        made, columns=[Column(name="duplicate_of", kind="text")], text={"duplicate_of": first}, decimals=None
    )
    assert isinstance(table, pa.Table)
    parts = Dataset(Columns(table)).split("random-0")
    for part in parts.values():
        pairs = {int(name) // 2 for name in part.ids}
        assert len(part) == 2 * len(pairs)
    assert sum(len(part) for part in parts.values()) == 400


def test_leaving_an_element_out_tests_on_every_crystal_with_it():
    parts = load("mp-20-sample").split("leave-element-out-O")
    assert all(8 in crystal.numbers for crystal in parts["test"])
    assert not any(8 in crystal.numbers for crystal in parts["train"])


def test_leaving_a_system_out_keeps_its_subsystems_for_training():
    sample = load("mp-20-sample")
    parts = sample.split("leave-system-out-F-Mn-O")
    assert all(set(crystal.numbers.tolist()) == {9, 25, 8} for crystal in parts["test"])
    assert len(parts["train"]) + len(parts["test"]) == len(sample)


@pytest.mark.parametrize(
    "name", ["random", "random-x", "fold-5", "fold--1", "offical", "leave-element-out-Xx", "leave-element-out-Og", ""]
)
def test_a_split_that_makes_no_sense_is_refused(name):
    with pytest.raises(UnknownNameError):
        load("mp-20-sample").split(name)


def test_a_set_without_official_split_says_so():
    with pytest.raises(UnknownNameError, match="no official split"):
        lithium(10).split("official")
