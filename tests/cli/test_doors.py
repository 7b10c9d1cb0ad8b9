from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.core.files import read, write
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.data.catalogue import load

CIF = """data_x
_cell_length_a {length}
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{symbol} 0 0 0
"""


def run(*arguments, cwd, env=None):
    code = "from euhedral.cli import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three good files and six bad ones."""
    path = tmp_path_factory.mktemp("files")
    for crystal in load("mp-20-sample")[:3]:
        write(path / f"{crystal.id}.cif", crystals=crystal)
    (path / "bad-empty.cif").write_text("")
    (path / "bad-binary.cif").write_bytes(bytes(range(256)) * 20)
    (path / "bad-nan.cif").write_text(CIF.format(length="nan", symbol="Na"))
    (path / "bad-element.cif").write_text(CIF.format(length="4.0", symbol="Qq"))
    (path / "bad-overlap.extxyz").write_text(
        '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3 pbc="T T T"\nNa 0 0 0\nNa 0 0 0.001\n'
    )
    (path / "bad-flat.vasp").write_text("flat\n1.0\n1 0 0\n2 0 0\n0 0 1\nNa\n1\nDirect\n0 0 0\n")
    return path


def one_line_each(text, *, n):
    lines = [line for line in text.splitlines() if line.startswith("failed: ")]
    assert len(lines) == n, text
    assert "Traceback" not in text
    return lines


def test_predict_gives_intervals_for_the_good_files_and_a_line_for_each_bad_one(folder, tmp_path):
    done = run("predict", folder, "-o", tmp_path / "out.csv", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    good = [row for row in rows if not row["error"]]
    assert {row["id"] for row in good} >= {crystal.id for crystal in load("mp-20-sample")[:3]}
    for row in good:
        assert float(row["band_gap_lower"]) <= float(row["band_gap"]) <= float(row["band_gap_upper"])
    lines = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert any("bad-empty.cif" in line for line in lines)
    assert "PBE gaps are smaller than measured gaps" in done.stderr


def test_relax_writes_what_it_could_and_says_what_it_could_not(folder, tmp_path):
    done = run("relax", folder, "-d", tmp_path / "relaxed", "-o", tmp_path / "out.json", "--steps", 30, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert {row["id"] for row in result["results"]} == {crystal.id for crystal in load("mp-20-sample")[:3]}
    assert len(result["failures"]) == len(one_line_each(done.stderr, n=6))
    assert all(len(read(tmp_path / "relaxed" / f"{row['id']}.cif")) == 1 for row in result["results"])


def test_patterns_and_json_are_accepted(folder, tmp_path):
    pattern = f"{folder}/m*.cif"
    done = run("predict", pattern, "--target", "band_gap", "-o", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "out.json").read_text())["results"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nothing.cif"], "nothing.cif"),
        (["predict", ".", "--target", "hardness"], "hardness"),
        (["predict", ".", "-o", "x.xlsx"], ".json, .csv or .parquet"),
        (["predict", ".", "--coverage", "2"], "coverage"),
        (["predict", ".", "--model", "no-such"], "no-such"),
        (["relax", ".", "--potential", "mace"], "mace"),
        (["relax", ".", "--fmax", "soft"], "fmax"),
        (["discover", "--elements", "Li,Xx"], "Xx"),
        (["discover", "--elements", "Li,O", "--target", "hardness > 1"], "hardness"),
        (["discover", "--elements", "Og,Cl"], "Og"),
        (["discover"], "elements"),
        (["train", "nonet"], "nonet"),
        (["train", "cgcnn", "--data", "no-such-set"], "no-such-set"),
        (["generate", "--space-group", "999"], "999"),
        (["fetch", "mp-21"], "mp-20"),
        (["cite", "nobody"], "nobody"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(tmp_path, arguments, message):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "failed: "))]
    assert len(errors) == 1, done.stderr
    assert message in errors[0]
    assert "Traceback" not in done.stderr


