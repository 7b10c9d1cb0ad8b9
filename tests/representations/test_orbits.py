import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.representations.orbits import Messages, Orbits, grouped


def ring(values):
    """Four atoms of one element in a ring, each getting a message from the next."""
    return Messages.of(
        torch.tensor([1, 2, 3, 0]), torch.tensor([0, 1, 2, 3]), np.array(values)[:, None], crystal=np.zeros(4, np.int64),
        tolerance=0.01,
    )  # fmt: skip


def test_values_within_the_tolerance_are_one_and_take_their_mean():
    messages = ring([1.0, 3.0, 1.006, 3.0])
    assert messages.label.tolist() == [0, 1, 0, 1]
    assert np.allclose(messages.values, [[1.003], [3.0]])


def test_a_message_that_differs_spreads_around_the_ring(crystals):
    cell = crystals["fcc"].replace(numbers=[13] * 4, frac=np.random.default_rng(0).random((4, 3)))
    batch = CrystalBatch.from_crystals([cell], dtype=torch.float64)
    assert Orbits.of(batch, [ring([1.0, 1.0, 1.0, 1.0])]).count.tolist() == [4]
    assert Orbits.of(batch, [ring([1.0, 2.0, 1.0, 2.0])]).node.tolist() == [0, 1, 0, 1]
    assert Orbits.of(batch, [ring([2.0, 1.0, 1.0, 1.0])]).count.tolist() == [1, 1, 1, 1]


def test_merged_messages_are_those_to_the_first_atom_of_each_orbit(crystals):
    cell = crystals["fcc"].replace(numbers=[13] * 4, frac=np.random.default_rng(0).random((4, 3)))
    batch = CrystalBatch.from_crystals([cell], dtype=torch.float64)
    messages = ring([1.0, 2.0, 1.0, 2.0])
    kept, of, to, values, weight = messages.merged(Orbits.of(batch, [messages]), weights=np.array([5.0, 7.0, 0.0, 0.0]))
    assert kept.tolist() == [0, 1]
    assert (of.tolist(), to.tolist()) == ([1, 0], [0, 1])
    assert values[:, 0].tolist() == [1.0, 2.0]
    assert weight.tolist() == [5.0, 7.0]


def test_groups_are_in_the_order_of_their_columns():
    one, group = grouped(np.array([1, 0, 1, 0]), np.array([2, 5, 1, 5]))
    assert one.tolist() == [1, 2, 0]
    assert group.tolist() == [2, 0, 1, 0]
