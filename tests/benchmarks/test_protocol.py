from importlib.resources import files

import numpy as np
import pytest

from euhedral.benchmarks.protocol import parts_of, protocol, protocols, read_protocol
from euhedral.data.catalogue import SHIPPED
from euhedral.data.sources import sources
from euhedral.errors import FileFormatError, UnknownNameError


@pytest.mark.parametrize("name", protocols())
def test_every_protocol_names_data_that_can_be_loaded(name):
    assert protocol(name).dataset in {*SHIPPED, *sources()}
    assert protocol(name).kinds


def test_the_same_crystals_are_taken_every_time_and_no_part_shares_any():
    first, second = (parts_of(protocol("sample"), split="official") for _ in range(2))
    assert first.test.ids.tolist() == second.test.ids.tolist()
    ids = [set(part.ids.tolist()) for part in (first.train, first.validation, first.test)]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert not ids[1] & ids[2]


def test_a_split_without_validation_part_gets_one_from_the_training_part():
    parts = parts_of(protocol("sample"), split="fold-1")
    assert 0 < len(parts.validation) <= 0.1 * (len(parts.train) + len(parts.validation)) + 1
    assert not np.isin(parts.validation.ids, parts.train.ids).any()


def test_mistakes_in_a_protocol_are_one_line():
    with pytest.raises(FileFormatError, match=r"own\.toml is no protocol: .*unexpected keyword"):
        read_protocol('name = "x"\nfolds = 3', where="own.toml")
    with pytest.raises(FileFormatError, match=r"own\.toml is no protocol"):
        read_protocol("name = ", where="own.toml")
    with pytest.raises(UnknownNameError, match="did you mean sample"):
        protocol("sampel")


def test_materials_of_the_training_part_are_left_out_of_the_test_where_a_protocol_says_so(monkeypatch):
    from dataclasses import replace

    from euhedral.benchmarks import protocol as module
    from euhedral.data.dataset import Dataset

    asked = replace(protocol("sample"), unseen_only=True)
    seen = []
    monkeypatch.setattr(Dataset, "without", lambda self, other: seen.append(len(other)) or self.select(np.arange(3)))
    parts = module.parts_of(asked, split="official")
    assert seen == [len(parts.train), len(parts.validation)]
    assert len(parts.test) == 3


def test_hyperparameters_that_were_published_for_the_data_fit_the_system():
    from euhedral.models.registry import row
    from euhedral.training.settings import settings_of

    found = 0
    for asked in protocols().values():
        for system, special in asked.hyperparameters.items():
            row(system).load()(**special["config"], targets=list(asked.targets))
            assert settings_of(special["training"], whose=system).epochs >= 100
            assert special["source"]
            found += 1
    assert found


def test_a_published_figure_for_some_of_the_splits_only_is_refused():
    text = (files("euhedral.benchmarks") / "protocols" / "matbench-phonons.toml").read_text(encoding="utf-8")
    with pytest.raises(FileFormatError, match="mine has 2 published figures, expected one for each of 5 splits"):
        read_protocol(text + "mine = [1.0, 2.0]\n", where="mine.toml")
