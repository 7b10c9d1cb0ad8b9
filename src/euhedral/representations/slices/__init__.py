"""SLICES: a crystal as one line of text that says which atoms are bonded, and the crystal back from it.

Xiao et al. 2023, "An invertible, invariant crystal representation for inverse design of solid-state materials using generative
artificial intelligence", doi:10.1038/s41467-023-42870-7.
"""

from __future__ import annotations

from collections.abc import Callable

from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import niggli, primitive
from euhedral.representations.bonds import EffectiveCoordination
from euhedral.representations.slices.canonical import canonical
from euhedral.representations.slices.decoding import embedded
from euhedral.representations.slices.grammar import Style, parse, write
from euhedral.representations.slices.joining import joined_net

__all__ = ["Style", "decode", "encode", "parse", "write"]


def encode(crystal: Crystal, *, weight: float = 0.2, style: Style = "compact") -> str:
    """Write a crystal as a SLICES string, the same for every cell, place, direction and order of atoms.

    Args:
        crystal: any cell of it.
        weight: the least weight of a bond.
        style: how a bond is written.

    Raises:
        InvalidCrystalError: it cannot be said in SLICES: its pieces are too far apart, or some bond leads beyond the next cell
            whatever the cell.
    """
    net = joined_net(niggli(primitive(crystal)), bonds=EffectiveCoordination(least_weight=weight))
    return write(canonical(net), style=style)


def decode(text: str, *, refine: Callable[[Crystal], Crystal] | None = None) -> Crystal:
    """Make the crystal that a SLICES string describes, from the string alone.

    Args:
        text: the string.
        refine: what is done to the crystal at last, such as relaxation by a potential.

    Raises:
        FileFormatError: it is not SLICES; the message has the position of the first fault.
        InvalidRequestError: its bonds do not hold a crystal together.
    """
    crystal = embedded(parse(text))[0]
    return crystal if refine is None else refine(crystal)
