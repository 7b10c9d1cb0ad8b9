"""The file format: nothing lost, damage reported, memory flat."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from euhedral.core.crystal import Crystal
from euhedral.data.card import DatasetCard
from euhedral.data.columnar import Column, Columns
from euhedral.data.dataset import Dataset
from euhedral.data.encoding import encode, write_columns
from euhedral.errors import FileFormatError, InvalidRequestError, RunFolderError


def card() -> DatasetCard:
    return DatasetCard(name="x", version="1", title="x", licence="x", doi="", citation="", description="x")


@pytest.fixture
def file(crystals, tmp_path):
    labelled = [
        crystal.replace(props={"band_gap": float(i)} if i % 2 else {}) for i, crystal in enumerate(crystals.values())
    ]
    return Dataset.from_crystals(labelled, targets=["band_gap"]).write(
        tmp_path / "set.parquet"
    ), tmp_path / "set.parquet"


def test_every_digit_of_any_cell_survives(file, crystals):
    dataset, _ = file
    for found, made in zip(dataset, crystals.values(), strict=True):
        assert (found.cell == made.cell).all()
        assert (found.frac == made.frac).all()
        assert (found.numbers == made.numbers).all()
        assert found.id == made.id


def test_a_value_that_is_not_known_is_nan_in_the_column_and_absent_in_the_crystal(file):
    dataset, _ = file
    assert np.isnan(dataset.column("band_gap")[::2]).all()
    assert dataset.column("band_gap")[1::2].tolist() == [1.0, 3.0, 5.0, 7.0]
    assert "band_gap" not in dataset[0].props
    assert dataset[1].props == {"band_gap": 1.0}


def test_units_travel_in_the_parquet_schema(file):
    _, path = file
    metadata = pq.read_schema(path).field("band_gap").metadata
    assert metadata[b"unit"] == b"eV"
    assert b"PBE" in metadata[b"method"]


def test_decimals_keep_text_coordinates_exactly_and_halve_the_file(tmp_path):
    rng = np.random.default_rng(0)
    made = [
        Crystal(
            cell=np.diag(rng.uniform(3, 9, 3).round(8)), frac=rng.random((9, 3)).round(8), numbers=[8] * 9, id=str(i)
        )
        for i in range(300)
    ]
    sizes = {}
    for decimals in (None, 8):
        path = tmp_path / f"{decimals}.parquet"
        write_columns(path, tables=[encode(made, columns=[], text={}, decimals=decimals)], card=card)
        sizes[decimals] = path.stat().st_size
        columns = Columns(path)
        assert all((columns.crystal(i).frac == made[i].frac).all() for i in range(300))
        assert all(np.allclose(columns.crystal(i).cell, made[i].cell, rtol=0, atol=1e-14) for i in range(300))
    assert sizes[8] < 0.65 * sizes[None]


def test_more_decimals_than_promised_are_refused_by_name(crystals):
    with pytest.raises(InvalidRequestError, match=r"crystal 'hexagonal' has more than 8 decimals.*decimals=None"):
        encode([crystals["hexagonal"]], columns=[], text={}, decimals=8)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "missing"])
def test_a_damaged_file_names_itself_and_the_cure(file, damage, tmp_path):
    _, path = file
    content = path.read_bytes()
    bad = tmp_path / "bad.parquet"
    if damage != "missing":
        bad.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"a,b\n1,2\n"}[damage])
    with pytest.raises(FileFormatError, match=r"bad\.parquet"):
        Dataset.open(bad)


def test_a_foreign_parquet_file_is_told_from_a_data_set(tmp_path):
    pq.write_table(pa.table({"id": ["a"], "x": [1.0]}), tmp_path / "foreign.parquet")
    with pytest.raises(FileFormatError, match="not a data set of euhedral"):
        Dataset.open(tmp_path / "foreign.parquet")


def test_a_later_format_is_refused(file, tmp_path):
    _, path = file
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"euhedral": b'{"format": 99, "decimals": null}'}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "later.parquet")
    with pytest.raises(FileFormatError, match="format 99"):
        Dataset.open(tmp_path / "later.parquet")


def test_damaged_pages_are_reported_when_they_are_read(file, tmp_path):
    _, path = file
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    (tmp_path / "pages.parquet").write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged"):
        list(Dataset.open(tmp_path / "pages.parquet"))


def test_one_flipped_bit_in_a_value_is_noticed(file, tmp_path):
    _, path = file
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(2)  # frac
    content[column.data_page_offset + column.total_compressed_size - 20] ^= 1
    (tmp_path / "flipped.parquet").write_bytes(content)
    with pytest.raises(FileFormatError, match="damaged"):
        list(Dataset.open(tmp_path / "flipped.parquet"))


def test_a_failed_write_leaves_the_older_file(file):
    dataset, path = file
    before = path.read_bytes()

    def broken():
        yield encode(list(dataset), columns=[], text={}, decimals=None)
        raise InvalidRequestError("the stream broke")

    with pytest.raises(InvalidRequestError):
        write_columns(path, tables=broken(), card=card)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["set.parquet"]


def test_a_folder_that_cannot_be_written_is_one_error(file, tmp_path):
    dataset, _ = file
    (tmp_path / "wall").write_text("a file, not a folder")
    with pytest.raises(RunFolderError, match="cannot write"):
        dataset.write(tmp_path / "wall" / "set.parquet")


def test_a_data_set_travels_to_another_process(file):
    dataset, _ = file
    copy = pickle.loads(pickle.dumps(dataset.select([1, 3])))
    assert copy.ids.tolist() == dataset.select([1, 3]).ids.tolist()
    assert copy[1].props == {"band_gap": 3.0}


def test_a_pass_over_many_row_groups_holds_only_some(tmp_path, monkeypatch):
    from euhedral.data import columnar

    monkeypatch.setattr(columnar, "_KEPT_BYTES", 1)
    made = [Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[3], id=str(i)) for i in range(9000)]
    dataset = Dataset.from_crystals(made).write(tmp_path / "many.parquet")
    assert len(dataset._columns.starts) == 4
    ids = []
    for crystal in dataset:
        ids.append(crystal.id)
        assert len(dataset._columns._kept) == 1
    assert ids == [str(i) for i in range(9000)]


def test_an_unknown_target_carries_no_unit_but_a_known_one_does():
    assert Column.target("band_gap").unit == "eV"
    made = [Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0]], numbers=[3], id="a", props={"hardness": 2.0})]
    dataset = Dataset.from_crystals(made, targets=["hardness"])
    assert dataset.described["hardness"].unit == ""
    assert dataset[0].props["hardness"] == 2.0
