"""Users' own data: what is in the set, and what the audit says of what is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from euhedral.core.bridges import to_ase, to_pymatgen
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.core.files.json_file import json_from_crystals
from euhedral.core.files.poscar import poscar_from_crystal
from euhedral.data.dataset import Dataset
from euhedral.data.own import from_files, from_pandas, from_table
from euhedral.errors import FileFormatError, InvalidRequestError, UnknownNameError
from euhedral.testing.dataset import DATASET_CHECKS


def rock_salts(count: int) -> list[Crystal]:
    return [
        Crystal(cell=np.eye(3) * (4 + i / 50), frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[11, 17], id=f"salt-{i}")
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path):
    """Twelve CIF files and their labels."""
    (tmp_path / "cifs").mkdir()
    for crystal in rock_salts(12):
        write(tmp_path / "cifs" / f"{crystal.id}.cif", crystals=crystal)
    rows = [f"salt-{i},{1 + i / 10},{'train' if i < 9 else 'test'},lab {i % 2}" for i in range(12)]
    (tmp_path / "labels.csv").write_text("id,hardness,split,origin\n" + "\n".join(rows) + "\n")
    return tmp_path


def changed(folder, before: str, after: str) -> None:
    path = folder / "labels.csv"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def made(folder, **asked) -> Dataset:
    return from_files(folder / "cifs", labels=folder / "labels.csv", **asked)


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_a_folder_with_a_table_keeps_the_contract(check, folder):
    check(made(folder))


def test_labels_split_and_text_come_from_the_table_and_no_unit_is_guessed(folder):
    dataset = made(folder)
    assert dataset.targets == ("hardness",)
    np.testing.assert_allclose(sorted(dataset.column("hardness")), 1 + np.arange(12) / 10)
    assert {name: len(part) for name, part in dataset.split("official").items()} == {"train": 9, "test": 3}
    assert set(dataset.column("origin")) == {"lab 0", "lab 1"}
    assert dataset.described["hardness"].unit == ""
    assert dataset.described["hardness"].note == "unit not stated"
    assert made(folder, units={"hardness": "GPa"}).card.units == {"hardness": "GPa"}
    assert dataset.card.audit.remarks == ()


def test_names_may_have_the_ending_of_the_file(folder):
    changed(folder, "salt-3,", "salt-3.cif,")
    assert made(folder).known("hardness").all()


def test_a_label_that_is_nan_or_empty_is_not_known_and_counted(folder):
    changed(folder, "salt-3,1.3", "salt-3,NaN")
    changed(folder, "salt-4,1.4", "salt-4,")
    dataset = made(folder)
    assert int(dataset.known("hardness").sum()) == 10
    assert "2 crystals have no hardness: 'salt-3', 'salt-4'" in dataset.card.audit.remarks


def test_a_label_that_is_no_number_is_named_and_its_crystal_kept_without_it(folder):
    changed(folder, "salt-3,1.3", "salt-3,soft")
    dataset = made(folder)
    assert len(dataset) == 12
    assert any(
        "1 cells of hardness are no number or array and count as not known: 'salt-3': 'soft'" in r
        for r in dataset.card.audit.remarks
    )


def test_an_absurd_value_is_reported_with_its_crystal_and_kept(folder):
    changed(folder, "salt-3,1.3", "salt-3,13000")
    dataset = made(folder)
    (remark,) = dataset.card.audit.remarks
    assert "1 values of hardness are far from all others ('salt-3': 13000)" in remark
    assert dataset.column("hardness").max() == 13000.0


def test_a_name_that_matches_no_file_gets_the_closest_one(folder):
    changed(folder, "salt-11,", "satl-11,")
    dataset = made(folder)
    remarks = " | ".join(dataset.card.audit.remarks)
    assert "1 rows of labels.csv name no structure: 'satl-11' (did you mean 'salt-11'?)" in remarks
    assert "1 structures have no row in labels.csv: 'salt-11'" in remarks


def test_a_table_that_names_none_of_the_files_is_an_error_with_examples_of_both(folder):
    changed(folder, "salt-", "mp-")
    with pytest.raises(FileFormatError, match=r"names none of the 12 structures: it has 'mp-0', .* the files 'salt-0'"):
        made(folder)


def test_a_repeated_row_is_reported_and_the_first_kept(folder):
    changed(folder, "salt-4,1.4", "salt-3,9.9")
    dataset = made(folder)
    assert dataset.column("hardness")[dataset.ids == "salt-3"].tolist() == [1.3]
    assert any(
        "line 6: 'salt-3' is there twice with different hardness: 1.3, then 9.9; origin: lab 1, then lab 0; the first"
        in r
        for r in dataset.card.audit.remarks
    )


def test_a_row_that_is_repeated_as_it_is_has_no_conflict(folder):
    changed(folder, "salt-4,1.4,train,lab 0", "salt-3,1.3,train,lab 1")
    assert any("'salt-3' is there twice; the first is kept" in remark for remark in made(folder).card.audit.remarks)


def test_a_part_of_the_split_that_does_not_exist_is_an_error_with_the_one_that_is_meant(folder):
    changed(folder, ",test,", ",tset,")
    with pytest.raises(FileFormatError, match=r"'split' says 'tset' in 3 rows \(did you mean 'test'\?\)"):
        made(folder)


def test_a_file_that_cannot_be_read_is_left_out_with_its_reason(folder):
    (folder / "cifs" / "salt-5.cif").write_text("not a structure")
    dataset = made(folder)
    assert len(dataset) == 11
    assert dataset.card.audit.rejects == {"unreadable": 1}
    assert dataset.card.audit.read == 12
    assert any("salt-5.cif" in remark for remark in dataset.card.audit.remarks)


def test_overlapping_atoms_are_left_out(folder):
    bad = Crystal(cell=np.eye(3) * 4, frac=[[0, 0, 0], [0.05, 0, 0]], numbers=[11, 17])
    write(folder / "cifs" / "overlap.cif", crystals=bad)
    assert made(folder).card.audit.rejects == {"invalid structure": 1}


def test_a_target_that_no_row_has_is_an_error(folder):
    with pytest.raises(UnknownNameError, match="did you mean hardness"):
        made(folder, targets=["hardnes"])
    path = folder / "labels.csv"
    path.write_text(
        "\n".join(f"{line},{'empty' if not i else ''}" for i, line in enumerate(path.read_text().splitlines()))
    )
    with pytest.raises(InvalidRequestError, match="not one of 12 crystals has a value of 'empty'"):
        made(folder, targets=["empty"])


def test_a_column_that_is_not_there_is_an_error_with_those_that_are(folder):
    with pytest.raises(
        UnknownNameError, match=r"no column in labels\.csv named 'vpa'; it has id, hardness, split, origin$"
    ):
        made(folder, targets=["vpa"])


def test_files_without_labels_are_refused_when_labels_are_asked_for(folder):
    with pytest.raises(InvalidRequestError, match="carry no labels, so no 'vpa'; give a table of them") as caught:
        from_files(folder / "cifs", targets=["vpa"])
    assert "--labels" in str(caught.value)
    assert from_files(folder / "cifs").targets == ()


def test_a_table_with_semicolons_and_decimal_commas_is_read_alike(folder):
    path = folder / "labels.csv"
    before = made(folder)
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))
    after = made(folder)
    assert after.column("hardness").tolist() == before.column("hardness").tolist()
    assert after.column("split").tolist() == before.column("split").tolist()


def with_words(folder, words):
    path = folder / "labels.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{line},{words(i) if i else 'level'}" for i, line in enumerate(lines)))


def levels(whole, *, high, low):
    numbers = (int(name.removeprefix("salt-")) + 1 for name in whole.ids)
    return (None if i == 3 else low if i % 2 else high for i in numbers)


def test_words_of_a_target_are_classes_in_the_order_that_is_stated_or_else_sorted(folder, tmp_path):
    with_words(folder, lambda i: "" if i == 3 else "low" if i % 2 else "high")
    whole = made(folder, targets=["level"])
    assert whole.described["level"].classes == ("high", "low")
    np.testing.assert_array_equal([crystal.props.get("level") for crystal in whole], [*levels(whole, high=0, low=1)])
    assert "the words of level are its classes, in sorted order: high, low" in whole.card.audit.remarks
    stated = made(folder, targets=["level"], classes={"level": ["low", "high"]})
    np.testing.assert_array_equal([crystal.props.get("level") for crystal in stated], [*levels(stated, high=1, low=0)])
    assert made(folder).described["level"].kind == "text"  # words that nobody asks for stay words
    path = tmp_path / "own.parquet"
    stated.write(path)
    assert Dataset.open(path).described["level"].classes == ("low", "high")
    with pytest.raises(InvalidRequestError, match="states the classes of 'level', low,high; got high,low"):
        from_table(path, classes={"level": ["high", "low"]})


def test_a_word_that_is_not_among_the_classes_is_refused_with_its_crystal(folder):
    with_words(folder, lambda i: "middle" if i == 2 else "1" if i == 4 else "low")
    with pytest.raises(
        InvalidRequestError, match=r"'level' of crystal 'salt-1' is 'middle', .* of the classes low, high"
    ):
        made(folder, targets=["level"], classes={"level": ["low", "high"]})


def test_words_that_all_differ_are_no_classes(folder):
    with_words(folder, lambda i: f"[{i} {i}]")
    with pytest.raises(InvalidRequestError, match=r"different words in .* cells are no classes \('salt-0': '\[1 1\]'"):
        made(folder, targets=["level"])


def test_a_unit_of_nothing_is_refused(folder):
    with pytest.raises(UnknownNameError, match="hardness"):
        made(folder, units={"hardnes": "GPa"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,x\na,1\n", "no column 'id' of names; it has name, x$"),
        ("", "no column 'id'"),
        ("x,ID\n1,salt-1.cif\n", "it has x, ID; 'ID' names the structures: call it 'id'"),
        ("id,x\n", "has a header and no rows"),
        ("id,x\nsalt-1,1,2\n", "line 2: not as many cells"),
    ],
)
def test_a_table_of_another_form_is_refused(text, message, folder):
    (folder / "labels.csv").write_text(text)
    with pytest.raises(FileFormatError, match=message):
        made(folder)


def test_an_empty_folder_or_one_without_structures_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileFormatError, match="empty"):
        from_files(tmp_path / "empty")


def test_extxyz_labels_of_crystals_and_atoms_are_carried(tmp_path, crystals):
    rng = np.random.default_rng(0)
    made = [
        crystal.replace(
            props={"energy": float(i), "virial": rng.random((3, 3))}, site={"forces": rng.random((len(crystal), 3))}
        )
        for i, crystal in enumerate(crystals.values())
    ]
    write(tmp_path / "frames.extxyz", crystals=made)
    dataset = from_files(tmp_path / "frames.extxyz", units={"energy": "eV"})
    assert set(dataset.targets) == {"energy", "virial", "forces"}
    assert dataset.described["virial"].shape == (3, 3)
    assert dataset.described["forces"].kind == "site"
    for before, after in zip(made, dataset, strict=True):
        np.testing.assert_allclose(after.site["forces"], before.site["forces"], atol=1e-7)
        np.testing.assert_allclose(after.props["virial"], before.props["virial"], atol=1e-7)
    only = from_files(tmp_path / "frames.extxyz", targets=["energy"])
    assert only.targets == ("energy",)
    for check in DATASET_CHECKS:
        check(dataset)


@pytest.mark.parametrize("key", ["id", "material_id", "name"])
def test_frames_of_extxyz_are_known_by_their_own_names_and_by_their_positions(key, tmp_path):
    salts = [salt.replace(props={key: f"ClNa_{i:03}"}) for i, salt in enumerate(rock_salts(4))]
    write(tmp_path / "my.extxyz", crystals=salts)
    rows = ["ClNa_003,3", "ClNa_002,2", "my_1,1", "ClNa_000,0"]
    (tmp_path / "labels.csv").write_text("id,x\n" + "\n".join(rows) + "\n")
    dataset = from_files(tmp_path / "my.extxyz", labels=tmp_path / "labels.csv")
    assert dataset.ids.tolist() == ["ClNa_000", "ClNa_001", "ClNa_002", "ClNa_003"]
    assert dataset.column("x").tolist() == [0, 1, 2, 3]
    assert dataset.card.audit.remarks == ()


def test_frames_that_share_a_name_keep_their_positions(tmp_path):
    write(tmp_path / "my.extxyz", crystals=[salt.replace(props={"name": "NaCl", "x": 1.0}) for salt in rock_salts(3)])
    dataset = from_files(tmp_path / "my.extxyz")
    assert dataset.ids.tolist() == ["my_0", "my_1", "my_2"]
    assert dataset.targets == ("x",)


def forms(crystal: Crystal) -> dict[str, object]:
    return {
        "cif": cif_from_crystals([crystal]), "poscar": poscar_from_crystal(crystal), "json": json_from_crystals([crystal]),
        "pymatgen text": to_pymatgen(crystal).to_json(), "pymatgen dict": to_pymatgen(crystal).as_dict(),
        "pymatgen": to_pymatgen(crystal), "ase": to_ase(crystal), "crystal": crystal,
    }  # fmt: skip


@pytest.mark.parametrize("form", forms(rock_salts(1)[0]))
def test_a_frame_may_hold_structures_in_any_form(form):
    salts = rock_salts(6)
    frame = pd.DataFrame(
        {"structure": [forms(c)[form] for c in salts], "id": [c.id for c in salts], "x": np.arange(6.0)}
    )
    dataset = Dataset.from_pandas(frame)
    assert dataset.ids.tolist() == [c.id for c in salts]
    assert dataset.column("x").tolist() == list(range(6))
    for before, after in zip(salts, dataset, strict=True):
        np.testing.assert_allclose(after.cell, before.cell, atol=1e-6)
        np.testing.assert_array_equal(after.numbers, before.numbers)


def test_arrays_in_a_frame_are_spectra_or_values_of_atoms(crystals):
    rng = np.random.default_rng(0)
    chosen = list(crystals.values())
    frame = pd.DataFrame(
        {
            "crystal": chosen,
            "dos": [rng.random(51) if i else None for i in range(len(chosen))],
            "moment": [rng.random(len(c)).tolist() for c in chosen],
            "tensor": [str(rng.random((3, 3)).round(6).tolist()) for _ in chosen],
            "family": ["a", "b"] * (len(chosen) // 2) + ["a"] * (len(chosen) % 2),
        }
    )
    dataset = from_pandas(frame, name="mine")
    kinds = {name: (column.kind, column.shape) for name, column in dataset.described.items()}
    assert kinds == {
        "dos": ("array", (51,)),
        "moment": ("site", ()),
        "tensor": ("array", (3, 3)),
        "family": ("text", ()),
    }
    assert dataset.known("dos").tolist() == [False] + [True] * (len(chosen) - 1)
    assert dataset.ids.tolist() == [f"mine-{i}" for i in range(len(chosen))]
    np.testing.assert_allclose(dataset[1].site["moment"], frame["moment"][1])


def test_rows_of_a_frame_that_give_no_crystal_are_left_out_with_their_reason():
    salts = rock_salts(8)
    cells = [cif_from_crystals([c]) for c in salts]
    cells[1], cells[2], cells[3] = "nonsense", None, 3.0
    names = [c.id for c in salts]
    names[5] = names[4]
    frame = pd.DataFrame({"cif": cells, "id": names, "x": [1.0, 1, 1, 1, 2, 3, "much", 4]})
    dataset = from_pandas(frame, targets=["x"])
    assert len(dataset) == 4
    assert dataset.card.audit.rejects == {"repeated id": 1, "unreadable": 3}
    assert dataset.card.audit.read == 8
    remarks = " | ".join(dataset.card.audit.remarks)
    assert "the row has no structure" in remarks
    assert "'salt-6': 'much'" in remarks
    assert "1 crystals have no x" in remarks


def test_columns_of_a_frame_that_do_not_exist_are_named():
    frame = pd.DataFrame({"structure": rock_salts(2), "energy": [1.0, 2.0]})
    with pytest.raises(UnknownNameError, match="did you mean energy"):
        from_pandas(frame, targets=["enrgy"])
    with pytest.raises(UnknownNameError, match="did you mean structure"):
        from_pandas(frame, structure="structures")
    with pytest.raises(FileFormatError, match="say which one holds the structures"):
        from_pandas(frame.rename(columns={"structure": "x"}))
    with pytest.raises(FileFormatError, match="not one structure can be used; the first"):
        from_pandas(frame.assign(structure=["a", "b"]))


def test_a_parquet_table_with_text_structures_and_one_of_the_own_format_open_alike(tmp_path):
    salts = rock_salts(6)
    table = pa.table(
        {
            "material_id": [c.id for c in salts],
            "poscar": [poscar_from_crystal(c) for c in salts],
            "x": [float(i) for i in range(6)],
        }
    )
    pq.write_table(table, tmp_path / "plain.parquet")
    plain = from_table(tmp_path / "plain.parquet")
    plain.write(tmp_path / "own.parquet")
    own = from_table(tmp_path / "own.parquet")
    assert own.ids.tolist() == plain.ids.tolist() == [c.id for c in salts]
    assert own.column("x").tolist() == plain.column("x").tolist()
    for check in DATASET_CHECKS:
        check(plain)
        check(own)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileFormatError, match=r"bad\.parquet"):
        from_table(tmp_path / "bad.parquet")


def test_a_csv_with_structures_in_its_cells_is_read(tmp_path):
    salts = rock_salts(5)
    pd.DataFrame({"cif": [cif_from_crystals([c]) for c in salts], "x": range(5)}).to_csv(
        tmp_path / "t.csv", index=False
    )
    dataset = from_table(tmp_path / "t.csv")
    assert dataset.ids.tolist() == [f"t-{i}" for i in range(5)]
    assert dataset.column("x").tolist() == [0, 1, 2, 3, 4]


def test_all_equal_and_infinite_labels_are_remarked_upon():
    frame = pd.DataFrame({"structure": rock_salts(8), "same": [2.0] * 8, "x": [1.0, 2, 3, 4, 5, 6, 7, np.inf]})
    remarks = from_pandas(frame).card.audit.remarks
    assert "all values of same are 2" in remarks
    assert "1 values of x are infinite: 'own-7'" in remarks
