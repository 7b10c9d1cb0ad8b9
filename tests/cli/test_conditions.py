"""Conditions of crystals and of their atoms, from a user's own data to training and predictions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.training_data import open_data
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.errors import EuhedralError, InvalidRequestError, UnknownNameError
from euhedral.training.predictor import Predictor

N = 40
MEGNET = ["train", "megnet", "--epochs", "1", "--members", "1", "--set", 'inputs=["temperature"]']


def crystals():
    """Cells of two atoms with a heat capacity at a temperature; the second atom is the adsorbate."""
    rng = np.random.default_rng(0)
    return [
        Crystal(
            cell=np.eye(3) * rng.uniform(3.5, 6.0), frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11 + i % 3, 17], id=f"own_{i}",
            props={"cv": 0.1 * i, "temperature": 100.0 + i}, site={"adsorbate": np.array([0.0, 1.0])},
        )
        for i in range(N)
    ]  # fmt: skip


def run(*words):
    return CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)


def sources(folder):
    """The same crystals as extxyz, a table, and bare files with a table of labels: options of `train` by their kind."""
    write(folder / "own.extxyz", crystals=crystals())
    rows = [
        {"id": c.id, "cif": cif_from_crystals([c.replace(props={}, site={})]), **c.props, "adsorbate": [0, 1]}
        for c in crystals()
    ]
    pd.DataFrame(rows).to_parquet(folder / "own.parquet")
    for crystal in crystals():
        write(folder / "cifs" / f"{crystal.id}.cif", crystals=crystal.replace(props={}, site={}))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "cv", "temperature"], *([c.id, *c.props.values()] for c in crystals())])
    return {
        "extxyz": ["--data", folder / "own.extxyz"],
        "table": ["--data", folder / "own.parquet"],
        "files": ["--data", folder / "cifs", "--labels", folder / "labels.csv"],
    }


@pytest.fixture(scope="module")
def megnet(tmp_path_factory):
    """A model that needs a temperature, and its folder."""
    folder = tmp_path_factory.mktemp("megnet")
    done = run(*MEGNET, *sources(folder)["extxyz"], "--target", "cv", "-o", folder / "out")
    assert done.exit_code == 0, done.stderr
    return folder / "out"


@pytest.mark.parametrize("kind", ["extxyz", "table", "files"])
def test_conditions_are_read_with_the_labels_to_train_tune_and_judge(kind, megnet, tmp_path):
    own = sources(tmp_path)[kind]
    trained = run(*MEGNET, *own, "--target", "cv", "-o", tmp_path / "out")
    assert trained.exit_code == 0, trained.stderr
    tuned = run("finetune", megnet, *own, "--target", "cv", "--epochs", "1", "--members", "1", "-o", tmp_path / "tuned")
    assert tuned.exit_code == 0, tuned.stderr
    for folder in ("out", "tuned"):
        assert Predictor.load(tmp_path / folder).inputs == ("temperature",)
    judged = run("evaluate", tmp_path / "out", *own, "-o", tmp_path / "evaluated")
    assert judged.exit_code == 0, judged.stderr
    assert "cv" in judged.stdout


def test_a_condition_is_not_learnt_where_no_target_is_named(tmp_path):
    done = run(*MEGNET, *sources(tmp_path)["table"], "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "temperature" not in Predictor.load(tmp_path / "out").targets


@pytest.mark.parametrize(
    "kind", ["extxyz", "table"]
)  # in a table of cells of as many atoms the marks could be a spectrum
def test_marks_of_atoms_are_read_with_the_labels(kind, tmp_path):
    own = sources(tmp_path)[kind]
    done = run("train", "gamenet", *own, "--target", "cv", "--epochs", "1", "--members", "1", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert run("evaluate", tmp_path / "out", *own, "-o", tmp_path / "evaluated").exit_code == 0
    asked = run("predict", own[1], "--model", tmp_path / "out")
    assert asked.exit_code == 0, asked.stderr
    with pytest.raises(
        InvalidRequestError, match=r"needs 'adsorbate', which no crystal has; it is a value of each atom"
    ):
        run("predict", tmp_path / "cifs", "--model", tmp_path / "out")
    with pytest.raises(InvalidRequestError, match=r"--input adsorbate: it is a value of each atom; write it into"):
        run("predict", tmp_path / "cifs", "--model", tmp_path / "out", "--input", "adsorbate=1")


def test_crystals_that_lack_a_condition_are_left_out_and_counted(tmp_path, capsys):
    some = crystals()
    some[3] = some[3].replace(props={"cv": 1.0})
    some[4] = some[4].replace(site={"adsorbate": np.array([0.0, np.nan])})
    write(tmp_path / "some.extxyz", crystals=some)
    whole, _ = open_data(
        str(tmp_path / "some.extxyz"), labels=None, targets=["cv"], inputs=["temperature", "adsorbate"]
    )
    assert len(whole) == N - 2
    assert not {"own_3", "own_4"} & set(whole.ids)
    assert "2 of 40 crystals lack temperature or adsorbate, which the model needs as an input; left out" in (
        capsys.readouterr().err
    )


def test_a_condition_in_words_is_refused_as_other_data_would_number_them_otherwise(tmp_path):
    rows = [{"id": c.id, "cif": cif_from_crystals([c]), "cv": 1.0, "gas": "CO2"} for c in crystals()]
    pd.DataFrame(rows).to_parquet(tmp_path / "words.parquet")
    with pytest.raises(InvalidRequestError, match=r"'gas'.* is given in words; give numbers"):
        open_data(str(tmp_path / "words.parquet"), labels=None, targets=["cv"], inputs=["gas"])


@pytest.mark.parametrize("targets", [None, ["cv"]])
def test_a_condition_that_the_data_do_not_have_is_one_line(targets, tmp_path):
    own = sources(tmp_path)
    for kind in ("extxyz", "table"):
        with pytest.raises(EuhedralError, match="'pressure'") as caught:
            open_data(str(own[kind][1]), labels=None, targets=targets, inputs=["pressure"])
        assert "\n" not in str(caught.value)
    with pytest.raises(InvalidRequestError, match=r"""expected a list, as --set 'inputs=\["temperature"\]'"""):
        run(*MEGNET[:-1], "inputs=temperature", *own["table"], "-o", tmp_path / "out")


def test_a_condition_that_is_given_is_that_of_crystals_that_carry_none(megnet, tmp_path):
    one, other = crystals()[:2]
    one = one.replace(props={}, site={})
    write(tmp_path / "bare.cif", crystals=one)
    write(tmp_path / "own.extxyz", crystals=[one.replace(props={"temperature": 700.0}), other])
    pd.DataFrame([{"id": "row", "cif": cif_from_crystals([one]), "temperature": 700.0}]).to_csv(tmp_path / "own.csv")
    files = [tmp_path / "bare.cif", tmp_path / "own.extxyz", tmp_path / "own.csv"]
    done = run("predict", *files, "--model", megnet, "--input", "temperature=300", "-o", tmp_path / "out.json")
    assert done.exit_code == 0, done.stderr
    rows = {row["id"]: row["cv"] for row in json.loads((tmp_path / "out.json").read_text())["results"]}
    model = Predictor.load(megnet)
    at = {t: float(model.predict([one.replace(props={"temperature": t})])["cv"].value[0]) for t in (300.0, 700.0)}
    assert abs(at[300.0] - at[700.0]) > 1e-4
    assert rows["bare"] == pytest.approx(at[300.0], abs=1e-5)
    assert rows["own_0"] == rows["row"] == pytest.approx(at[700.0], abs=1e-5)
    some = run("predict", tmp_path / "own.extxyz", tmp_path / "bare.cif", "--model", megnet)
    assert some.exit_code == 1
    assert "failed: bare: no 'temperature', which the model needs as an input" in some.stderr


@pytest.mark.parametrize(
    ("more", "error", "match"),
    [
        ([], InvalidRequestError, r"needs 'temperature', which no crystal has; give it for all by --input temperature=300"),
        (["--input", "temperatur=300"], UnknownNameError, "did you mean temperature"),
        (["--input", "temperature=hot"], InvalidRequestError, "expected a number, as --input temperature=300"),
        (["--input", "temperature"], InvalidRequestError, "expected name=value"),
        (["--input", "temperature=NaN"], InvalidRequestError, "expected a number"),
    ],
)  # fmt: skip
def test_conditions_that_are_missing_or_wrong_are_one_line_with_the_cure(more, error, match, megnet, tmp_path):
    write(tmp_path / "cifs" / "a.cif", crystals=crystals()[0].replace(props={}, site={}))
    write(tmp_path / "cifs" / "b.cif", crystals=crystals()[1].replace(props={}, site={}))
    with pytest.raises(error, match=match) as caught:
        run("predict", tmp_path / "cifs", "--model", megnet, *more)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [[], ["--model", "cgcnn-mp20"]])
def test_a_condition_that_no_model_takes_is_refused_and_not_forgotten(model):
    with pytest.raises(InvalidRequestError, match=r"--input temperature: .* no conditions; leave it out"):
        run("predict", "NaCl", *model, "--input", "temperature=300")
