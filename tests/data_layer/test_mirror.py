"""The known sets, whole, from the mirror that EUHEDRAL_DATA names; skipped where there is none."""

from __future__ import annotations

import os

import numpy as np
import pytest

from euhedral.data import load, require_disjoint
from euhedral.data.compositions import composition_sources, load_compositions
from euhedral.data.overlaps import _table
from euhedral.data.sources import sources
from euhedral.errors import InvalidRequestError
from euhedral.testing.dataset import DATASET_CHECKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("EUHEDRAL_DATA"), reason="EUHEDRAL_DATA names no mirror"),
]

#: Rows that are rejected; all others are kept.
REJECTED = {"mp-piezoelectric-tensors": 2}
LARGE = ("mp-20", "mp-crysxpp", "perov-5", "carbon-24")
#: Published for Matbench's "Dummy", the mean of the training part: mean, and largest of the five folds.
DUMMY = {
    "matbench-phonons": (323.98222624, 348.257637178),
    "matbench-dielectric": (0.8088, 0.9218),
    "matbench-jdft2d": (67.2851, 83.1220),
}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    # a cache that is given is used, so that nothing is converted twice
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("EUHEDRAL_CACHE"):
            patch.setenv("EUHEDRAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", [name for name in sources() if name not in LARGE])
def test_every_row_is_kept_or_accounted_for(name):
    dataset = load(name)
    assert dataset.card.audit.read == sources()[name].count
    assert dataset.card.audit.read - len(dataset) == REJECTED.get(name, 0)
    for check in DATASET_CHECKS:
        check(dataset)


@pytest.mark.parametrize("name", [name for name in _table()["sets"] if name not in LARGE])
def test_the_table_of_shared_materials_is_of_these_sets(name):
    assert load(name).card.sha256 == _table()["sets"][name]["sha256"]


@pytest.mark.parametrize("name", DUMMY)
def test_order_and_folds_are_the_published_ones(name):
    dataset = load(name)
    (target,) = dataset.targets
    errors = []
    for fold in range(5):
        parts = dataset.split(f"fold-{fold}")
        errors.append(np.abs(parts["test"].column(target) - parts["train"].column(target).mean()).mean())
    assert abs(np.mean(errors) - DUMMY[name][0]) < 1e-4 * DUMMY[name][0]
    assert abs(np.max(errors) - DUMMY[name][1]) < 1e-4 * DUMMY[name][1]


@pytest.mark.parametrize(
    ("name", "mean", "spread"),
    [("matbench-log-kvrh", 0.2897, 0.0043), ("matbench-log-gvrh", 0.2931, 0.0031), ("matbench-steels", 229.7445, 9.6958),
     ("matbench-expt-gap", 1.1435, 0.0310), ("matbench-perovskites", 0.5660, 0.0048), ("matbench-mp-gap", 1.3272, 0.0060)],
)  # fmt: skip
def test_folds_of_compositions_are_the_published_ones(name, mean, spread):
    dataset = load_compositions(name)
    (target,) = dataset.targets
    parts = [dataset.split(f"fold-{fold}") for fold in range(5)]
    errors = [np.abs(p["test"].column(target) - p["train"].column(target).mean()).mean() for p in parts]
    assert abs(np.mean(errors) - mean) < 1e-4 * mean + 5e-5
    assert abs(np.std(errors) - spread) < 6e-5


@pytest.mark.parametrize("name", composition_sources())
def test_every_composition_is_read(name):
    dataset = load_compositions(name)
    assert len(dataset) == composition_sources()[name].rows
    np.testing.assert_allclose(dataset.amounts.sum(axis=1), 1.0)
    assert np.isfinite(dataset.column(dataset.targets[0])).all()


def test_training_on_tensors_for_the_dielectric_benchmark_is_refused_in_every_fold():
    tensors, benchmark = load("mp-dielectric-tensors"), load("matbench-dielectric")
    for fold in range(5):
        test = benchmark.split(f"fold-{fold}")["test"]
        with pytest.raises(InvalidRequestError, match="materials of matbench-dielectric"):
            require_disjoint(tensors, test=test)
        rest = tensors.without(test)
        assert len(tensors) - len(rest) > 150
        require_disjoint(rest, test=test)
