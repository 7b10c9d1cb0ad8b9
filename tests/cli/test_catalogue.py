"""What there is, as lists."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.errors import UnknownNameError
from euhedral.models.registry import ROWS


def printed(*arguments):
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0
    return done


def test_the_systems_of_a_task_are_the_review_s_table():
    rows = {
        r["system"]: r
        for r in csv.DictReader(io.StringIO(printed("systems", "--task", "property", "-f", "csv").stdout))
    }
    assert list(rows) == [row.name for row in ROWS if row.wing == "property"]
    # as the review's Table 1 has them
    assert rows["gmtnet"]["physical knowledge"] == rows["ecn"]["physical knowledge"] == "space group"
    assert (
        rows["potnet"]["physical knowledge"]
        == rows["crystalformer-taniai"]["physical knowledge"]
        == "interatomic potentials"
    )
    assert {rows[name]["fundamental model"] for name in ("icomformer", "matformer", "dostransformer")} == {
        "transformer"
    }
    assert rows["etgnn"]["predicted property"] == "dielectric, piezoelectric, and elastic tensors"
    assert rows["icomformer"]["symmetry claimed"] == "SE(3)"
    assert rows["cgcnn"]["status"] == "parity"
    assert (rows["cgcnn"]["year"], rows["cgcnn"]["doi"]) == ("2018", "10.1103/PhysRevLett.120.145301")


@pytest.mark.parametrize("task", ["property", "generation", "potential", "simulation"])
def test_every_form_lists_the_same_systems(task):
    names = [row.name for row in ROWS if row.wing == task]
    assert names
    assert [row["name"] for row in json.loads(printed("systems", "--task", task, "--json").stdout)] == names
    marked = printed("systems", "--task", task, "--format", "markdown").stdout.splitlines()
    assert [line.split("|")[1].strip() for line in marked[2:]] == names
    assert len({line.count("|") for line in marked}) == 1
    plain = printed("systems", "--task", task)
    assert [line.split("\t")[0] for line in plain.stdout.splitlines()[1:]] == names
    assert plain.stderr.count("\n") == 1  # the words of the column "status"
    assert {"implemented", "parity", "reproduced"} <= set(plain.stderr.replace(";", " ").split())


def test_the_adsorption_search_is_a_system():
    (row,) = [row for row in ROWS if row.name == "adsorbml"]
    assert row.load().__name__ == "find_adsorption"


@pytest.mark.parametrize("arguments", [("--task", "properties"), ("--format", "html")])
def test_a_list_that_does_not_exist_is_refused(arguments):
    with pytest.raises(UnknownNameError, match="lists all 4"):
        CliRunner().invoke(app, ["systems", *arguments], catch_exceptions=False)
