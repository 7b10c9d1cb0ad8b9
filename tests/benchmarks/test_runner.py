import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from euhedral.benchmarks import budget
from euhedral.benchmarks.budget import within
from euhedral.benchmarks.job import Job, perform
from euhedral.benchmarks.leaderboard import leaderboard, rows
from euhedral.benchmarks.protocol import parts_of, protocol
from euhedral.benchmarks.runner import failures, folder_of, jobs_of, run
from euhedral.core.locking import lock_folder
from euhedral.data import load
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.tasks.weights import load_weights, save_weights
from euhedral.training.pretraining import pretrain
from euhedral.training.recipes import EnsembleRecipe, train_ensemble
from euhedral.training.seen import material_keys
from euhedral.training.settings import TrainingSettings


@pytest.fixture
def events():
    return []


@pytest.fixture
def report(events):
    return lambda job, what, why: events.append((job.system, what, why))


def test_a_failure_does_not_stop_the_others_and_what_is_done_is_not_done_again(tmp_path, events, report, monkeypatch):
    monkeypatch.delenv("EUHEDRAL_DATA", raising=False)
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path / "cache"))
    missing = jobs_of(protocol("mp20-quick"), systems=["constant"])
    jobs = [*missing, *jobs_of(protocol("sample"), systems=["constant"])]
    run(jobs, out=tmp_path, threads=1, report=report)
    assert [event[1] for event in events] == ["begun", "failed", "begun", "done"]
    assert "euhedral fetch mp-20" in events[1][2]
    assert failures(protocol("mp20-quick"), out=tmp_path)[0][0] == "constant_official_0"
    events.clear()
    run(jobs[1:], out=tmp_path, threads=1, report=report)
    assert [event[1] for event in events] == ["skipped"]


def test_a_job_that_another_process_is_at_is_left_to_it(tmp_path, events, report):
    jobs = jobs_of(protocol("sample"), systems=["constant"])
    lock = lock_folder(folder_of(jobs[0], out=tmp_path), cure="wait")
    run(jobs, out=tmp_path, threads=1, report=report)
    assert events[-1][1] == "failed"
    assert "in use by another run" in events[-1][2]
    lock.close()
    run(jobs, out=tmp_path, threads=1, report=report)
    assert events[-1][1] == "done"


def test_results_of_other_minutes_are_not_taken_for_those_asked_for(tmp_path, report):
    run(jobs_of(protocol("sample"), systems=["constant"]), out=tmp_path, threads=1, report=report)
    shorter = jobs_of(protocol("sample"), systems=["constant"], minutes=0.5)
    with pytest.raises(InvalidRequestError, match=r"of the protocol's minutes, asked for were those of 0\.5 minutes"):
        run(shorter, out=tmp_path, threads=1, report=report)


def test_results_that_began_from_other_weights_of_the_same_name_are_told_apart(tmp_path, report, weights):
    for place in ("a", "b"):
        replace(weights, card={"place": place}).save(tmp_path / place / "mine")
    tensors = load_weights(tmp_path / "b" / "mine")
    save_weights(tmp_path / "b" / "mine", weights=replace(tensors, tensors={**tensors.tensors, "more": torch.ones(1)}))
    first, other = (
        jobs_of(protocol("sample"), systems=["cgcnn"], start=str(tmp_path / place / "mine"))[0] for place in ("a", "b")
    )
    assert first.name == other.name
    folder = folder_of(first, out=tmp_path)
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(asdict(first)))
    (folder / "record.json").write_text("{}")
    run([first], out=tmp_path, threads=1, report=report)
    with pytest.raises(InvalidRequestError, match="other weights of the name mine"):
        run([other], out=tmp_path, threads=1, report=report)


def test_a_network_is_trained_within_the_budget_and_placed_beside_the_constant(tmp_path):
    asked = protocol("sample")
    for system in ("constant", "cgcnn"):
        job = Job(protocol="sample", system=system, split="official", seed=0, minutes=0.005)
        folder = tmp_path / "sample" / job.name
        folder.mkdir(parents=True)
        record = perform(job, folder=folder)
    assert record["epochs"] < record["published_epochs"]
    assert record["parameters"] > 10_000
    assert json.loads((folder / "record.json").read_text()) == record
    assert pd.read_parquet(folder / "predictions.parquet")["band_gap.lower"].dtype == np.float32
    board = leaderboard(asked, out=tmp_path)
    table = {(row["system"], row["target"]): row for row in rows(board)}
    assert len(table) == 4
    network = table["cgcnn", "band_gap"]
    assert network["low"] < network["error"] < network["high"]
    assert network["beats_composition"] in {True, False}
    assert table["constant", "band_gap"]["beats_composition"] is None
    assert 0.6 < network["coverage"] <= 1.0


