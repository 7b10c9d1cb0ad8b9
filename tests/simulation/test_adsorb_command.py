"""The adsorption search from the command line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.core.crystal import Crystal
from euhedral.core.files import read, write
from euhedral.errors import FileFormatError, InvalidRequestError, UnknownNameError
from euhedral.simulation.molecules import molecule_of


@pytest.fixture
def slab_file(tmp_path):
    across = 2.5 * np.array([[1, 0, 0], [0.5, np.sqrt(3) / 2, 0]])
    positions = np.array(
        [
            layer * np.array([1.25, 0.7217, -2.0412]) + i * across[0] + j * across[1]
            for layer in range(2)
            for i in range(2)
            for j in range(2)
        ]
    )
    cell = np.array([2 * across[0], 2 * across[1], [0, 0, 18.0]])
    slab = Crystal(cell=cell, frac=positions @ np.linalg.inv(cell), numbers=[29] * 8)
    return write(tmp_path / "cu.cif", crystals=slab)


def adsorb(*arguments):
    return CliRunner().invoke(app, ["adsorb", *map(str, arguments)], catch_exceptions=False)


def test_the_lowest_structures_and_a_table_of_all_placements_are_written(slab_file, tmp_path, potential, monkeypatch):
    monkeypatch.setattr("euhedral.models.registry.load_trained", lambda name, *, wing: potential)
    out = tmp_path / "out"
    done = adsorb(slab_file, "-a", "Cu", "--random", 4, "--best", 2, "--fmax", 0.01, "-d", out)
    assert done.exit_code == 0, done.stderr
    rows = list(csv.DictReader((out / "adsorption.csv").open()))
    assert len(rows) == 4 + 4  # top, bridge, two hollows, four random points
    energies = [float(row["adsorption_energy_eV"]) for row in rows if not row["anomaly"]]
    assert energies == sorted(energies)
    assert energies[0] < -0.5
    assert {row["file"] for row in rows if row["file"]} == {"cu-Cu-1.cif", "cu-Cu-2.cif"}
    (lowest,) = read(out / "cu-Cu-1.cif")
    # the lone atom sits in a hollow: three neighbours equally far
    apart = lowest.frac[:-1] - lowest.frac[-1]
    near = np.sort(np.linalg.norm((apart - np.round(apart)) @ lowest.cell, axis=1))
    assert np.ptp(near[:3]) < 0.1
    assert "less the relaxed slab and the molecule alone" in done.stderr


def test_a_stopped_search_keeps_what_was_finished(slab_file, tmp_path, lennard_jones, monkeypatch):
    class Stopped(lennard_jones):
        def energy(self, batch, graph, *, vectors):
            if 2 < len(batch) < self.largest_batch - 3:  # some are finished and gone
                raise KeyboardInterrupt
            return super().energy(batch, graph, vectors=vectors)

    monkeypatch.setattr("euhedral.models.registry.load_trained", lambda name, *, wing: Stopped())
    done = adsorb(slab_file, "-a", "Cu", "--random", 60, "-d", tmp_path / "out", "--fmax", 0.2)
    assert done.exit_code == 130
    rows = list(csv.DictReader((tmp_path / "out" / "adsorption.csv").open()))
    assert 0 < len(rows) < 64
    assert f"the best of {len(rows)} placements" in done.stderr


def test_molecules_come_from_a_formula_an_element_or_a_file(tmp_path):
    carbon_monoxide = molecule_of("CO")
    assert carbon_monoxide.numbers[carbon_monoxide.binding] == 6  # the first of the formula, whatever ASE's order
    assert molecule_of("CO", binding="O").binding != carbon_monoxide.binding
    water = molecule_of("H2O")
    assert water.numbers[water.binding] == 8
    assert molecule_of("Cu").positions.shape == (1, 3)
    (tmp_path / "m.xyz").write_text("2\n\nH 0 0 0\nF 0 0 0.9\n")
    assert np.ptp(molecule_of(str(tmp_path / "m.xyz")).positions[:, 2]) == pytest.approx(0.9)
    # across the face of a box the atoms of a molecule stay together
    boxed = Crystal.from_cart(np.eye(3) * 10, cart=[[0, 0, 9.8], [0, 0, 0.7]], numbers=[1, 9])
    write(tmp_path / "m.cif", crystals=boxed)
    assert np.ptp(molecule_of(str(tmp_path / "m.cif")).positions[:, 2]) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("given", "binding", "error", "match"),
    [
        ("CO3H9", "", UnknownNameError, "no molecule named"),
        ("absent.xyz", "", FileFormatError, "no such file"),
        ("CO", "N", InvalidRequestError, "has no N to bind with"),
        ("CO", "3", InvalidRequestError, "no atom 3"),
    ],
)
def test_what_is_no_molecule_is_named(given, binding, error, match):
    with pytest.raises(error, match=match):
        molecule_of(given, binding=binding)


def test_a_file_of_atoms_that_do_not_hang_together_is_refused(tmp_path):
    write(tmp_path / "m.cif", crystals=Crystal(cell=np.eye(3) * 10, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[1, 1]))
    with pytest.raises(FileFormatError, match="do not hang together"):
        molecule_of(str(tmp_path / "m.cif"))
