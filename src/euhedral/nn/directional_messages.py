"""DimeNet++: messages between messages that know the angles between them, without a list of angles.

A message k -> j acts on a message j -> i through a function of the length of the first and the angle at j. DimeNet lists all such
pairs. By the addition theorem, P_l of the cosine is a sum of products of harmonics of the two directions, so that the messages
into j can be summed once, times their harmonics, and read in the direction of each edge: the same numbers, at the cost
of edges times harmonics instead of edges times neighbours, and nothing is kept for each pair.

Source: Gasteiger, Gross and Guennemann 2020, arXiv:2003.03123, equations 4 to 7; Gasteiger et al. 2020, arXiv:2011.14115, for
the plus-plus variant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class MessageGraph:
    """Which messages reach the source of which, with messages that are equal given once.

    Args:
        inward: (P,) int64 the message of each edge that ends at one of the C atoms that messages start from.
        slot: (P,) int64 its place in a table of C rows of K places.
        harmonics: (C, (lmax + 1)^2, K) of the directions from the atom to the sources of those edges; zero in free places.
        centre: (M,) int64 the row of the atom that each message starts from.
        backward: (M, (lmax + 1)^2) harmonics of the direction from that atom to the message's target.
        opposite: (M,) int64 the message the other way.
    """

    inward: Tensor
    slot: Tensor
    harmonics: Tensor
    centre: Tensor
    backward: Tensor
    opposite: Tensor


class Residual(nn.Module):
    """x + act(W act(W x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Map (M, width) to (M, width)."""
        return features + F.silu(self.second(F.silu(self.first(features))))


class DirectionalInteraction(nn.Module):
    """One interaction block of DimeNet++.

    Args:
        width: features of a message.
        narrow: features of a message while it meets others.
        n_radial: radial functions of a message.
        basis_width: of the bottleneck through which bases go.
        n_degrees: Legendre polynomials of the angle.
        before: residual layers before the message is added to the old one.
        after: residual layers after that.
    """

    def __init__(
        self, width: int, *, narrow: int, n_radial: int, basis_width: int, n_degrees: int, before: int, after: int
    ) -> None:
        super().__init__()
        self.n_degrees = n_degrees
        self.radial = nn.Sequential(
            nn.Linear(n_radial, basis_width, bias=False), nn.Linear(basis_width, width, bias=False)
        )
        self.angular_first = nn.Linear(n_degrees * n_radial, basis_width, bias=False)
        self.angular_second = nn.Linear(basis_width, narrow, bias=False)
        self.other, self.own = nn.Linear(width, width), nn.Linear(width, width)
        self.down, self.up = nn.Linear(width, narrow, bias=False), nn.Linear(narrow, width, bias=False)
        self.before, self.after = (nn.Sequential(*(Residual(width) for _ in range(n))) for n in (before, after))
        self.skip = nn.Linear(width, width)

    def forward(self, messages: Tensor, radial: Tensor, spherical: Tensor, *, graph: MessageGraph) -> Tensor:
        """Update (M, width) messages.

        Args:
            messages: the messages.
            radial: (M, n_radial) functions of their lengths.
            spherical: (M, n_degrees, n_radial) functions of their lengths, for each degree of the angle.
            graph: which meet.
        """
        sent = F.silu(self.other(messages)) * self.radial(radial)
        sent = F.silu(self.down(sent))
        mixed = F.silu(self.own(messages)) + F.silu(self.up(self._met(sent, spherical, graph)))
        return self.after(F.silu(self.skip(self.before(mixed))) + messages)

    def _met(self, sent: Tensor, spherical: Tensor, graph: MessageGraph) -> Tensor:
        """(M, narrow) sum over the messages into each one's source, but the opposite one, times functions of the angle."""
        weight = (self.angular_second.weight @ self.angular_first.weight).unflatten(1, (self.n_degrees, -1))
        n_centres, _, places = graph.harmonics.shape
        total = torch.zeros_like(sent)
        for degree in range(self.n_degrees):
            rows = slice(degree**2, (degree + 1) ** 2)
            value = sent * (spherical[:, degree] @ weight[:, degree].T)
            table = value.new_zeros(n_centres * places, value.shape[1])
            table = table.index_copy(0, graph.slot, value.index_select(0, graph.inward)).view(
                n_centres, places, value.shape[1]
            )
            around = torch.bmm(graph.harmonics[:, rows], table)
            seen = (around.index_select(0, graph.centre) * graph.backward[:, rows, None]).sum(1)
            # the harmonics' products are (2l + 1) P_l; the opposite message would meet itself at P_l(1) = 1
            seen = seen / (2 * degree + 1) - value.index_select(0, graph.opposite)
            total = total + math.sqrt((2 * degree + 1) / (4.0 * math.pi)) * seen
        return total


def message_graph(*, target: Tensor, harmonics: Tensor, message: Tensor, reverse: Tensor) -> MessageGraph:
    """Lay out the edges that messages need.

    Args:
        target: (E,) int64 of all edges, those of one target together.
        harmonics: (E, (lmax + 1)^2) of the direction from each edge's target to its source.
        message: (E,) int64 the message of each edge.
        reverse: (M,) int64 for one edge of each message the edge the other way.
    """
    starts_at = target.index_select(0, reverse)  # the source of the message's edge
    centres, centre = torch.unique(starts_at, return_inverse=True)
    row = torch.full((int(target.max()) + 1 if len(target) else 0,), -1, dtype=torch.int64, device=target.device)
    row[centres] = torch.arange(len(centres), device=target.device)
    edges = torch.nonzero(row[target] >= 0)[:, 0]
    owner = row[target[edges]]
    counts = torch.bincount(owner, minlength=len(centres))
    places = int(counts.max()) if len(counts) else 0
    within = torch.arange(len(owner), device=target.device) - (counts.cumsum(0) - counts)[owner]
    slot = owner * places + within
    table = harmonics.new_zeros(len(centres) * places, harmonics.shape[1]).index_copy(0, slot, harmonics[edges])
    return MessageGraph(
        inward=message[edges], slot=slot, harmonics=table.view(len(centres), places, harmonics.shape[1]).mT.contiguous(), centre=centre,
        backward=harmonics.index_select(0, reverse), opposite=message.index_select(0, reverse),
    )  # fmt: skip
