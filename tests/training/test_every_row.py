import numpy as np
import pytest

from euhedral.data import load
from euhedral.models.registry import ROWS
from euhedral.tasks.targets import CartesianTensor, Category, Spectrum, kinds_of
from euhedral.training.predictor import Predictor
from euhedral.training.recipes import EnsembleRecipe, train_ensemble
from euhedral.training.settings import Constant, TrainingSettings

MODELS = [row for row in ROWS if row.wing == "property"]


def labels(kind, *, rng):
    if isinstance(kind, CartesianTensor):
        half = rng.normal(size=(3,) * kind.rank)
        return half + np.swapaxes(half, 0, 1) if kind.rank == 2 else half
    return rng.uniform(size=kind.size) if isinstance(kind, Spectrum) else float(rng.normal())


@pytest.mark.parametrize("row", MODELS, ids=lambda row: row.name)
def test_a_trained_row_predicts_crystals_without_labels(row, tmp_path):
    """What a system needs beside the crystal is its conditions, never its targets."""
    rng = np.random.default_rng(0)
    tiny = row.load()(**row.tiny)
    kinds = {name: kind for name, kind in kinds_of(tiny).items() if not isinstance(kind, Category)}
    given = dict.fromkeys(getattr(tiny, "inputs", ()), 0.5)
    plain = list(load("mp-20-sample").split("official")["train"])[:32]
    plain = [
        crystal.replace(props=given, site=dict.fromkeys(getattr(tiny, "site_inputs", ()), crystal.numbers % 2))
        for crystal in plain
    ]
    labelled = [
        crystal.replace(props={**given, **{name: labels(kind, rng=rng) for name, kind in kinds.items()}})
        for crystal in plain
    ]
    recipe = EnsembleRecipe(
        system=row.name, members=1, config={name: value for name, value in row.tiny.items() if name != "targets"},
        targets=list(kinds.values()),
        settings=TrainingSettings(epochs=1, batch_size=9, schedule=Constant(), clip=1.0),
    )  # fmt: skip
    predictor = train_ensemble(recipe, train=labelled[:18], validation=labelled[18:28], work=tmp_path / "work")
    predictor.save(tmp_path / "weights")
    answers = Predictor.load(tmp_path / "weights").predict(plain[28:])
    assert set(answers) == set(kinds)
    assert all(np.isfinite(answer.value).all() for answer in answers.values())
