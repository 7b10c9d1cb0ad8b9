"""Tensors as labels: from arrays as people have them to predictions with all indices."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.training_data import targets_of
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.data.dataset import Dataset
from euhedral.data.tensors import VOIGT_SHAPES, full_tensor
from euhedral.errors import InvalidRequestError
from euhedral.tasks.targets import CartesianTensor, read_targets

SMALL = [f"--set={one}" for one in ("width=8", "n_blocks=1", "narrow=8", "n_degrees=3", "cutoff=4.0")]


def labelled(shape, *, rng, symmetric=True, n=40, name="t"):
    """Crystals of two atoms with an array each, of which pairs of equal size are made equal where it is symmetric."""
    found = []
    for i in range(n):
        value = rng.normal(size=shape)
        if symmetric and len(set(shape)) == 1 and len(shape) == 2:
            value = value + value.T
        elif symmetric and shape == (3, 3, 3):
            value = value + value.swapaxes(1, 2)
        elif symmetric and shape == (3, 3, 3, 3):
            voigt = rng.normal(size=(6, 6))
            value = full_tensor(voigt + voigt.T)
        cell = np.diag(rng.uniform(3.2, 4.0, 3))
        found.append(
            Crystal(
                cell=cell, frac=[[0, 0, 0], [0.5, 0.4, 0.5]], numbers=[11 + i % 3, 17], id=f"c{i}", props={name: value}
            )
        )
    return found


@pytest.mark.parametrize(
    ("shape", "symmetric", "rank", "symmetry"),
    [
        ((3, 3), True, 2, "ij=ji"), ((3, 3), False, 2, ""), ((3, 3, 3), True, 3, "ijk=ikj"), ((3, 3, 3), False, 3, ""),
        ((3, 6), False, 3, "ijk=ikj"), ((6, 6), True, 4, "ijkl=jikl=klij"), ((6, 6), False, 4, "ijkl=jikl=ijlk"),
        ((3, 3, 3, 3), True, 4, "ijkl=jikl=klij"), ((3, 3, 3, 3), False, 4, ""),
    ],
)  # fmt: skip
def test_arrays_of_these_shapes_are_tensors_with_the_index_symmetry_of_their_labels(
    shape, symmetric, rank, symmetry, capsys
):
    crystals = labelled(shape, rng=np.random.default_rng(0), symmetric=symmetric)
    (target,) = targets_of(Dataset.from_crystals(crystals, targets=["t"]), names=["t"], classes=(), default=())
    kinds = read_targets([target], kinds=(CartesianTensor,))
    assert kinds["t"] == CartesianTensor("t", rank=rank, symmetry=symmetry)
    (said,) = capsys.readouterr().err.splitlines()
    assert f"t, arrays {shape}" in said
    assert f"a Cartesian tensor of rank {rank} in the axes of the structures as given" in said
    assert f"index symmetry {symmetry or 'none'}, as in all training labels" in said
    assert ("Voigt's order" in said) == (shape in VOIGT_SHAPES)


def test_arrays_of_other_shapes_are_refused_with_those_that_can_be_learnt():
    crystals = labelled((4, 5), rng=np.random.default_rng(0))
    with pytest.raises(
        InvalidRequestError, match=r"shape \(4, 5\); give .*\(3, 3, 3, 3\), or one in Voigt's order, \(3, 6\)"
    ):
        targets_of(Dataset.from_crystals(crystals, targets=["t"]), names=["t"], classes=(), default=())


def run(*words):
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done


@pytest.mark.parametrize(
    ("shape", "ending", "name", "unit"),
    [((3, 3), "extxyz", "t", ""), ((3, 6), "json", "piezoelectric_tensor", "C/m^2"), ((6, 6), "extxyz", "t", "GPa")],
)
def test_tensors_of_every_rank_are_trained_tuned_judged_and_predicted(shape, ending, name, unit, tmp_path):
    crystals = labelled(shape, rng=np.random.default_rng(1), name=name)
    data = write(tmp_path / f"own.{ending}", crystals=crystals)
    short = ["--data", data, "--target", name, "--epochs", 1, "--members", 1, "--quiet"]
    short += ["--unit", f"{name}={unit}"] if unit else []
    run("train", "etgnn", *short, *SMALL, "--out", tmp_path / "out")
    (target,) = json.loads((tmp_path / "out" / "config.json").read_text())["config"]["targets"]
    rank = full_tensor(crystals[0].props[name]).ndim
    assert target["rank"] == rank
    assert target["symmetry"] == {2: "ij=ji", 3: "ijk=ikj", 4: "ijkl=jikl=klij"}[rank]
    said = run("finetune", tmp_path / "out", *short, "--out", tmp_path / "tuned")
    assert f"index symmetry {target['symmetry']}, as in {tmp_path / 'out'}" in said.stderr
    assert "100% of the network's numbers" in said.stdout
    judged = run("evaluate", tmp_path / "out", "--data", data, "--out", tmp_path / "judged", "--quiet")
    assert f"\n{name}\t{unit or 'unit of its labels'}\t" in judged.stdout
    answer = run("predict", data, "--model", tmp_path / "tuned", "--output", tmp_path / "p.json", "--quiet")
    assert f"{3**rank} values in --output" in answer.stdout
    assert ("here with all indices written out" in answer.stderr) == (name == "piezoelectric_tensor")
    rows = json.loads((tmp_path / "p.json").read_text())["results"]
    assert np.shape(rows[0][name]) == np.shape(rows[0][f"{name}_lower"]) == (3,) * rank
