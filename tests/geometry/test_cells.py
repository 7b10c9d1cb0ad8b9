from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import conventional, niggli, primitive, right_handed, supercell, with_cell


def distances(crystal, n=40):
    from euhedral.geometry.neighbours import neighbours_within

    found = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=6.0)
    return np.sort(found.distance)[: n * len(crystal)]


def test_a_supercell_has_the_same_distances_and_its_multiple_of_atoms(crystals):
    for name in ("triclinic", "heusler", "hexagonal"):
        crystal = crystals[name]
        larger = supercell(crystal, matrix=[[1, 1, 0], [0, 2, 0], [1, 0, -1]])
        assert len(larger) == 2 * len(crystal)
        assert larger.volume == pytest.approx(2 * crystal.volume)
        np.testing.assert_allclose(distances(larger)[::2], distances(crystal), atol=1e-9)


def test_the_primitive_cell_undoes_a_supercell(crystals):
    for name in ("triclinic", "fcc", "heusler", "hexagonal", "vacuum", "one_atom"):
        crystal = crystals[name]
        again = primitive(supercell(crystal, matrix=[2, 1, 3]))
        assert len(again) == len(crystal)
        assert again.volume == pytest.approx(crystal.volume)
        np.testing.assert_allclose(distances(again), distances(crystal), atol=1e-6)


def test_the_niggli_cell_is_the_one_that_pymatgen_finds(crystals):
    from pymatgen.core import Lattice

    for crystal in crystals.values():
        skewed = with_cell(crystal, matrix=[[1, 3, 0], [0, 1, 0], [2, 0, 1]])
        reduced = niggli(skewed)
        expected = Lattice(crystal.cell).get_niggli_reduced_lattice()
        np.testing.assert_allclose(sorted(reduced.lengths), sorted(expected.abc), atol=1e-4)
        assert reduced.volume == pytest.approx(crystal.volume)


def test_a_left_handed_cell_is_turned_without_moving_atoms(crystals):
    crystal = crystals["triclinic"]
    mirrored = crystal.replace(cell=crystal.cell[[1, 0, 2]], frac=crystal.frac[:, [1, 0, 2]])
    assert np.linalg.det(mirrored.cell) < 0
    turned = right_handed(mirrored)
    assert np.linalg.det(turned.cell) > 0
    np.testing.assert_allclose(distances(turned), distances(mirrored), atol=1e-9)


def test_the_conventional_cell_of_fcc_has_four_atoms(crystals):
    cubic = conventional(crystals["fcc"])
    assert len(cubic) == 4
    np.testing.assert_allclose(cubic.cell, np.eye(3) * 4.05, atol=1e-9)


@pytest.mark.parametrize("matrix", [[[1, 0, 0], [0, 1, 0], [0, 0, 2]], [[1, 0, 0], [0, 1, 0], [0, 0, 0.5]]])
def test_a_matrix_that_changes_the_volume_is_refused(crystals, matrix):
    with pytest.raises(InvalidRequestError, match="determinant"):
        with_cell(crystals["fcc"], matrix=matrix)


def test_a_flat_supercell_is_refused():
    crystal = Crystal(cell=np.eye(3) * 3, frac=[[0, 0, 0]], numbers=[6], id="flat")
    with pytest.raises(InvalidRequestError, match="spans no volume"):
        supercell(crystal, matrix=[1, 1, 0])


def test_real_crystals_reduce_to_as_many_atoms_as_spglib_finds():
    import spglib

    from euhedral.data import load

    sample = load("mp-20-sample")
    for index in range(0, 1600, 50):
        crystal = sample[index]
        cell = (crystal.cell, crystal.frac, crystal.numbers)
        assert len(primitive(crystal)) == len(spglib.find_primitive(cell, symprec=0.01)[2]), crystal.id
        standard = spglib.standardize_cell(cell, symprec=0.01)
        cubic = conventional(crystal)
        assert len(cubic) == len(standard[2]), crystal.id
        assert cubic.volume == pytest.approx(abs(np.linalg.det(standard[0])), rel=1e-3)


def test_real_crystals_have_the_niggli_cells_that_pymatgen_finds():
    from pymatgen.core import Lattice

    from euhedral.data import load

    sample = load("mp-20-sample")
    for index in range(0, 1600, 40):
        crystal = sample[index]
        expected = Lattice(crystal.cell).get_niggli_reduced_lattice()
        reduced = niggli(with_cell(crystal, matrix=[[1, 2, 0], [0, 1, 0], [0, -1, 1]]))
        np.testing.assert_allclose(sorted(reduced.lengths), sorted(expected.abc), atol=1e-3, err_msg=crystal.id)
        assert reduced.volume == pytest.approx(crystal.volume)
        assert len(reduced) == len(crystal)


def test_sites_keep_their_values_in_other_cells(crystals):
    crystal = crystals["triclinic"].replace(site={"moment": np.array([1.0, 5.0, 0.5])}, props={"band_gap": 1.0})
    larger = supercell(crystal, matrix=[2, 1, 1])
    assert dict(zip(larger.numbers.tolist(), larger.site["moment"].tolist(), strict=True)) == {3: 1.0, 25: 5.0, 8: 0.5}
    again = primitive(larger)
    assert dict(zip(again.numbers.tolist(), again.site["moment"].tolist(), strict=True)) == {3: 1.0, 25: 5.0, 8: 0.5}
    assert niggli(crystal).props["band_gap"] == 1.0
