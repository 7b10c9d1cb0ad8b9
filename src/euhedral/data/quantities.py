"""What kind of number each target is: unit, method, and what to know before comparing it with an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import inf
from types import MappingProxyType
from typing import Any

from euhedral.errors import unknown_name


@dataclass(frozen=True)
class Axis:
    """What the last dimension of an array runs along.

    Args:
        name: such as "frequency".
        unit: as printed.
        values: one for each position.
    """

    name: str
    unit: str
    values: tuple[float, ...]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Axis:
        """Read an axis from JSON: its `values`, or `start`, `stop` and `count` of equal steps.

        Raises:
            KeyError, TypeError, ValueError: the row is no axis.
        """
        if "values" in row:
            values = [float(value) for value in row["values"]]
        else:
            start, stop, count = float(row["start"]), float(row["stop"]), int(row["count"])
            values = [start + (stop - start) * i / (count - 1) for i in range(count)]
        return cls(name=str(row["name"]), unit=str(row["unit"]), values=tuple(values))


@dataclass(frozen=True)
class Quantity:
    """What kind of number a property is.

    Args:
        name: as in `Crystal.props`, or in `Crystal.site` for what each atom has.
        unit: as printed.
        method: how the reference values were obtained; a PBE gap is not a measured gap.
        note: one line that a user must know before comparing with an experiment.
        plausible: lowest and highest value that is not remarked upon when a data set is made; of arrays, any number in them.
        kind: "float", "array" (of a fixed shape) or "site" (one for each atom).
        shape: of one value; empty for a number.
        axis: what the last dimension runs along, where it is a spectrum or a curve.
        frame: of a tensor, the axes that its components refer to.
    """

    name: str
    unit: str
    method: str
    note: str
    plausible: tuple[float, float] = (-inf, inf)
    kind: str = "float"
    shape: tuple[int, ...] = ()
    axis: Axis | None = None
    frame: str = ""


@cache
def quantities() -> Mapping[str, Quantity]:
    """Return every quantity that a shipped model predicts or a known data set carries, by name."""
    rows = json.loads(files("euhedral.data").joinpath("quantities.json").read_text(encoding="utf-8"))
    return MappingProxyType({row["name"]: _quantity(row) for row in rows})


def _quantity(row: Mapping[str, Any]) -> Quantity:
    known = dict(row)
    if "plausible" in known:
        known["plausible"] = tuple(known["plausible"])
    known["shape"] = tuple(known.get("shape", ()))
    known["axis"] = Axis.from_row(known["axis"]) if "axis" in known else None
    return Quantity(**known)


def quantity(name: str) -> Quantity:
    """Return one quantity.

    Raises:
        UnknownNameError: nothing here has this name.
    """
    try:
        return quantities()[name]
    except KeyError:
        raise unknown_name("quantity", name, quantities(), where="euhedral datasets") from None
