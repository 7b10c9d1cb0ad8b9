"""Sets of properties, from a few rows of the files that users download or that mirrors hold."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from euhedral.core.files import parse
from euhedral.data import catalogue
from euhedral.data.conversion import FoundPart, convert, rejects_path
from euhedral.data.dataset import Dataset
from euhedral.data.fetch import announcement, fetch
from euhedral.data.quantities import quantities
from euhedral.data.sources import source, sources
from euhedral.data.tensors import full_tensor, symmetry_error
from euhedral.errors import FileFormatError, InvalidRequestError, MissingDataError
from euhedral.geometry.point_group import cartesian_point_group
from euhedral.testing.dataset import DATASET_CHECKS

FILES = Path(__file__).parents[1] / "data" / "sources"

#: name: (file, rows in it that belong, from the authors' layout or a mirror's)
SAMPLES = {
    "matbench-phonons/published": ("matbench_phonons_6.json.gz", 6),
    "matbench-phonons/mirror": ("matbench_phonons_6.parquet", 6),
    "matbench-dielectric/mirror": ("matbench_dielectric_6.parquet", 6),
    "matbench-jdft2d/mirror": ("matbench_jdft2d_6.parquet", 6),
    "mp-binary-elasticity/mirror": ("mp_binary_elasticity_4.parquet", 4),
    "alexandria-heat-capacity/published": ("alexandria_binary_phonon_cv_4.json.gz", 4),
    "alexandria-heat-capacity/mirror": ("alexandria_binary_phonon_cv_4.parquet", 4),
    "mp-dielectric-tensors/published": ("dielectric_constant_4.json.gz", 4),
    "mp-dielectric-tensors/mirror": ("dielectric_constant_4.parquet", 4),
    "mp-elastic-tensors/mirror": ("elastic_tensor_2015_4.parquet", 4),
    "mp-piezoelectric-tensors/mirror": ("piezoelectric_tensor_4.parquet", 4),
    "phonon-dos/published": ("phonon_dos/phonon_dos_3.csv", 3),
    "phonon-dos/mirror": ("phonon_dos/phonon_dos_rows.parquet", 5),
    "jarvis-supercon/mirror": ("jarvis_tc_rows.parquet", 7),
    "hmof-100/mirror": ("hmof_cifs.zip", 3),
    "odac-promising/mirror": ("odac.zip", 4),
    "gamenet-fg/mirror": ("gamenet_rows.jsonl.gz", 4),
    "wbm-10k/mirror": ("wbm_5.parquet", 5),
}


def made(sample: str, folder: Path, *, path: Path | None = None) -> Dataset:
    name, origin = sample.split("/")
    file, rows = SAMPLES[sample]
    known = source(name)
    part = replace((known.originals if origin == "published" else known.tables)[0], file=Path(file).name, rows=rows)
    if part.beside:
        part = replace(part, beside=("hmof_uptake.csv",))
    convert(known, found=[FoundPart(part, path or FILES / file)], path=folder / f"{name}.parquet")
    return Dataset.open(folder / f"{name}.parquet")


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Dataset]:
    return {sample: made(sample, tmp_path_factory.mktemp("set")) for sample in SAMPLES}


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_each_becomes_a_set_that_keeps_the_contract(check, sample, sets):
    check(sets[sample])


def test_every_source_says_where_it_comes_from_and_what_its_numbers_are():
    for name, known in sources().items():
        assert known.title, name
        assert known.licence, name
        assert known.description, name
        assert "@" in known.citation, name
        assert known.tables or known.originals, name
        assert set(known.targets) <= set(quantities()), name
        for part in known.originals:
            assert part.url.startswith("https://"), name
            assert part.sha256 is None or len(part.sha256) == 64, name


@pytest.mark.parametrize("name", ["matbench-phonons", "mp-dielectric-tensors", "alexandria-heat-capacity"])
def test_the_published_file_and_the_mirrors_table_give_the_same_set(name, sets):
    published, mirror = sets[f"{name}/published"], sets[f"{name}/mirror"]
    assert published.ids.tolist() == mirror.ids.tolist()
    assert published.targets == mirror.targets
    for target in published.targets:
        np.testing.assert_array_equal(published.column(target), mirror.column(target))
    for first, second in zip(published, mirror, strict=True):
        np.testing.assert_allclose(first.cell, second.cell, atol=1e-12)
        np.testing.assert_array_equal(first.numbers, second.numbers)


def test_matbench_rows_have_the_names_that_matbench_gives_them(sets):
    assert sets["matbench-phonons/published"].ids[0] == "mb-phonons-0001"
    assert sets["matbench-jdft2d/mirror"].ids[5] == "mb-jdft2d-006"
    assert sets["matbench-phonons/mirror"].column("last_phdos_peak")[0] == 98.58577122703691
    assert sets["matbench-phonons/mirror"].card.units == {"last_phdos_peak": "cm^-1"}


def test_what_the_source_gives_for_a_cell_is_also_given_for_an_atom(sets):
    dataset = sets["alexandria-heat-capacity/mirror"]
    counts = [len(crystal) for crystal in dataset]
    whole, each = dataset.column("heat_capacity_300K"), dataset.column("heat_capacity_300K_per_atom")
    np.testing.assert_allclose(whole / counts, each)
    assert (each < 24.944).all()  # Dulong and Petit


def test_a_dielectric_tensor_obeys_the_symmetry_of_the_crystal_beside_it(sets):
    dataset = sets["mp-dielectric-tensors/mirror"]
    assert dataset.described["dielectric_tensor"].frame == "Cartesian axes of the structure"
    for crystal in dataset:
        assert symmetry_error(crystal.props["dielectric_tensor"], group=cartesian_point_group(crystal)) < 0.01


def test_an_elastic_tensor_is_in_the_axes_of_its_structure_not_in_those_of_the_ieee(sets):
    dataset = sets["mp-elastic-tensors/mirror"]
    rows = pq.read_table(FILES / "elastic_tensor_2015_4.parquet").to_pylist()
    for crystal, row in zip(dataset, rows, strict=True):
        np.testing.assert_array_equal(crystal.props["elastic_tensor"], json.loads(row["elastic_tensor_original"]))
        group = cartesian_point_group(crystal)
        assert symmetry_error(full_tensor(crystal.props["elastic_tensor"]), group=group) < 0.05
        # Voigt's mean of the bulk modulus follows from the tensor
        voigt = crystal.props["elastic_tensor"][:3, :3].sum() / 9.0
        assert abs(voigt - crystal.props["bulk_modulus"]) < 0.02 * voigt


def test_a_crystal_is_turned_into_the_axes_of_its_piezoelectric_tensor(sets, tmp_path):
    dataset = sets["mp-piezoelectric-tensors/mirror"]
    # a fourth (mp-578) obeys the symmetry of its crystal in no axes
    assert dataset.ids.tolist() == ["mp-22925", "mp-5777", "mp-409"]
    assert dataset.card.audit.rejects == {"wrong label": 1}
    rows = {row["material_id"]: row for row in pq.read_table(FILES / "piezoelectric_tensor_4.parquet").to_pylist()}
    for crystal in dataset:
        given = parse(rows[crystal.id]["poscar"], format="poscar", name="given")[0]
        tensor = full_tensor(crystal.props["piezoelectric_tensor"])
        np.testing.assert_allclose(tensor, full_tensor(json.loads(rows[crystal.id]["piezoelectric_tensor"])))
        assert symmetry_error(tensor, group=cartesian_point_group(crystal)) < 1e-3
        assert symmetry_error(tensor, group=cartesian_point_group(given)) > 0.3  # as the source has it
        np.testing.assert_allclose(crystal.lengths, given.lengths, atol=1e-10)
    made("mp-piezoelectric-tensors/mirror", tmp_path)
    assert "mp-578" in rejects_path(tmp_path / "mp-piezoelectric-tensors.parquet").read_text()


def test_phonon_spectra_have_their_axis_and_the_published_split(sets):
    dataset = sets["phonon-dos/mirror"]
    column = dataset.described["phonon_dos"]
    assert (column.axis.unit, column.axis.values[0], column.axis.values[50], len(column.axis.values)) == (
        "cm^-1",
        0,
        1000,
        51,
    )
    assert dataset.column("phonon_dos").max(axis=1).tolist() == [1.0] * 5
    rows = pq.read_table(FILES / "phonon_dos" / "phonon_dos_rows.parquet").to_pylist()
    assert dataset.ids.tolist() == [f"phdos-{row['row']}" for row in rows if not row["is_extra_carbide"]]
    for part, file in (("train", "idx_train"), ("val", "idx_valid"), ("test", "idx_test")):
        listed = (FILES / "phonon_dos" / f"{file}.txt").read_text().split()
        found = dataset.split("official").get(part)
        assert sorted(name.removeprefix("phdos-") for name in found.ids) == sorted(listed)


def test_the_published_table_of_phonon_spectra_is_read_without_running_it(sets, tmp_path):
    published, mirror = sets["phonon-dos/published"], sets["phonon-dos/mirror"]
    for first, second in zip(published, mirror, strict=False):
        np.testing.assert_allclose(first.cart, second.cart, atol=1e-6)
        np.testing.assert_allclose(first.props["phonon_dos"], second.props["phonon_dos"], atol=1e-6)
    assert published.column("split").tolist() == mirror.column("split").tolist()[:3]
    shutil.copytree(FILES / "phonon_dos", tmp_path / "dos")
    path = tmp_path / "dos" / "phonon_dos_3.csv"
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace("{'numbers'", "__import__('os').system('touch run') or {'numbers'")
    path.write_text("".join(lines))
    changed = made("phonon-dos/published", tmp_path, path=path)
    assert changed.card.audit.rejects == {"unreadable": 1}
    assert not Path("run").exists()


def test_the_adsorbate_is_marked_and_equal_names_of_two_families_stay_apart(sets):
    dataset = sets["gamenet-fg/mirror"]
    assert dataset.ids.tolist()[:2] == ["group2/ag-3611-a", "group2b/ag-3611-a"]
    for crystal in dataset:
        mask = crystal.site["adsorbate"] == 1.0
        assert (crystal.numbers[~mask] == 47).all()
        assert int((~mask).sum()) == 48
        assert set(crystal.numbers[mask]) <= {1, 6, 7, 8, 16}
        assert mask.any()
        assert np.isfinite(crystal.props["adsorption_energy"])
    assert set(dataset.column("metal")) == {"ag"}


def test_isotherms_stand_in_the_order_of_their_pressures(sets):
    dataset = sets["hmof-100/mirror"]
    assert dataset.described["co2_uptake"].axis.values == (0.01, 0.05, 0.1, 0.5, 2.5)
    for target in ("co2_uptake", "ch4_uptake"):
        assert (np.diff(dataset.column(target), axis=1) >= 0).all()
    header, first, *_ = (FILES / "hmof_uptake.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert dataset[0].id == row["id"]
    assert dataset[0].props["co2_uptake"][4] == float(row["CO2_2.5"])


def test_pristine_and_defective_frameworks_are_told_apart(sets):
    dataset = sets["odac-promising/mirror"]
    assert dataset.column("kind").tolist() == ["pristine"] * 2 + ["defective"] * 2
    assert (dataset.column("co2_adsorption_energy") < -0.5).all()


def test_a_label_that_the_source_lacks_is_counted(sets):
    assert sets["jarvis-supercon/mirror"].card.audit.remarks == ("1 crystals have no critical_temperature",)


def broken_json(folder: Path, text: bytes) -> Path:
    path = folder / "matbench_phonons.json.gz"
    path.write_bytes(gzip.compress(text))
    return path


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1, 2]",
        b'{"columns": ["structure"], "data": [[1, 2]]}',
        b'{"data": []}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"null",
    ],
)
def test_json_of_something_else_is_refused_by_name(text, tmp_path):
    with pytest.raises(FileFormatError, match=r"matbench_phonons\.json\.gz"):
        made("matbench-phonons/published", tmp_path, path=broken_json(tmp_path, text))


def test_json_cut_off_is_refused(tmp_path):
    whole = (FILES / "matbench_phonons_6.json.gz").read_bytes()
    (tmp_path / "matbench_phonons.json.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileFormatError, match="is not the JSON file that it should be"):
        made("matbench-phonons/published", tmp_path, path=tmp_path / "matbench_phonons.json.gz")


def test_rows_with_a_bad_label_or_structure_are_rejected_with_their_reason(tmp_path):
    table = json.loads(gzip.decompress((FILES / "dielectric_constant_4.json.gz").read_bytes()))
    at = {name: i for i, name in enumerate(table["columns"])}
    table["data"][0][at["e_total"]] = [[1, 2], [3, 4]]
    table["data"][1][at["e_total"]] = "not a tensor"
    table["data"][2][at["structure"]]["sites"][0]["species"][0]["occu"] = 0.5
    table["data"][3][at["e_total"]] = None
    path = tmp_path / "dielectric_constant.json.gz"
    path.write_bytes(gzip.compress(json.dumps(table).encode()))
    dataset = made("mp-dielectric-tensors/published", tmp_path, path=path)
    assert dataset.card.audit.rejects == {"disordered": 1, "wrong label": 2}
    assert "1 crystals have no dielectric_tensor" in dataset.card.audit.remarks
    reasons = rejects_path(tmp_path / "mp-dielectric-tensors.parquet").read_text()
    assert "shape (2, 2), expected (3, 3)" in reasons


@pytest.mark.parametrize("sample", ["hmof-100/mirror", "odac-promising/mirror"])
def test_an_archive_that_is_cut_off_is_refused_by_name(sample, tmp_path):
    file = SAMPLES[sample][0]
    content = (FILES / file).read_bytes()
    shutil.copy(FILES / "hmof_uptake.csv", tmp_path)
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match=file):
        made(sample, tmp_path, path=tmp_path / file)


def test_a_framework_whose_structure_is_missing_is_a_reject(tmp_path):
    shutil.copy(FILES / "hmof_uptake.csv", tmp_path)
    with zipfile.ZipFile(FILES / "hmof_cifs.zip") as old, zipfile.ZipFile(tmp_path / "hmof_cifs.zip", "w") as new:
        for name in old.namelist()[:-1]:
            new.writestr(name, old.read(name))
    dataset = made("hmof-100/mirror", tmp_path, path=tmp_path / "hmof_cifs.zip")
    assert (len(dataset), dataset.card.audit.rejects) == (2, {"unreadable": 1})


def test_a_set_without_a_public_file_says_where_it_could_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("EUHEDRAL_CACHE", str(tmp_path))
    monkeypatch.delenv("EUHEDRAL_DATA", raising=False)
    with pytest.raises(
        MissingDataError, match=r"set EUHEDRAL_DATA to a folder that holds catalysis/gamenet_fg\.jsonl\.gz"
    ):
        catalogue.load("gamenet-fg")
    with pytest.raises(MissingDataError, match="publish no file"):
        fetch("gamenet-fg")
    assert "publish no file" in announcement("gamenet-fg")
    row = {entry.name: entry for entry in catalogue.entries()}["gamenet-fg"]
    assert (row.count, row.present) == (3108, "mirror only")


def test_a_part_of_a_split_that_two_lists_claim_is_refused(tmp_path):
    shutil.copytree(FILES / "phonon_dos", tmp_path / "dos")
    lists = tmp_path / "dos"
    (lists / "idx_test.txt").write_text((lists / "idx_train.txt").read_text())
    with pytest.raises(FileFormatError, match=r"idx_test\.txt.*is in (test|train)"):
        made("phonon-dos/mirror", tmp_path, path=lists / "phonon_dos_rows.parquet")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_json_with_changed_characters_becomes_a_set_that_adds_up_or_one_error(data):
    sample = data.draw(st.sampled_from(["matbench-phonons/published", "mp-dielectric-tensors/published"]))
    content = bytearray(gzip.decompress((FILES / SAMPLES[sample][0]).read_bytes()))
    for _ in range(data.draw(st.integers(1, 10))):
        position = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["set", "drop", "word"]))
        if kind == "set":
            content[position] = data.draw(st.sampled_from(list(b'0123456789.-+eE[]{}",:abn')))
        elif kind == "drop":
            del content[position : position + data.draw(st.integers(1, 30))]
        else:
            words = [b"null", b"NaN", b"[]", b"{}", b'"a"', b"1e999", b"-Infinity"]
            content[position:position] = data.draw(st.sampled_from(words))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.json.gz"
        path.write_bytes(gzip.compress(bytes(content)))
        failed = ""
        try:
            dataset = made(sample, Path(folder), path=path)
        except (FileFormatError, InvalidRequestError) as error:
            failed = str(error)
        assert "\n" not in failed
        if failed:
            return
        audit = dataset.card.audit
        assert audit.read == SAMPLES[sample][1] == audit.kept + sum(audit.rejects.values())
        assert len(list(dataset)) == audit.kept
