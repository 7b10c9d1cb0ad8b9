"""Classes that stand in a table as words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.errors import InvalidRequestError

N = 40


@pytest.fixture
def folder(tmp_path):
    """Forty cells, half of them large."""
    sides = np.linspace(3.5, 6.0, N)
    for i, side in enumerate(sides):
        write(
            tmp_path / "cifs" / f"own-{i}.cif",
            crystals=Crystal(cell=np.eye(3) * side, frac=[[0, 0, 0]], numbers=[11 + i % 3]),
        )
    rows = [f"own-{i},{'large' if side > 4.75 else 'small'}" for i, side in enumerate(sides)]
    (tmp_path / "labels.csv").write_text("\n".join(["id,size", *rows]))
    return tmp_path


def run(command, model, folder, *more):
    data = ["--data", folder / "cifs", "--labels", folder / "labels.csv", "--out", folder / "out"]
    return CliRunner().invoke(app, [str(word) for word in (command, model, *data, *more)], catch_exceptions=False)


SHORT = ["--target", "size", "--epochs", 2, "--members", 1, "--quiet"]


@pytest.mark.parametrize(
    ("more", "classes"), [([], ["large", "small"]), (["--classes", "size=small, large"], ["small", "large"])]
)
def test_words_are_learnt_judged_and_predicted_as_classes(more, classes, folder):
    done = run("train", "cgcnn", folder, *SHORT, *more)
    assert done.exit_code == 0, done.stderr
    (target,) = json.loads((folder / "out" / "config.json").read_text())["config"]["targets"]
    assert target["classes"] == classes
    card = json.loads((folder / "out" / "card.json").read_text())["test"]["size"]["mae"]
    (folder / "labels.csv").write_text("\n".join(["id,size", *(f"own-{i},small" for i in range(N))]))
    judged = run("evaluate", folder / "out", folder, "--part", "all", "--quiet")  # of one class alone
    assert judged.exit_code == 0, judged.stderr
    asked = CliRunner().invoke(
        app, ["predict", str(folder / "cifs"), "--model", str(folder / "out"), "-o", str(folder / "p.json")]
    )
    rows = json.loads((folder / "p.json").read_text())["results"]
    assert asked.exit_code == 0
    wrong = np.mean([row["size"] != "small" for row in rows])
    assert f"share that is wrong\t{wrong:.4f}" in judged.stdout
    assert 0.0 <= card <= 1.0


def test_a_word_that_is_not_named_is_refused_before_training(folder):
    with pytest.raises(
        InvalidRequestError, match="'size' of crystal 'own-0' is 'small', which is none of the classes tiny, large"
    ):
        run("train", "cgcnn", folder, *SHORT, "--classes", "size=tiny,large")
    assert not (folder / "out").exists()
