"""What kind of number each target is: unit, method, and what to know before comparing it with an experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import inf
from types import MappingProxyType

from euhedral.errors import unknown_name


@dataclass(frozen=True)
class Quantity:
    """What kind of number a property is.

    Args:
        name: as in `Crystal.props`.
        unit: as printed.
        method: how the reference values were obtained; a PBE gap is not a measured gap.
        note: one line that a user must know before comparing with an experiment.
        plausible: lowest and highest value that is not remarked upon when a data set is made.
    """

    name: str
    unit: str
    method: str
    note: str
    plausible: tuple[float, float] = (-inf, inf)


@cache
def quantities() -> Mapping[str, Quantity]:
    """Return every quantity that a shipped model predicts or a known data set carries, by name."""
    rows = json.loads(files("euhedral.data").joinpath("quantities.json").read_text(encoding="utf-8"))
    return MappingProxyType({row["name"]: Quantity(**{**row, "plausible": tuple(row["plausible"])}) for row in rows})


def quantity(name: str) -> Quantity:
    """Return one quantity.

    Raises:
        UnknownNameError: nothing here has this name.
    """
    try:
        return quantities()[name]
    except KeyError:
        raise unknown_name("quantity", name, quantities(), where="euhedral datasets") from None
