from dataclasses import replace

import numpy as np
import pytest

from euhedral.benchmarks.page import page
from euhedral.benchmarks.protocol import protocol
from euhedral.benchmarks.scores import adjusted, determination

pytest.importorskip("matplotlib")


def row(system, target, error, **more):
    return {
        "protocol": "sample", "system": system, "target": target, "unit": "eV", "error": error, "low": 0.9 * error, "high": 1.1 * error,
        "r2": 0.9, "coverage": float("nan"), "crystals": 100, "beats_composition": None, **more,
    }  # fmt: skip


def network(system, target, error, *, beats):
    costs = {
        "epochs": 2.5, "published_epochs": 300.0, "parameters": 1e5, "seconds_per_epoch": 3.0, "inference_ms_per_crystal": 0.5,
        "peak_memory_mb": 500.0,
    }  # fmt: skip
    return row(system, target, error, beats_composition=beats, **costs)


def test_a_page_says_what_beats_the_composition_and_what_chance_may_have_done():
    results = [
        entry
        for target in ("formation_energy_per_atom", "band_gap")
        for entry in (
            network("cgcnn", target, 0.1, beats=True), network("schnet", target, 0.3, beats=False), row("constant", target, 0.2),
        )
    ]  # fmt: skip
    pairs = [
        {"target": "band_gap", "first": "cgcnn", "second": "schnet", "p": 1e-9},
        {"target": "band_gap", "first": "cgcnn", "second": "constant", "p": 0.4},
    ]
    files = page(protocol("sample"), results=results, pairs=pairs, failures=[("roost_official_0", "no memory")])
    text = files["index.md"].split("## band_gap")[1]
    assert "| cgcnn | 0.1 | 0.09 to 0.11 | 0.900 | - | - | yes | - | 2.5 of 300 |" in text
    assert "| schnet | 0.3 | 0.27 to 0.33 | 0.900 | - | yes (p < 0.001) | no |" in text
    assert "| constant | 0.2 | 0.18 to 0.22 | 0.900 | - | not shown (p 0.4) | - |" in text
    assert "roost_official_0: no memory" in text
    drawings = [name for name in files if name.endswith(".svg")]
    assert len(drawings) == 3
    assert all(f"({name})" in files["index.md"] for name in drawings)
    assert files == page(protocol("sample"), results=results, pairs=pairs, failures=[("roost_official_0", "no memory")])


def test_a_page_says_when_another_time_than_the_protocols_was_given():
    results = [network("cgcnn", target, 0.1, beats=None) for target in ("formation_energy_per_atom", "band_gap")]
    told = [
        page(protocol("sample"), results=[{**row, "minutes": m} for row in results], pairs=[])["index.md"]
        for m in (1.0, 0.3)
    ]
    assert "Training: 1 minutes for" in told[0]
    assert "0.3 minutes for some systems, which is not the protocol's time" in told[1]


def test_a_page_says_which_systems_lack_folds():
    results = [network("cgcnn", target, 0.1, beats=None) for target in ("formation_energy_per_atom", "band_gap")]
    asked = replace(protocol("sample"), splits=("fold-0", "fold-1"))
    assert (
        "over those that are: cgcnn 1."
        in page(asked, results=[{**row, "folds": 1} for row in results], pairs=[])["index.md"]
    )
    assert "Not all" not in page(asked, results=[{**row, "folds": 2} for row in results], pairs=[])["index.md"]


def test_p_values_of_tests_made_together_are_raised_as_holm_says():
    assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjusted([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert np.all(np.array(adjusted([0.2, 0.001])) >= [0.2, 0.001])


def test_r2_is_pooled_over_all_numbers_of_all_crystals():
    truth = np.array([[0.0, 1.0], [2.0, np.nan]])
    assert determination(truth, truth) == 1.0
    assert determination(np.full((2, 2), 1.0), truth) == pytest.approx(0.0)
    assert determination(np.array([[0.0, 1.0], [1.0, 5.0]]), truth) == pytest.approx(1.0 - 1.0 / 2.0)


def test_a_page_names_the_source_of_settings_and_the_weights_that_a_network_began_from():
    asked = protocol("matbench-phonons")
    results = [
        {**network(name, "last_phdos_peak", 30.0, beats=True), "start": start}
        for name, start in (("megnet", ""), ("megnet-from-own", "weights of mp-20 without matbench-phonons"))
    ]
    text = page(asked, results=results, pairs=[])["index.md"]
    assert "megnet: kgcnn, doi:10.1016/j.simpa.2021.100095" in text
    assert "megnet-from-own begins from weights of mp-20 without matbench-phonons" in text
    assert "schnet: kgcnn" not in text  # no result of it stands there


def test_a_score_stands_beside_what_is_in_print_for_the_same_folds():
    asked = protocol("matbench-phonons")
    results = [
        {**network("megnet", "last_phdos_peak", 30.0, beats=None), "splits": "fold-0, fold-2", "folds": 2},
        {**network("roost", "last_phdos_peak", 80.0, beats=None), "splits": "fold-0", "folds": 1},
    ]
    text = page(asked, results=results, pairs=[])["index.md"]
    assert "| megnet (fold-0, fold-2 only) | 30 | 27 to 33 | 0.900 | 28.44 |" in text  # (31.6159 + 25.2700) / 2
    assert "| roost (fold-0 only) | 80 | 72 to 88 | 0.900 | - |" in text
    assert "megnet 28.76 (28.44 on fold-0, fold-2)" in text


def test_a_page_says_whose_training_is_not_the_published_one():
    results = [network(name, "last_phdos_peak", 30.0, beats=None) for name in ("cgcnn", "megnet")]
    ours = page(replace(protocol("matbench-phonons"), hyperparameters={}), results=results, pairs=[])["index.md"]
    theirs = page(protocol("matbench-phonons"), results=results, pairs=[])["index.md"]
    assert "**cgcnn: trained as was found good" in ours
    assert "found good" not in theirs
