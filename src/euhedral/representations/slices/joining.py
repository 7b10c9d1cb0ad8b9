"""The bonds that a string is made of: a rule's own, and contacts between the pieces that it leaves apart.

A string must hold a crystal together in three directions, or no cell could be decoded from it. Layers, chains and molecules are
therefore joined by their closest contacts until the net repeats as the crystal does.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.neighbours import Neighbours, nearest_neighbours
from euhedral.representations.bonds import BondRule, covalent_radii
from euhedral.representations.graphs import SHELL_TOLERANCE
from euhedral.representations.labelled_quotient import LabelledQuotientGraph, labelled_quotient_graph
from euhedral.representations.slices.net import complete, joined

_FEWEST: Final = 64
_MOST: Final = 4096
# Contacts between pieces are taken up to this much beyond the closest, in units of the sum of the two radii.
_CONTACT: Final = 1.15
# Angstrom that are added to a covalent radius for the size of an atom in a contact without a bond.
_OUTER: Final = 0.8


def joined_net(crystal: Crystal, *, bonds: BondRule) -> LabelledQuotientGraph:
    """Find the bonds of a crystal, and contacts until they hold it together in three directions.

    Args:
        crystal: one crystal; its cell should be primitive.
        bonds: which atoms are bonded.

    Raises:
        InvalidCrystalError: the pieces of the crystal are too far apart.
    """
    net = labelled_quotient_graph(crystal, bonds=bonds)
    if complete(net):
        return net
    k, radius = _FEWEST, covalent_radii()[crystal.numbers] + _OUTER
    near = _nearest(crystal, k)
    while not complete(net):
        apart = ~joined(net, source=near.target, target=near.source, image=near.image)
        if not apart.any():
            k *= 4
            if k > _MOST:
                raise InvalidCrystalError(
                    f"crystal {crystal.id!r}: its pieces are too far apart to be joined by contacts within {k // 4} neighbours"
                )
            near = _nearest(crystal, k)
            continue
        contact = np.where(apart, near.distance / (radius[near.source] + radius[near.target]), np.inf)
        # of the many images of an atom across a wide gap only the closest: others lead sideways and say nothing new
        pair = near.target * len(crystal) + near.source
        nearest = np.full(len(crystal) ** 2, np.inf)
        np.minimum.at(nearest, pair, np.where(apart, near.distance, np.inf))
        net = _with(
            net, near, (contact <= _CONTACT * contact.min()) & (near.distance <= nearest[pair] + SHELL_TOLERANCE)
        )
    return net


def _with(net: LabelledQuotientGraph, near: Neighbours, chosen: NDArray[np.bool_]) -> LabelledQuotientGraph:
    return LabelledQuotientGraph.from_bonds(
        net.numbers,
        source=np.concatenate([net.source, near.target[chosen]]),
        target=np.concatenate([net.target, near.source[chosen]]),
        image=np.concatenate([net.image, near.image[chosen]]),
    )


def _nearest(crystal: Crystal, k: int) -> Neighbours:
    return nearest_neighbours(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], k=k, tie=SHELL_TOLERANCE)
