from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.output import file_stems
from euhedral.cli.reading import crystals_from, structures_and_formulas
from euhedral.cli.training_data import open_data
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.data.catalogue import load
from euhedral.data.dataset import Dataset
from euhedral.errors import InvalidRequestError


def test_overlapping_atoms_are_set_aside_with_the_cure(tmp_path, crystals):
    write(tmp_path / "good.cif", crystals=crystals["heusler"])
    overlapping = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.05, 0, 0]], numbers=[11, 17])
    write(tmp_path / "overlapping.cif", crystals=overlapping)
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a 3\n")
    read, failures = crystals_from([str(tmp_path)], advance=lambda *_: None)
    assert [crystal.id for crystal in read] == ["good"]
    assert len(failures) == 2
    (failure,) = [failure for failure in failures if failure.id == "overlapping"]
    assert (
        failure.reason
        == "Na (atom 1) and Cl (atom 2) are 0.200 Å apart, less than 0.5 Å; separate the atoms or remove one"
    )


def rock_salts():
    return [
        Crystal(
            cell=np.eye(3) * (5 + i / 10), frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11, 17], id=f"own_{i}",
            props={"name": f"salt-{i}", "gap": float(i)},
        )
        for i in range(4)
    ]  # fmt: skip


def table_of(crystals, path):
    rows = [{"material_id": c.props["name"], "cif": cif_from_crystals([c]), "gap": c.props["gap"]} for c in crystals]
    frame = pd.DataFrame(rows)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["own.extxyz", "own.csv", "own.parquet", "written.parquet"])
def test_crystals_have_the_ids_that_they_are_trained_under(kind, tmp_path):
    path = tmp_path / kind
    if kind == "own.extxyz":
        write(path, crystals=rock_salts())
    elif kind == "written.parquet":
        Dataset.from_crystals(rock_salts(), targets=["gap"]).write(path)
    else:
        table_of(rock_salts(), path)
    read, failures = crystals_from([str(path)], advance=lambda *_: None)
    trained, _ = open_data(str(path), labels=None, targets=["gap"])
    assert [crystal.id for crystal in read] == trained.ids.tolist()
    assert failures == []
    assert len({crystal.id for crystal in read}) == 4
    np.testing.assert_allclose(read[2].cell, trained[2].cell)


def test_values_that_are_asked_for_come_out_of_a_table_and_bad_rows_are_failures(tmp_path):
    path = table_of(rock_salts(), tmp_path / "own.csv")
    frame = pd.read_csv(path)
    frame.loc[1, "cif"] = "nothing"
    frame.to_csv(path, index=False)
    read, (failure,) = crystals_from([str(path)], advance=lambda *_: None, values=["gap", "pressure"])
    assert [crystal.props for crystal in read] == [{"gap": 0.0}, {"gap": 2.0}, {"gap": 3.0}]
    assert failure.id == str(path)
    assert "salt-1" in failure.reason


def test_a_data_set_is_read_by_its_name_and_a_table_without_structures_is_a_failure(tmp_path):
    (tmp_path / "labels.csv").write_text("id,gap\na,1\n")
    read, _, (failure,) = structures_and_formulas(
        ["mp-20-sample", str(tmp_path / "labels.csv")], advance=lambda *_: None
    )
    assert [crystal.id for crystal in read] == load("mp-20-sample").ids.tolist()
    assert "no column is called structure" in failure.reason


@pytest.mark.parametrize(
    "words",
    [
        ["predict", ""],
        ["predict", "NaCl", " "],
        ["relax", ""],
        ["represent", "", "--as", "xrd"],
        ["train", "cgcnn", "--data", ""],
        ["finetune", "cgcnn-mp20", "--data", ""],
        ["evaluate", "cgcnn-mp20", "--data", ""],
        ["pretrain", "crysgnn", "--data", ""],
    ],
)
def test_an_empty_argument_is_not_the_current_folder(words, tmp_path, monkeypatch):
    write(tmp_path / "one.cif", crystals=rock_salts()[0])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match=r"is empty \(an unset shell variable\?\)"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_files_of_crystals_with_alike_names_are_told_apart():
    assert file_stems(["a/b", "a b", "c"]) == {"a/b": "a_b", "a b": "a_b#2", "c": "c"}
