from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError


def test_a_batch_gives_back_what_went_in(crystals):
    batch = CrystalBatch.from_crystals(list(crystals.values()), dtype=torch.float64)
    for before, after in zip(crystals.values(), batch.to_crystals(), strict=True):
        np.testing.assert_allclose(after.cell, before.cell)
        np.testing.assert_allclose(after.frac, before.frac)
        np.testing.assert_array_equal(after.numbers, before.numbers)
        assert after.id == before.id


def test_derived_indices_belong_to_their_crystals(crystals):
    batch = CrystalBatch.from_crystals([crystals["triclinic"], crystals["fcc"], crystals["heusler"]])
    assert batch.crystal_idx.tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
    assert batch.offsets.tolist() == [0, 3, 4, 8]


def test_cartesian_coordinates_use_each_crystals_own_cell(crystals):
    chosen = [crystals["triclinic"], crystals["hexagonal"]]
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    np.testing.assert_allclose(batch.cart.numpy(), np.concatenate([item.cart for item in chosen]), atol=1e-14)


def test_select_takes_crystals_in_the_order_given(crystals):
    batch = CrystalBatch.from_crystals(
        [crystals["triclinic"], crystals["fcc"], crystals["heusler"]], dtype=torch.float64
    )
    chosen = batch.select(torch.tensor([2, 0]))
    assert chosen.ids == ("heusler", "triclinic")
    np.testing.assert_allclose(chosen.to_crystals()[1].frac, crystals["triclinic"].frac)


def test_strain_deforms_the_cell_and_keeps_fractional_coordinates(crystals):
    batch = CrystalBatch.from_crystals([crystals["triclinic"]], dtype=torch.float64)
    strain = torch.zeros(1, 3, 3, dtype=torch.float64)
    strain[0, 0, 1] = 0.1
    strained = batch.strained(strain)
    expected = crystals["triclinic"].cell @ (np.eye(3) + strain[0].numpy())
    np.testing.assert_allclose(strained.cell[0].numpy(), expected)
    assert strained.frac is batch.frac


def test_an_unknown_target_is_nan(crystals):
    known = crystals["fcc"].replace(props={"band_gap": 1.5})
    batch = CrystalBatch.from_crystals([known, crystals["heusler"]], targets=["band_gap"])
    assert batch.targets["band_gap"][0] == 1.5
    assert torch.isnan(batch.targets["band_gap"][1])


def test_an_empty_batch_is_refused():
    with pytest.raises(InvalidRequestError, match="at least one"):
        CrystalBatch.from_crystals([])
