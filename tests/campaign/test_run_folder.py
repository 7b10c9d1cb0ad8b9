from __future__ import annotations

import json

import pytest

from euhedral.campaign.question import Question
from euhedral.campaign.run_folder import RunFolder
from euhedral.errors import InvalidRequestError, RunFolderError, UnknownNameError

QUESTION = Question(elements=("Li", "Mn", "O"), targets=("band_gap > 1",), candidates=8)


def test_a_question_survives_the_folder(tmp_path):
    with RunFolder(tmp_path / "run", question=QUESTION) as run:
        assert not run.resumed
        assert Question.from_json(run.head["question"]) == QUESTION
        assert "torch" in run.head["versions"]
    with RunFolder(tmp_path / "run", question=QUESTION) as run:
        assert run.resumed


def test_another_question_is_refused_by_its_difference(tmp_path):
    with RunFolder(tmp_path, question=QUESTION):
        pass
    with pytest.raises(RunFolderError, match="candidates is 8 there and 9 here"):
        RunFolder(tmp_path, question=Question(elements=("Li", "Mn", "O"), targets=("band_gap > 1",), candidates=9))


def test_two_runs_cannot_have_one_folder(tmp_path):
    with RunFolder(tmp_path, question=QUESTION), pytest.raises(RunFolderError, match="in use"):
        RunFolder(tmp_path, question=QUESTION)
    with RunFolder(tmp_path, question=QUESTION):
        pass


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot write"):
        RunFolder(tmp_path / "file" / "run", question=QUESTION)


def test_a_damaged_head_is_refused(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunFolderError, match="not a run's"):
        RunFolder(tmp_path, question=QUESTION)
    (tmp_path / "run.json").write_text(json.dumps({"question": {"elements": "Li"}, "x": 1}))


def test_elements_are_a_set():
    assert Question(elements=("O", "Li", "Li")).elements == ("Li", "O")


@pytest.mark.parametrize(
    "fields", [{"elements": ()}, {"elements": ("Li",), "candidates": 0}, {"elements": ("Li",), "fmax": 0.0},
               {"elements": ("Li", "O"), "max_atoms": 1}]
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        Question(**fields)


def test_an_unknown_element_is_refused():
    with pytest.raises(UnknownNameError, match="Xx"):
        Question(elements=("Xx",))
