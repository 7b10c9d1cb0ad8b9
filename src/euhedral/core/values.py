"""What shape the values have that crystals and their atoms carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError


@dataclass(frozen=True)
class ValueShape:
    """What shape the values of one name have.

    Args:
        per_atom: one value for each atom (`Crystal.site`), else one for each crystal (`Crystal.props`).
        shape: of one value; empty for a number.
    """

    per_atom: bool = False
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        what = f"an array {self.shape}" if self.shape else "a number"
        return f"{what} of each {'atom' if self.per_atom else 'crystal'}"


def value_shapes(crystals: Sequence[Crystal], *, names: Sequence[str]) -> dict[str, ValueShape]:
    """Find what shape the values of each name have; a name that no crystal has is a number of each crystal.

    Args:
        crystals: any.
        names: of `props` or `site`.

    Raises:
        InvalidRequestError: a name is both in `props` and in `site`, or two crystals have values of different shapes.
    """
    return {name: _shape_of(crystals, name=name) for name in names}


def _shape_of(crystals: Sequence[Crystal], *, name: str) -> ValueShape:
    first: tuple[ValueShape, str] | None = None
    for crystal in crystals:
        of_crystal, of_atoms = crystal.props.get(name), crystal.site.get(name)
        if of_crystal is None and of_atoms is None:
            continue
        if of_crystal is not None and of_atoms is not None:
            raise InvalidRequestError(
                f"crystal {crystal.id!r} has {name!r} both of the whole crystal and of its atoms; rename one of them"
            )
        if of_atoms is not None:
            shape = ValueShape(per_atom=True, shape=of_atoms.shape[1:])
        else:
            shape = ValueShape(per_atom=False, shape=np.shape(of_crystal))  # type: ignore[arg-type]
        if first is None:
            first = shape, crystal.id
        elif shape != first[0]:
            raise InvalidRequestError(
                f"crystal {crystal.id!r}: {name!r} is {shape}, but {first[0]} of crystal {first[1]!r}; "
                "the values of one name must have one shape"
            )
    return first[0] if first else ValueShape()