def test_a_run_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("discover", "--elements", "Li,O", "--run", tmp_path / "file" / "run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "choose another --run folder" in done.stderr


def test_systems_and_datasets_are_listed_as_json_too(tmp_path):
    systems = json.loads(run("systems", "--json", cwd=tmp_path).stdout)
    assert {"chgnet", "cgcnn", "crystalformer"} <= {row["name"] for row in systems}
    datasets = json.loads(run("datasets", "--json", cwd=tmp_path).stdout)
    assert next(row for row in datasets if row["name"] == "mp-20-sample")["present"] == "shipped"


def test_cite_prints_bibtex(tmp_path):
    done = run("cite", "chgnet", "mp-20", cwd=tmp_path)
    assert done.returncode == 0
    assert "10.1038/s42256-023-00716-3" in done.stdout
    assert done.stdout.count("@") >= 3


def test_a_model_trained_on_ones_own_files_predicts(tmp_path):
    rng = np.random.default_rng(0)
    with (tmp_path / "labels.csv").open("w") as file:
        file.write("id,hardness\n")
        for i in range(40):
            side = rng.uniform(3.5, 6.0)
            crystal = Crystal(
                cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11 + i % 3, 17], id=f"own-{i}"
            )
            write(tmp_path / "own" / f"own-{i}.cif", crystals=crystal)
            file.write(f"own-{i},{side:.4f}\n")
    trained = run(
        "train", "cgcnn", "--data", "own", "--labels", "labels.csv", "--target", "hardness", "--epochs", 3, "--members", 1,
        "--out", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "intervals hold" in trained.stdout
    done = run("predict", "own/own-1.cif", "--model", "mine", "-o", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hardness" in json.loads((tmp_path / "out.json").read_text())["results"][0]


def test_a_model_goes_on_with_classes_from_a_table_and_is_judged(tmp_path):
    rng = np.random.default_rng(0)
    rows = ["name,cif,large"]
    for i in range(60):
        side = rng.uniform(3.5, 6.0)
        crystal = Crystal(
            cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11 + i % 3, 17], id=f"own-{i}"
        )
        text = cif_from_crystals([crystal]).replace('"', '""')
        rows.append(f'own-{i},"{text}",{int(side > 4.75)}')
    (tmp_path / "own.csv").write_text("\n".join(rows) + "\n")
    tuned = run(
        "finetune", "cgcnn-mp20", "--data", "own.csv", "--target", "large", "--classes", "large=small,large", "--epochs", 2,
        "--members", 1, "--freeze", "embedding.*", "--out", "mine", cwd=tmp_path,
    )  # fmt: skip
    assert tuned.returncode == 0, tuned.stderr
    assert "cgcnn-mp20: loaded" in tuned.stdout
    assert [line.split(",")[1] for line in (tmp_path / "mine" / "history.csv").read_text().splitlines()] == [
        "epoch",
        "1",
        "2",
    ]
    judged = run("evaluate", "mine", "--data", "own.csv", "--part", "all", cwd=tmp_path)
    assert judged.returncode == 0, judged.stderr
    assert "large" in judged.stdout
    again = run("evaluate", "mine", "--data", "own.csv", "--split", "random-3", cwd=tmp_path)
    assert "are materials that mine was trained on; left out" in again.stderr
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "own.csv").write_text(
        "\n".join(["name,cif,edge", *(f"{row.rsplit(',', 1)[0]},{i % 7}" for i, row in enumerate(rows[1:]))]) + "\n"
    )
    other = run(
        "finetune", "mine", "--data", "more/own.csv", "--target", "edge", "--epochs", 1, "--members", 1, "--split", "random-3",
        "--out", "edge", cwd=tmp_path,
    )  # fmt: skip
    assert other.returncode == 0, other.stderr
    assert "are materials that mine was trained on, for other targets; they stay" in other.stderr
    learnt = json.loads((tmp_path / "edge" / "card.json").read_text())["training"]["targets"]
    assert learnt == ["band_gap", "edge", "formation_energy_per_atom", "large"]
    write(tmp_path / "one.cif", crystals=crystal)
    done = run("predict", "one.cif", "--model", "mine", "-o", "out.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out.json").read_text())["results"][0]
    assert result["large"] in {"small", "large"}
    assert 0.5 <= result["large_probability"] <= 1.0
    assert result["large"] in result["large_plausible"].split()
