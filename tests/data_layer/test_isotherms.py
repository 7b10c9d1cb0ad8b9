"""Curves as points."""

from __future__ import annotations

import numpy as np
import pytest

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.data.columnar import Column, Columns
from euhedral.data.dataset import Dataset
from euhedral.data.encoding import encode
from euhedral.data.isotherms import points
from euhedral.data.quantities import Axis
from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.testing.dataset import DATASET_CHECKS

CURVES = {"a": 0.0, "b": 1.0}


def curves(axes=((0.1, 1.0), (0.5, 2.0, 5.0))) -> Dataset:
    made = []
    for i in range(30):
        props = {"a": np.array([1.0, 2.0]) + i, "b": np.array([np.nan, 3.0, 4.0]) + i}
        if i == 3:
            del props["a"]
        made.append(Crystal(cell=np.eye(3) * (4 + i / 10), frac=[[0, 0, 0]], numbers=[3], id=f"f{i}", props=props))
    columns = [
        Column(
            name=name,
            kind="array",
            shape=(len(axis),),
            unit="mol/kg",
            axis=Axis(name="pressure", unit="bar", values=axis),
        )
        for name, axis in zip("ab", axes, strict=True)
    ]
    return Dataset(Columns(encode(made, columns=columns, text={}, decimals=None)))


def test_every_known_point_is_a_row_with_its_pressure_and_gas():
    dataset = points(curves(), curves=CURVES, target="uptake", kind="gas")
    assert len(dataset) == 29 * 2 + 30 * 2
    row = dataset[dataset.ids.tolist().index("f7@b@5")]
    assert row.props == {"uptake": 11.0, "pressure": 5.0, "gas": 1.0}
    assert dataset.card.units == {"uptake": "mol/kg", "pressure": "bar", "gas": ""}
    batch = CrystalBatch.from_crystals(list(dataset), targets=["uptake"], inputs=["pressure", "gas"])
    assert batch.inputs["pressure"].shape == (118,)
    for check in DATASET_CHECKS:
        check(dataset)


def test_the_points_of_one_framework_stay_in_one_part():
    parts = points(curves(), curves=CURVES, target="uptake").split("random-0")
    groups = [set(part.column("group").tolist()) for part in parts.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 30


def test_curves_that_are_none_or_of_other_units_are_refused():
    dataset = curves()
    with pytest.raises(UnknownNameError, match="no curve"):
        points(dataset, curves={"c": 0.0}, target="uptake")
    described = dataset._columns.described
    table = dataset._columns.in_memory()
    field = table.schema.field("b").with_metadata({**described["b"].metadata, "unit": "cm^3/g"})
    table = table.cast(table.schema.set(table.schema.get_field_index("b"), field))
    with pytest.raises(InvalidRequestError, match="different units"):
        points(Dataset(Columns(table)), curves=CURVES, target="uptake")
