"""From curves to points: a row for each position on an axis, with the position as a given condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from euhedral.core.crystal import Crystal
from euhedral.data.card import Audit
from euhedral.data.columnar import Column, Columns
from euhedral.data.dataset import Dataset
from euhedral.data.encoding import content_hash, encode
from euhedral.errors import InvalidRequestError, unknown_name


def points(dataset: Dataset, *, curves: Mapping[str, float], target: str, kind: str = "") -> Dataset:
    """Make a row of each point of each curve, so that a network can be given where on the axis it is.

    Rows of one crystal have one `group`, so that random splits keep them together.

    Args:
        dataset: with curves.
        curves: the columns of curves, with the number that stands for each in the input `kind` (which gas it is of).
        target: what the value of a point is called; its unit is that of the curves.
        kind: what the input that tells the curves apart is called; no such input when empty.

    Returns:
        A set whose crystals have the target, the input named after the axis, and `kind`.

    Raises:
        UnknownNameError: the set has no such curve.
        InvalidRequestError: the curves have different axes or units, or not one point is known.
    """
    described = {}
    for curve in curves:
        if curve not in dataset.described or dataset.described[curve].axis is None:
            with_axis = [name for name, column in dataset.described.items() if column.axis is not None]
            raise unknown_name(f"curve in {dataset.card.name!r}", curve, with_axis, where="Dataset.described")
        described[curve] = dataset.described[curve]
    units = {(column.unit, column.axis.name, column.axis.unit) for column in described.values() if column.axis}
    if len(units) != 1:
        raise InvalidRequestError(
            f"{dataset.card.name}: curves of different units or axes, {sorted(units)}, are not one target"
        )
    ((unit, axis, axis_unit),) = units
    made, groups = [], []
    for crystal in dataset:
        for curve, number in curves.items():
            for position, value in zip(described[curve].axis.values, crystal.props.get(curve, ()), strict=False):  # type: ignore[union-attr]
                if value == value:  # noqa: PLR0124  NaN is not known
                    props = {target: float(value), axis: position, **({kind: float(number)} if kind else {})}
                    made.append(Crystal(cell=crystal.cell, frac=crystal.frac, numbers=crystal.numbers,
                                        id=f"{crystal.id}@{curve}@{position:g}", props=props))  # fmt: skip
                    groups.append(crystal.id)
    if not made:
        raise InvalidRequestError(f"{dataset.card.name}: not one point of {', '.join(curves)} is known")
    first = next(iter(described.values()))
    columns = [
        Column(name=target, unit=unit, method=first.method, note=first.note), Column(name=axis, unit=axis_unit, note="a given condition"),
        *([Column(name=kind, note=", ".join(f"{number:g} for {curve}" for curve, number in curves.items()))] if kind else []),
        Column(name="group", kind="text", note="the crystal that the point is of"),
    ]  # fmt: skip
    names = [column.name for column in columns if column.kind != "text"]
    table = encode(made, columns=columns, text={"group": groups}, decimals=None)
    card = replace(
        dataset.card, count=len(made), units={column.name: column.unit for column in columns if column.kind != "text"},
        sha256=content_hash(made, columns=names), audit=Audit(read=len(made), kept=len(made)), splits={},
    )  # fmt: skip
    return Dataset(Columns(table), card=card)
