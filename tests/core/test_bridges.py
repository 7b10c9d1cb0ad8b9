from __future__ import annotations

import sys

import numpy as np
import pytest

from euhedral.core.bridges import from_ase, from_pymatgen, to_ase, to_pymatgen
from euhedral.errors import DisorderedCrystalError, InvalidCrystalError, MissingDependencyError


@pytest.fixture
def labelled(crystal):
    count = len(crystal)
    charges = np.where(np.arange(count) % 3 == 2, np.nan, 2.0)
    return crystal.replace(
        props={"band_gap": 1.5},
        site={"magmom": np.linspace(-1, 1, count), "oxidation_state": charges, "forces": np.ones((count, 3)) / 7},
    )


@pytest.mark.parametrize(("there", "back"), [(to_pymatgen, from_pymatgen), (to_ase, from_ase)])
def test_there_and_back_is_the_same_crystal(labelled, there, back):
    returned = back(there(labelled))
    assert returned.id == labelled.id
    assert returned.props["band_gap"] == 1.5
    np.testing.assert_array_equal(returned.numbers, labelled.numbers)
    np.testing.assert_allclose(returned.cell, labelled.cell, rtol=0, atol=1e-12)
    away = returned.frac - labelled.frac
    assert np.abs(away - np.round(away)).max() < 1e-12
    assert set(returned.site) == set(labelled.site)
    for key, values in labelled.site.items():
        np.testing.assert_array_equal(returned.site[key], values)


def test_cells_keep_their_rows(crystals):
    triclinic = crystals["triclinic"]
    np.testing.assert_allclose(to_pymatgen(triclinic).lattice.matrix, triclinic.cell)
    np.testing.assert_allclose(to_ase(triclinic).cell.array, triclinic.cell)
    np.testing.assert_allclose(to_pymatgen(triclinic).cart_coords, triclinic.cart, atol=1e-12)
    np.testing.assert_allclose(to_ase(triclinic).positions, triclinic.cart, atol=1e-12)


def test_charges_become_species(crystals):
    structure = to_pymatgen(crystals["triclinic"].replace(site={"oxidation_state": [1.0, np.nan, -2.0]}))
    assert [str(site.specie) for site in structure] == ["Li+", "Mn", "O2-"]


def test_disorder_is_refused():
    from pymatgen.core import Structure

    for species in ({"Fe": 0.5, "Mn": 0.5}, {"Fe": 0.9}):
        with pytest.raises(DisorderedCrystalError, match="'alloy': site 1"):
            from_pymatgen(Structure(4 * np.eye(3), ["O", species], [[0, 0, 0], [0.5, 0.5, 0.5]]), id="alloy")


def test_a_molecule_and_a_slab_are_refused_with_the_cure():
    from ase import Atoms

    with pytest.raises(InvalidCrystalError, match=r"atoms.center\(vacuum=10\)"):
        from_ase(Atoms("OH", positions=[[0, 0, 0], [0, 0, 1]]))
    with pytest.raises(InvalidCrystalError, match=r"set atoms.pbc = True"):
        from_ase(Atoms("O", cell=[3, 3, 20], pbc=[True, True, False]))


@pytest.mark.parametrize(("function", "package"), [(to_pymatgen, "pymatgen"), (to_ase, "ase")])
def test_a_missing_package_names_the_command(monkeypatch, crystals, function, package):
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.core", None)
    with pytest.raises(MissingDependencyError, match=f"pip install {package}"):
        function(crystals["fcc"])
