"""`euhedral represent`: each kind from the command line holds what the library computes."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from euhedral.cli import app, representation
from euhedral.cli.representation_kinds import KINDS
from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.files import read, write
from euhedral.errors import EuhedralError, InvalidRequestError, MissingDependencyError, UnknownNameError
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.representations.cif_text.cif_format import CifFormat
from euhedral.representations.cif_text.tokenisers import cif_tokeniser
from euhedral.representations.graphs import Nearest, Radius
from euhedral.representations.images.image import read_image
from euhedral.representations.slices import encode
from euhedral.representations.spectra.diffraction import powder_pattern
from euhedral.representations.spectra.radiation import Neutrons, XRays
from euhedral.testing.chiral import alpha_quartz
from euhedral.testing.representation_cards import CARDS

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, crystals):
    path = tmp_path_factory.mktemp("files")
    write(path / "quartz.cif", crystals=alpha_quartz(154))
    write(path / "heusler.vasp", crystals=crystals["heusler"])
    return path


@pytest.fixture
def represent(folder, tmp_path):
    """Run the command in this process; the files that it wrote, by name."""

    def run(*arguments, files="quartz.cif", code=0):
        out = tmp_path / "out"
        done = CliRunner().invoke(app, ["represent", str(folder / files), "-o", str(out), *map(str, arguments)])
        if isinstance(done.exception, EuhedralError):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.output, {path.name: path for path in sorted(out.iterdir())} if out.exists() else {}

    return run


@pytest.fixture(scope="module")
def quartz(folder):
    (crystal,) = read(folder / "quartz.cif")
    return crystal


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("options", "spec"), [((), Nearest(k=12)), (("--edges", "radius", "--cutoff", 3.0), Radius(cutoff=3.0))]
)
def test_a_graph_has_the_edges_that_the_library_finds(represent, quartz, options, spec):
    _, files = represent("--as", "graph", *options, "-f", "npz", "-f", "csv", "-f", "json", "-f", "png")
    batch = CrystalBatch.from_crystals([quartz], dtype=torch.float64)
    graph = spec.build(batch)
    with np.load(files["quartz.graph.npz"], allow_pickle=False) as arrays:
        assert np.array_equal(arrays["source"], graph.source)
        assert np.array_equal(arrays["image"], graph.image)
        assert np.allclose(arrays["length"], np.linalg.norm(arrays["vector"], axis=1))
        assert np.allclose(arrays["vector"], graph.vectors(batch))
    table = rows_of(files["quartz.graph.csv"])
    assert [int(row["target"]) for row in table] == graph.target.tolist()
    assert json.loads(files["quartz.graph.json"].read_text())["source"] == graph.source.tolist()
    assert files["quartz.graph.png"].read_bytes().startswith(PNG)


def test_texts_are_those_of_the_library(represent, quartz):
    output, files = represent("--as", "slices")
    assert files["quartz.slices.txt"].read_text() == encode(quartz) + "\n"
    assert encode(quartz) in output
    _, files = represent("--as", "cif-text", "-f", "txt", "-f", "npz")
    text = files["quartz.cif-text.txt"].read_text()
    assert text == CifFormat().write(quartz)
    with np.load(files["quartz.cif-text.npz"], allow_pickle=False) as arrays:
        assert cif_tokeniser().decode(arrays["tokens"].tolist()) == text


def test_wyckoff_positions_have_letters_and_free_parameters(represent, quartz):
    output, files = represent("--as", "wyckoff", "-f", "json", "-f", "txt", "-f", "csv")
    assert "P3_221 (154)" in output
    assert "Si:3a" in output
    found = json.loads(files["quartz.wyckoff.json"].read_text())
    form = from_crystal(quartz)
    assert found["space_group"] == 154
    assert found["letter"] == list(form.letters)
    assert np.allclose(found["x"], form.frac[:, 0])
    assert found["free"] == [1, 3]
    assert [row["element"] for row in rows_of(files["quartz.wyckoff.csv"])] == ["Si", "O"]
    assert files["quartz.wyckoff.txt"].read_text().startswith("P3_221 (154)\nSi    3a")


def test_a_powder_pattern_has_peaks_and_a_profile(represent, quartz):
    _, files = represent("--as", "xrd", "--wavelength", "MoKa", "--range", 5, 40, "-f", "csv", "-f", "png", "-f", "npz")
    expected = powder_pattern(quartz, radiation=XRays.of("MoKa"), two_theta=(5.0, 40.0))
    peaks = rows_of(files["quartz.xrd.peaks.csv"])
    assert np.allclose([float(row["two_theta"]) for row in peaks], expected.two_theta)
    assert np.allclose([float(row["intensity"]) for row in peaks], expected.intensity)
    profile = rows_of(files["quartz.xrd.profile.csv"])
    highest = max(profile, key=lambda row: float(row["intensity"]))
    strongest = expected.two_theta[expected.intensity.argmax()]
    assert float(highest["two_theta"]) == pytest.approx(strongest, abs=0.05)
    assert (float(profile[0]["two_theta"]), float(profile[-1]["two_theta"])) == (5.0, 40.0)
    assert files["quartz.xrd.png"].read_bytes().startswith(PNG)


def test_neutrons_and_electrons_see_other_patterns(represent, quartz):
    _, files = represent("--as", "neutron", "--wavelength", 1.8)
    peaks = rows_of(files["quartz.neutron.peaks.csv"])
    expected = powder_pattern(quartz, radiation=Neutrons(1.8))
    assert np.allclose([float(row["intensity"]) for row in peaks], expected.intensity)
    _, files = represent("--as", "electron", "--kilovolts", 300)
    peaks = rows_of(files["quartz.electron.peaks.csv"])
    assert np.allclose([float(row["wavelength"]) for row in peaks], 0.01969, atol=1e-5)


def test_a_pair_distribution_begins_at_the_bond(represent):
    _, files = represent("--as", "pdf", "--range", 1.0, 2.0)
    table = rows_of(files["quartz.pdf.csv"])
    highest = max(table, key=lambda row: float(row["G"]))
    assert float(highest["r"]) == pytest.approx(1.61, abs=0.03)


def test_images_come_with_arrays_and_truth(represent):
    output, files = represent("--as", "diffraction", "--zone-axis", "0,0,1", "--zone-axis", "[1 0 0]", "--size", 64)
    assert "[0 0 1] [1 0 0]" in output
    assert read_image(files["quartz.diffraction.npz"]).pixels.shape == (2, 64, 64)
    assert {"quartz.diffraction.0.png", "quartz.diffraction.1.png"} <= set(files)
    _, files = represent("--as", "stem", "--size", 64, "--thickness", 20)
    image = read_image(files["quartz.stem.npz"])
    assert image.mask is not None
    assert image.mask.max() > 0
    assert files["quartz.stem.mask.png"].read_bytes().startswith(PNG)
    clean = image.pixels
    _, files = represent("--as", "stem", "--size", 64, "--thickness", 20, "--dose", 1000)
    noisy = read_image(files["quartz.stem.npz"]).pixels
    assert np.array_equal(noisy, np.round(noisy))
    assert np.corrcoef(noisy.ravel(), clean.ravel())[0, 1] > 0.3


def test_a_layer_is_drawn_as_a_sheet(represent, folder, crystals):
    write(folder / "graphene.extxyz", crystals=crystals["vacuum"])
    _, files = represent("--as", "stem", "--sheet", "--size", 96, files="graphene.extxyz")
    image = read_image(files["graphene.stem.npz"])
    area = (96 * image.pixel_size) ** 2
    per_atom = np.sqrt(3) / 2 * 2.46**2 / 2
    assert len(image.positions) == pytest.approx(area / per_atom, rel=0.1)


def test_every_kind_makes_every_format_that_it_says(represent):
    for name, kind in KINDS.items():
        options = [word for chosen in kind.formats for word in ("-f", chosen)]
        _, files = represent(
            "--as", name, *options, "--size", 32, "--thickness", 20, "--atoms", 100, files="heusler.vasp"
        )
        endings = {path.suffix for path in files.values() if path.name.startswith(f"heusler.{name}.")}
        assert endings >= {f".{chosen}" for chosen in kind.formats}, name


def test_the_kinds_of_the_help_are_the_kinds_there_are():
    assert {name: kind.formats for name, kind in KINDS.items()} == representation._KINDS
    assert "slices: txt, json" in representation._formats_by_kind()


def test_the_page_shows_every_kind_and_the_symmetries_of_every_representation():
    path = Path(__file__).parents[2] / "docs" / "representations.py"
    spec = importlib.util.spec_from_file_location("representations_page", path)
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    assert list(page.SHOWN) == list(KINDS)
    table = page.symmetry_table(CARDS)
    for card in CARDS:
        (row,) = [line for line in table if line.startswith(f"| {card.name} |")]
        assert row.count("–") == len(card.lacks) + len(card.blind)
        assert row.count("|") == 12
        assert all(any(reason in line for line in table) for reason in [*card.lacks.values(), *card.blind.values()])


def test_a_kind_that_cannot_be_made_of_one_crystal_is_made_of_the_others(represent, folder, tmp_path):
    heavy = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[118], id="og")
    many = tmp_path / "many"
    write(many / "og.cif", crystals=heavy)
    write(many / "quartz.cif", crystals=alpha_quartz(152))
    (many / "broken.cif").write_text("data_x\n")
    done = subprocess.run(
        [sys.executable, "-c", "from euhedral.cli import main; main()", "represent", many, "--as", "xrd", "-o", "out"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    failed = [line for line in done.stderr.splitlines() if line.startswith("failed: ")]
    assert len(failed) == len(done.stderr.splitlines()) == 2
    assert any("broken.cif" in line for line in failed)
    assert any("Og" in line for line in failed)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"quartz.xrd.peaks.csv", "quartz.xrd.profile.csv"}


def test_names_that_differ_only_in_odd_letters_do_not_overwrite_each_other(tmp_path):
    twins = [alpha_quartz(152).replace(id="a:b"), alpha_quartz(154).replace(id="a?b")]
    write(tmp_path / "twins.json", crystals=twins)
    done = CliRunner().invoke(
        app, ["represent", str(tmp_path / "twins.json"), "--as", "slices", "-o", str(tmp_path / "o")]
    )
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "o").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--as", "xdr"), UnknownNameError, "did you mean xrd"),
        (("--as", "slices", "-f", "png"), InvalidRequestError, "txt, json, npz, not as 'png'"),
        (("--as", "diffraction", "--zone-axis", "110"), InvalidRequestError, "three whole numbers"),
    ],
)
def test_a_wrong_option_is_refused_before_any_file_is_read(represent, arguments, error, message):
    with pytest.raises(error, match=message):
        represent(*arguments, files="missing.cif")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--as", "graph", "--edges", "far"), "far"),
        (("--as", "graph", "--edges", "radius", "--cutoff", 0), "cutoff"),
        (("--as", "xrd", "--wavelength", "CuKb"), "CuKb"),
        (("--as", "neutron", "--wavelength", "CuKa"), "neutrons need a wavelength"),
        (("--as", "xrd", "--range", 50, 10), "50"),
        (("--as", "xrd", "--step", -1), "no grid"),
        (("--as", "stem", "--zone-axis", "0,0,1", "--zone-axis", "1,0,0"), "one zone axis"),
        (("--as", "stem", "--thickness", -3), "-3"),
        (("--as", "diffraction", "--zone-axis", "0,0,0"), "zone axis"),
        (("--as", "electron", "--kilovolts", 0), "kV"),
    ],
)
def test_what_no_crystal_can_be_made_into_is_a_line_for_each(represent, arguments, message):
    output, files = represent(*arguments, code=2)
    (line,) = [line for line in output.splitlines() if line.startswith("failed: ")]
    assert message in line
    assert not files


def test_drawings_without_matplotlib_name_the_cure(represent, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match=r"euhedral\[plots\]"):
        represent("--as", "xrd", "-f", "png")
