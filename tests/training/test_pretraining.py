"""Weights from structures alone, and networks that begin from them."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.data import load
from euhedral.errors import InvalidRequestError
from euhedral.models.registry import ROWS, row
from euhedral.tasks.weights import load_weights, save_weights
from euhedral.training.pretraining import pretrain
from euhedral.training.recipes import EnsembleRecipe, begin_from, size_of
from euhedral.training.seen import material_keys
from euhedral.training.settings import settings_of

ABLE = [one.name for one in ROWS if one.pretraining]


def tiny(system: str) -> dict:
    return {name: value for name, value in row(system).tiny.items() if name not in ("targets", "inputs")}


@pytest.fixture(scope="module")
def crystals():
    return list(load("mp-20-sample"))[:24]


def test_the_papers_that_train_without_labels_can_be_followed():
    assert {"crysgnn", "crysdiff", "unimof", "moftransformer"} <= set(ABLE)
    for name in ABLE:
        assert settings_of(row(name).pretraining_settings, whose=name).optimizer.learning_rate > 0.0
    with pytest.raises(InvalidRequestError, match="cgcnn has no pre-training without labels; crysgnn, "):
        row("cgcnn").load_pretraining()


@pytest.mark.parametrize("system", ABLE)
def test_a_network_with_labels_begins_from_what_was_learnt_without(system, crystals, tmp_path):
    settings = settings_of(
        {**row(system).pretraining_settings, "epochs": 2, "steps": None, "batch_size": 8}, whose=system
    )
    weights = pretrain(system, crystals=crystals, settings=settings, work=tmp_path / "work", config=tiny(system))
    again = pretrain(system, crystals=crystals, settings=settings, work=tmp_path / "work", config=tiny(system))
    for name, value in weights.tensors.items():  # the checkpoint of a run that is over is all that is needed
        assert torch.equal(value, again.tensors[name]), name
    folder = save_weights(tmp_path / "weights", weights=weights)
    loaded = load_weights(folder)
    assert size_of(loaded).keys() >= tiny(system).keys()
    assert torch.isin(material_keys(crystals), loaded.tensors["trained_on"]).all()
    model = row(system).load()(targets=["band_gap"], **size_of(loaded))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    taken, goes_on = begin_from(EnsembleRecipe(system=system, targets=("band_gap",), start=str(folder)), model, index=0)
    assert taken is not None
    assert not goes_on
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert len(changed) > 5
    assert changed <= set(taken.loaded)
    for name in changed:
        assert torch.equal(model.state_dict()[name], weights.tensors[name]), name
    assert not any(name.startswith(("output.", "scaling.")) for name in changed)


def test_pre_training_and_fine_tuning_are_two_commands(tmp_path):
    small = ["--set", "width=8", "--set", "hidden_width=8", "--set", "n_convolutions=2"]
    out, tuned = tmp_path / "pretrained", tmp_path / "tuned"
    words = ["pretrain", "crysgnn", "--epochs", "1", *small, "--training", "batch_size=200", "--out", str(out)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert f"euhedral finetune {out}" in done.stdout
    words = ["finetune", str(out), "--target", "band_gap", "--epochs", "1", "--members", "1", "--out", str(tuned)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    config = json.loads((tuned / "config.json").read_text())["config"]
    assert config["width"] == 8
    start = json.loads((tuned / "card.json").read_text())["training"]["start"]
    assert start.startswith("loaded 27 tensors, 98% of the network")
    with pytest.raises(InvalidRequestError, match="no pre-training"):
        CliRunner().invoke(app, ["pretrain", "megnet"], catch_exceptions=False)
