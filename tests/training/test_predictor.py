from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.errors import FileFormatError, InvalidRequestError, MissingDataError, UnknownNameError
from euhedral.models.property.cgcnn import CGCNN
from euhedral.training.ensemble import Ensemble
from euhedral.training.predictor import Predictor
from euhedral.training.recipes import EnsembleRecipe, judge, train_ensemble
from euhedral.training.settings import AdamW, TrainingSettings

CONFIG = {"atom_width": 8, "n_convolutions": 1, "hidden_width": 24}
TARGETS = ("formation_energy_per_atom", "band_gap")


def cells(n: int, seed: int) -> list[Crystal]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        side = rng.uniform(3.5, 6.5)
        numbers = [int(rng.choice([3, 11, 19])), int(rng.choice([9, 17]))]
        props = {TARGETS[0]: side - 6.0 + 0.05 * rng.normal(), TARGETS[1]: max(0.0, side - 5.0) if i % 4 else math.nan}
        made.append(Crystal(cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=numbers, id=f"c{i}", props=props))  # fmt: skip
    return made


def recipe(**changes) -> EnsembleRecipe:
    settings = TrainingSettings(epochs=25, batch_size=16, optimizer=AdamW(learning_rate=2e-2))
    return EnsembleRecipe(**{"targets": TARGETS, "config": CONFIG, "members": 2, "settings": settings, **changes})


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def predictor(work):
    return train_ensemble(recipe(), train=cells(64, 0), validation=cells(64, 1), work=work, card={"data": "made here"})


def test_every_crystal_gets_value_interval_and_novelty_in_order(predictor):
    crystals = cells(20, 2)
    together = predictor.predict(crystals)
    assert tuple(together) == TARGETS
    for i in (0, 7):
        alone = predictor.predict([crystals[i]])
        for name in TARGETS:
            assert alone[name].value[0] == pytest.approx(together[name].value[i], abs=1e-5)
    for prediction in together.values():
        assert len(prediction.value) == len(prediction.novelty) == 20
        assert (prediction.lower < prediction.upper).all()
        assert ((prediction.lower <= prediction.value) & (prediction.value <= prediction.upper)).all()


def test_intervals_hold_about_the_share_that_they_promise(predictor):
    report = judge(predictor, cells(400, 3), coverage=0.8)
    assert report[TARGETS[0]]["interval_coverage"] == pytest.approx(0.8, abs=0.12)
    assert report[TARGETS[1]]["crystals"] == 300
    assert report[TARGETS[0]]["mae"] < 0.3


def test_more_coverage_means_wider_intervals(predictor):
    crystals = cells(5, 4)
    narrow, wide = (predictor.predict(crystals, coverage=c)[TARGETS[0]] for c in (0.5, 0.9))
    assert ((wide.upper - wide.lower) > (narrow.upper - narrow.lower)).all()


def test_a_gap_is_never_below_zero(predictor):
    gap = predictor.predict([c.replace(cell=np.eye(3) * 3.4) for c in cells(10, 5)])[TARGETS[1]]
    assert (gap.value >= 0).all()
    assert (gap.lower >= 0).all()


def test_a_crystal_unlike_the_training_data_is_flagged(predictor, crystals):
    assert predictor.predict(cells(40, 6))[TARGETS[0]].unlike_training.mean() < 0.25
    assert predictor.predict([crystals["heusler"]])[TARGETS[0]].unlike_training.all()  # its elements were never seen


def test_saved_and_loaded_it_says_the_same(predictor, tmp_path):
    crystals = cells(10, 7)
    before = predictor.predict(crystals)
    loaded = Predictor.load(predictor.save(tmp_path / "mine"))
    after = loaded.predict(crystals)
    for name in TARGETS:
        assert np.array_equal(before[name].value, after[name].value)
        assert after[name].lower == pytest.approx(before[name].lower, abs=1e-5)
        assert after[name].novelty == pytest.approx(
            before[name].novelty, rel=2e-3
        )  # references are kept in half precision
    assert loaded.card["data"] == "made here"
    assert loaded.card["training"]["members"] == 2


