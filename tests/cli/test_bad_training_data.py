"""Training on data as people have them, and training that is stopped."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.training_data import parts_of
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.data.dataset import Dataset
from euhedral.errors import (
    DivergedError,
    EuhedralError,
    FileFormatError,
    InvalidRequestError,
    RunFolderError,
    UnknownNameError,
)
from euhedral.tasks.weights import Weights, save_weights

N = 60


@pytest.fixture
def folder(tmp_path):
    """Sixty cells of two atoms, one of one atom and one of 500, with a table of labels."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(N):
        side = rng.uniform(3.5, 6.0)
        crystal = Crystal(cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11 + i % 3, 17])
        write(tmp_path / "cifs" / f"own-{i}.cif", crystals=crystal)
        rows.append(
            [f"own-{i}", f"{side:.4f}", str(int(side > 4.75)), "", "train" if i < 36 else "val" if i < 48 else "test"]
        )
    write(tmp_path / "cifs" / "one.cif", crystals=Crystal(cell=np.eye(3) * 3, frac=[[0, 0, 0]], numbers=[29]))
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(10), np.arange(10), indexing="ij"), -1).reshape(-1, 3)
    large = Crystal(cell=np.diag([15.0, 30.0, 30.0]), frac=grid / [5, 10, 10], numbers=[29] * 500)
    write(tmp_path / "cifs" / "many.cif", crystals=large)
    rows += [["one", "3.0", "0", "", "train"], ["many", "3.0", "0", "", "train"]]
    save(tmp_path, rows)
    return tmp_path


HEAD = ["id", "side", "large", "hardness", "split"]


def save(folder, rows):
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows])


def edited(folder, edit):
    rows = list(csv.reader((folder / "labels.csv").open()))[1:]
    save(folder, edit(rows) or rows)


def command(folder, *more, target="side", out="out"):
    return [
        "train", "cgcnn", "--data", str(folder / "cifs"), "--labels", str(folder / "labels.csv"), "--target", target, "--epochs", "2",
        "--members", "1", "--out", str(folder / out), *map(str, more),
    ]  # fmt: skip


def train(folder, *more, **keys):
    return CliRunner().invoke(app, command(folder, *more, **keys), catch_exceptions=False)


def test_odd_rows_are_told_and_left_out_and_the_rest_is_learnt(folder, caplog):
    def edit(rows):
        rows[3][1] = "NaN"
        rows[4][1] = "4100"  # pm, where all others are in Angstrom
        rows.append(list(rows[5]))
        rows.append(["own-600", "4.0", "0", "", "train"])

    edited(folder, edit)
    with caplog.at_level(logging.WARNING):
        done = train(folder)
    assert done.exit_code == 0, done.stderr
    for remark in (
        "1 crystals have no side",
        "'own-4': 4100",
        "'own-5' is there twice",
        "'own-600' (did you mean 'own-",
    ):
        assert remark in caplog.text, remark
    card = json.loads((folder / "out" / "card.json").read_text())["training"]
    assert card["training_crystals"] == 36 + 2 - 1  # crystals of one atom and of 500 among them


