from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch, ValueShape, value_shapes
from euhedral.core.crystal import Crystal
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


def spectra(crystals) -> list[Crystal]:
    """Three crystals of 3, 1 and 4 atoms; the second has no spectrum, the third no moments."""
    rng = np.random.default_rng(0)
    first, second, third = (crystals[name] for name in ("triclinic", "fcc", "heusler"))
    return [
        first.replace(
            props={"dos": rng.random(51), "temperature": 300},
            site={"moment": rng.random(3), "slab": [True, False, True]},
        ),
        second.replace(props={"temperature": 10.0}, site={"moment": [2.0], "slab": [False]}),
        third.replace(props={"dos": rng.random(51), "temperature": 77.0}, site={"slab": [True] * 4}),
    ]


def test_arrays_of_crystals_and_values_of_atoms_are_stacked_with_nan_where_not_known(crystals):
    chosen = spectra(crystals)
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64, targets=["dos", "moment"])
    assert batch.targets["dos"].shape == (3, 51)
    np.testing.assert_array_equal(batch.targets["dos"][2].numpy(), chosen[2].props["dos"])
    assert torch.isnan(batch.targets["dos"][1]).all()
    assert batch.targets["moment"].shape == (8,)
    np.testing.assert_array_equal(batch.targets["moment"][:4].numpy(), [*chosen[0].site["moment"], 2.0])
    assert torch.isnan(batch.targets["moment"][4:]).all()


def test_inputs_travel_with_the_crystals(crystals):
    batch = CrystalBatch.from_crystals(spectra(crystals), targets=["moment"], inputs=["temperature", "slab"])
    assert batch.inputs["temperature"].tolist() == [300.0, 10.0, 77.0]
    assert batch.inputs["slab"].dtype == torch.bool
    chosen = batch.to(dtype=torch.float64).strained(torch.zeros(3, 3, 3)).select(torch.tensor([2, 0]))
    assert chosen.inputs["temperature"].tolist() == [77.0, 300.0]
    assert chosen.inputs["temperature"].dtype == torch.float64
    assert chosen.inputs["slab"].tolist() == [True] * 4 + [True, False, True]
    assert torch.isnan(chosen.targets["moment"][:4]).all()


def test_a_crystal_without_an_input_is_named(crystals):
    chosen = spectra(crystals)
    chosen[1] = chosen[1].replace(props={"pressure": 1.0})
    with pytest.raises(InvalidRequestError, match=r"crystal 'fcc': no 'temperature'.*it has: moment, pressure, slab"):
        CrystalBatch.from_crystals(chosen, inputs=["temperature"])
    chosen[1] = chosen[1].replace(props={"temperature": float("nan")})
    with pytest.raises(InvalidRequestError, match=r"crystal 'fcc': its input 'temperature' is not finite"):
        CrystalBatch.from_crystals(chosen, inputs=["temperature"])


def test_shapes_of_a_whole_set_hold_for_a_piece_without_values(crystals):
    chosen = spectra(crystals)
    shapes = value_shapes(chosen, names=["dos", "moment", "hardness"])
    assert shapes == {"dos": ValueShape(shape=(51,)), "moment": ValueShape(per_atom=True), "hardness": ValueShape()}
    piece = CrystalBatch.from_crystals([chosen[2].replace(props={})], targets=["dos", "moment"], shapes=shapes)
    assert piece.targets["dos"].shape == (1, 51)
    assert piece.targets["moment"].shape == (4,)


def test_values_of_two_shapes_under_one_name_are_refused(crystals):
    one = crystals["fcc"].replace(props={"dos": np.zeros(51)})
    other = crystals["heusler"].replace(props={"dos": np.zeros(50)})
    with pytest.raises(InvalidRequestError, match=r"crystal 'heusler': 'dos' is an array \(50,\) of each crystal, but"):
        CrystalBatch.from_crystals([one, other], targets=["dos"])
    both = crystals["fcc"].replace(props={"moment": 1.0}, site={"moment": [1.0]})
    with pytest.raises(InvalidRequestError, match="both of the whole crystal and of its atoms"):
        CrystalBatch.from_crystals([both], targets=["moment"])
    with pytest.raises(InvalidRequestError, match="expected numbers"):
        CrystalBatch.from_crystals([crystals["fcc"].replace(props={"name": "copper"})], targets=["name"])
