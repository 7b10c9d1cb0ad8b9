"""CIF as text: what is written is fixed, and comes back within its rounding."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.data import load
from euhedral.errors import EuhedralError, FileFormatError, InvalidCrystalError
from euhedral.geometry.cells import niggli, primitive, with_cell
from euhedral.geometry.matching import Matcher
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import to_crystal
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.representations.cif_text.augmentation import permuted, translated
from euhedral.representations.cif_text.cif_format import CifFormat
from euhedral.representations.cif_text.plain_formats import CoordinateFormat, PlainFormat

ROCK_SALT = """data_Na4Cl4
_symmetry_space_group_name_H-M Fm-3m
_cell_length_a 5.6400
_cell_length_b 5.6400
_cell_length_c 5.6400
_cell_angle_alpha 90.0000
_cell_angle_beta 90.0000
_cell_angle_gamma 90.0000
_symmetry_Int_Tables_number 225
_chemical_formula_structural NaCl
_chemical_formula_sum 'Na4 Cl4'
_cell_volume 179.4061
_cell_formula_units_Z 4
loop_
_symmetry_equiv_pos_site_id
_symmetry_equiv_pos_as_xyz
1 'x, y, z'
loop_
_atom_site_type_symbol
_atom_site_label
_atom_site_symmetry_multiplicity
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na Na0 4 0.0000 0.0000 0.0000 1
Cl Cl1 4 0.5000 0.5000 0.5000 1
"""
SALT = Crystal(
    cell=2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]),
    frac=[[0, 0, 0], [0.5, 0.5, 0.5]],
    numbers=[11, 17],
    id="NaCl",
)
FORMATS = [CifFormat(), CifFormat(symprec=None), CoordinateFormat(), PlainFormat()]
EXACT = Matcher(length_tolerance=1e-3, site_tolerance=2e-3, angle_tolerance=0.05)

WITHIN_SYMPREC = Matcher(length_tolerance=0.01, site_tolerance=0.01, angle_tolerance=0.5)


def farthest(first: Crystal, second: Crystal) -> float:
    """The largest difference of coordinates of crystals with the same atoms in the same order."""
    assert (first.numbers == second.numbers).all()
    apart = first.frac - second.frac
    return float(np.abs(apart - np.round(apart)).max())


def test_rock_salt_is_written_as_crystallm_writes_it():
    assert CifFormat().write(SALT) == ROCK_SALT
    assert len(CifFormat().read(ROCK_SALT)) == 8


def test_every_cell_of_a_crystal_gives_one_symmetric_text(crystals):
    rng = np.random.default_rng(0)
    for name in ("heusler", "hexagonal", "fcc"):
        crystal = crystals[name]
        text = CifFormat().write(crystal)
        other = translated(permuted(with_cell(crystal, matrix=[[1, 1, 0], [0, 1, 0], [0, -1, 1]]), rng=rng), rng=rng)
        assert CifFormat().write(other) == text
        assert CifFormat(symprec=None).write(other) != CifFormat(symprec=None).write(crystal)


def test_the_plain_formats_are_lattice_and_atoms():
    zincblende = Crystal(cell=np.eye(3) * 5.41, frac=[[0, 0, 0], [0.25, 0.25, 0.999]], numbers=[30, 16])
    assert CoordinateFormat().write(zincblende) == "5.4 5.4 5.4 90 90 90\nZn 0.00 0.00 0.00\nS 0.25 0.25 0.00\n"
    assert PlainFormat().write(zincblende) == "5.4 5.4 5.4\n90 90 90\nZn\n0.00 0.00 0.00\nS\n0.25 0.25 0.00"
    finer = CoordinateFormat(length_decimals=2, angle_decimals=1, coordinate_decimals=3)
    assert finer.write(zincblende).splitlines()[::2] == ["5.41 5.41 5.41 90.0 90.0 90.0", "S 0.250 0.250 0.999"]


def test_no_text_says_minus_zero_or_one(crystals):
    crystal = Crystal(cell=np.eye(3) * 4.0, frac=[[0.9999999, 1e-9, 0.99996]], numbers=[84])
    for kind in FORMATS:
        assert not re.search(r"-0\.0+\b|\b1\.0+\b", kind.write(crystal))


@pytest.mark.parametrize(
    "name", ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum", "large"]
)
def test_the_fixed_crystals_come_back_within_the_rounding(name, crystals):
    crystal = crystals[name]
    for kind, length, angle, coordinate in (
        (CifFormat(symprec=None), 5e-5, 5e-5, 5e-5),
        (CoordinateFormat(), 0.05, 0.5, 0.005),
        (PlainFormat(), 0.05, 0.5, 0.005),
    ):
        back = kind.read(kind.write(crystal))
        assert np.abs(back.lengths - crystal.lengths).max() < length + 1e-9
        assert np.abs(back.angles - crystal.angles).max() < angle + 1e-6
        # the reader of files puts 0.3333 on 1/3 only where symmetry asks for it, which P1 does not
        assert farthest(back, crystal) < coordinate + 1e-9
        assert kind.write(back) == kind.write(crystal)
    if name != "large":  # 500 shaken atoms have no symmetry, which is tested with the triclinic cell
        back = CifFormat().read(CifFormat().write(crystal))
        assert symmetry(back, symprec=1e-3).number == symmetry(crystal).number
        assert EXACT.matches(back, crystal)
        assert back.volume / len(back) == pytest.approx(crystal.volume / len(crystal), rel=1e-4)


def test_real_crystals_come_back_within_the_rounding():
    data = load("mp-20-sample")
    count = 500
    chosen = np.random.default_rng(1).choice(len(data), count, replace=False)
    for index in chosen.tolist():
        crystal = data[index]
        whole = CifFormat(symprec=None)
        back = whole.read(whole.write(crystal))
        assert farthest(back, crystal) < 5e-5 + 1e-9
        assert np.abs(back.lengths - crystal.lengths).max() < 5e-5 + 1e-9
        symmetric = CifFormat().write(crystal)
        back = CifFormat().read(symmetric)
        assert WITHIN_SYMPREC.matches(back, crystal), crystal.id
        assert back.volume / len(back) == pytest.approx(crystal.volume / len(crystal), rel=2e-3)
        for kind in (CoordinateFormat(), PlainFormat()):
            assert farthest(kind.read(kind.write(crystal)), crystal) < 0.005 + 1e-9


def test_texts_of_other_writers_are_read(crystals):
    # all operations written out, as the preprocessing of CrystaLLM finds them
    form = from_crystal(crystals["hexagonal"])
    text = CifFormat().write(crystals["hexagonal"])
    assert EXACT.matches(CifFormat().read(text), to_crystal(form))
    # a group named over atoms that are all there
    listed = CifFormat(symprec=None).write(SALT).replace("H-M P1", "H-M Fm-3m").replace("number 1\n", "number 225\n")
    assert len(CifFormat().read(listed)) == 2
    # wide columns, as CifWriter sets them, and the table of element properties
    wide = (
        re.sub(r"(?m)^(_\S+) ", r"\1   ", ROCK_SALT)
        .replace("1 'x, y, z'", "  1  'x, y, z'")
        .replace("Na Na0", "  Na  Na0")
    )
    table = "loop_\n _atom_type_symbol\n _atom_type_electronegativity\n _atom_type_radius\n Na 0.9300 1.8000\n Cl 3.1600 1.0000\n"
    wide = wide.replace("_symmetry_space", table + "_symmetry_space")
    assert EXACT.matches(CifFormat().read(wide), SALT)
    assert len(CifFormat().read(cif_from_crystals([crystals["triclinic"]]))) == 3


@pytest.mark.filterwarnings("ignore")
def test_texts_prepared_as_crystallm_prepares_them_are_read():
    from pymatgen.core import Structure
    from pymatgen.io.cif import CifWriter

    data = load("mp-20-sample")
    for index in np.random.default_rng(4).choice(len(data), 40, replace=False).tolist():
        crystal = data[index]
        text = str(CifWriter(Structure(crystal.cell, crystal.numbers, crystal.frac), symprec=0.01))
        only_identity = re.sub(r"(?s)(_equiv_pos_as_xyz\n).*?(?=\nloop_)", r"\1  1  'x, y, z'", text)
        assert WITHIN_SYMPREC.matches(CifFormat().read(only_identity), crystal), crystal.id


def test_the_multiplicities_decide_between_two_origins():
    diamond = Crystal(
        cell=1.78 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.25, 0.25, 0.25]], numbers=[6, 6]
    )
    text = CifFormat().write(diamond)
    assert "C C0 8 0.1250 0.1250 0.1250 1" in text
    first_origin = text.replace("0.1250 0.1250 0.1250", "0.0000 0.0000 0.0000")
    assert len(CifFormat().read(first_origin)) == 8
    assert EXACT.matches(CifFormat().read(first_origin), diamond)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (("Na Na0 4", "Na Na0 8"), InvalidCrystalError, "line 18.*multiplicities"),
        (("number 225", "number 226"), FileFormatError, r"line 2: 'Fm-3m' is not the symbol of space group 226"),
        (("number 225", "number 999"), FileFormatError, "line 9.*999"),
        (("Fm-3m", "Fm-3q"), FileFormatError, r"line 2: no space group has the symbol 'Fm-3q'"),
        (("'Na4 Cl4'", "'Na4 Cl8'"), InvalidCrystalError, "formula"),
        (("5.6400\n_cell_length_b", "five\n_cell_length_b"), FileFormatError, "line 3.*five"),
        (("Cl Cl1", "Xx Xx1"), EuhedralError, "Xx"),
        (("_cell_angle_beta 90.0000\n", ""), FileFormatError, "_cell_angle_beta"),
        (("0.5000 0.5000 0.5000 1\n", "0.5000 0.5\n"), FileFormatError, "line"),
        (("_atom_site_symmetry_multiplicity\n", ""), EuhedralError, "."),
    ],
)  # fmt: skip
def test_a_text_that_is_wrong_is_refused_with_its_place(change, kind, message):
    assert change[0] in ROCK_SALT
    with pytest.raises(kind, match=message) as caught:
        CifFormat().read(ROCK_SALT.replace(*change), name="sample 7")
    assert str(caught.value).startswith("sample 7")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (CoordinateFormat(), "", "line 1: 0 words"),
        (CoordinateFormat(), "5 5 5 90 90 90\n", "no atoms"),
        (CoordinateFormat(), "5 5 5 90 90 90\nNa 0 0 0\nQq 0.5 0.5 0.5\n", "line 3.*Qq"),
        (CoordinateFormat(), "5 5 5 90 90 90\nNa 0 0 zero\n", "line 2: coordinate 3 is 'zero'"),
        (CoordinateFormat(), "5 5 5 170 170 170\nNa 0 0 0\n", "no cell"),
        (PlainFormat(), "5 5 5\n90 90\nNa\n0 0 0", "line 2: 2 words, expected three angles"),
        (PlainFormat(), "5 5 5\n90 90 90\nNa Cl\n0 0 0", "line 3.*one symbol"),
        (PlainFormat(), "5 5 5\n90 90 90\nNa", "line 3: the last atom has no coordinates"),
        (PlainFormat(), "5 5 5\n90 90 90\nNa\n0 0 inf", "line 4: coordinate 3 is inf"),
        (PlainFormat(), "5 5 5", "1 lines"),
    ],
)
def test_a_plain_text_that_is_wrong_is_refused_with_its_place(reader, text, message):
    with pytest.raises(EuhedralError, match=message):
        reader.read(text)


PIECES = st.sampled_from(
    [
        "\n",
        " ",
        "0.5",
        "-1",
        "1e999",
        "nan",
        "Na",
        "'",
        "loop_\n",
        "data_",
        "_cell_length_a",
        "x, y, z",
        "P1",
        "_sg",
        "(",
        "\x00",
        "é",
        "999",
    ]
)


@pytest.mark.parametrize("kind", FORMATS, ids=["symmetric", "P1", "coordinates", "plain"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 40), PIECES), min_size=1, max_size=4))
def test_whatever_a_model_writes_is_a_crystal_or_an_error_of_the_house(kind, cuts):
    text = kind.write(SALT)
    for place, length, piece in cuts:
        start = place % (len(text) + 1)
        text = text[:start] + piece + text[start + length :]
    message = ""
    try:
        assert len(kind.read(text)) >= 1
    except EuhedralError as error:
        message = str(error)
    assert "\n" not in message


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.floats(2.0, 30.0), min_size=3, max_size=3),
    angles=st.lists(st.floats(70.0, 110.0), min_size=3, max_size=3),
    atoms=st.lists(st.tuples(st.integers(1, 118), *[st.floats(0, 1, exclude_max=True)] * 3), min_size=1, max_size=6),
)
def test_any_crystal_is_the_same_text_twice(lengths, angles, atoms):
    crystal = Crystal(
        cell=cell_from_parameters(lengths, angles), frac=[row[1:] for row in atoms], numbers=[row[0] for row in atoms]
    )
    for kind in (CoordinateFormat(), PlainFormat()):
        text = kind.write(crystal)
        assert kind.write(kind.read(text)) == text


def test_augmented_crystals_are_the_same_crystal(crystals):
    rng = np.random.default_rng(3)
    crystal = crystals["heusler"].replace(site={"magmom": np.arange(4.0)})
    shuffled = permuted(crystal, rng=rng)
    assert shuffled.numbers.tolist() != crystal.numbers.tolist()
    for atom, moment in enumerate(shuffled.site["magmom"].astype(int)):
        assert np.allclose(shuffled.frac[atom], crystal.frac[moment])
        assert shuffled.numbers[atom] == crystal.numbers[moment]
    moved = translated(crystal, rng=rng)
    assert Matcher().matches(moved, crystal)
    steps = moved.frac - crystal.frac
    assert np.allclose(steps - np.floor(steps + 1e-9), (steps - np.floor(steps + 1e-9))[0])
    assert EXACT.matches(primitive(niggli(moved)), crystal)
    again = translated(crystal, rng=np.random.default_rng(5))
    assert np.array_equal(again.frac, translated(crystal, rng=np.random.default_rng(5)).frac)
