"""The data set as a sequence, and the sets that are shipped."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.composition import chemical_system
from euhedral.data import load, reference_phases, require_disjoint, shared_materials
from euhedral.data.dataset import Dataset
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.testing.dataset import DATASET_CHECKS


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load("mp-20-sample")


@pytest.fixture(scope="module")
def phases() -> Dataset:
    return reference_phases()


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_the_shipped_sample_keeps_the_contract(check, sample):
    check(sample)


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_a_set_made_from_crystals_keeps_the_contract(check, crystals):
    labelled = [c.replace(props={"band_gap": i / 3}) for i, c in enumerate(crystals.values())]
    check(Dataset.from_crystals(labelled, targets=["band_gap"]))


@pytest.mark.parametrize("check", DATASET_CHECKS[2:3])
def test_the_contract_notices_another_value(check, sample, tmp_path):
    changed = [c.replace(props={**c.props, "band_gap": 1.0}) for c in sample[:5]]
    other = Dataset.from_crystals(changed, targets=["band_gap"])
    lying = Dataset(other._columns, card=sample[:5].card)
    with pytest.raises(AssertionError):
        check(lying)


def test_two_crystals_of_one_id_are_refused(crystals):
    with pytest.raises(InvalidRequestError, match="id 'fcc'"):
        Dataset.from_crystals([crystals["fcc"], crystals["fcc"]])


def test_slices_and_selections_compose(sample):
    part = sample[100:200].select([5, 3])[1:]
    assert len(part) == 1
    assert part[0].id == sample[103].id
    assert part.column("band_gap").tolist() == [sample.column("band_gap")[103]]


@pytest.mark.parametrize("bad", [[1600], [-1], np.zeros(3, dtype=bool)])
def test_a_position_that_does_not_exist_is_refused(sample, bad):
    with pytest.raises(InvalidRequestError):
        sample.select(bad)
    with pytest.raises(IndexError):
        sample[1600]


def test_an_unknown_column_lists_the_known(sample):
    with pytest.raises(UnknownNameError, match="formation_energy_per_atom"):
        sample.column("hardness")


def test_to_pandas_has_a_row_for_each_crystal(sample):
    frame = sample[10:15].to_pandas()
    assert frame.shape[0] == 5
    assert frame["id"].tolist() == sample.ids[10:15].tolist()
    assert frame["n_atoms"].tolist() == [len(crystal) for crystal in sample[10:15]]


def test_within_gives_exactly_the_subsystems(phases):
    chosen = {"Li", "Mn", "O"}
    systems = [set(chemical_system(crystal.numbers).split("-")) for crystal in phases.within(chosen)]
    assert all(system <= chosen for system in systems)
    table = phases.element_table()
    others = np.delete(table, [3, 25, 8], axis=1)
    assert len(systems) == int((~others.any(axis=1)).sum()) == 122
    assert len(phases.select(np.arange(500)).within(chosen)) == int((~others[:500].any(axis=1)).sum())


def test_within_an_unknown_element_names_it(phases):
    with pytest.raises(UnknownNameError, match="Lx"):
        phases.within(["Lx"])


def test_the_reference_phases_are_all_of_mp20(phases):
    assert len(phases) == phases.card.count == 45_229
    assert {name: len(part) for name, part in phases.split("official").items()} == {
        "train": 27_136, "val": 9_047, "test": 9_046,
    }  # fmt: skip
    assert len(set(phases.ids.tolist())) == 45_229
    assert int(np.isfinite(phases.column("formation_energy_per_atom")).sum()) == 39_976


def test_only_one_hull_is_in_the_reference_phases(phases):
    # labels filled from another hull than MP-20's own are left out
    known = np.isfinite(phases.column("e_above_hull"))
    split = phases.column("split")
    assert {part: int(known[split == part].sum()) for part in ("train", "val", "test")} == {
        "train": 3_420, "val": 9_047, "test": 9_046,
    }  # fmt: skip


def test_a_labelled_selection_has_every_label(phases):
    labelled = phases.labelled("band_gap")
    assert np.isfinite(labelled.column("band_gap")).all()
    assert len(labelled) == 39_976
    with pytest.raises(UnknownNameError):
        phases.labelled("hardness")


def test_a_reference_phase_has_the_geometry_of_its_cif(phases):
    crystal = phases.select(phases.ids == "mp-865981")[0]  # TmMgHg2, printed in MP-20's val.csv
    assert np.allclose(crystal.lengths, 5.0488004, atol=1e-9)
    assert np.allclose(crystal.angles, 60.0, atol=1e-9)
    assert crystal.props["space_group"] == 225
    assert abs(crystal.volume - 91.00172128) < 1e-6


def test_the_sample_leaves_out_the_systems_kept_for_rediscovery(sample):
    import json
    from pathlib import Path

    path = Path(__file__).parents[2] / "benchmarks/rediscovery/held_out.json"
    held_out = set(json.loads(path.read_text())["held_out_systems"])
    assert not {chemical_system(crystal.numbers) for crystal in sample} & held_out


def test_the_sample_shares_its_materials_with_the_references(sample, phases):
    assert shared_materials(sample, phases) == sorted(sample.ids.tolist())


def test_training_on_test_material_is_refused_until_it_is_left_out(sample, phases):
    test = sample.split("official")["test"]
    with pytest.raises(InvalidRequestError, match=r"200 materials of mp-20-sample .* train\.without\(test\)"):
        require_disjoint(phases, test=test)
    rest = phases.without(test)
    # 14 others have the structure of one of the 200
    assert len(rest) == len(phases) - 214
    require_disjoint(rest, test=test)


def test_a_misspelt_name_gets_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean mp-20"):
        load("mp20-sampl")


def test_compositions_are_read_without_structures(crystals):
    own = Dataset.from_crystals(crystals[name] for name in ("triclinic", "heusler", "hexagonal"))
    chosen = own.select([2, 1])
    np.testing.assert_allclose(chosen.fractions(["O", "Cu", "Zn"]), [[0.5, 0.0, 0.5], [0.0, 0.5, 0.0]])
    assert chosen.select([]).fractions(["O"]).shape == (0, 1)
