"""Whatever a file holds, a reader gives crystals or an error of the house, of one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.core.files import FORMATS, parse, read_many
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.core.files.extxyz import extxyz_from_crystals
from euhedral.core.files.json_file import json_from_crystals
from euhedral.core.files.poscar import poscar_from_crystal
from euhedral.errors import EuhedralError

SALT = Crystal(
    cell=[[0, 2.8, 2.8], [2.8, 0, 2.8], [2.8, 2.8, 0]], frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11, 17], id="salt",
    site={"oxidation_state": np.array([1.0, -1.0]), "magmom": np.array([0.0, 0.1])},
    props={"gap": 8.5, "eps": np.eye(3), "curve": np.arange(4.0)},
)  # fmt: skip
SYMMETRIC = """data_zno
_cell_length_a 3.25(1)
_cell_length_b 3.25
_cell_length_c 5.21
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_symmetry_space_group_name_H-M 'P 63 m c'
_chemical_formula_sum 'Zn O'
loop_
_space_group_symop_operation_xyz
'x, y, z'
'-x, -y, z+1/2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Zn1 Zn2+ 0.3333 0.6667 0 1
O1 O2- 0.3333 0.6667 0.382 1.0
"""
VALID = {
    "cif": [cif_from_crystals([SALT]), SYMMETRIC, SYMMETRIC.replace("_space_group_symop_operation_xyz", "_other")],
    "poscar": [poscar_from_crystal(SALT)],
    "extxyz": [extxyz_from_crystals([SALT, SALT])],
    "json": [json_from_crystals([SALT])],
}
WORDS = st.sampled_from(
    ["?", ".", "0", "-1", "1e999", "nan", "1.5(", "(3)", "'", '"', ";", "#", "loop_", "data_", "_cell_length_a", "x,y,z", "1/0",
     "Fe3+", "T", "\n", "\n;", ",", "{", "[", "null", "9" * 30, "\x00", "\xe9", "{}", "1e308", "-5e-324", "/", "x/", "true", "_JSON ", "[[", "]]", "NaN"]
)  # fmt: skip
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(text: str, kind: str) -> None:
    try:
        crystals = parse(text, format=kind)
    except EuhedralError as raised:
        message = str(raised)
    else:
        message = "none"
        assert crystals
        assert all(np.isfinite(crystal.frac).all() for crystal in crystals)
    assert message
    assert "\n" not in message


@pytest.mark.parametrize("kind", FORMATS)
@SLOW
@given(text=st.text(max_size=200))
def test_any_text_is_survived(kind, text):
    check(text, kind)


@pytest.mark.parametrize("kind", FORMATS)
@SLOW
@given(data=st.data())
def test_any_damage_to_a_good_file_is_survived(kind, data):
    text = data.draw(st.sampled_from(VALID[kind]))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.one_of(WORDS, st.text(max_size=3))) + text[end:]
    check(text, kind)


@pytest.mark.parametrize("kind", FORMATS)
@SLOW
@given(data=st.data())
def test_words_put_in_the_place_of_others_are_survived(kind, data):
    words = data.draw(st.sampled_from(VALID[kind])).replace("\n", " \n ").split(" ")
    for _ in range(data.draw(st.integers(1, 3))):
        words[data.draw(st.integers(0, len(words) - 1))] = data.draw(WORDS)
    check(" ".join(words), kind)


@SLOW
@given(content=st.binary(max_size=300), name=st.sampled_from(["a.cif", "POSCAR", "a.xyz", "a.json", "a.dat"]))
def test_any_bytes_are_survived(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("fuzz") / name
    path.write_bytes(content)
    assert all(isinstance(result, Crystal | Failure) for result in read_many(path))


@SLOW
@given(
    lengths=st.lists(st.floats(0.5, 60), min_size=3, max_size=3),
    frac=st.lists(st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3), min_size=1, max_size=5),
    data=st.data(),
)
def test_any_crystal_is_written_and_read_back(lengths, frac, data):
    numbers = data.draw(st.lists(st.integers(1, 118), min_size=len(frac), max_size=len(frac)))
    crystal = Crystal(cell=np.diag(lengths), frac=frac, numbers=numbers, id="any")
    for kind, text in (
        ("poscar", poscar_from_crystal(crystal)),
        ("extxyz", extxyz_from_crystals([crystal])),
        ("json", json_from_crystals([crystal])),
    ):
        (back,) = parse(text, format=kind)
        np.testing.assert_array_equal(back.numbers, crystal.numbers)
        np.testing.assert_allclose(back.cell, crystal.cell, rtol=1e-14)
        away = back.frac - crystal.frac
        assert np.abs(away - np.round(away)).max() < 1e-13


@SLOW
@given(
    value=arrays(np.float64, array_shapes(min_dims=0, max_dims=5, max_side=4)),
    name=st.sampled_from(["eps", "stress", "E"]),
)
def test_any_array_of_a_frame_is_written_and_read_back_with_its_shape(value, name):
    (back,) = parse(extxyz_from_crystals([SALT.replace(props={name: value})]), format="extxyz")
    if name == "stress" and value.shape == (9,):  # nine numbers of this name are a (3, 3) for ASE
        value = value.reshape(3, 3, order="F")
    assert np.shape(back.props[name]) == value.shape
    np.testing.assert_array_equal(back.props[name], value)


PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3))


@SLOW
@given(
    value=st.recursive(
        PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    )
)
def test_any_json_in_a_frame_is_numbers_or_left_out(value):
    text = json.dumps(value).replace('"', '\\"')
    frame = extxyz_from_crystals([SALT]).replace("gap=8.5", f'gap=8.5 x="_JSON {text}"')
    (back,) = parse(frame, format="extxyz")
    assert back.props["gap"] == 8.5
    assert np.asarray(back.props.get("x", 0.0)).dtype == np.float64
