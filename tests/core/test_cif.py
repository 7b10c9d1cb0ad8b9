from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.composition import formula
from euhedral.core.files import parse, read, write
from euhedral.core.files.cif import SAME_SITE
from euhedral.errors import (
    DisorderedCrystalError,
    FileFormatError,
    InvalidCrystalError,
    UnknownNameError,
)

CELL = """data_{name}
_cell_length_a {a}
_cell_length_b {b}
_cell_length_c {c}
_cell_angle_alpha {alpha}
_cell_angle_beta {beta}
_cell_angle_gamma {gamma}
"""
SITES = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
"""


def cif(sites: str, *, head: str = "", name: str = "test", cell=(4, 4, 4, 90, 90, 90), table: str = SITES) -> str:
    a, b, c, alpha, beta, gamma = cell
    return CELL.format(name=name, a=a, b=b, c=c, alpha=alpha, beta=beta, gamma=gamma) + head + table + sites + "\n"


def one(text: str):
    (crystal,) = parse(text, format="cif", name="test")
    return crystal


def named(symbol: str) -> str:
    return f"_symmetry_space_group_name_H-M '{symbol}'\n"


def test_uncertainties_quotes_comments_and_text_fields_are_read():
    text = """# a comment
data_rutile
_journal_name 'a dog's life'   # the quote inside ends nothing
_publ_section_title
;
 loop_ data_ _cell_length_a 99 : text, not tags
