"""Materials that sets share: nothing is tested on what it was trained on, under whatever name."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data import load, require_disjoint, shared_materials
from euhedral.data.card import DatasetCard
from euhedral.data.dataset import Dataset
from euhedral.data.overlaps import beginning, known_rows, material_names, shared_rows, shared_with
from euhedral.data.sources import sources
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell


def named(name: str, ids: list[str], *, start: int = 0) -> Dataset:
    """A set that calls itself by the name of a known one; each crystal has elements of its own."""
    made = [
        Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[3 + start + i, 50], id=identifier)
        for i, identifier in enumerate(ids)
    ]
    card = DatasetCard(name=name, version="1", title="x", licence="x", doi="", citation="", description="x")
    return Dataset.from_crystals(made, card=card)


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load("mp-20-sample")


def test_the_known_overlaps_are_in_the_table():
    # the dielectric tensors are those of Matbench; its phonons are those of the phonon spectra; CrysXPP has MP-20's tests
    assert shared_with("mp-dielectric-tensors")["matbench-dielectric"].rows[0] >= 1043
    assert shared_with("matbench-phonons")["phonon-dos"].rows[0] >= 1250
    assert shared_with("mp-20")["mp-crysxpp"].ids == 15_566
    mirrored = shared_with("matbench-dielectric")["mp-dielectric-tensors"]
    assert mirrored.rows == shared_with("mp-dielectric-tensors")["matbench-dielectric"].rows[::-1]


def test_every_source_is_in_the_table_or_shares_nothing():
    from euhedral.data.overlaps import _table

    assert set(sources()) == {*_table()["sets"], *_table()["alone"]}
    for name, row in _table()["sets"].items():
        assert row["rows"] >= row["materials"] > 0
        assert row["rows"] <= sources()[name].count


def test_one_material_has_one_name_in_every_set():
    from euhedral.data.overlaps import _table

    same = _table()["same"]
    assert not set(same) & set(same.values())  # the first name of a material is not another one's second
    phonons = {name for name in same if name.startswith("mb-phonons-")}
    spectra = {same[name] for name in same if name.startswith("phdos-")}
    assert len([name for name in phonons if same[name] in spectra]) > 1200


@pytest.mark.parametrize(
    ("name", "start"), [("mp-149", "mp-"), ("mp20-train-7", "mp20-train-"), ("C-12-3", "C-"), ("abc", "")]
)
def test_the_beginning_of_a_name(name, start):
    assert beginning(name) == start


def pair() -> tuple[str, str]:
    """A phonon of Matbench and a spectrum that are one material."""
    from euhedral.data.overlaps import _table

    same = _table()["same"]
    first = next(name for name in same if name.startswith("mb-phonons-"))
    return first, next(name for name in same if name.startswith("phdos-") and same[name] == same[first])


def test_training_on_a_benchmarks_material_under_another_name_is_refused():
    phonon, spectrum = pair()
    test = named("matbench-phonons", [phonon, "mb-phonons-9999"])
    train = named("phonon-dos", ["phdos-9998", spectrum, "phdos-9999"], start=40)
    assert material_names(test)[0] == material_names(train)[1]
    with pytest.raises(
        InvalidRequestError, match=rf"1 materials of matbench-phonons \({phonon}\) are in .* phonon-dos"
    ):
        require_disjoint(train, test=test)
    rest = train.without(test)
    assert rest.ids.tolist() == ["phdos-9998", "phdos-9999"]
    require_disjoint(rest, test=test)


def test_ids_of_the_materials_project_mean_one_material_in_any_set():
    assert shared_materials(named("own", ["mp-149", "x-1"]), named("other", ["mp-149"], start=30)) == ["mp-149"]


def test_a_users_copy_of_test_material_is_found_by_its_structure(sample):
    test = sample.split("official")["test"][:40]
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    copies = [
        supercell(crystal.replace(cell=1.01 * crystal.cell @ turn), matrix=np.diag([1, 2, 1])).replace(id=f"mine-{i}")
        for i, crystal in enumerate(test)
    ]
    new = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[84], id="mine-new")
    own = Dataset.from_crystals([*copies, new])
    assert not known_rows(own).any()
    assert known_rows(test).all()
    assert shared_rows(own, test).tolist() == [True] * 40 + [False]
    assert shared_rows(test, own).all()
    with pytest.raises(InvalidRequestError, match="40 materials of mp-20-sample"):
        require_disjoint(own, test=test)
    assert own.without(test).ids.tolist() == ["mine-new"]


def test_a_published_split_stands_as_it_is_and_its_duplicates_can_be_left_out():
    # the official split of MP-20 has structures of its test in its training part
    parts = load("mp-20-references").split("official")
    shared = shared_rows(parts["test"], parts["train"])
    assert 300 < int(shared.sum()) < 400
    require_disjoint(parts["train"], test=parts["test"])  # as published
    require_disjoint(parts["train"].without(parts["test"]), test=parts["test"])


def test_sets_of_frameworks_share_nothing_with_crystals(sample):
    frameworks = named("hmof-100", ["hMOF-1", "hMOF-2"])
    assert not shared_rows(frameworks, sample).any()
