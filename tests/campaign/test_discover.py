from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from euhedral.campaign.ledger import Ledger
from euhedral.campaign.proposers import Proposer
from euhedral.campaign.question import Question
from euhedral.campaign.run import command_line, discover
from euhedral.core.files import read
from euhedral.errors import RunFolderError, UnknownNameError

QUESTION = Question(elements=("Li", "O"), targets=("band_gap > 1",), candidates=5, steps=60)


def quiet(what, finished, total):
    pass


@pytest.fixture(scope="module")
def proposers(swap):
    return [
        Proposer("sulfides", swap(["Na", "S"], into=["Li", "O"]), ordered=True),
        Proposer("peroxides", swap(["K", "O"], into=["Li", "O"]), ordered=True),
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, proposers, small_predictor):
    folder = tmp_path_factory.mktemp("run")
    report = discover(QUESTION, folder=folder, progress=quiet, proposers=proposers, predictor=small_predictor)
    return folder, report


def test_a_run_ends_with_ranked_new_crystals_on_disk(finished):
    folder, report = finished
    assert 1 <= len(report.candidates) <= 5
    table = pq.read_table(folder / "candidates.parquet").to_pylist()
    assert [row["rank"] for row in table] == list(range(1, len(table) + 1))
    for row, candidate in zip(table, report.candidates, strict=True):
        (crystal,) = read(folder / row["cif"])
        assert len(crystal) == len(candidate.crystal)
        assert row["band_gap_lower"] <= row["band_gap"] <= row["band_gap_upper"]
        assert row["hull_distance_ev_per_atom"] == pytest.approx(candidate.hull_distance)
    assert "<html" in (folder / "report.html").read_text().lower()
    assert {p.name for p in (folder / "cifs").iterdir()} == {row["cif"].split("/")[1] for row in table}


def test_every_proposal_has_a_decision_with_its_reason(finished):
    folder, _ = finished
    decisions = [d for d in Ledger(folder / "ledger.sqlite").decisions() if d.stage == "filter"]
    assert {d.verdict for d in decisions} <= {"kept", "dropped"}
    assert all(d.reason for d in decisions if d.verdict == "dropped")
    # Li2O is antifluorite, as Na2S is: the swap gives a crystal that is known
    assert any(d.reason.startswith("known: the same as mp-") for d in decisions)


def test_new_candidates_are_not_known_and_come_before_known_ones(finished):
    _, report = finished
    marks = [bool(candidate.known) for candidate in report.candidates]
    assert marks == sorted(marks)


def test_the_same_command_on_the_same_folder_computes_nothing_again(finished, proposers, small_predictor, monkeypatch):
    folder, report = finished

    def refuse(*args, **kwargs):
        raise AssertionError("a crystal was relaxed again")
        yield

    def nothing(potential, crystals, **options):
        return iter(()) if not list(crystals) else refuse()

    monkeypatch.setattr("euhedral.campaign.discover.relax_stream", nothing)
    again = discover(QUESTION, folder=folder, progress=quiet, proposers=proposers, predictor=small_predictor)
    assert [c.crystal.id for c in again.candidates] == [c.crystal.id for c in report.candidates]


def test_a_run_that_is_stopped_goes_on_to_the_same_candidates(tmp_path, finished, proposers, small_predictor):
    _, report = finished
    calls = []

    def stop(what, done, total):
        calls.append(what)
        if what == "relaxing" and calls.count("relaxing") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        discover(QUESTION, folder=tmp_path, progress=stop, proposers=proposers, predictor=small_predictor)
    assert "stopped before its end" in (tmp_path / "report.html").read_text()
    assert len(pq.read_table(tmp_path / "candidates.parquet")) >= 1
    again = discover(QUESTION, folder=tmp_path, progress=quiet, proposers=proposers, predictor=small_predictor)
    assert sorted(c.crystal.id for c in again.candidates) == sorted(c.crystal.id for c in report.candidates)
    for ours, first in zip(again.candidates, report.candidates, strict=True):
        assert ours.hull_distance == pytest.approx(first.hull_distance, abs=2e-3)


def test_another_question_does_not_touch_the_folder(finished, small_predictor):
    folder, _ = finished
    before = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".parquet", ".html", ".json")
    }
    with pytest.raises(RunFolderError, match="candidates"):
        discover(Question(elements=("Li", "O"), candidates=9), folder=folder, progress=quiet, predictor=small_predictor)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_an_untrained_property_is_refused_before_anything_is_made(tmp_path, small_predictor):
    question = Question(elements=("Li", "O"), targets=("hardness > 10",))
    with pytest.raises(UnknownNameError, match="hardness"):
        discover(question, folder=tmp_path / "run", progress=quiet, predictor=small_predictor)
    assert not (tmp_path / "run").exists()


def test_the_report_tells_the_command_that_asks_again(finished):
    folder, report = finished
    assert report.command == command_line(QUESTION, folder=folder)
    assert "--steps 60" in report.command
    assert json.loads((folder / "run.json").read_text())["question"]["candidates"] == 5
