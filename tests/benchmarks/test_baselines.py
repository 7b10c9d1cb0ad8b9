import numpy as np
import pytest

from euhedral.benchmarks.baselines import BASELINES, predict_baseline
from euhedral.benchmarks.protocol import Parts
from euhedral.core.crystal import Crystal
from euhedral.tasks.targets import Category, Scalar, Spectrum


def rock_salt(cation, anion, **props):
    return Crystal(
        cell=np.eye(3) * 4.0,
        frac=[[0, 0, 0], [0.5, 0.5, 0.5]],
        numbers=[cation, anion],
        props=props,
        id=f"{cation}-{anion}",
    )


def parts():
    train = [
        rock_salt(11, anion, x=float(anion), s=np.arange(3.0) * anion, c=float(anion > 20)) for anion in (9, 17, 35, 53)
    ]
    test = [rock_salt(19, anion, x=0.0, s=np.zeros(3), c=0.0) for anion in (9, 53)]
    return Parts(train=train, validation=train, test=test)


KINDS = {"x": Scalar("x"), "s": Spectrum("s", size=3), "c": Category("c")}


def test_the_nearest_composition_gives_its_own_labels():
    predicted, *_ = predict_baseline("nearest-composition", parts=parts(), kinds=KINDS, seed=0)
    assert predicted["x"].tolist() == [9.0, 53.0]
    assert predicted["s"].tolist() == [[0.0, 9.0, 18.0], [0.0, 53.0, 106.0]]
    assert predicted["c"].argmax(1).tolist() == [0, 1]


def test_the_constant_is_the_median_of_numbers_and_the_mean_of_spectra():
    predicted, *_ = predict_baseline("constant", parts=parts(), kinds=KINDS, seed=0)
    assert predicted["x"].tolist() == [26.0, 26.0]
    assert predicted["s"][0].tolist() == [0.0, 28.5, 57.0]
    assert predicted["c"][0].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_answers_in_the_shape_of_the_target(name):
    if name == "random-forest":
        pytest.importorskip("sklearn")
    predicted, *_ = predict_baseline(name, parts=parts(), kinds=KINDS, seed=0)
    assert {key: value.shape for key, value in predicted.items()} == {"x": (2,), "s": (2, 3), "c": (2, 2)}
