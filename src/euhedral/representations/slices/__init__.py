"""SLICES: a crystal as one line of text that says which atoms are bonded, and the crystal back from it.

Xiao et al. 2023, "An invertible, invariant crystal representation for inverse design of solid-state materials using generative
artificial intelligence", doi:10.1038/s41467-023-42870-7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError, InvalidRequestError
from euhedral.geometry.cells import niggli, primitive
from euhedral.geometry.matching import Matcher
from euhedral.representations.bonds import BondRule, EffectiveCoordination
from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices.canonical import canonical
from euhedral.representations.slices.decoding import embedded
from euhedral.representations.slices.grammar import Style, parse, write, written
from euhedral.representations.slices.joining import joined_net
from euhedral.representations.slices.net import same_bonds

__all__ = ["Style", "canonical", "decode", "encode", "equivalents", "parse", "write"]

# The bonds that are tried: the published rule first, then one that leaves out longer bonds, then ever denser ones, until the
# net says enough.
_BONDS: Final = tuple(
    EffectiveCoordination(least_weight=weight) for weight in (0.2, 0.5, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)
)
# How alike the decoded crystal should be: nearly the same, or at least the same with some room to the usual tolerances, so that
# the choice of bonds does not hang on rounding.
_ALIKE: Final = (
    Matcher(length_tolerance=0.1, site_tolerance=0.12, angle_tolerance=3.0),
    Matcher(length_tolerance=0.17, site_tolerance=0.25, angle_tolerance=4.0),
)


def encode(crystal: Crystal, *, bonds: Sequence[BondRule] = _BONDS, style: Style = "compact") -> str:
    """Write a crystal as a SLICES string, the same for every cell, place, direction and order of atoms.

    A net of few bonds may fold into another crystal than the one it was taken from. Hence the decoder is asked: of several
    sets of bonds, from the published one to denser ones, the first is taken from which it makes nearly the same crystal
    again; when there is none, the first from which it makes one that counts as the same; failing that, the first that can
    be written.

    Args:
        crystal: any cell of it.
        bonds: rules to be tried, in order; a single one is taken as it is, and nothing is decoded.
        style: how a bond is written.

    Raises:
        InvalidCrystalError: it cannot be said in SLICES: its pieces are too far apart, or some bond leads beyond the next cell
            whatever the cell.
        InvalidRequestError: no rule is given, or one contradicts itself.
    """
    if not bonds:
        raise InvalidRequestError("encode was given no rule for bonds; (EffectiveCoordination(),) is the published one")
    reduced = niggli(primitive(crystal))
    first: dict[int, str] = {}
    refusal: InvalidCrystalError | None = None
    before: LabelledQuotientGraph | None = None
    for rule in bonds:
        try:
            net = joined_net(reduced, bonds=rule)
            if before is not None and same_bonds(net, before):
                continue
            before = net
            net = canonical(net)
        except InvalidCrystalError as error:
            refusal = refusal or error
            continue
        back = embedded(net) if len(bonds) > 1 else reduced
        grade = next((k for k, matcher in enumerate(_ALIKE) if matcher.matches(back, reduced)), len(_ALIKE))
        first.setdefault(grade, write(net, style=style))
        if grade == 0:
            break
    if not first:
        raise refusal or InvalidCrystalError(f"crystal {crystal.id!r} has no bonds")
    return first[min(first)]


def decode(text: str, *, refine: Callable[[Crystal], Crystal] | None = None) -> Crystal:
    """Make the crystal that a SLICES string describes, from the string alone.

    Args:
        text: the string.
        refine: what is done to the crystal at last, such as relaxation by a potential.

    Raises:
        FileFormatError: it is not SLICES; the message has the position of the first fault.
        InvalidRequestError: its bonds do not hold a crystal together.
    """
    crystal = embedded(parse(text))
    return crystal if refine is None else refine(crystal)


def equivalents(text: str, *, n: int, rng: np.random.Generator, style: Style = "compact") -> list[str]:
    """Say the same net in other words: atoms, bonds and axes in random order, bonds and axes turned at random.

    The augmentation of the paper, for training: `canonical` brings all of them back to one net.

    Args:
        text: a SLICES string.
        n: how many.
        rng: draws them.
        style: how a bond is written.

    Raises:
        FileFormatError: it is not SLICES.
    """
    net = parse(text)
    rows = np.column_stack([net.source, net.target, net.image])
    found: list[str] = []
    for _ in range(n):
        order = rng.permutation(len(net))
        place = np.argsort(order)
        ends = place[rows[:, :2]]
        image = rows[:, 2:][:, rng.permutation(3)] * rng.choice([-1, 1], 3)
        turned = rng.random(len(rows)) < 0.5
        ends[turned] = ends[turned, ::-1]
        image[turned] *= -1
        bonds = rng.permutation(len(rows))
        found.append(written(net.numbers[order], bonds=np.column_stack([ends, image])[bonds], style=style))
    return found
