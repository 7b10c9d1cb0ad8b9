"""Named splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.data.cache import cache_folder
from euhedral.data.clusters import clusters, descriptions
from euhedral.data.columnar import Column
from euhedral.data.compositions import composition_set
from euhedral.data.dataset import Dataset
from euhedral.data.structure_types import prototype_labels
from euhedral.errors import UnknownNameError
from euhedral.geometry.cells import supercell
from euhedral.geometry.prototype import prototype


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


def test_folds_of_classes_are_the_published_ones():
    # StratifiedKFold(5, shuffle=True, random_state=18012019), by scikit-learn 1.9
    metals = composition_set(["Cu"] * 12, values={"is_metal": [1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1]})
    metals = replace(metals, classes="is_metal")
    tested = [[int(name.removeprefix("own-")) for name in metals.split(f"fold-{k}")["test"].ids] for k in range(5)]
    assert tested == [[9, 10, 11], [0, 2, 7], [6, 8], [1, 3], [4, 5]]


def test_a_validation_part_is_carved_out_of_train_and_nothing_else_changes():
    dataset = lithium(1000)
    plain, carved = dataset.split("fold-1"), dataset.split("fold-1+val")
    assert carved["test"].ids.tolist() == plain["test"].ids.tolist()
    assert sorted([*carved["train"].ids, *carved["val"].ids]) == sorted(plain["train"].ids)
    assert len(carved["val"]) == 80
    assert carved["val"].ids.tolist() == dataset.split("fold-1+val")["val"].ids.tolist()
    with pytest.raises(UnknownNameError, match=r"has a validation part already; drop \+val"):
        dataset.split("random-0+val")


def test_what_belongs_together_stays_together():
    groups = [f"molecule {i // 4}" for i in range(400)]
    dataset = lithium(400).with_column(Column(name="group", kind="text"), values=groups)
    for name in ("random-0", "leave-cluster-out-0+val"):
        parts = [set(part.column("group").tolist()) for part in dataset.split(name).values()]
        assert len(set.union(*parts)) == sum(len(part) for part in parts) == 100


def test_clusters_are_of_like_crystals_and_together_the_whole_set():
    sample = load("mp-20-sample")[:500]
    found = clusters(sample)
    assert (found == clusters(sample)).all()
    sizes = np.bincount(found)
    assert len(sizes) == 10
    assert (np.diff(sizes) <= 0).all()
    assert sizes[-1] > 15
    points = descriptions(sample)
    within = sum(((points[found == k] - points[found == k].mean(axis=0)) ** 2).sum() for k in range(10))
    rng = np.random.default_rng(0).permutation(found)
    at_random = sum(((points[rng == k] - points[rng == k].mean(axis=0)) ** 2).sum() for k in range(10))
    assert within < 0.7 * at_random
    for k in (0, 7):
        assert (sample.split(f"leave-cluster-out-{k}")["test"].ids == sample.ids[found == k]).all()


def test_a_cluster_does_not_depend_on_cell_or_orientation():
    sample = load("mp-20-sample")[:200]
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    double = np.diag([2, 1, 1])
    other = Dataset.from_crystals(supercell(c.replace(cell=c.cell @ turn), matrix=double) for c in sample)
    np.testing.assert_allclose(descriptions(sample), descriptions(other), atol=1e-7)


def test_compositions_are_clustered_without_structures():
    elements = ["Li", "Na", "K", "Rb", "Fe", "Co", "Ni", "Cu", "F", "Cl"] * 10
    formulas = [f"{a}{i % 7 + 1}O{i % 5 + 1}" for i, a in enumerate(elements)]
    compositions = composition_set(formulas, values={"x": np.arange(100.0)})
    parts = compositions.split("leave-cluster-out-0")
    assert len(parts["train"]) + len(parts["test"]) == 100
    with pytest.raises(UnknownNameError, match="compositions only"):
        compositions.split("leave-prototype-out-0")


@pytest.fixture
def few(monkeypatch, tmp_path):
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path))
    return load("mp-20-sample")[:120].write(tmp_path / "few.parquet")


def test_leaving_a_prototype_out_by_rank_and_by_name_is_the_same(few):
    labels = prototype_labels(few)
    parts = few.split("leave-prototype-out-0")
    tested = {str(prototype(crystal)) for crystal in parts["test"]}
    assert len(tested) == 1
    name = tested.pop()
    assert (labels == name).sum() == len(parts["test"]) == max(np.unique(labels, return_counts=True)[1])
    assert name not in {str(prototype(crystal)) for crystal in parts["train"]}
    assert few.split(f"leave-prototype-out-{name}")["test"].ids.tolist() == parts["test"].ids.tolist()
    with pytest.raises(UnknownNameError, match="no prototype in"):
        few.split("leave-prototype-out-ABC3_1_a")


def test_prototypes_are_found_once_and_damage_in_the_cache_is_mended(few, monkeypatch):
    labels = prototype_labels(few)
    (kept,) = (cache_folder() / "prototypes").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("euhedral.geometry.prototype.prototype", lambda crystal: pytest.fail("found twice"))
        assert (prototype_labels(few) == labels).all()
    kept.write_text("[1, 2")
    assert (prototype_labels(few) == labels).all()
    assert (prototype_labels(few.select([5, 3])) == labels[[5, 3]]).all()


def test_leaving_a_range_out_tests_beyond_what_was_trained_on():
    sample = load("mp-20-sample")
    target = "formation_energy_per_atom"
    high, low = sample.split(f"leave-range-out-{target}-high"), sample.split(f"leave-range-out-{target}-low")
    assert high["test"].column(target).min() > high["train"].column(target).max()
    assert low["test"].column(target).max() < low["train"].column(target).min()
    assert len(high["test"]) == len(low["test"]) == 160
    assert sample.split("leave-range-out-band_gap-high")["test"].column("band_gap").min() > 1.0


def test_a_range_of_equal_values_cannot_be_left_out():
    with pytest.raises(UnknownNameError, match=r"values of band_gap in .* are the same at the low end"):
        load("mp-20-sample").split("leave-range-out-band_gap-low")


def test_what_has_no_value_is_in_no_part_of_a_range_split():
    made = [c.replace(props={"x": float(i)} if i % 2 else {}) for i, c in enumerate(lithium(100))]
    parts = Dataset.from_crystals(made, targets=["x"]).split("leave-range-out-x-high+val")
    assert {name: len(part) for name, part in parts.items()} == {"train": 40, "val": 5, "test": 5}


def test_the_split_of_the_materials_project_of_2018_goes_by_id():
    phases = load("mp-20-references")
    parts = phases.split("mp-2018.6.1")
    assert {name: len(part) for name, part in parts.items()} == {"train": 17_586, "val": 1_415, "test": 1_237}
    assert "mp-1" not in set(parts["train"].ids) & set(parts["test"].ids)
    with pytest.raises(UnknownNameError, match="2018-06-01"):
        lithium(10).split("mp-2018.6.1")


@pytest.mark.parametrize(
    "name", ["leave-cluster-out-10", "leave-cluster-out-x", "leave-range-out-band_gap", "leave-range-out-hardness-high",
             "leave-range-out-band_gap-middle", "fold-0+test", "+val", "leave-prototype-out-100000"],
)  # fmt: skip
def test_an_out_of_distribution_split_that_makes_no_sense_is_refused(name, monkeypatch, tmp_path):
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path))
    with pytest.raises(UnknownNameError):
        load("mp-20-sample")[:60].split(name)


@pytest.mark.parametrize(
    "name", ["random", "random-x", "fold-5", "fold--1", "offical", "leave-element-out-Xx", "leave-element-out-Og", ""]
)
def test_a_split_that_makes_no_sense_is_refused(name):
    with pytest.raises(UnknownNameError):
        load("mp-20-sample").split(name)


def test_a_set_without_official_split_says_so():
    with pytest.raises(UnknownNameError, match="no official split"):
        lithium(10).split("official")
