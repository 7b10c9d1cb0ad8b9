import csv
import sys

import pytest

from euhedral.errors import MissingDependencyError, UnknownNameError
from euhedral.training.loggers import CsvLogger, Journal, TensorBoardLogger, WandbLogger
from euhedral.training.loop import Epoch


def epoch(number: int, **validation: float) -> Epoch:
    return Epoch(number, 1.0 / number, validation, 0.1 / number, 0.5)


def table(path):
    with path.open(newline="") as file:
        return [
            (int(row["network"]), int(row["epoch"]), float(row["loss"]), row.get("validation gap", ""))
            for row in csv.DictReader(file)
        ]


def test_the_table_has_a_row_for_each_epoch_and_an_empty_field_where_nobody_looked(tmp_path):
    journal = Journal(tmp_path)
    journal.write(epoch(1))
    journal.write(epoch(2, gap=0.25))
    journal.write(epoch(1, gap=0.5), network=1)
    assert table(tmp_path / "history.csv") == [(0, 1, 1.0, ""), (0, 2, 0.5, "0.25"), (1, 1, 1.0, "0.5")]


def test_a_run_that_goes_on_keeps_what_was_before_and_adds_what_was_lost(tmp_path):
    path = tmp_path / "history.csv"
    CsvLogger(path).write(epoch(1), network=0)
    again = CsvLogger(path)  # killed between the checkpoint of epoch 2 and its row
    again.write(epoch(3), network=0)
    assert [row[1] for row in table(path)] == [1, 3]
    again.complete([epoch(1), epoch(2), epoch(3)], network=0)
    assert [row[1] for row in table(path)] == [1, 2, 3]


def test_a_run_that_begins_anew_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "history.csv"
    old = CsvLogger(path)
    for number in (1, 2, 3):
        old.write(epoch(number), network=0)
    old.write(epoch(1), network=1)
    CsvLogger(path).write(epoch(1, gap=2.0), network=0)
    assert table(path) == [(0, 1, 1.0, "2.0"), (1, 1, 1.0, "")]


def test_a_logger_that_does_not_exist_and_one_without_its_library_are_named(tmp_path, monkeypatch):
    with pytest.raises(UnknownNameError, match="tensorbord"):
        Journal(tmp_path, kinds=["tensorbord"])
    for module, make in (("torch.utils.tensorboard", TensorBoardLogger), ("wandb", WandbLogger)):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependencyError, match=r"euhedral\[loggers\]"):
            make(tmp_path)


def test_tensorboard_reads_the_curves(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    journal = Journal(tmp_path, kinds=["csv", "tensorboard"])
    for number in (1, 2):
        journal.write(epoch(number, gap=0.5))
    journal.close()
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(point.step, point.value) for point in found.Scalars("network 0/loss")] == [(1, 1.0), (2, 0.5)]
    assert "network 0/validation gap" in found.Tags()["scalars"]


def test_wandb_keeps_the_curves_on_disk(tmp_path):
    pytest.importorskip("wandb")
    journal = Journal(tmp_path, kinds=["wandb"])
    journal.write(epoch(1, gap=0.5))
    journal.close()
    assert list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
