"""From published files and mirror tables to a data set: units, meaning, rejects."""

from __future__ import annotations

import csv
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from euhedral.data import catalogue, load
from euhedral.data.conversion import FoundPart, convert, rejects_path
from euhedral.data.dataset import Dataset
from euhedral.data.sources import Part, Source, source
from euhedral.errors import FileFormatError, MissingDataError
from euhedral.testing.dataset import DATASET_CHECKS

FILES = Path(__file__).parents[1] / "data" / "sources"


def made(known: Source, parts: list[tuple[Part, Path]], folder: Path) -> Dataset:
    path = folder / f"{known.name}.parquet"
    convert(known, found=[FoundPart(part, file) for part, file in parts], path=path)
    return Dataset.open(path)


def published(name: str, file: str, folder: Path, *, rows: int = 10) -> Dataset:
    known = source(name)
    part = replace(known.originals[1], rows=rows)
    return made(known, [(part, FILES / file)], folder)


PUBLISHED = {"mp-20": "mp_20_val_10.csv", "perov-5": "perov_5_val_10.csv", "carbon-24": "carbon_24_val_10.csv"}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_the_published_csv_becomes_a_set_that_keeps_the_contract(check, name, tmp_path):
    check(published(name, PUBLISHED[name], tmp_path))


def test_mp20_values_are_those_of_the_csv(tmp_path):
    dataset = published("mp-20", "mp_20_val_10.csv", tmp_path)
    with (FILES / "mp_20_val_10.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert dataset.ids.tolist() == [row["material_id"] for row in rows]
    for target in ("formation_energy_per_atom", "band_gap", "e_above_hull"):
        assert dataset.column(target).tolist() == [float(row[target]) for row in rows]
    assert dataset.column("space_group").tolist() == [int(row["spacegroup.number"]) for row in rows]
    assert dataset.column("split").tolist() == ["val"] * 10
    for crystal, row in zip(dataset, rows, strict=True):
        volume = float(row["cif"].split("_cell_volume")[1].split()[0])
        assert abs(crystal.volume - volume) < 1e-6
        assert len(crystal) == row["cif"].split("_atom_site_occupancy")[1].strip().count("\n") + 1


@pytest.mark.filterwarnings("ignore:Issues encountered:UserWarning")
def test_mp20_structures_agree_with_pymatgen(tmp_path):
    from pymatgen.core import Structure

    dataset = published("mp-20", "mp_20_val_10.csv", tmp_path)
    with (FILES / "mp_20_val_10.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for crystal, row in zip(dataset, rows, strict=True):
        other = Structure.from_str(row["cif"], fmt="cif")
        assert crystal.numbers.tolist() == [site.specie.Z for site in other]
        assert np.allclose(crystal.lengths, other.lattice.abc, atol=1e-8)
        apart = crystal.frac - other.frac_coords
        assert np.abs(apart - np.round(apart)).max() < 1e-4  # pymatgen turns 0.33333 into 1/3


def test_perovskites_get_names_instead_of_numbers(tmp_path):
    dataset = published("perov-5", "perov_5_val_10.csv", tmp_path)
    assert dataset.ids[0] == "perov-5-18517"
    assert dataset[0].props == {"heat_all": 2.76, "heat_ref": 2.709152583232041, "dir_gap": 0.0, "ind_gap": 0.0}
    assert dataset.card.units["heat_all"] == "eV"


def test_rows_without_name_or_label_are_kept_and_named_by_their_row(tmp_path):
    known = source("mp-20")
    part = replace(known.tables[0], rows=5)
    dataset = made(known, [(part, FILES / "mp_20_train_rows.parquet")], tmp_path)
    assert dataset.ids.tolist() == ["mp-1221227", "mp-974729", "mp20-train-2", "mp-1208554", "mp-36866"]
    assert np.isnan(dataset.column("formation_energy_per_atom")).tolist() == [False, False, True, False, False]
    assert "band_gap" not in dataset[2].props


def test_hull_distances_from_another_hull_are_not_taken_for_mp20s(tmp_path):
    known = source("mp-20")
    part = replace(known.tables[0], rows=5)
    dataset = made(known, [(part, FILES / "mp_20_train_rows.parquet")], tmp_path)
    # rows 3 and 4 have e_above_hull of a later table in the mirror
    assert np.isnan(dataset.column("e_above_hull")).tolist() == [False, False, True, True, True]
    assert "3 crystals have no e_above_hull" in dataset.card.audit.remarks


def test_a_table_of_all_parts_gives_only_the_part_asked_for(tmp_path):
    known = source("perov-5")
    part = replace(known.tables[0], rows=3)
    dataset = made(known, [(part, FILES / "perov_5_rows.parquet")], tmp_path)
    assert len(dataset) == 3
    assert set(dataset.column("split")) == {"train"}
    assert np.isfinite(dataset.column("heat_all")).tolist() == [False, False, True]


def damaged_csv(folder: Path, change) -> Path:
    with (FILES / "mp_20_val_10.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows = change(rows)
    path = folder / "val.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_each_kind_of_bad_row_is_rejected_with_its_reason_and_the_rest_kept(tmp_path):
    def change(rows):
        rows[1]["cif"] = rows[1]["cif"].replace("_cell_length_a   ", "_cell_length_a   -")
        rows[2]["cif"] = rows[2]["cif"].replace("  O  O", "  Qq  O")
        rows[3]["cif"] = ""
        rows[4]["material_id"] = rows[0]["material_id"]
        rows[5]["band_gap"] = "large"
        rows[6]["cif"] = rows[6]["cif"].replace("  1\n", "  0.5\n")
        first = rows[7]["cif"].splitlines()[-1].split()
        second = f"  {first[0]}  {first[0]}99  1  {float(first[3]) + 0.03:.8f}  {first[4]}  {first[5]}  1\n"
        kept = [line for line in rows[7]["cif"].splitlines(keepends=True) if "_chemical_formula" not in line]
        rows[7]["cif"] = "".join(kept) + second
        last = rows[9]["cif"].splitlines()[-1].split()
        rows[9]["cif"] = rows[9]["cif"].replace(last[5], last[5] + "123")
        return rows

    known = source("mp-20")
    part = replace(known.originals[1], rows=10)
    dataset = made(known, [(part, damaged_csv(tmp_path, change))], tmp_path)
    audit = dataset.card.audit
    assert (audit.read, audit.kept) == (10, 2)
    assert sum(audit.rejects.values()) == 8
    assert audit.rejects["repeated id"] == 1
    assert audit.rejects["disordered"] == 1
    with rejects_path(tmp_path / "mp-20.parquet").open(newline="") as file:
        rejects = list(csv.DictReader(file))
    assert [int(reject["row"]) for reject in rejects] == [1, 2, 3, 4, 5, 6, 7, 9]
    assert all(reject["file"] == "val.csv" and reject["reason"] for reject in rejects)
    assert "'large'" in rejects[4]["reason"]
    assert "they overlap" in rejects[6]["reason"]
    assert "decimals" in rejects[7]["reason"]


@pytest.mark.parametrize("length", [0.3, 0.9999])
def test_a_csv_that_is_cut_off_is_refused_whole(length, tmp_path):
    content = (FILES / "mp_20_val_10.csv").read_bytes()
    cut = tmp_path / "val.csv"
    cut.write_bytes(content[: int(len(content) * length)])
    known = source("mp-20")
    with pytest.raises(FileFormatError, match=r"val\.csv"):
        made(known, [(replace(known.originals[1], rows=10), cut)], tmp_path)
    assert not (tmp_path / "mp-20.parquet").exists()


@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe\x00" * 50, b"a,b\n1,2\n"])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    (tmp_path / "val.csv").write_bytes(content)
    known = source("mp-20")
    with pytest.raises(FileFormatError, match=r"val\.csv"):
        made(known, [(replace(known.originals[1], rows=10), tmp_path / "val.csv")], tmp_path)


def test_an_archive_of_cifs_in_the_cgcnn_layout_is_read(tmp_path):
    with (FILES / "mp_20_val_10.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:3]
    with zipfile.ZipFile(tmp_path / "crysxpp.zip", "w") as archive:
        archive.writestr("crysxpp-439f/data/id_prop.csv", "0,-0.5\n1,-1.5\n2,0.25\n")
        for i in (0, 2):
            archive.writestr(f"crysxpp-439f/data/{i}.cif", rows[i]["cif"])
    known = source("mp-crysxpp")
    part = replace(known.originals[0], rows=3)
    dataset = made(known, [(part, tmp_path / "crysxpp.zip")], tmp_path)
    assert dataset.ids.tolist() == ["crysxpp-0", "crysxpp-2"]
    assert dataset.column("formation_energy_per_atom").tolist() == [-0.5, 0.25]
    assert dataset.card.audit.rejects == {"unreadable": 1}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """MP-20 with ten rows in each published file, a cache, and a mirror that has them."""
    known = source("mp-20")
    parts = tuple(replace(part, rows=10) for part in known.originals[1:2])
    monkeypatch.setattr(catalogue, "sources", lambda: {"mp-20": replace(known, originals=parts)})
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EUHEDRAL_DATA", raising=False)
    (tmp_path / "mirror" / "mp_20").mkdir(parents=True)
    shutil.copy(FILES / "mp_20_val_10.csv", tmp_path / "mirror" / "mp_20" / "val.csv")
    return tmp_path


def test_a_set_that_is_not_here_says_how_to_fetch_it(small):
    with pytest.raises(MissingDataError, match=r"run: euhedral fetch mp-20 \(about 58 MB, CC-BY-4\.0"):
        load("mp-20")


def test_a_mirror_that_is_no_folder_is_named(small, monkeypatch):
    monkeypatch.setenv("EUHEDRAL_DATA", str(small / "nowhere"))
    with pytest.raises(MissingDataError, match=r"EUHEDRAL_DATA names .*nowhere"):
        load("mp-20")


def test_the_second_load_opens_what_the_first_converted(small, monkeypatch):
    monkeypatch.setenv("EUHEDRAL_DATA", str(small / "mirror"))
    told = []
    first = load("mp-20", progress=lambda label, done, total: told.append((label, done, total)))
    assert told[-1] == ("reading mp-20", 10, 10)
    monkeypatch.setattr(catalogue, "convert", lambda *a, **k: pytest.fail("converted twice"))
    assert load("mp-20").ids.tolist() == first.ids.tolist()
    monkeypatch.delenv("EUHEDRAL_DATA")
    assert len(load("mp-20")) == 10  # the mirror is gone, the converted set stays


def test_a_source_file_that_changed_is_read_again(small, monkeypatch):
    monkeypatch.setenv("EUHEDRAL_DATA", str(small / "mirror"))
    load("mp-20")
    path = small / "mirror" / "mp_20" / "val.csv"
    path.write_text(path.read_text().replace("mp-865981", "mp-8659810"))
    assert load("mp-20").ids[0] == "mp-8659810"


def test_a_damaged_cache_file_names_the_cure(small, monkeypatch):
    monkeypatch.setenv("EUHEDRAL_DATA", str(small / "mirror"))
    load("mp-20")
    (small / "cache" / "datasets" / "mp-20.original.parquet").write_bytes(b"PAR1 damaged")
    with pytest.raises(FileFormatError, match="delete it and load the data set again"):
        load("mp-20")


def test_a_cache_that_cannot_be_written_does_not_stop_loading(small, monkeypatch, caplog):
    (small / "wall").write_text("a file where the cache should be")
    monkeypatch.setenv("EUHEDRAL_CACHE", str(small / "wall"))
    monkeypatch.setenv("EUHEDRAL_DATA", str(small / "mirror"))
    dataset = load("mp-20")
    assert len(list(dataset)) == 10
    assert dataset.card.count == 10
    assert "EUHEDRAL_CACHE" in caplog.text


def test_the_catalogue_says_where_each_set_is(small, monkeypatch):
    def present():
        return {entry.name: entry.present for entry in catalogue.entries()}

    assert present() == {"mp-20-sample": "shipped", "mp-20-references": "shipped", "mp-20": ""}
    monkeypatch.setenv("EUHEDRAL_DATA", str(small / "mirror"))
    assert present()["mp-20"] == "mirror"
    load("mp-20")
    assert present()["mp-20"] == "cache"
