"""What one column of a data set holds, and how its description travels in the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Final

from euhedral.data.quantities import Axis, quantity
from euhedral.errors import FileFormatError

if TYPE_CHECKING:
    import pyarrow as pa

_SIMPLE: Final = {"float": "double", "int": "int64", "text": "string"}
#: What a column may hold.
KINDS: Final = (*_SIMPLE, "array", "site")


@dataclass(frozen=True)
class Column:
    """A value of each crystal, or of each of its atoms, beside its structure.

    Args:
        name: as in `Crystal.props`, or in `Crystal.site` for what each atom has.
        kind: "float" (a number, NaN where not known), "int", "text", "array" (numbers of a fixed shape) or "site" (numbers
            of each atom).
        unit: of a target; empty for what has none, or when it is not known.
        method: how the values were obtained.
        note: what to know before comparing them.
        shape: of one value; empty for a number.
        axis: what the last dimension of an array runs along.
        frame: of a tensor, the axes that its components refer to.
        classes: names of the classes whose positions the numbers are; empty for numbers that are no classes.
    """

    name: str
    kind: str = "float"
    unit: str = ""
    method: str = ""
    note: str = ""
    shape: tuple[int, ...] = ()
    axis: Axis | None = None
    frame: str = ""
    classes: tuple[str, ...] = ()

    @classmethod
    def target(cls, name: str) -> Column:
        """Describe a target by what `data.quantities` knows of it.

        Raises:
            UnknownNameError: no quantity has this name.
        """
        known = quantity(name)
        return cls(
            name=name, kind=known.kind, unit=known.unit, method=known.method, note=known.note, shape=known.shape,
            axis=known.axis, frame=known.frame,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """How many numbers one value has."""
        return prod(self.shape)

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the column in a file."""
        import pyarrow as pa

        if self.kind == "array":
            return pa.list_(pa.float64(), self.size)
        if self.kind == "site":
            return pa.list_(pa.float64())
        return pa.type_for_alias(_SIMPLE[self.kind])

    @property
    def metadata(self) -> dict[str, str]:
        """The description, as the field's metadata in a file."""
        described = {"unit": self.unit, "method": self.method, "note": self.note}
        if self.kind in ("array", "site"):
            described |= {"kind": self.kind, "shape": json.dumps(list(self.shape))}
        if self.axis is not None:
            described["axis"] = json.dumps(asdict(self.axis))
        if self.frame:
            described["frame"] = self.frame
        if self.classes:
            described["classes"] = json.dumps(self.classes)
        return described


def column_of(name: str, *, arrow_type: pa.DataType, metadata: Mapping[str, str], where: str) -> Column:
    """Read the description of a column from a file.

    Args:
        name: of the column.
        arrow_type: of the column.
        metadata: of the field.
        where: the file, for errors.

    Raises:
        FileFormatError: the description is damaged, or is not that of such a column.
    """
    simple = {arrow: kind for kind, arrow in _SIMPLE.items()}
    kind = metadata.get("kind", simple.get(str(arrow_type), "float"))
    try:
        shape = tuple(int(length) for length in json.loads(metadata.get("shape", "[]")))
        axis = Axis.from_row(json.loads(metadata["axis"])) if "axis" in metadata else None
        column = Column(
            name=name, kind=kind, shape=shape, axis=axis, frame=metadata.get("frame", ""),
            classes=tuple(map(str, json.loads(metadata.get("classes", "[]")))),
            **{key: metadata.get(key, "") for key in ("unit", "method", "note")},
        )  # fmt: skip
        fits = kind in KINDS and min(shape, default=1) > 0 and (kind in _SIMPLE or column.arrow_type == arrow_type)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise FileFormatError(
            f"{where}: the description of column {name!r} is damaged ({error}); delete it and load the data set again"
        ) from error
    if not fits:
        raise FileFormatError(
            f"{where}: column {name!r} is described as {kind} of shape {shape}, but holds {arrow_type}; load the data set again"
        )
    return column
