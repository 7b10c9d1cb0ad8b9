from __future__ import annotations

import pytest
import torch

from euhedral.errors import FileFormatError, MissingDataError
from euhedral.tasks.weights import Weights, load_weights, save_weights


def test_weights_round_trip(tmp_path):
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3).t(), "steps": torch.tensor(3)}
    save_weights(tmp_path / "w", weights=Weights("cgcnn", {"width": 64}, tensors, {"split": "official"}))
    again = load_weights(tmp_path / "w")
    assert (again.system, again.config, again.card) == ("cgcnn", {"width": 64}, {"split": "official"})
    assert torch.equal(again.tensors["a.weight"], tensors["a.weight"])


def test_a_missing_folder_names_the_cure(tmp_path):
    with pytest.raises(MissingDataError, match="euhedral systems"):
        load_weights(tmp_path / "nothing")


def test_a_pickle_in_disguise_is_refused(tmp_path):
    save_weights(tmp_path, weights=Weights("cgcnn", {}, {"a": torch.zeros(1)}))
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(FileFormatError, match="does not hold weights"):
        load_weights(tmp_path)


def test_a_foreign_config_is_refused(tmp_path):
    save_weights(tmp_path, weights=Weights("cgcnn", {}, {"a": torch.zeros(1)}))
    (tmp_path / "config.json").write_text('{"width": 64}')
    with pytest.raises(FileFormatError, match="expected format"):
        load_weights(tmp_path)