def test_training_again_in_the_same_folder_finds_the_finished_members(predictor, work):
    epochs = []
    again = train_ensemble(
        recipe(), train=cells(64, 0), validation=cells(64, 1), work=work, on_epoch=lambda *args: epochs.append(args)
    )
    assert epochs == []
    for old, new in zip(predictor.ensemble.parameters(), again.ensemble.parameters(), strict=True):
        assert torch.equal(old, new)


def test_members_differ(predictor):
    one, two = predictor.ensemble.members
    assert not torch.equal(one.output.weight, two.output.weight)


def test_the_ensemble_gives_mean_and_standard_deviation_of_its_members(crystals):
    members = []
    for seed in range(3):
        torch.manual_seed(seed)
        members.append(CGCNN(targets=TARGETS, **CONFIG).double().eval())
    batch = CrystalBatch.from_crystals([crystals["triclinic"], crystals["fcc"]], dtype=torch.float64)
    graph = members[0].graph.build(batch)
    values = torch.stack([member(batch, graph)["band_gap"] for member in members])
    opinion = Ensemble(members).opinion(batch, graph)
    assert torch.allclose(opinion.mean["band_gap"], values.mean(0))
    assert torch.allclose(opinion.spread["band_gap"], values.std(0))
    bounded = Ensemble(members, bounds={"band_gap": (100.0, math.inf)})(batch, graph)
    assert bounded["band_gap"].tolist() == [100.0, 100.0]


def test_an_ensemble_needs_members_that_agree_on_their_targets():
    with pytest.raises(InvalidRequestError, match="same targets"):
        Ensemble([CGCNN(targets=("a",), **CONFIG), CGCNN(targets=("b",), **CONFIG)])
    with pytest.raises(InvalidRequestError, match="got 0 members"):
        Ensemble([])


def test_an_element_beyond_the_table_is_refused_by_name_and_can_be_found_before(predictor):
    bad = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[110], id="heavy")
    good = cells(1, 0)[0]
    refusals = predictor.refusals([good, bad])
    assert refusals[0] is None
    assert isinstance(refusals[1], Failure)
    assert "Ds" in refusals[1].reason
    with pytest.raises(InvalidRequestError, match=r"heavy: .*Ds"):
        predictor.predict([good, bad])


def test_a_name_that_is_not_shipped_lists_what_is():
    with pytest.raises(UnknownNameError, match="no trained property model named 'cgcnn-mp21'"):
        Predictor.load("cgcnn-mp21")


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(MissingDataError, match=r"config\.json is missing"):
        Predictor.load(tmp_path)
    with pytest.raises(MissingDataError, match="no such folder"):
        Predictor.load(tmp_path / "nothing")


def test_weights_of_something_else_are_refused(predictor, tmp_path):
    folder = predictor.save(tmp_path / "mine")
    head = json.loads((folder / "config.json").read_text())
    head["config"]["atom_width"] = 9
    (folder / "config.json").write_text(json.dumps(head))
    with pytest.raises(FileFormatError, match="does not hold a calibrated ensemble of cgcnn"):
        Predictor.load(folder)


def test_a_target_without_labels_is_refused_before_training(work):
    with pytest.raises(InvalidRequestError, match=r"training set has a label 'hardness'"):
        train_ensemble(recipe(targets=("hardness",)), train=cells(8, 0), validation=cells(8, 1), work=work)


def labelled_cells(n: int, seed: int) -> list[Crystal]:
    """Cells with a class and a spectrum that follow from their size."""
    made = []
    for crystal in cells(n, seed):
        side = float(crystal.lengths[0])
        props = {"large": float(side > 5.0), "spectrum": np.array([side - 4.0, 0.0, 8.0 - side])}
        made.append(crystal.replace(props=props))
    return made


@pytest.fixture(scope="module")
def of_kinds(tmp_path_factory):
    targets = (
        {"kind": "category", "name": "large", "classes": ["small", "large"]},
        {"kind": "spectrum", "name": "spectrum", "size": 3},
    )
    work = tmp_path_factory.mktemp("kinds")
    return train_ensemble(
        recipe(targets=targets), train=labelled_cells(96, 0), validation=labelled_cells(96, 1), work=work
    )


