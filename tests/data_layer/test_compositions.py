"""Sets of compositions."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from euhedral.data.compositions import composition_set, composition_sources, load_compositions, read_compositions
from euhedral.data.quantities import quantities
from euhedral.errors import FileFormatError, InvalidRequestError, MissingDataError, UnknownNameError

FORMULAS = ["Ag2Ca1Ge2", "Ca(OH)2", "Fe0.620C0.000953Mn0.379047", "Al"]


def source(rows: int = 4):
    return replace(composition_sources()["matbench-log-kvrh"], rows=rows)


def test_amounts_are_atomic_fractions_by_element():
    own = composition_set(FORMULAS, values={"x": [1.0, np.nan, 3.0, 4.0]}, units={"x": "GPa"})
    np.testing.assert_allclose(own.fractions(["Ca", "O", "H"])[1], [0.2, 0.4, 0.4])
    np.testing.assert_allclose(own.fractions(["Fe"])[2], [0.62])
    np.testing.assert_allclose(own.amounts.sum(axis=1), 1.0)
    assert own.element_table()[0].sum() == 3
    assert own.described["x"].unit == "GPa"
    assert own.select([3, 0]).formulas.tolist() == ["Al", "Ag2Ca1Ge2"]


def test_the_published_file_and_a_mirrors_table_give_the_same_set(tmp_path):
    pq.write_table(pa.table({"formula": FORMULAS, "target": [1.0, 2.0, 3.0, 4.0]}), tmp_path / "a.parquet")
    published = {
        "columns": ["composition", "log10(K_VRH)"],
        "data": [[f, float(i + 1)] for i, f in enumerate(FORMULAS)],
    }
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(published).encode()))
    first, second = (read_compositions(source(), path=tmp_path / name) for name in ("a.parquet", "a.json.gz"))
    assert first.ids.tolist() == second.ids.tolist() == [f"mb-log-kvrh-{i}" for i in range(1, 5)]
    np.testing.assert_array_equal(first.amounts, second.amounts)
    assert first.column("log10_bulk_modulus").tolist() == second.column("log10_bulk_modulus").tolist() == [1, 2, 3, 4]
    assert first.card.units == {"log10_bulk_modulus": "log10(GPa)"}


def test_structures_of_the_published_file_are_read_for_their_composition(tmp_path, crystals):
    from euhedral.core.bridges import to_pymatgen

    chosen = [crystals["heusler"], crystals["hexagonal"]]
    published = {"columns": ["structure", "log10(K_VRH)"], "data": [[to_pymatgen(c).as_dict(), 2.0] for c in chosen]}
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(published).encode()))
    found = read_compositions(source(2), path=tmp_path / "a.json.gz")
    for crystal, amounts in zip(chosen, found.amounts, strict=True):
        np.testing.assert_allclose(amounts, np.bincount(crystal.numbers, minlength=119) / len(crystal))


@pytest.mark.parametrize(
    ("formula", "error"), [("", FileFormatError), ("Xx2", UnknownNameError), ("Ca(OH", FileFormatError)]
)
def test_a_row_that_is_no_composition_is_named(formula, error, tmp_path):
    pq.write_table(pa.table({"formula": ["Al", formula], "target": [1.0, 2.0]}), tmp_path / "a.parquet")
    with pytest.raises(error, match=r"a\.parquet, row 1"):
        read_compositions(source(2), path=tmp_path / "a.parquet")


def test_rows_are_neither_lost_nor_added(tmp_path):
    pq.write_table(pa.table({"formula": ["Al"], "target": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(FileFormatError, match="has 1 rows, expected 4"):
        read_compositions(source(), path=tmp_path / "a.parquet")


def test_values_and_formulas_must_be_as_many():
    with pytest.raises(InvalidRequestError, match="a number for each of 4 formulas"):
        composition_set(FORMULAS, values={"x": [1.0]})


def test_every_source_is_described():
    for known in composition_sources().values():
        assert known.target in quantities()
        assert "@" in known.citation
        assert known.licence


def test_a_set_that_is_not_here_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path))
    monkeypatch.delenv("EUHEDRAL_DATA", raising=False)
    with pytest.raises(MissingDataError, match=r"matbench_steels\.json\.gz"):
        load_compositions("matbench-steels")
    with pytest.raises(UnknownNameError, match="did you mean matbench-steels"):
        load_compositions("matbench-steel")
