"""Electrostatics of point charges: the constants of textbooks, and another program."""

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.ewald import coulomb_energy, madelung_constant, site_potentials

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
STRUCTURES = {
    "NaCl": (Crystal(cell=2.82 * FCC, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11, 17]), 1.747564594633182),
    "CsCl": (Crystal(cell=4.12 * np.eye(3), frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[55, 17]), 1.762674773070988),
    "ZnS": (Crystal(cell=2.7 * FCC, frac=[[0, 0, 0], [0.25, 0.25, 0.25]], numbers=[30, 16]), 1.638055053388789),
}


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("charge", [1.0, -2.0])
def test_madelung_constants_are_those_of_textbooks(name, charge):
    crystal, expected = STRUCTURES[name]
    assert madelung_constant(crystal, charges=[charge, -charge]) == pytest.approx(expected, abs=1e-9)


def test_madelung_constant_of_fluorite_by_the_energy():
    crystal = Crystal(
        cell=2.73 * FCC, frac=[[0, 0, 0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]], numbers=[20, 9, 9], id="CaF2"
    )
    energy = coulomb_energy(crystal, charges=[2, -1, -1])
    distance = np.sqrt(3) / 4 * 2 * 2.73
    assert -energy * distance / (2 * 14.399645478) == pytest.approx(2.519392439, abs=1e-8)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "vacuum", "large"])
def test_energy_is_that_of_pymatgen(crystals, name):
    from pymatgen.analysis.ewald import EwaldSummation
    from pymatgen.core import Structure

    crystal = crystals[name]
    charges = np.random.default_rng(2).normal(size=len(crystal))
    charges -= charges.mean()
    structure = Structure(crystal.cell, crystal.numbers, crystal.frac, site_properties={"charge": charges})
    structure.add_oxidation_state_by_site(charges.tolist())
    theirs = EwaldSummation(structure, acc_factor=14.0).total_energy
    # pymatgen's constant differs in the ninth digit
    ours = coulomb_energy(crystal, charges=charges)
    assert ours == pytest.approx(theirs, abs=2e-6 * np.abs(charges).sum())


def test_energy_doubles_with_the_cell(crystals):
    crystal = crystals["triclinic"]
    charges = np.array([1.0, 2.0, -3.0])
    large = supercell(crystal.replace(site={"charge": charges}), matrix=[1, 2, 1])
    once, twice = coulomb_energy(crystal, charges=charges), coulomb_energy(large, charges=large.site["charge"])
    assert twice == pytest.approx(2.0 * once, abs=1e-7)


def test_charged_cell_stands_in_a_background():
    # the energy of one point charge in its own neutralising background (Wigner)
    crystal = Crystal(cell=5.0 * np.eye(3), frac=[[0.2, 0.3, 0.4]], numbers=[1])
    energy = coulomb_energy(crystal, charges=[1.0])
    assert energy == pytest.approx(-0.5 * 14.399645478 * 2.837297479480619 / 5.0, abs=1e-8)


def test_energy_is_half_of_charges_in_their_potentials(crystals):
    charges = np.array([1.0, 1.0, -1.0, -1.0])
    potential = site_potentials(crystals["hexagonal"], charges=charges)
    energy = coulomb_energy(crystals["hexagonal"], charges=charges)
    assert energy == pytest.approx(0.5 * charges @ potential, abs=1e-7)


def test_no_charges_have_no_energy(crystals):
    assert coulomb_energy(crystals["fcc"], charges=[0.0]) == 0.0


def test_wrong_requests_are_refused(crystals):
    fcc = crystals["fcc"]
    for call, message in (
        (lambda: coulomb_energy(fcc, charges=[1.0, -1.0]), "1 atoms need that many finite charges, got 2"),
        (lambda: coulomb_energy(fcc, charges=[np.nan]), "finite charges"),
        (lambda: coulomb_energy(fcc, charges=[1.0], accuracy=-1.0), "positive number"),
        (lambda: coulomb_energy(fcc, charges=[1.0], accuracy=1e-20), "beyond double precision"),
        (lambda: madelung_constant(fcc, charges=[0.0]), "no charge"),
        (lambda: madelung_constant(fcc, charges=[1.0], atom=3), "no atom 3"),
    ):
        with pytest.raises(InvalidRequestError, match=message):
            call()
