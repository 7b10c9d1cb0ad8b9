"""Progress and lists on the way out."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from euhedral.cli import app
from euhedral.cli.output import progress
from euhedral.errors import UnknownNameError


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