def test_a_class_is_predicted_with_probabilities_and_a_set_that_holds_the_truth(of_kinds):
    crystals = labelled_cells(200, 3)
    answer = of_kinds.predict(crystals, coverage=0.9)["large"]
    truth = np.array([int(c.props["large"]) for c in crystals])
    assert answer.classes == ("small", "large")
    assert answer.value.sum(1) == pytest.approx(np.ones(200), abs=1e-5)
    assert (answer.value.argmax(1) == truth).mean() > 0.85
    assert answer.plausible[np.arange(200), truth].mean() > 0.8
    assert answer.plausible.any(1).all()


def test_a_spectrum_is_predicted_with_an_interval_for_each_point(of_kinds):
    crystals = labelled_cells(200, 3)
    answer = of_kinds.predict(crystals, coverage=0.9)["spectrum"]
    report = judge(of_kinds, crystals)
    assert answer.value.shape == answer.lower.shape == (200, 3)
    assert report["spectrum"]["mae"] < 0.4
    assert report["spectrum"]["interval_coverage"] == pytest.approx(0.9, abs=0.08)
    assert report["large"]["mae"] < 0.15


def test_kinds_survive_saving(of_kinds, tmp_path):
    loaded = Predictor.load(of_kinds.save(tmp_path / "kinds"))
    crystals = labelled_cells(6, 4)
    for name in of_kinds.targets:
        assert np.array_equal(loaded.predict(crystals)[name].value, of_kinds.predict(crystals)[name].value)


def test_a_network_goes_on_from_weights_that_were_trained_before(predictor, tmp_path):
    folder = predictor.save(tmp_path / "before")
    again = recipe(
        targets=("hardness",), start=str(folder), freeze=("embedding.*", "convolutions.*"),
        settings=TrainingSettings(epochs=2, batch_size=16, optimizer=AdamW(learning_rate=2e-2)),
    )  # fmt: skip

    def renamed(crystals):
        return [c.replace(props={"hardness": 2.0 * c.props[TARGETS[0]]}) for c in crystals]

    tuned = train_ensemble(again, train=renamed(cells(32, 6)), validation=renamed(cells(32, 7)), work=tmp_path / "work")
    old, new = predictor.ensemble.members[1], tuned.ensemble.members[1]
    for name, value in old.named_parameters():
        if name.startswith(("embedding.", "convolutions.")):
            assert torch.equal(value, new.get_parameter(name)), name
    assert not torch.equal(old.hidden[0].weight, new.hidden[0].weight)
    start = tuned.card["training"]["start"]
    assert "loaded" in start
    assert "left out: output.bias, output.weight, scaling.mean, scaling.std" in start
    assert tuned.targets == ("hardness",)


def test_a_network_that_goes_on_with_its_target_keeps_its_last_layer_and_scaling(predictor, tmp_path):
    folder = predictor.save(tmp_path / "before")
    settings = TrainingSettings(epochs=1, batch_size=16, optimizer=AdamW(learning_rate=1e-30))
    found = {}
    for leave in (None, ("scaling.*",)):
        again = recipe(start=str(folder), members=1, settings=settings, leave=leave)
        tuned = train_ensemble(again, train=cells(32, 8), validation=cells(32, 9), work=tmp_path / f"work-{leave}")
        found[leave] = tuned.ensemble.members[0]
    old = predictor.ensemble.members[0]
    assert torch.equal(found[None].output.weight, old.output.weight)
    assert torch.equal(found[None].scaling.mean, old.scaling.mean)
    assert not torch.equal(found[("scaling.*",)].scaling.mean, old.scaling.mean)


def test_too_few_crystals_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(InvalidRequestError, match="more than 16 crystals with labels, got 12"):
        train_ensemble(recipe(), train=cells(12, 0), validation=cells(8, 1), work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_structure_of_another_package_is_refused_with_the_way_to_convert_it(predictor):
    from ase import Atoms

    with pytest.raises(InvalidRequestError, match=r"got a ase Atoms.*from_ase"):
        predictor.predict([Atoms("Cu", cell=[3, 3, 3], pbc=True)])
