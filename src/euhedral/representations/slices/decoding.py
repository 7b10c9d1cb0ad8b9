"""From a net back to a crystal: barycentric embedding, rescaling to expected bond lengths, relaxation of what is left of strain."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.representations.labelled_quotient import LabelledQuotientGraph
from euhedral.representations.slices.barycentric import barycentric, reducing
from euhedral.representations.slices.embedding import relaxed, rescaled
from euhedral.representations.slices.lengths import degrees, expected_lengths
from euhedral.representations.slices.net import complete

# Atoms without a bond are at least this much farther than the mean neighbour: where Hoppe's weight falls to 0.2.
_BEYOND: Final = 1.173
# Bonds count by how well their length is known: that of a usual bond has weight 1.
_USUAL_ERROR: Final = 0.035
_WEIGHTS: Final = (0.03, 3.0)
# Angstrom; atoms that share a place, or sit at a saddle, are moved by about this much.
_NUDGE: Final = 0.02


def embedded(net: LabelledQuotientGraph) -> Crystal:
    """Embed a net in space; atoms are in the order of the net.

    Raises:
        InvalidRequestError: the bonds do not hold a three-periodic crystal together.
    """
    if not complete(net):
        raise InvalidRequestError(
            f"the {len(net.source)} bonds do not hold {len(net)} atoms together in three directions; no cell can be decoded"
        )
    # strings from elsewhere may be in skewed cells, in which pairs of atoms would be looked for in vain
    inverse = np.linalg.inv(reducing(barycentric(net).metric))
    net = LabelledQuotientGraph.from_bonds(
        net.numbers, source=net.source, target=net.target, image=np.rint(net.image @ inverse)
    )
    placement = barycentric(net)
    lengths, error = expected_lengths(net, placement)
    weights = np.clip((_USUAL_ERROR / error) ** 2, *_WEIGHTS)
    cell = rescaled(placement, lengths=lengths, weights=weights)
    reach = _BEYOND * _mean_distance(net, lengths)
    least = np.maximum(reach[:, None], reach[None, :])
    nudge = np.random.default_rng(0).normal(0.0, _NUDGE, placement.frac.shape) @ np.linalg.inv(cell)
    cell, frac = relaxed(net, cell=cell, frac=placement.frac + nudge, lengths=lengths, weights=weights, least=least)
    return Crystal(cell=cell, frac=frac, numbers=net.numbers)


def _mean_distance(net: LabelledQuotientGraph, lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) Angstrom, the mean bond length of each atom, weighted as Hoppe does."""
    atom, length = np.concatenate([net.source, net.target]), np.concatenate([lengths, lengths])
    mean = np.bincount(atom, length, len(net)) / degrees(net)
    for _ in range(20):
        weight = np.exp(1.0 - (length / mean[atom]) ** 6)
        mean = np.bincount(atom, weight * length, len(net)) / np.bincount(atom, weight, len(net))
    return mean
