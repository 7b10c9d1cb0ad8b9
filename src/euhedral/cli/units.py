"""Units of what tables show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from euhedral.data.quantities import Quantity

#: What stands for the unit of labels whose unit nobody stated.
UNSTATED: Final = "unit of its labels"


def quantity_of(name: str, *, card: Mapping[str, object]) -> Quantity:
    """Say what a predicted property is.

    Args:
        name: of the property.
        card: of the model's weights; "units" holds those of the data that it was trained on.
    """
    from euhedral.data.quantities import Quantity, quantities

    units = card.get("units")
    own = units.get(name) if isinstance(units, Mapping) else None
    if own is None and name in quantities():
        return quantities()[name]
    if own is not None and name in quantities() and quantities()[name].unit == own:
        return quantities()[name]
    return Quantity(name, unit=own or UNSTATED, method="as in its labels", note="a model of your own")


def headed(name: str, unit: str) -> str:
    """Head a column with a name and its unit."""
    return f"{name} ({unit})" if unit else name