@pytest.fixture
def weights(tmp_path):
    parts = load("mp-20-sample").split("random-5")
    recipe = EnsembleRecipe(
        members=1, config={"atom_width": 8}, settings=TrainingSettings(epochs=1), targets=("band_gap",)
    )
    return train_ensemble(
        recipe, train=list(parts["train"])[:40], validation=list(parts["val"])[:40], work=tmp_path / "work"
    )


def test_networks_that_begin_from_weights_share_the_time_and_answer_together(tmp_path, weights):
    asked = protocol("sample")
    learnt = list(parts_of(asked, split=asked.splits[0]).train)[:40]
    start = replace(weights, trained_on=material_keys(learnt)).save(tmp_path / "pretrained")
    job = Job(
        protocol="sample", system="cgcnn", split=asked.splits[0], seed=0, minutes=0.02, start=str(start), members=2
    )
    record = perform(job, folder=tmp_path / "sample" / job.name)
    assert record["system"] == "cgcnn-from-pretrained-x2"
    assert record["row"] == "cgcnn"
    assert json.loads(record["config"])["atom_width"] == 8
    single = sum(parameter.numel() for parameter in weights.ensemble.members[0].parameters())
    assert 2 * single <= record["parameters"] < 2.1 * single  # a second target has a column of the last layer more
    assert {row["system"] for row in rows(leaderboard(asked, out=tmp_path))} == {"cgcnn-from-pretrained-x2"}


def test_weights_that_know_a_test_crystal_are_refused_as_a_start(tmp_path, weights):
    asked = protocol("sample")
    test = list(parts_of(asked, split=asked.splits[0]).test)
    start = replace(weights, trained_on=material_keys(test[:3])).save(tmp_path / "pretrained")
    job = Job(protocol="sample", system="cgcnn", split=asked.splits[0], seed=0, minutes=0.02, start=str(start))
    with pytest.raises(InvalidRequestError, match=r"learnt from 3 of the .* test crystals; train it without"):
        perform(job, folder=tmp_path / "sample" / job.name)


def test_weights_that_do_not_tell_what_they_learnt_from_are_refused_as_a_start(tmp_path, weights):
    start = replace(weights, trained_on=torch.zeros(0, dtype=torch.int64)).save(tmp_path / "pretrained")
    job = Job(protocol="sample", system="cgcnn", split="official", seed=0, minutes=0.02, start=str(start))
    with pytest.raises(InvalidRequestError, match="does not tell which materials"):
        perform(job, folder=tmp_path / "sample" / job.name)


def test_weights_without_labels_are_a_start_too(tmp_path):
    asked = protocol("sample")
    learnt = list(parts_of(asked, split=asked.splits[0]).train)[:40]
    settings = TrainingSettings(epochs=1, batch_size=20)
    weights = pretrain("crysgnn", crystals=learnt, settings=settings, work=tmp_path / "work", config={"width": 8})
    start = save_weights(tmp_path / "pretrained", weights=weights)
    job = Job(protocol="sample", system="crysgnn", split=asked.splits[0], seed=0, minutes=0.02, start=str(start))
    record = perform(job, folder=tmp_path / "sample" / job.name)
    assert json.loads(record["config"]) == {"width": 8}
    assert "without labels" in record["start"]


def test_a_split_that_the_protocol_does_not_have_is_refused():
    with pytest.raises(UnknownNameError, match="official"):
        jobs_of(protocol("sample"), systems=["constant"], splits=["offical"])


def test_a_budget_shortens_a_run_and_never_lengthens_it():
    published = TrainingSettings(epochs=10, batch_size=10)
    assert within(published, minutes=1, seconds_a_step=1.0, n_crystals=1000).steps == 60
    assert within(published, minutes=1e6, seconds_a_step=1.0, n_crystals=1000).steps == 1000


def test_what_is_done_once_a_run_does_not_count_as_steps(monkeypatch):
    now = [0.0]

    def run_of(model, *, train, settings, rng, objective, settle_on):
        assert settle_on == 0
        now[0] += 100.0 + 2.0 * settings.steps

    monkeypatch.setattr(budget, "fit", run_of)
    settings = TrainingSettings(batch_size=10)
    found = budget.seconds_per_step(nn.Linear(1, 1), train=None, settings=settings, clock=lambda: now[0])
    assert found == pytest.approx(2.0)
