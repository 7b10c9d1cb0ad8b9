"""What the recorded results of the benchmark must show; they are made by `euhedral benchmark` and scripts/record_benchmark.py."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from euhedral.benchmarks.baselines import BASELINES
from euhedral.benchmarks.protocol import protocol
from euhedral.models.registry import ROWS

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "property"
RECORDED = sorted(folder.name for folder in RESULTS.iterdir())


def table(name):
    return pq.read_table(RESULTS / name / "results.parquet").to_pylist()


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_results_are_of_the_protocol_as_it_is_now(name):
    rows = table(name)
    known = {*BASELINES, *(row.name for row in ROWS)}
    assert {row["version"] for row in rows} == {protocol(name).version}
    assert {row["target"] for row in rows} == set(protocol(name).kinds)
    for record in RESULTS.joinpath(name).glob("*/record.json"):
        told = json.loads(record.read_text(encoding="utf-8"))
        assert told.get("row", told["system"]) in known
    for system in {row["system"] for row in rows}:
        jobs = list(RESULTS.joinpath(name).glob(f"{system}_*"))
        assert jobs, system
        assert all((job / "predictions.parquet").exists() for job in jobs)


@pytest.mark.parametrize("name", RECORDED)
def test_every_prediction_that_a_table_was_made_from_is_finite(name):
    for file in (RESULTS / name).glob("*/predictions.parquet"):
        for column in pq.read_table(file).columns[1:]:
            assert np.isfinite(np.array(column.to_pylist(), dtype=float)).all(), file


def test_spectral_systems_beat_the_mean_spectrum_and_the_nearest_composition():
    error = {row["system"]: row["error"] for row in table("phonon-dos-quick")}
    for system in ("e3nn", "dostransformer", "d-alignn", "ae-alignn"):
        assert error[system] < min(error["constant"], error["nearest-composition"])
    assert error["ae-alignn"] < error["d-alignn"]


def test_the_best_spectral_system_is_better_than_what_is_in_print():
    best = min(table("phonon-dos-quick"), key=lambda row: row["error"])
    assert best["error"] < 0.083  # Mat2Spec, doi:10.1038/s41467-022-28543-x
    assert best["r2"] > 0.63
