import pytest

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.models.registry import ROWS
from euhedral.training.settings import (
    AdamW,
    Cosine,
    Exponential,
    SquaredLoss,
    Steps,
    TrainingSettings,
    settings_of,
)


def test_a_table_gives_the_settings_that_it_names():
    table = {
        "epochs": 30, "optimizer": {"name": "adamw", "learning_rate": 1e-3}, "loss": "squared",
        "schedule": {"name": "steps", "milestones": [0.5, 0.75]},
    }  # fmt: skip
    assert settings_of(table, whose="here") == TrainingSettings(
        epochs=30, optimizer=AdamW(learning_rate=1e-3), loss=SquaredLoss(), schedule=Steps((0.5, 0.75))
    )


@pytest.mark.parametrize(
    ("table", "error", "match"),
    [
        ({"epoch": 3}, UnknownNameError, "did you mean epochs"),
        ({"loss": "cubed"}, UnknownNameError, "cubed"),
        ({"optimizer": {"name": "adam", "rate": 1.0}}, InvalidRequestError, "unexpected keyword"),
    ],
)
def test_a_table_with_a_mistake_is_refused_in_one_line(table, error, match):
    with pytest.raises(error, match=match):
        settings_of(table, whose="here")


@pytest.mark.parametrize("candidate", ROWS, ids=lambda candidate: candidate.name)
def test_every_row_of_the_registry_has_settings_that_can_be_read(candidate):
    assert isinstance(settings_of(candidate.training, whose=candidate.name), TrainingSettings)


def test_schedules_begin_and_end_where_they_say():
    assert (Exponential(end=0.01)(0.0), Exponential(end=0.01)(0.5), Exponential(end=0.01)(1.0)) == pytest.approx(
        (1, 0.1, 0.01)
    )
    assert (Cosine()(0.0), Cosine()(0.5), Cosine()(1.0)) == pytest.approx((1.0, 0.5, 0.0))
    assert Cosine(warmup=0.1)(0.05) == pytest.approx(0.5)
