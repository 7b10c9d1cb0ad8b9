"""Pictures that come by themselves from training and evaluation."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.element_picture import draw_elements, place_of
from euhedral.cli.fit_pictures import draw_parity, draw_spectra
from euhedral.core.crystal import Crystal
from euhedral.core.files.cif_writer import cif_from_crystals


def own_table(path, n=70, seed=0):
    """Cells with a number, a class and a spectrum that follow from their size."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0.0, 1.0, 12)
    rows = []
    for i in range(n):
        side = rng.uniform(3.5, 6.0)
        crystal = Crystal(
            cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11 + i % 3, 17], id=f"own-{i}"
        )
        spectrum = np.exp(-(((grid - (side - 3.5) / 2.5) / 0.2) ** 2)).round(4).tolist()
        rows.append([f"own-{i}", cif_from_crystals([crystal]), int(side > 4.75), f"{side:.4f}", json.dumps(spectrum)])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "cif", "large", "side", "spectrum"], *rows])
    return path


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def train(table, out, *more):
    return run(
        "train", "cgcnn", "--data", table, "--target", "large", "--target", "side", "--target", "spectrum", "--classes",
        "large=small,large", "--epochs", 2, "--members", 1, "--out", out, *more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    table = own_table(folder / "own.csv")
    return train(table, folder / "out"), table, folder / "out"


NAMES = {
    "confusion-large", "parity-side", "spectra-spectrum", "learning_curve", "elements-large", "elements-side", "elements-spectrum",
}  # fmt: skip


def test_training_leaves_every_picture_as_png_and_svg(trained):
    done, _, out = trained
    assert done.exit_code == 0, done.stderr
    assert {path.stem for path in (out / "pictures").glob("*.png")} == NAMES
    assert {path.stem for path in (out / "pictures").glob("*.svg")} == NAMES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (out / "pictures").glob("*.png"))
    assert "pictures in" in done.stderr


def test_a_picture_says_how_good_it_is_and_in_which_unit(trained):
    out = trained[2] / "pictures"
    report = json.loads((trained[2] / "card.json").read_text())["test"]
    parity = (out / "parity-side.svg").read_text()
    assert f"mean error {report['side']['mae']:.3g}" in parity
    assert report["side"]["interval_coverage"] is None  # too few crystals to calibrate with
    assert "intervals have no end" in parity
    assert "predicted side (unit of its labels)" in parity
    assert f"right {1 - report['large']['mae']:.1%}" in (out / "confusion-large.svg").read_text()
    curve = (out / "learning_curve.svg").read_text()
    assert "validation side" in curve
    assert "training loss" in curve


def test_evaluation_leaves_them_too_and_goes_on_without_matplotlib(trained, tmp_path, monkeypatch):
    _, table, out = trained
    done = run("evaluate", out, "--data", table, "--part", "all", "--out", tmp_path)
    assert done.exit_code == 0
    assert {path.stem for path in (tmp_path / "pictures").glob("*.png")} == NAMES - {"learning_curve"}
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run("evaluate", out, "--data", table, "--part", "all", "--out", tmp_path / "none")
    assert done.exit_code == 0
    assert "side" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if "pictures" in line]
    assert "pip install 'euhedral[plots]'" in line
    assert not (tmp_path / "none").exists()


def test_many_points_are_drawn_as_a_density(tmp_path):
    truth = np.random.default_rng(0).normal(size=3000)
    few, many = (
        draw_parity(tmp_path / f"p{n}", truth=truth[:n], value=truth[:n], bars=None, name="gap", unit="eV", title="t")[
            1
        ].read_text()
        for n in (400, 3000)
    )
    assert "count in a cell" in many
    assert "count in a cell" not in few


def test_the_worst_spectra_are_the_worst(tmp_path):
    truth = np.zeros((9, 4))
    error = np.array([0.5, 0.1, 0.9, 0.2, np.nan, 0.3, 0.8, 0.4, 0.7])
    _, file = draw_spectra(
        tmp_path / "s", truth=truth, value=truth, error=error, ids=[f"id{i}" for i in range(9)], grid=np.arange(4.0),
        labels=("x", "y"), title="t",
    )  # fmt: skip
    text = file.read_text()
    assert all(f"worst: id{i}," in text for i in (2, 6, 8))
    assert all(f"best: id{i}," in text for i in (1, 3, 5))
    assert "id4" not in text


def test_every_element_has_a_place_of_its_own_in_the_table(tmp_path):
    places = [place_of(number) for number in range(1, 119)]
    assert len(set(places)) == 118
    assert (place_of(1), place_of(2), place_of(26), place_of(118)) == ((1, 1), (18, 1), (8, 4), (18, 7))
    mean = np.full(119, np.nan)
    mean[26] = 0.25
    _, file = draw_elements(tmp_path / "e", mean=mean, count=np.arange(119), unit="eV", title="t")
    assert "0.250" in file.read_text()
    assert "mean error (eV)" in file.read_text()


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_title_with_a_long_path_leaves_room_for_the_picture(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=2000)
    files = draw_parity(
        tmp_path / "parity", truth=truth, value=truth, bars=None, name="gap", unit="eV",
        title=f"megnet, test part of {'/a/very/long/folder' * 8}, without sets: gap, 2,000 known\nmean error 0.1 eV",
    )  # fmt: skip
    image = pytest.importorskip("matplotlib.image")
    height, width = image.imread(next(file for file in files if file.suffix == ".png")).shape[:2]
    assert width < 1.5 * height  # the picture is about square, whatever its title
