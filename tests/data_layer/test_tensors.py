"""Tensors: Voigt's notation, axes, and the symmetry that they must have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.crystal import Crystal
from euhedral.data.dataset import Dataset
from euhedral.data.tensors import (
    full_tensor,
    in_standard_axes,
    symmetrized,
    symmetry_error,
    turned,
    voigt_tensor,
    written_out,
)
from euhedral.errors import InvalidRequestError
from euhedral.geometry.point_group import cartesian_point_group
from euhedral.geometry.symmetry import symmetry
from euhedral.nn.cartesian_irreps import symmetry_of


def zincblende() -> Crystal:
    """Primitive cell."""
    return Crystal(
        cell=2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), frac=[[0, 0, 0], [0.25, 0.25, 0.25]], numbers=[31, 33]
    )


def rotation() -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    return turn * np.sign(np.linalg.det(turn))


def test_stiffness_in_voigt_order_has_the_components_that_hookes_law_says():
    stiffness = np.zeros((6, 6))
    stiffness[3, 3] = 7.0  # C_44 = C_yzyz
    full = full_tensor(stiffness)
    assert full[1, 2, 1, 2] == full[2, 1, 1, 2] == full[2, 1, 2, 1] == 7.0
    assert np.count_nonzero(full) == 4
    # energy 1/2 C_44 gamma^2 of the shear strain gamma = 2 e_yz
    strain = np.zeros((3, 3))
    strain[1, 2] = strain[2, 1] = 0.5 * 0.01
    assert np.isclose(0.5 * np.einsum("ijkl,ij,kl", full, strain, strain), 0.5 * 7.0 * 0.01**2)


@pytest.mark.parametrize("shape", [(3, 6), (6, 6)])
def test_voigts_notation_and_all_indices_say_the_same(shape):
    tensor = np.random.default_rng(0).random(shape)
    tensor = tensor + tensor.T if shape == (6, 6) else tensor
    np.testing.assert_allclose(voigt_tensor(full_tensor(tensor)), tensor, atol=1e-15)


def test_another_shape_is_refused():
    with pytest.raises(InvalidRequestError, match=r"got \(4, 4\)"):
        full_tensor(np.zeros((4, 4)))


def test_the_point_group_is_orthogonal_closed_and_of_the_known_size(crystals):
    for crystal, size in ((zincblende(), 24), (crystals["fcc"], 48), (crystals["triclinic"], 1)):
        group = cartesian_point_group(crystal)
        assert len(group) == size
        np.testing.assert_allclose(
            group @ group.transpose(0, 2, 1), np.broadcast_to(np.eye(3), group.shape), atol=1e-12
        )
        product = group[-1] @ group[len(group) // 2]
        assert np.abs(group - product).max(axis=(1, 2)).min() < 1e-12


def test_a_cubic_dielectric_tensor_is_isotropic_and_zincblende_has_one_piezoelectric_constant():
    group = cartesian_point_group(zincblende())
    rng = np.random.default_rng(1)
    isotropic = symmetrized(rng.random((3, 3)), group=group)
    np.testing.assert_allclose(isotropic, np.eye(3) * isotropic[0, 0], atol=1e-14)
    piezo = voigt_tensor(symmetrized(full_tensor(rng.random((3, 6))), group=group))
    expected = np.zeros((3, 6))
    expected[0, 3] = expected[1, 4] = expected[2, 5] = piezo[0, 3]
    np.testing.assert_allclose(piezo, expected, atol=1e-14)
    assert abs(piezo[0, 3]) > 0.1


def test_the_error_is_that_of_the_wrong_axes_and_vanishes_when_crystal_and_tensor_turn_together():
    crystal = zincblende()
    e14 = np.zeros((3, 6))
    e14[[0, 1, 2], [3, 4, 5]] = 0.5
    tensor = full_tensor(e14)
    turn = rotation()
    turned_crystal = crystal.replace(cell=crystal.cell @ turn.T)
    assert symmetry_error(tensor, group=cartesian_point_group(crystal)) < 1e-12
    assert symmetry_error(tensor, group=cartesian_point_group(turned_crystal)) > 0.3
    assert symmetry_error(turned(tensor, rotation=turn), group=cartesian_point_group(turned_crystal)) < 1e-12
    assert symmetry_error(np.zeros((3, 3)), group=cartesian_point_group(crystal)) == 0.0


def test_standard_axes_are_found_from_any_orientation(crystals):
    for crystal in (zincblende(), crystals["hexagonal"], crystals["heusler"]):
        turn = rotation()
        tilted = crystal.replace(cell=crystal.cell @ turn.T)
        upright = in_standard_axes(tilted, found=symmetry(tilted))
        np.testing.assert_allclose(upright.lengths, crystal.lengths, atol=1e-12)
        np.testing.assert_allclose(upright.angles, crystal.angles, atol=1e-10)
        found = symmetry(upright)
        conventional = (upright.cell.T @ found.linear).T
        np.testing.assert_allclose(conventional, found.standard.cell, atol=1e-6)


def test_a_quarter_turn_puts_a_along_y(crystals):
    hexagonal = crystals["hexagonal"]
    upright = in_standard_axes(hexagonal, found=symmetry(hexagonal), a_along_y=True)
    found = symmetry(hexagonal)
    a = (upright.cell.T @ found.linear).T[0]
    np.testing.assert_allclose(a / np.linalg.norm(a), [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 6), (6, 6)])
def test_a_column_in_voigts_order_is_written_out_and_what_is_not_known_stays_so(shape):
    rng = np.random.default_rng(0)
    crystals = [
        Crystal(cell=3 * np.eye(3), frac=[[0, 0, 0]], numbers=[29], id=f"c{i}", props={"gap": 1.0 + i} | ({"t": rng.normal(size=shape)} if i else {}))
        for i in range(4)
    ]  # fmt: skip
    whole = Dataset.from_crystals(crystals, targets=["t", "gap"])
    full = written_out(whole[1:], names=["t", "gap", "none"])
    for before, after in zip(crystals[1:], full, strict=True):
        np.testing.assert_array_equal(after.props["t"], full_tensor(before.props["t"]))
        assert after.props["gap"] == before.props["gap"]
    unknown = written_out(whole, names=["t"])
    assert unknown.known("t").tolist() == [False, True, True, True]
    assert "t" not in unknown[0].props
    assert written_out(whole, names=["gap"]) is whole
    assert len(written_out(whole[:0], names=["t"])) == 0


def test_index_symmetries_of_labels_with_errors_are_found_and_one_tensor_without_it_is_enough():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 3, 3))
    values += values.swapaxes(1, 2)
    noisy = torch.from_numpy(values * (1 + 0.002 * rng.normal(size=values.shape)))
    assert symmetry_of(noisy) == "ij=ji"
    noisy[7, 0, 1] += 0.1 * noisy[7].norm()
    assert symmetry_of(noisy) == ""
    assert symmetry_of(torch.ones(2, 3, 3, 3)) == "ijk=jik=ikj"
    assert symmetry_of(torch.ones(2, 3)) == ""
