from __future__ import annotations

import json

import numpy as np
import pytest

from euhedral.core.files import parse, read, write
from euhedral.errors import DisorderedCrystalError, EuhedralError


def test_everything_is_kept(tmp_path, crystals):
    originals = [
        crystal.replace(
            props={
                "band_gap": 0.1,
                "missing": float("nan"),
                "tensor": np.arange(9.0).reshape(3, 3) / 7,
                "source": "here",
            },
            site={"magmom": np.linspace(0, 1, len(crystal)), "count": np.arange(len(crystal))},
        )
        for crystal in crystals.values()
    ]
    for before, after in zip(originals, read(write(tmp_path / "a.json", crystals=originals)), strict=True):
        assert after.id == before.id
        np.testing.assert_array_equal(after.cell, before.cell)
        np.testing.assert_array_equal(after.frac, before.frac)
        np.testing.assert_array_equal(after.numbers, before.numbers)
        assert after.props["band_gap"] == 0.1
        assert after.props["source"] == "here"
        assert np.isnan(after.props["missing"])
        np.testing.assert_array_equal(after.props["tensor"], before.props["tensor"])
        for key, values in before.site.items():
            np.testing.assert_array_equal(after.site[key], values)


def test_the_text_is_plain_json(tmp_path, crystals):
    path = write(tmp_path / "a.json", crystals=crystals["heusler"].replace(props={"x": float("nan")}))
    data = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert data["crystals"][0]["formula"] == "MnAlCu2"


def test_pymatgen_structures_are_read():
    from pymatgen.core import Structure

    structure = Structure(
        4 * np.eye(3), ["Fe3+", "O2-"], [[0, 0, 0], [0.5, 0.5, 0.5]], site_properties={"magmom": [5.0, 0.1]}
    )
    (crystal,) = parse(json.dumps(structure.as_dict()), format="json", name="hematite")
    assert crystal.id == "hematite"
    assert crystal.numbers.tolist() == [26, 8]
    np.testing.assert_array_equal(crystal.site["oxidation_state"], [3, -2])
    np.testing.assert_array_equal(crystal.site["magmom"], [5.0, 0.1])
    assert len(parse(json.dumps([structure.as_dict()] * 3), format="json")) == 3


def test_a_disordered_pymatgen_structure_is_refused():
    from pymatgen.core import Structure

    structure = Structure(4 * np.eye(3), [{"Fe": 0.5, "Mn": 0.5}], [[0, 0, 0]])
    with pytest.raises(DisorderedCrystalError, match="mixed"):
        parse(json.dumps(structure.as_dict()), format="json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1: not JSON"),
        ("[]", "no crystals"),
        ("3", "no crystals"),
        ('{"a": 1}', "needs 'cell'"),
        ('[{"cell": [[1,0,0],[0,1,0],[0,0,1]], "frac": [[0,0,0]], "numbers": ["Fe"]}]', "whole numbers|not a crystal"),
        ('[{"cell": 1, "frac": [[0,0,0]], "numbers": [1]}]', "shape"),
        ('[{"cell": [[1,0,0],[0,1,0],[0,0,NaN]], "frac": [[0,0,0]], "numbers": [1]}]', "NaN"),
        ('[{"cell": [[1,0,0],[0,1,0],[0,0,1]], "frac": [[0,0,0]], "numbers": [119]}]', "atomic number 119"),
        ('{"format": "euhedral crystals", "version": 99, "crystals": []}', "version 99"),
        ('{"sites": 4, "lattice": 5}', "not a crystal"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(EuhedralError, match=message):
        parse(text, format="json")
