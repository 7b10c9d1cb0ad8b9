from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.cells import supercell
from euhedral.geometry.point_group import cartesian_point_group


def test_orders_are_those_of_the_crystal_classes(crystals):
    orders = {"fcc": 48, "heusler": 48, "hexagonal": 12, "triclinic": 1, "one_atom": 48, "vacuum": 24}
    assert {name: len(cartesian_point_group(crystals[name])) for name in orders} == orders


def test_a_supercell_has_the_rotations_that_its_own_shape_would_forbid(crystals):
    longer = supercell(crystals["fcc"], matrix=[2, 1, 3])
    assert len(cartesian_point_group(longer)) == 48


def test_operations_map_the_crystal_on_itself(crystals):
    crystal = crystals["hexagonal"]
    cart = crystal.frac @ crystal.cell
    inverse = np.linalg.inv(crystal.cell)
    for rotation in cartesian_point_group(crystal):
        turned = cart @ rotation.T
        # some translation brings the turned atoms on atoms of the same element
        shifts = cart[crystal.numbers == 30] - turned[crystal.numbers == 30][0]
        assert any(
            all(
                min(np.abs((d := (p - q) @ inverse) - np.round(d)).max() for q in cart[crystal.numbers == z]) < 1e-6
                for p, z in zip(turned + shift, crystal.numbers, strict=True)
            )
            for shift in shifts
        )


def test_a_noisy_crystal_has_an_exact_group(crystals):
    rng = np.random.default_rng(0)
    crystal = crystals["heusler"]
    noisy = crystal.replace(
        cell=crystal.cell @ (np.eye(3) + rng.normal(scale=2e-4, size=(3, 3))),
        frac=crystal.frac + rng.normal(scale=2e-4, size=crystal.frac.shape),
    )
    group = cartesian_point_group(noisy)
    assert len(group) == 48
    assert np.allclose(group @ group.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    products = (group[:, None] @ group[None]).reshape(-1, 9)
    nearest = np.abs(products[:, None] - group.reshape(-1, 9)).max(2).min(1)
    assert nearest.max() < 1e-12
    assert len(cartesian_point_group(noisy, symprec=1e-5)) < 48


def test_atoms_that_overlap_have_no_group():
    twice = Crystal(cell=4.0 * np.eye(3), frac=[[0, 0, 0], [1e-6, 0, 0]], numbers=[3, 3], id="twice")
    with pytest.raises(InvalidCrystalError, match="twice"):
        cartesian_point_group(twice)
