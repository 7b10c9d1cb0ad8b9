"""Atoms as vectors: what is known of their element, and what is learnt of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.element_properties import WIDTH, element_properties


class ElementEmbedding(nn.Module):
    """A linear map of the 92 properties of CGCNN's table, plus a vector of each element that begins at zero.

    The learnt vectors tell apart elements to which the table gives the same properties, and those that it does not hold;
    until they have been trained the map is the table's alone.

    Args:
        width: features of an atom.
    """

    properties: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        table = torch.zeros(MAX_NUMBER + 1, WIDTH)
        known = element_properties()
        table[: len(known)] = known
        self.register_buffer("properties", table, persistent=False)
        self.linear = nn.Linear(WIDTH, width)
        self.learnt = nn.Parameter(torch.zeros(MAX_NUMBER + 1, width))

    def forward(self, numbers: Tensor) -> Tensor:
        """Look up (N, width) features by (N,) atomic numbers."""
        # a product for each element and a lookup for each atom, not a product for each atom
        table = self.linear(self.properties.to(self.learnt.dtype)) + self.learnt
        return table.index_select(0, numbers)