;
_cell_length_a 4.594(3)
_cell_length_b 4.594(3)
_cell_length_c 2.9586(2)
_cell_angle_alpha 90
_cell_angle_beta 90.000
_cell_angle_gamma 90.
_symmetry_space_group_name_H-M P 42/m n m
loop_
_atom_site_label
_atom_site_fract_x _atom_site_fract_y _atom_site_fract_z
Ti1 0 0 0
O1 0.3053(12) 0.3053(12) .0
"""
    crystal = one(text)
    assert formula(crystal.numbers, reduced=False) == "Ti2O4"
    assert crystal.lengths == pytest.approx([4.594, 4.594, 2.9586])
    titanium = crystal.frac[crystal.numbers == 22]
    assert sorted(map(tuple, titanium.tolist())) == [(0, 0, 0), (0.5, 0.5, 0.5)]


def test_carriage_returns_latin_1_and_a_byte_order_mark_are_read(tmp_path):
    text = cif("Na1 Na+ 0 0 0 1\nCl1 Cl- .5 .5 .5 1", head="_publ_author 'Müller'\n")
    plain = one(text)
    (tmp_path / "latin.cif").write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    (tmp_path / "mark.cif").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "wide.cif").write_bytes(text.encode("utf-16"))
    for name in ("latin", "mark", "wide"):
        (crystal,) = read(tmp_path / f"{name}.cif")
        assert crystal.id == name
        np.testing.assert_array_equal(crystal.frac, plain.frac)


@pytest.mark.parametrize(
    "tag", ["_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz", "_space_group_symop.operation_xyz"]
)
def test_operations_are_applied_under_old_and_new_names(tag):
    head = f"loop_\n{tag}\n'x, y, z'\n'x+1/2, y+0.5, z'\n1/2+x,y,1/2+z\nX,Y+.5,Z+.5\n"
    crystal = one(cif("Cu1 Cu 0 0 0 1", head=head))
    assert sorted(map(tuple, crystal.frac.tolist())) == [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]


def test_operations_that_nobody_quoted_are_read():
    head = "loop_\n_symmetry_equiv_pos_site_id\n_symmetry_equiv_pos_as_xyz\n1 x, y, z\n2 -x, -y, -z\n"
    assert len(one(cif("C1 C 0.1 0.2 0.3 1", head=head))) == 2


def test_rounded_special_positions_become_one_exact_atom():
    # 2c of P6_3/mmc, written as crystallographers do
    crystal = one(cif("Mg1 Mg 0.3333 0.6667 0.25 1", head=named("P 63/m m c"), cell=(3.21, 3.21, 5.21, 90, 90, 120)))
    assert len(crystal) == 2
    order = np.argsort(crystal.frac[:, 2])
    np.testing.assert_allclose(crystal.frac[order], [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], atol=1e-12)


def test_images_farther_apart_than_the_tolerance_stay_apart():
    cell = (10, 10, 10, 90, 90, 90)
    near, far = 0.45 * SAME_SITE / 10, 0.55 * SAME_SITE / 10
    assert len(one(cif(f"C1 C {near} 0 0 1", head=named("P -1"), cell=cell))) == 1
    assert len(one(cif(f"C1 C {far} 0 0 1", head=named("P -1"), cell=cell))) == 2


@pytest.mark.parametrize(
    ("symbol", "count"),
    [
        ("F m -3 m", 4),
        ("F m 3 m", 4),
        ("Fm-3m", 4),
        ("F d -3 m :2", 16),
        ("F d -3 m S", 8),
        ("P m -3 m", 1),
        ("I 4/m m m", 2),
    ],
)
def test_a_symbol_stands_for_its_operations(symbol, count):
    assert len(one(cif("Na1 Na 0 0 0 1", head=named(symbol)))) == count


def test_a_hall_symbol_and_a_number_stand_for_their_operations():
    assert len(one(cif("Na1 Na 0 0 0 1", head="_symmetry_space_group_name_Hall '-F 4 2 3'\n"))) == 4
    assert len(one(cif("Na1 Na 0 0 0 1", head="_space_group_IT_number 225\n"))) == 4


def test_the_cell_decides_between_axes():
    site = "Na1 Na 0.1 0.2 0.3 1"
    hexagonal = one(cif(site, head=named("R 3"), cell=(5, 5, 9, 90, 90, 120)))
    rhombohedral = one(cif(site, head=named("R 3"), cell=(5, 5, 5, 70, 70, 70)))
    assert (len(hexagonal), len(rhombohedral)) == (9, 3)
    unique_c = one(cif(site, head=named("P 2/m"), cell=(5, 6, 7, 90, 90, 100)))
    assert {tuple(row) for row in np.round(unique_c.frac, 6).tolist()} == {
        (0.1, 0.2, 0.3), (0.9, 0.8, 0.7), (0.9, 0.8, 0.3), (0.1, 0.2, 0.7)
    }  # fmt: skip


def test_the_formula_decides_between_origins_and_silence_is_refused():
    spinel = "Mg1 Mg 0.125 0.125 0.125 1\nAl1 Al 0.5 0.5 0.5 1\nO1 O 0.2624 0.2624 0.2624 1"
    cell = (8.08, 8.08, 8.08, 90, 90, 90)
    crystal = one(cif(spinel, head=named("F d -3 m") + "_chemical_formula_sum 'Al2 Mg O4'\n", cell=cell))
    assert formula(crystal.numbers, reduced=False) == "Mg8Al16O32"
    with pytest.raises(FileFormatError, match=r"origin open.*add the symmetry operations"):
        one(cif(spinel, head=named("F d -3 m"), cell=cell))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (named("P 9 7"), "not one of the known settings"),
        (named("P 63/m m c"), "does not fit the cell"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,y\n", "not a symmetry operation"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-y,x,z\n", "do not form a group"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n2x,y,z\n", "does not keep the volume"),
        ("loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\nx/0,1/0+y,z\n", "symmetry operation"),
    ],
)
def test_wrong_symmetry_is_refused(head, message):
    with pytest.raises(FileFormatError, match=message):
        one(cif("Na1 Na 0.1 0.2 0.3 1", head=head))


@pytest.mark.parametrize(
    ("sites", "site"),
    [
        ("Fe1 Fe 0 0 0 0.5\nO1 O .5 .5 .5 1", "Fe1"),
        ("Fe1 Fe 0 0 0 1\nMn1 Mn 0.001 0 0 1", "Mn1"),
        ("Fe1 Fe 0 0 0 0.87(2)", "Fe1"),
        ("Fe1 Fe 0 0 0 0", "Fe1"),
    ],
)
def test_disorder_is_reported_by_the_name_of_the_site(sites, site):
    with pytest.raises(DisorderedCrystalError, match=site):
        one(cif(sites))


def test_a_disorder_group_is_reported():
    table = SITES + "_atom_site_disorder_group\n"
    with pytest.raises(DisorderedCrystalError, match=r"line 17: site 'C2' belongs to disorder group '1'"):
        one(cif("C1 C 0 0 0 1 .\nC2 C .5 .5 .5 1 1", table=table))


def test_an_occupancy_that_scatters_around_one_and_unknown_ones_are_full():
    assert len(one(cif("Fe1 Fe 0 0 0 1.0000(5)\nO1 O .5 .5 .5 ?\nO2 O .5 0 0 ."))) == 3


def test_atoms_listed_twice_are_one_atom():
    head = "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x,-y,-z\n"
    assert len(one(cif("C1 C 0.1 0.2 0.3 1\nC2 C 0.9 0.8 0.7 1", head=head))) == 2


def test_atoms_that_do_not_make_the_formula_are_refused():
    with pytest.raises(InvalidCrystalError, match=r"atoms make CaO2 but _chemical_formula_sum says Ca H2 O2.*delete"):
        one(cif("Ca1 Ca 0 0 0 1\nO1 O .3 .3 .3 1\nO2 O .7 .7 .7 1", head="_chemical_formula_sum 'Ca H2 O2'\n"))


def test_charges_are_kept_and_deuterium_is_hydrogen():
    crystal = one(cif("Fe1 Fe3+ 0 0 0 1\nO1 O2- .5 .5 .5 1\nD1 D .5 0 0 1\nCl1 Cl- 0 .5 0 1"))
    assert crystal.numbers.tolist() == [26, 8, 1, 17]
    np.testing.assert_array_equal(crystal.site["oxidation_state"], [3, -2, np.nan, -1])


def test_charges_stand_in_the_table_of_types_too():
    head = "loop_\n_atom_type_symbol\n_atom_type_oxidation_number\nFe 2.5\nO -2\n"
    crystal = one(cif("Fe1 Fe 0 0 0 1\nO1 O .5 .5 .5 1", head=head))
    np.testing.assert_array_equal(crystal.site["oxidation_state"], [2.5, -2])


@pytest.mark.parametrize(
    ("label", "head", "number"),
    [
        ("FE1", "_chemical_formula_sum Fe\n", 26),
        ("OW1", "", 8),
        ("Cl2A", "", 17),
        ("C12", "", 6),
        ("D", "", 1),
        ("Cs", "", 55),
    ],
)
def test_labels_name_elements_where_types_are_missing(label, head, number):
    table = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    assert one(cif(f"{label} 0 0 0", head=head, table=table)).numbers.tolist() == [number]


@pytest.mark.parametrize("label", ["Wat1", "M1", "CA1", "X", "T1b2"])
def test_labels_that_leave_the_element_open_are_refused(label):
    table = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"
    with pytest.raises(UnknownNameError, match=rf"line 13: site '{label}'.*_atom_site_type_symbol"):
        one(cif(f"{label} 0 0 0", table=table))


def test_moments_follow_magnetic_operations():
    head = "loop_\n_space_group_symop_magn_operation.xyz\nx,y,z,+1\nx,y+1/2,z,-1\n"
    tail = (
        "Mn1 Mn 0 0 0 1\nloop_\n_atom_site_moment.label\n_atom_site_moment.crystalaxis_x\n"
        "_atom_site_moment.crystalaxis_y\n_atom_site_moment.crystalaxis_z\nMn1 0 0 3.5(1)\n"
    )
    crystal = one(cif(tail, head=head))
    np.testing.assert_allclose(crystal.site["magmom"], [[0, 0, 3.5], [0, 0, -3.5]])


def test_blocks_without_a_structure_are_passed_over_and_the_others_are_named(tmp_path):
    path = tmp_path / "many.cif"
    path.write_text("data_global\n_publ_author me\n" + cif("Na1 Na 0 0 0 1", name="I") + cif("K1 K 0 0 0 1", name="II"))
    assert [crystal.id for crystal in read(path)] == ["many_I", "many_II"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "data_a\n_cell_length_a 3\n",
            r"test: block 'a' has no atoms .*it ends after _cell_length_a; the file may be cut short",
        ),
        (
            cif("", table="loop_\n_symmetry_equiv_pos_as_xyz\n'x,y,z'\n"),
            "it ends after _symmetry_equiv_pos_as_xyz; the file may",
        ),
        (cif("", table=SITES[:60]), "line 8: the atom table ends in its head, after _atom_site_"),
        (
            cif(""),
            "line 8: the atom table ends in its head, after _atom_site_occupancy, without an atom; the file may be cut",
        ),
        (cif("Na1 Na 0 0 zero 1"), r"line 15: _atom_site_fract_z of site 'Na1' is 'zero', expected a number"),
        (cif("Na1 Na 0 0 1"), r"line 15: the atom table has 5 values"),
        (cif("Na1 Na 0 0 0 1", cell=("?", 4, 4, 90, 90, 90)), "_cell_length_a has no value"),
        (cif("Na1 Na 0 0 0 1", cell=("long", 4, 4, 90, 90, 90)), "line 2: _cell_length_a is 'long'"),
        (cif("").replace("fract", "Cartn"), "export fractional coordinates"),
        ("data_1ABC\n_cell.length_a 50\nloop_\n_atom_site.group_PDB\n_atom_site.Cartn_x\nATOM 1\n", "macromolecule"),
        ("data_a\n_title\n;\nnever closed\n", "line 3: the text field"),
        ("nothing of the kind", "no data block"),
    ],
)
def test_a_file_that_is_not_a_structure_says_where_and_why(text, message):
    with pytest.raises(FileFormatError, match=message):
        one(text)


@pytest.mark.parametrize(
    "text",
    [
        cif("Na1 Na 0 0 nan 1"),
        cif("Na1 Na 0 0 inf 1"),
        cif("Na1 Na 0 0 0 1", cell=(4, 4, 0, 90, 90, 90)),
        cif("Na1 Na 0 0 0 1", cell=(4, 4, 4, 20, 20, 160)),
        cif("Na1 Na 0 0 0 1.5"),
    ],
)
def test_a_structure_that_cannot_be_is_refused(text):
    with pytest.raises(InvalidCrystalError, match="line"):
        one(text)


def test_an_unknown_element_names_the_line():
    with pytest.raises(UnknownNameError, match="line 15: site 'Xx1'"):
        one(cif("Xx1 Xx 0 0 0 1"))


def test_written_crystals_are_read_back(tmp_path, crystals):
    originals = [
        crystal.replace(
            props={"band_gap": 1.25, "unknown": float("nan")},
            site={"magmom": np.linspace(-1, 1, len(crystal)), "forces": np.ones((len(crystal), 3)) / 3,
                  "oxidation_state": np.where(crystal.numbers == 8, -2.0, 1.0)},
        )
        for crystal in crystals.values()
    ]  # fmt: skip
    back = read(write(tmp_path / "all.cif", crystals=originals))
    for before, after in zip(originals, back, strict=True):
        assert after.id == f"all_{before.id}"
        np.testing.assert_array_equal(after.numbers, before.numbers)
        np.testing.assert_array_equal(after.frac, before.frac)
        np.testing.assert_allclose(after.lengths, before.lengths, rtol=1e-14)
        np.testing.assert_allclose(after.angles, before.angles, rtol=1e-13)
        assert after.props["band_gap"] == 1.25
        assert np.isnan(after.props["unknown"])
        for key, values in before.site.items():
            np.testing.assert_array_equal(after.site[key], values)


def test_pymatgen_reads_what_is_written(crystal):
    from pymatgen.core import Structure

    from euhedral.core.files.cif_writer import cif_from_crystals

    if len(crystal) > 100:
        pytest.skip("pymatgen takes seconds on 500 atoms")
    structure = Structure.from_str(cif_from_crystals([crystal]), fmt="cif")
    assert structure.atomic_numbers == tuple(crystal.numbers.tolist())
    np.testing.assert_allclose(structure.lattice.abc, crystal.lengths, rtol=1e-9)


def test_the_same_structure_as_pymatgen_reads():
    from pymatgen.core import Structure

    text = cif(
        "Zn1 Zn2+ 0.3333 0.6667 0 1\nO1 O2- 0.3333 0.6667 0.382 1",
        head=named("P 63 m c") + "loop_\n_symmetry_equiv_pos_as_xyz\n"
        "x,y,z\n-y,x-y,z\n-x+y,-x,z\n-x,-y,z+1/2\ny,-x+y,z+1/2\nx-y,x,z+1/2\n-y,-x,z\n-x+y,y,z\nx,x-y,z\n"
        "y,x,z+1/2\nx-y,-y,z+1/2\n-x,-x+y,z+1/2\n",
        cell=(3.25, 3.25, 5.21, 90, 90, 120),
    )
    ours, theirs = one(text), Structure.from_str(text, fmt="cif")
    away = ours.frac[:, None] - theirs.frac_coords
    away -= np.round(away)
    apart = np.linalg.norm(away @ ours.cell, axis=2)
    apart[ours.numbers[:, None] != np.array(theirs.atomic_numbers)] = np.inf
    assert len(ours) == len(theirs) == 4
    assert apart.min(axis=1).max() < 1e-3
