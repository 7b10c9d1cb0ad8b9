"""Predictions from formulas, and which model answers."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.core.files import write
from euhedral.data.catalogue import load
from euhedral.errors import InvalidRequestError, MissingDataError, UnknownNameError
from euhedral.training.predictor import Predictor
from euhedral.training.recipes import EnsembleRecipe, judge, train_ensemble
from euhedral.training.settings import AdamW, TrainingSettings
from euhedral.training.shipped import TABLE

TEST = "MP-20, official test split, 9,046 crystals"


@pytest.fixture(scope="module")
def roost(tmp_path_factory):
    """A tiny composition-only predictor and the folder that it is in."""
    folder = tmp_path_factory.mktemp("roost")
    crystals = list(load("mp-20-sample"))[:160]
    recipe = EnsembleRecipe(
        system="roost", targets=("band_gap",), members=2, settings=TrainingSettings(epochs=3, optimizer=AdamW(learning_rate=3e-3)),
        config={"width": 8, "n_layers": 1, "heads": 1, "hidden_width": 8, "readout": [8]},
    )  # fmt: skip
    predictor = train_ensemble(recipe, train=crystals[:80], validation=crystals[80:120], work=folder / "work")
    assert judge(predictor, crystals[120:])["band_gap"]["crystals"] > 20
    return predictor.save(folder / "roost-tiny"), predictor


@pytest.fixture
def with_roost(roost, tmp_path, monkeypatch):
    """The table of shipped predictors with the tiny one in place of Roost's shipped weights."""
    folder, _ = roost
    table = tmp_path / "shipped.toml"
    extra = (
        f'\n[[predictor]]\nname = "{folder}"\nsystem = "roost"\nsees_structure = false\ntest = "{TEST}"\nsource = "x.json"\n'
        '[predictor.errors]\nband_gap = 0.9\n[predictor.where]\nband_gap = "x"\n'
    )
    of_structures, _, _ = TABLE.read_text().partition('[[predictor]]\nname = "roost-mp20"')
    table.write_text(of_structures + extra)
    monkeypatch.setattr("euhedral.training.shipped.TABLE", table)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def test_a_formula_is_answered_from_the_composition_and_says_so(with_roost, roost, tmp_path):
    write(tmp_path / "one.cif", crystals=load("mp-20-sample")[0])
    out = tmp_path / "out.json"
    done = run("predict", "NaCl", "Fe2O3", tmp_path / "one.cif", "--target", "band_gap", "-o", out)
    assert done.exit_code == 0, done.stderr
    rows = {row["id"]: row for row in json.loads(out.read_text())["results"]}
    assert rows["NaCl"]["seen"] == rows["Fe2O3"]["seen"] == "composition"
    assert rows["NaCl"]["model"] == str(with_roost)
    assert rows["one"]["seen"] == "structure"
    assert rows["one"]["model"] == "cgcnn-mp20"
    own = roost[1].predict_formulas(["NaCl", "Fe2O3"])["band_gap"]
    assert rows["Fe2O3"]["band_gap"] == pytest.approx(own.value[1], abs=1e-5)
    width = {name: row["band_gap_upper"] - row["band_gap_lower"] for name, row in rows.items()}
    assert min(width["NaCl"], width["Fe2O3"]) > width["one"]
    assert "only the composition was seen" in done.stderr
    assert "band_gap: answered by cgcnn-mp20, the only shipped model of structures" in done.stderr
    assert "0.9 eV on MP-20" in done.stderr


def test_the_same_composition_has_the_same_answer_however_it_is_written_or_packed(roost):
    predictor = roost[1]
    crystal = load("mp-20-sample")[3]
    from euhedral.core.composition import formula

    text = formula(crystal.numbers)
    asked = predictor.predict([crystal, crystal.replace(cell=crystal.cell * 1.5)])["band_gap"]
    named = predictor.predict_formulas([text, f"({text})3"])["band_gap"]
    assert asked.value.tolist() == pytest.approx(named.value.tolist(), abs=1e-5)
    # a formula has no volume, so novelty must not depend on one
    assert asked.novelty.tolist() == pytest.approx(named.novelty.tolist(), abs=1e-4)


def test_what_no_model_of_compositions_predicts_is_a_failure_with_its_cure(with_roost):
    done = run("predict", "NaCl", "--target", "formation_energy_per_atom")
    assert done.exit_code == 2
    assert "no shipped model predicts formation_energy_per_atom from a formula alone" in done.stderr
    assert "euhedral train roost" in done.stderr


def test_a_named_model_answers_whatever_the_table_says(with_roost, roost, tmp_path):
    write(tmp_path / "one.cif", crystals=load("mp-20-sample")[0])
    done = run("predict", tmp_path / "one.cif", "--model", roost[0], "-o", tmp_path / "out.json")
    (row,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert done.exit_code == 0
    assert row["seen"] == "composition"
    refused = run("predict", "NaCl", "--model", "cgcnn-mp20")
    assert refused.exit_code == 2
    assert "needs a structure" in refused.stderr


def test_what_is_neither_file_nor_formula_is_told(with_roost):
    done = run("predict", "NaCl", "Nacl2", "--target", "band_gap")
    assert done.exit_code == 1
    assert "failed: Nacl2" in done.stderr
    assert "no such file, and no formula" in done.stderr


def test_a_model_of_structures_refuses_formulas_and_says_why():
    with pytest.raises(InvalidRequestError, match="cgcnn predicts from structures"):
        Predictor.load("cgcnn-mp20").predict_formulas(["NaCl"])


def test_targets_are_listed_with_units_and_errors_where_the_error_sends_one(with_roost, roost):
    done = run("predict", "--list")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert ["band_gap", "eV", "composition", str(roost[0])] in [row[:4] for row in rows]
    assert ["formation_energy_per_atom", "eV/atom", "structure", "cgcnn-mp20"] in [row[:4] for row in rows]
    with pytest.raises(UnknownNameError, match="euhedral predict --list"):
        run("predict", "NaCl", "--target", "hardness")


def test_nothing_to_predict_is_one_line():
    with pytest.raises(InvalidRequestError, match="--list"):
        run("predict")


@pytest.mark.parametrize(
    ("system", "cure"),
    [
        ("megnet", "without shipped weights; train it first: euhedral train megnet"),
        ("roost", "shipped weights: roost-mp20"),
    ],
)
@pytest.mark.parametrize("command", [["predict", "NaCl", "--model"], ["finetune"], ["evaluate"]])
def test_a_system_in_place_of_weights_is_told_with_the_cure(system, cure, command):
    with pytest.raises(MissingDataError, match=f"{system} is a system.*{cure}"):
        CliRunner().invoke(app, [*command, system], catch_exceptions=False)


@pytest.mark.parametrize(("formula", "said"), [("Cu", True), ("LiF", False)])
def test_an_interval_of_no_width_is_explained(formula, said):
    asked = CliRunner().invoke(app, ["predict", formula, "--target", "band_gap"], catch_exceptions=False)
    assert ("0.000 [0.000, 0.000]" in asked.stdout) == said
    assert ("an interval of no width" in asked.stderr) == said
