"""Spectra, tensors and values of atoms: nothing lost from crystals to file and back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from euhedral.core.crystal import Crystal
from euhedral.data.column import Column
from euhedral.data.columnar import Columns
from euhedral.data.dataset import Dataset
from euhedral.data.encoding import encode
from euhedral.data.quantities import Axis
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, UnknownNameError
from euhedral.testing.dataset import DATASET_CHECKS

TARGETS = ["band_gap", "spectrum", "stiffness", "moment", "force"]


def labelled(crystals) -> list[Crystal]:
    """Every third crystal lacks its spectrum, every second its moments; one has half a tensor."""
    rng = np.random.default_rng(0)
    made = []
    for i, crystal in enumerate(crystals.values()):
        props, site = {"band_gap": float(i), "stiffness": rng.random((6, 6))}, {"force": rng.random((len(crystal), 3))}
        if i % 3:
            props["spectrum"] = rng.random(51)
        if i % 2:
            site["moment"] = rng.random(len(crystal))
        made.append(crystal.replace(props=props, site=site))
    half = made[0].props["stiffness"].copy()
    half[3:] = np.nan
    made[0] = made[0].replace(props={"stiffness": half})
    return made


@pytest.fixture
def made(crystals) -> list[Crystal]:
    return labelled(crystals)


@pytest.fixture
def dataset(made) -> Dataset:
    return Dataset.from_crystals(made, targets=TARGETS)


def same(first: Crystal, second: Crystal) -> None:
    assert first.id == second.id
    assert set(first.props) == set(second.props)
    assert set(first.site) == set(second.site)
    for name in first.props:
        np.testing.assert_array_equal(first.props[name], second.props[name])
    for name in first.site:
        np.testing.assert_array_equal(first.site[name], second.site[name])


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=lambda check: check.__name__)
def test_a_set_with_arrays_keeps_the_contract(check, dataset, tmp_path):
    check(dataset)
    check(dataset.write(tmp_path / "set.parquet"))


def test_arrays_and_values_of_atoms_survive_the_file(made, dataset, tmp_path):
    for before, after in zip(made, dataset.write(tmp_path / "set.parquet"), strict=True):
        same(before, after)


def test_selections_and_their_files_keep_the_values_with_their_atoms(made, dataset, tmp_path):
    order = [4, 1, 6]
    for chosen in (
        dataset.select(order),
        dataset.select(order).write(tmp_path / "some.parquet"),
        dataset[1:].select([3, 0, 5]),
    ):
        for position, row in enumerate(order):
            same(made[row], chosen[position])
        assert chosen.column("moment").shape == (sum(len(made[row]) for row in order),)
        assert chosen.column("spectrum").shape == (3, 51)
        np.testing.assert_array_equal(
            chosen.column("force"), np.concatenate([made[row].site["force"] for row in order])
        )
    empty = dataset.select([])
    assert empty.column("force").shape == (0, 3)


def test_what_is_known_is_told_of_arrays_and_atoms(made, dataset):
    assert dataset.known("spectrum").tolist() == ["spectrum" in crystal.props for crystal in made]
    assert dataset.known("moment").tolist() == ["moment" in crystal.site for crystal in made]
    assert dataset.known("stiffness").all()  # half a tensor is something
    assert [crystal.id for crystal in dataset.labelled("moment")] == [c.id for c in made if "moment" in c.site]


def test_shape_axis_unit_and_frame_travel_in_the_file(made, tmp_path):
    axis = Axis(name="frequency", unit="cm^-1", values=tuple(np.linspace(0, 1000, 51).tolist()))
    columns = [
        Column(name="spectrum", kind="array", shape=(51,), axis=axis, note="largest value 1"),
        Column(name="stiffness", kind="array", unit="GPa", shape=(6, 6), frame="conventional cell"),
        Column(name="moment", kind="site", unit="mu_B"),
    ]
    table = encode(made, columns=columns, text={}, decimals=None)
    pq.write_table(table, tmp_path / "set.parquet")
    described = Columns(tmp_path / "set.parquet").described
    assert list(described.values()) == columns


def test_a_file_without_arrays_keeps_the_first_version(made):
    scalars = encode(made, columns=[Column(name="band_gap")], text={}, decimals=None)
    arrays = encode(made, columns=[Column(name="moment", kind="site")], text={}, decimals=None)
    assert b'"format": 1' in scalars.schema.metadata[b"euhedral"]
    assert b'"format": 2' in arrays.schema.metadata[b"euhedral"]


def test_an_array_of_another_shape_names_the_crystal(made):
    made[2] = made[2].replace(props={**made[2].props, "spectrum": np.zeros(50)})
    with pytest.raises(InvalidRequestError, match=rf"crystal '{made[2].id}': 'spectrum' is an array \(50,\)"):
        Dataset.from_crystals(made, targets=["spectrum"])
    with pytest.raises(InvalidRequestError, match=rf"crystal '{made[2].id}'.*expected numbers of shape \(51,\)"):
        encode(made, columns=[Column(name="spectrum", kind="array", shape=(51,))], text={}, decimals=None)


def test_a_target_that_no_crystal_has_is_an_error_with_the_closest_name(made):
    with pytest.raises(UnknownNameError, match="did you mean spectrum"):
        Dataset.from_crystals(made, targets=["spectra"])


def test_a_known_name_with_another_shape_is_no_known_quantity(crystals):
    made = [crystal.replace(props={"band_gap": np.zeros(7)}) for crystal in crystals.values()]
    described = Dataset.from_crystals(made, targets=["band_gap"]).described["band_gap"]
    assert (described.kind, described.shape, described.unit) == ("array", (7,), "")


@pytest.mark.parametrize(
    "metadata",
    [
        {"shape": "[50]"},
        {"shape": "nonsense"},
        {"shape": "[-51]"},
        {"kind": "site"},
        {"axis": "{}"},
        {"shape": "[1e99]"},
    ],
)
def test_a_damaged_description_is_refused(metadata, dataset, tmp_path):
    table = dataset._columns.in_memory()
    field = table.schema.field("spectrum")
    changed = field.with_metadata({**{k.decode(): v.decode() for k, v in field.metadata.items()}, **metadata})
    table = table.cast(table.schema.set(table.schema.get_field_index("spectrum"), changed))
    with pytest.raises(FileFormatError, match="spectrum"):
        list(Dataset(Columns(table)))


def test_values_of_atoms_that_do_not_fit_the_atoms_are_damage(dataset):
    table = dataset._columns.in_memory()
    position = table.schema.get_field_index("moment")
    rows = [value and value[:-1] for value in table.column("moment").to_pylist()]
    table = table.set_column(position, table.schema.field("moment"), pa.array(rows, pa.list_(pa.float64())))
    with pytest.raises(FileFormatError, match="moment and the atoms do not fit"):
        list(Dataset(Columns(table)))


def test_a_pandas_table_has_an_array_in_each_cell(made, dataset):
    frame = dataset.select([1, 5]).to_pandas()
    np.testing.assert_array_equal(frame["spectrum"][1], made[5].props["spectrum"])
    np.testing.assert_array_equal(frame["moment"][0], made[1].site["moment"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_file_with_changed_bytes_is_read_whole_or_refused(data, crystals):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.parquet"
        Dataset.from_crystals(labelled(crystals), targets=TARGETS).write(path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 10))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        failed = ""
        try:
            found = Dataset.open(path)
            read = list(found)
            found.column("moment")
        except EuhedralError as error:
            failed = str(error)
        assert "\n" not in failed
        assert failed or len(read) == len(found)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_values_come_back(data):
    numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
    made = []
    for i in range(data.draw(st.integers(1, 4))):
        n = data.draw(st.integers(1, 3))
        props = (
            {"a": np.array(data.draw(st.lists(numbers, min_size=4, max_size=4))).reshape(2, 2)}
            if data.draw(st.booleans())
            else {}
        )
        site = {"s": np.array(data.draw(st.lists(numbers, min_size=n, max_size=n)))} if data.draw(st.booleans()) else {}
        frac = np.arange(n)[:, None] * np.full(3, 0.3)
        made.append(Crystal(cell=np.eye(3) * 4, frac=frac, numbers=[3] * n, id=str(i), props=props, site=site))
    names = [name for name in ("a", "s") if any(name in {**c.props, **c.site} for c in made)]
    dataset = Dataset.from_crystals(made, targets=names)
    for before, after in zip(made, dataset, strict=True):
        for name, value in {**before.props, **before.site}.items():
            found = {**after.props, **after.site}.get(name, np.full(value.shape, np.nan))
            np.testing.assert_array_equal(found, value)
    for check in DATASET_CHECKS[:3]:
        check(dataset)
