"""Whatever bytes a source file has, the outcome is a data set that adds up or one error that names the file."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from euhedral.data.conversion import FoundPart, convert
from euhedral.data.dataset import Dataset
from euhedral.data.sources import source
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError

FILES = Path(__file__).parents[1] / "data" / "sources"
LIMITS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def outcome(content: bytes, *, name: str, file: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        path.write_bytes(content)
        known = source("mp-20")
        part = replace(
            known.originals[1] if file.endswith("csv") else known.tables[0], rows=5 if "parquet" in file else 10
        )
        failed: EuhedralError | None = None
        try:
            convert(known, found=[FoundPart(part, path)], path=Path(folder) / name)
        except (FileFormatError, InvalidRequestError) as error:
            failed = error
        if isinstance(failed, InvalidRequestError):  # not one row could be used
            assert "at least one crystal" in str(failed)
            return "empty"
        if failed is not None:
            assert file in str(failed)
            assert "\n" not in str(failed)
            return "refused"
        dataset = Dataset.open(Path(folder) / name)
        audit = dataset.card.audit
        assert audit.read == part.rows == audit.kept + sum(audit.rejects.values())
        assert len(list(dataset)) == audit.kept
        return "converted"


def mutated(draw, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 20))):
        position = draw(st.integers(0, len(changed) - 1))
        kind = draw(st.sampled_from(["set", "drop", "insert", "repeat"]))
        if kind == "set":
            changed[position] = draw(st.integers(0, 255))
        elif kind == "drop":
            del changed[position : position + draw(st.integers(1, 30))]
        elif kind == "insert":
            changed[position:position] = draw(st.binary(min_size=1, max_size=10))
        else:
            changed[position:position] = changed[position : position + 40]
    return bytes(changed)


@LIMITS
@given(data=st.data())
def test_a_csv_with_changed_bytes(data):
    content = (FILES / "mp_20_val_10.csv").read_bytes()
    outcome(mutated(data.draw, content), name="x.parquet", file="val.csv")


@LIMITS
@given(data=st.data())
def test_a_table_with_changed_bytes(data):
    content = (FILES / "mp_20_train_rows.parquet").read_bytes()
    outcome(mutated(data.draw, content), name="x.parquet", file="train.parquet")


@LIMITS
@given(data=st.data())
def test_a_data_set_with_changed_bytes(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    known = source("mp-20")
    part = replace(known.originals[1], rows=10)
    convert(known, found=[FoundPart(part, FILES / "mp_20_val_10.csv")], path=folder / "whole.parquet")
    (folder / "bad.parquet").write_bytes(mutated(data.draw, (folder / "whole.parquet").read_bytes()))
    failed = ""
    try:
        dataset = Dataset.open(folder / "bad.parquet")
        crystals = list(dataset)
        dataset.column("band_gap")
    except EuhedralError as error:
        failed = str(error)
    assert "\n" not in failed
    assert failed or len(crystals) == len(dataset)


def test_what_was_not_changed_is_converted():
    assert outcome((FILES / "mp_20_val_10.csv").read_bytes(), name="x.parquet", file="val.csv") == "converted"
    assert (
        outcome((FILES / "mp_20_train_rows.parquet").read_bytes(), name="x.parquet", file="train.parquet")
        == "converted"
    )


@pytest.mark.parametrize("content", [b"", b"\n", b"PAR1", b"PAR1" * 3])
def test_nearly_empty_files_are_refused(content):
    for file in ("val.csv", "train.parquet"):
        assert outcome(content, name="x.parquet", file=file) == "refused"


def test_a_column_whose_name_is_no_text_is_refused(tmp_path):
    known = source("mp-20")
    part = replace(known.originals[1], rows=10)
    convert(known, found=[FoundPart(part, FILES / "mp_20_val_10.csv")], path=tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "bad.parquet").write_bytes(content.replace(b"band_gap", b"b\x80nd_gap"))
    with pytest.raises(FileFormatError, match=r"damaged|Parquet"):
        Dataset.open(tmp_path / "bad.parquet")
