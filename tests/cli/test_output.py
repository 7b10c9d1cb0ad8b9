"""Progress and lists on the way out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numba import njit
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.output import progress, write_rows
from euhedral.core.failure import Failure
from euhedral.errors import MissingDataError, UnknownNameError


def test_progress_in_a_pipe_is_a_line_for_each_stage_and_its_end(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 2.0, 9.0, 9.5, 10.0])
    monkeypatch.setattr("euhedral.cli.output.time.monotonic", lambda: next(clock))
    with progress(quiet=False, lines=True) as advance:
        advance("reading", 0, None)
        advance("network 1 of 2, loss 3", 1, 40)
        advance("network 1 of 2, loss 2", 2, 40)  # too soon
        advance("network 1 of 2, loss 1", 3, 40)
        advance("network 1 of 2, loss 0", 40, 40)
        advance("network 2 of 2, loss 3", 1, 40)
    assert capsys.readouterr().err.splitlines() == [
        "reading", "network 1 of 2, loss 3: 1 of 40", "network 1 of 2, loss 1: 3 of 40", "network 1 of 2, loss 0: 40 of 40",
        "network 2 of 2, loss 3: 1 of 40",
    ]  # fmt: skip


@pytest.mark.parametrize(("quiet", "lines"), [(True, True), (False, False)])
def test_progress_is_silent_where_nobody_wants_it(capsys, quiet, lines):
    with progress(quiet=quiet, lines=lines) as advance:
        advance("reading", 1, 2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "listing"),
    [
        (["predict", "NaCl", "--target", "hardness"], ["predict", "--list"]),
        (["train", "nonet"], ["systems", "--task", "property"]),
        (["relax", "x.cif", "--potential", "nonet"], ["systems"]),
        (["evaluate", "cgcnn-mp20", "--part", "nonet"], ["evaluate", "--help"]),
        (["train", "cgcnn", "--data", "nonet"], ["datasets"]),
        (["benchmark", "--protocol", "nonet"], ["benchmark", "--list"]),
    ],
)
def test_the_command_that_an_error_names_lists_the_names(arguments, listing):
    with pytest.raises(UnknownNameError) as caught:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert f"`euhedral {' '.join(listing)}` lists all" in str(caught.value)
    assert CliRunner().invoke(app, listing, catch_exceptions=False).exit_code == 0


def test_results_that_are_not_there_are_not_shown_and_leave_no_folder(tmp_path):
    with pytest.raises(MissingDataError, match=r"no results of sample in .*give the folder above sample as --out"):
        CliRunner().invoke(
            app, ["benchmark", "--protocol", "sample", "--show", "--out", str(tmp_path / "no")], catch_exceptions=False
        )
    assert not (tmp_path / "no").exists()


def test_a_table_in_parquet_has_a_row_for_each_result_and_each_failure(tmp_path):
    rows = [{"id": "a", "gap": 1.5, "spectrum": [0.0, 1.0]}, {"id": "b", "gap": 2.5, "spectrum": [2.0]}]
    write_rows(tmp_path / "t.parquet", rows=rows, failures=[Failure(reason="no atoms", id="c", stage="read")])
    frame = pd.read_parquet(tmp_path / "t.parquet")
    assert frame["id"].tolist() == ["a", "b", "c"]
    assert frame["gap"].tolist()[:2] == [1.5, 2.5]
    assert frame["spectrum"][0].tolist() == [0.0, 1.0]
    assert frame["error"].fillna("").tolist() == ["", "", "no atoms"]


def test_compiling_is_said_once_and_only_where_something_is_compiled(capsys):
    @njit
    def first(x):
        return x + 1

    first(1)
    with progress(quiet=False):
        first(1)
    assert capsys.readouterr().err == ""
    with progress(quiet=False):
        first(1.5)
        first(np.ones(2))
    assert capsys.readouterr().err.count("compiling") == 1