@pytest.mark.parametrize(
    ("edit", "target", "error", "match"),
    [
        (lambda rows: rows[3].__setitem__(1, "inf"), "side", InvalidRequestError, "label 'side' of crystal 'own-3' is inf"),
        (lambda rows: rows[50].__setitem__(1, "1e200"), "side", InvalidRequestError, r"'own-50' is 1e\+200; correct its unit"),
        (lambda rows: [[f"x{r[0]}", *r[1:]] for r in rows], "side", FileFormatError, "names none of the 62 structures"),
        (lambda rows: None, "hardness", InvalidRequestError, "not one of 62 crystals has a value of 'hardness'"),
        (lambda rows: rows[50].__setitem__(3, "7"), "hardness", InvalidRequestError, "no crystal of the train part has a label 'hardness'"),
        (lambda rows: rows[0].__setitem__(3, "7"), "hardness", InvalidRequestError, "no crystal of the val part has a label 'hardness'"),
        (lambda rows: [[*r[:4], "train"] for r in rows], "side", InvalidRequestError, "has no test part, only train"),
        (lambda rows: None, "sides", EuhedralError, "did you mean side"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_learnt_are_refused_before_training(folder, edit, target, error, match):
    edited(folder, edit)
    with pytest.raises(error, match=match) as caught:
        train(folder, target=target)
    assert not isinstance(caught.value, DivergedError)
    assert "\n" not in str(caught.value)
    assert not (folder / "out" / "checkpoints").exists()


@pytest.mark.parametrize("labels", [(), ("--labels", "labels.csv")])
def test_data_that_do_not_exist_are_said_not_to(folder, labels):
    with pytest.raises(UnknownNameError, match="no file, folder or data set named 'nodir'"):
        CliRunner().invoke(app, ["train", "cgcnn", "--data", "nodir", *labels], catch_exceptions=False)


@pytest.mark.parametrize("target", [(), ("--target", "side")])
def test_files_without_labels_need_a_table_and_are_told_so(folder, target):
    words = ["train", "cgcnn", "--data", str(folder / "cifs"), *target, "--out", str(folder / "out")]
    with pytest.raises(InvalidRequestError, match=r"--labels labels\.csv"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_a_pattern_of_files_is_trained_on_and_units_that_are_stated_head_the_table(folder):
    words = command(folder, "--unit", "side=Angstrom")
    words[words.index("--data") + 1] = str(folder / "cifs" / "own-*.cif")
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert "side\tAngstrom\t" in done.stdout
    card = json.loads((folder / "out" / "card.json").read_text())
    assert card["training"]["training_crystals"] == 36
    assert card["units"] == {"side": "Angstrom"}


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--unit", "Angstrom"], "expected name=value, as band_gap=eV"),
        (["--unit", "sides=Angstrom"], "did you mean side"),
        (["--set", "width"], "expected name=value"),
        (["--set", "hiden_width=8"], "no such argument; it takes .*hidden_width"),
        (["--set", "hidden_width=wide"], "expected a value like"),
        (["--training", "learning_rate=fast"], "learning_rate must be a number like"),
        (["--training", "batch_size=2.5"], "batch_size must be a number like 128"),
        (["--training", "schedule=one_cicle"], "did you mean one_cycle"),
        (["--training", "epoch=3"], "did you mean epochs"),
        (["--training", "schedule=7"], "expected one of constant, one_cycle"),
        (["--training", "batch_size=0"], "batch_size must be above 0, got 0"),
        (["--training", "clip=-1"], "clip must be above 0"),
        (["--training", "learning_rate=0"], "or nothing would change"),
        (["--training", "weight_decay=-1"], "weight_decay must not be below 0"),
        (["--set", "atom_width=0"], "expected a number above 0, as 64 is"),
        (["--set", "n_convolutions=-1"], "expected a number at least 0"),
        (["--set", "cutoff=-2"], "expected a number above 0"),
        (["--without", "mp-21"], "did you mean"),
        (["--draws", "3"], "no dropout.*several networks"),
        (["--device", "warp"], "--device warp: .*cpu is always there"),
    ],
)
def test_units_and_devices_that_are_not_there_are_one_line(folder, more, match):
    with pytest.raises(EuhedralError, match=match):
        train(folder, *more)


@pytest.mark.parametrize(
    ("system", "more", "written"),
    [("cegann", ["--draws", "3"], {"draws": 3}), ("cgcnn", ["--evidence", "0.1"], {"evidence": 0.1})],
)
def test_a_single_network_has_a_spread_by_dropout_or_evidence(folder, system, more, written):
    words = command(folder, *more)
    words[1] = system
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    config = json.loads((folder / "out" / "config.json").read_text())["config"]
    assert written.items() <= config.items()


def test_materials_of_another_set_are_left_out_and_the_network_has_the_size_that_is_asked_for(folder):
    words = ["train", "cgcnn", "--data", "mp-20-sample", "--target", "band_gap", "--epochs", "1", "--members", "1"]
    words += ["--set", "atom_width=8", "--out", str(folder / "out"), "--without", "mp-20-sample"]
    with pytest.raises(InvalidRequestError, match="no crystals for train"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    words[-2:] = ["--training", "learning_rate=3e-3", "--training", "loss=huber"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    settings = json.loads((folder / "out" / "card.json").read_text())["training"]["settings"]
    assert "learning_rate=0.003" in settings
    assert "HuberLoss" in settings
    assert json.loads((folder / "out" / "config.json").read_text())["config"]["atom_width"] == 8


@pytest.mark.parametrize(
    "more",
    [
        ["--set", "layers=2"],
        ["--training", "batch_size=8"],
        ["--device", "cuda"],
        ["--evidence", "0.1"],
        ["--draws", "2"],
    ],
)
def test_options_that_a_generator_does_not_take_are_refused_and_not_forgotten(folder, more):
    with pytest.raises(InvalidRequestError, match=f"crystalformer does not take {more[0]}"):
        CliRunner().invoke(app, ["train", "crystalformer", *more, "--out", str(folder / "g")], catch_exceptions=False)


def test_a_class_that_is_seen_once_is_told_and_no_reason_to_stop(folder):
    edited(folder, lambda rows: [[*r[:2], "1" if r[0] == "own-7" else "0", *r[3:]] for r in rows])
    done = train(folder, "--classes", "large=small,large", target="large")
    assert done.exit_code == 0, done.stderr
    assert "note: class 'large' of large is the label of 1 of 38 training crystals" in done.stderr


def test_too_few_labels_for_intervals_are_told(folder):
    edited(
        folder, lambda rows: [[*r[:4], "train" if i < 44 else "val" if i < 48 else "test"] for i, r in enumerate(rows)]
    )
    done = train(folder)
    assert done.exit_code == 0, done.stderr
    assert (
        "the intervals of side have no end: 4 labels to calibrate with are too few for 90% (9 are needed)"
        in done.stderr
    )
    asked = CliRunner().invoke(
        app, ["predict", str(folder / "cifs" / "one.cif"), "--model", str(folder / "out")], catch_exceptions=False
    )
    assert asked.exit_code == 0
    assert "an interval without an end" in asked.stderr


def test_a_full_disk_is_one_line_and_what_was_saved_before_is_gone_on_with(folder, monkeypatch):
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 2:  # the first epoch's checkpoint and history are written
            raise OSError(28, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(RunFolderError, match="No space left on device; free space or choose another folder"):
            train(folder)
    assert not list(folder.rglob("*.part"))
    assert [path.name for path in (folder / "out" / "checkpoints").iterdir()] == ["cgcnn-member-0.safetensors"]
    assert train(folder).exit_code == 0
    assert len(list(csv.DictReader((folder / "out" / "history.csv").open()))) == 2


def test_a_checkpoint_of_another_system_or_with_other_settings_or_data_is_refused_in_one_line(folder):
    assert train(folder).exit_code == 0
    with pytest.raises(
        RunFolderError, match=r"belongs to another run: the settings differ \(epochs=2, here epochs=3\)"
    ):
        train(folder, "--epochs", 3)
    edited(folder, lambda rows: rows[2].__setitem__(1, "5"))
    with pytest.raises(RunFolderError, match="the data differ; choose another --out folder or delete it") as caught:
        train(folder)
    assert len(str(caught.value).removeprefix(str(folder))) < 200
    (folder / "out" / "config.json").unlink()  # as of a run that was stopped before its end
    checkpoints = folder / "out" / "checkpoints"
    (checkpoints / "cgcnn-member-0.safetensors").rename(checkpoints / "schnet-member-0.safetensors")
    with pytest.raises(RunFolderError, match=r"it is of CGCNN of \d+ parameters, this one of SchNet"):
        CliRunner().invoke(app, ["train", "schnet", *command(folder)[2:]], catch_exceptions=False)


@pytest.mark.parametrize("name", ["crystalformer-mp20", "chgnet-0.3.0"])
def test_weights_of_another_task_are_refused(name, folder):
    with pytest.raises(InvalidRequestError, match="predicts no properties"):
        CliRunner().invoke(app, ["finetune", name], catch_exceptions=False)
    with pytest.raises(FileFormatError, match="not a predictor of properties"):
        CliRunner().invoke(app, ["predict", str(folder / "cifs"), "--model", name], catch_exceptions=False)


def test_finished_weights_of_another_system_are_not_overwritten(folder):
    save_weights(folder / "out", weights=Weights(system="schnet", config={}, tensors={"one": torch.ones(1)}))
    with pytest.raises(EuhedralError, match="holds weights of schnet; choose another --out for cgcnn"):
        train(folder)


def test_weights_of_another_version_are_refused(folder):
    assert train(folder).exit_code == 0
    config = folder / "out" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "format": 99}))
    with pytest.raises(FileFormatError, match="expected format 1"):
        CliRunner().invoke(
            app, ["evaluate", str(folder / "out"), "--data", str(folder / "cifs")], catch_exceptions=False
        )


def test_a_named_set_without_an_official_split_is_divided_at_random_and_says_so(capsys):
    whole = Dataset.from_crystals(
        [Crystal(cell=np.eye(3) * (3 + i / 50), frac=[[0, 0, 0]], numbers=[29], id=f"c{i}") for i in range(30)],
        name="named",
    )
    parts = parts_of(whole, named=True, split="")
    assert sum(len(part) for part in parts.values()) == 30
    assert "named has no official split; random-0 is taken" in capsys.readouterr().err


def test_training_that_is_interrupted_goes_on_with_the_same_command(folder):
    words = [*command(folder), "--epochs", "400", "-q"]
    # a test run in the background ignores Ctrl-C, and what it starts inherits that
    heeded = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = [sys.executable, "-c", f"{heeded}; from euhedral.cli import main; main()", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    history = folder / "out" / "history.csv"
    deadline = time.monotonic() + 60.0
    while (
        process.poll() is None
        and time.monotonic() < deadline
        and not (history.exists() and history.read_text().count("\n") > 3)
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "stopped; what was finished is kept"
    before = list(csv.DictReader(history.open()))
    assert 2 < len(before) < 400
    again = subprocess.run(start, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 0, again.stderr
    after = list(csv.DictReader(history.open()))
    assert [int(row["epoch"]) for row in after] == list(range(1, 401))
    assert [row["seconds"] for row in after][: len(before) - 1] == [row["seconds"] for row in before][
        :-1
    ]  # not trained again
