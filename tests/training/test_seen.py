import numpy as np
import torch

from euhedral.core.crystal import Crystal
from euhedral.data.overlaps import _table
from euhedral.training.seen import joined, material_keys, unseen


def crystal(name, number=14, n=1):
    return Crystal(cell=np.eye(3) * 3.0, frac=np.arange(3.0 * n).reshape(n, 3) / 7.0, numbers=[number] * n, id=name)


def test_one_material_has_one_key_whatever_a_data_set_calls_it():
    other, name = next((key, value) for key, value in _table()["same"].items() if key != value)
    first, second = material_keys([crystal(name), crystal(other)]).tolist()
    assert first == second


def test_equal_names_of_unlike_things_in_own_data_are_not_one_material():
    assert len(set(material_keys([crystal("1"), crystal("1", number=6), crystal("2")]).tolist())) == 3
    assert material_keys([crystal("1"), crystal("1", n=2)]).unique().numel() == 1  # a larger cell


def test_what_was_learnt_from_is_left_out_and_what_has_no_name_is_not():
    seen = joined(material_keys([crystal("a"), crystal("")]), material_keys([crystal("b"), crystal("a")]))
    assert seen.numel() == 2
    left = unseen([crystal("a"), crystal("c"), crystal("b"), crystal("")], seen=seen)
    assert [one.id for one in left] == ["c", ""]
    assert len(unseen([crystal("a")], seen=torch.zeros(0, dtype=torch.int64))) == 1
