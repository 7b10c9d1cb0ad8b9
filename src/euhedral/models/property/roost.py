"""Roost: representation learning from stoichiometry.

Goodall and Lee 2020, "Predicting materials properties without crystal structure: deep representation learning from
stoichiometry", doi:10.1038/s41467-020-19964-7.

Elements of a formula are nodes of a complete graph; messages between them are averaged with soft attention that is weighted by
the atomic fractions (equations 2 to 5). The structure is not looked at: what this system cannot beat, structure does not help.

| paper and released code | here |
|---|---|
| `elem_fea_len` | `width` |
| `n_graph` | `n_layers` |
| `elem_heads`, `cry_heads` | `heads` |
| `elem_gate`, `elem_msg`, `cry_gate`, `cry_msg` | `hidden_width` |
| `out_hidden` | `readout` |

Departures:

- Elements start from the 92 binary properties that came with CGCNN and from a learnt vector each, so that no two elements are
  alike; the paper takes the 200 Matscholar numbers, which are not under a stated licence.
- Scores of the soft averages have no constant after their last layer, since the softmax forgets it.
- One network gives a value; its uncertainty is an ensemble's, where the paper also fits a variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.elements import MAX_NUMBER
from euhedral.nn.dense import MLP
from euhedral.nn.element_properties import WIDTH, element_properties
from euhedral.nn.scaling import TargetScaling
from euhedral.nn.segments import segment_max, segment_sum
from euhedral.representations.composition_graph import CompositionGraph
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.tasks.targets import TargetLike, read_targets, split_outputs


class Roost(nn.Module):
    """Predict properties of a composition.

    Args:
        targets: what is predicted of a crystal: numbers, classes or spectra.
        width: features of an element.
        n_layers: rounds of messages between elements.
        heads: attentions that are averaged.
        hidden_width: of the networks that give messages and scores.
        readout: widths of the residual network after pooling.
    """

    scale: Literal["intensive", "extensive"] = "intensive"
    #: only the composition matters
    sees_structure = False
    properties: Tensor

    def __init__(
        self, *, targets: Sequence[TargetLike] = ("formation_energy_per_atom",), width: int = 64, n_layers: int = 3,
        heads: int = 3, hidden_width: int = 256, readout: Sequence[int] = (1024, 512, 256, 128, 64),
    ) -> None:  # fmt: skip
        super().__init__()
        self.kinds = read_targets(targets, system="Roost")
        self.targets = tuple(self.kinds)
        self.graph: GraphSpec = CompositionGraph()
        known = torch.zeros(MAX_NUMBER + 1, WIDTH)
        table = element_properties()
        known[: len(table)] = table
        self.register_buffer("properties", known, persistent=False)
        self.learnt = nn.Embedding(MAX_NUMBER + 1, width - 1)
        self.embedding = nn.Linear(WIDTH, width - 1)
        self.layers = nn.ModuleList(
            Heads(2 * width, width=width, hidden_width=hidden_width, heads=heads) for _ in range(n_layers)
        )
        self.pooling = Heads(width, width=width, hidden_width=hidden_width, heads=heads)
        self.residual = nn.ModuleList(Residual(i, o) for i, o in pairwise([width, *readout]))
        n_outputs = sum(kind.outputs for kind in self.kinds.values())
        self.output = nn.Linear(readout[-1], n_outputs)
        self.scaling = TargetScaling(n_outputs)

    def forward(self, batch: CrystalBatch, graph: Graph) -> dict[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit."""
        return split_outputs(self.scaling(self.output(self.latent(batch, graph))), kinds=self.kinds)

    def latent(self, batch: CrystalBatch, graph: Graph) -> Tensor:
        """(B, readout[-1]) the compositions as the last layer sees them."""
        number = graph.extra["element_number"]
        share = graph.extra["element_share"].to(batch.dtype)
        target, source = graph.extra["pair_target"], graph.extra["pair_source"]
        table = self.embedding(self.properties.to(share.dtype)) + self.learnt.weight
        elements = torch.cat([table[number], share[:, None]], dim=1)
        for layer in self.layers:
            pairs = torch.cat([elements[target], elements[source]], dim=1)
            elements = elements + layer(pairs, weight=share[source], owner=target, n=len(number))
        features = self.pooling(elements, weight=share, owner=graph.extra["element_crystal"], n=len(batch))
        for layer in self.residual:
            features = layer(features)
        return features


class Heads(nn.Module):
    """The mean of several soft averages of messages, weighted by atomic fractions (equations 3 and 4).

    Args:
        inputs: features of a row.
        width: features of a message.
        hidden_width: of the networks.
        heads: how many averages.
    """

    def __init__(self, inputs: int, *, width: int, hidden_width: int, heads: int) -> None:
        super().__init__()
        self.score = nn.ModuleList(MLP([inputs, hidden_width, 1], activation=F.leaky_relu) for _ in range(heads))
        for score in self.score:
            score.layers[-1].register_parameter("bias", None)  # a softmax forgets it  # type: ignore[union-attr, index]
        self.message = nn.ModuleList(MLP([inputs, hidden_width, width], activation=F.leaky_relu) for _ in range(heads))
        self.power = nn.Parameter(torch.ones(heads))

    def forward(self, rows: Tensor, *, weight: Tensor, owner: Tensor, n: int) -> Tensor:
        """(n, width) averages of (M, inputs) rows by owner."""
        total = rows.new_zeros(n, self.message[0].layers[-1].out_features)  # type: ignore[union-attr, index]
        for head, (score, message) in enumerate(zip(self.score, self.message, strict=True)):
            raw = score(rows)[:, 0]
            highest = segment_max(raw.detach(), owner=owner, n=n)
            attention = weight ** self.power[head] * torch.exp(raw - highest[owner])
            attention = attention / segment_sum(attention, owner=owner, n=n)[owner]
            total = total + segment_sum(attention[:, None] * message(rows), owner=owner, n=n)
        return total / len(self.message)


class Residual(nn.Module):
    """relu(W x + b) + V x, with V the identity where the widths agree."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.skip = nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map (M, inputs) to (M, outputs)."""
        return F.relu(self.linear(features)) + self.skip(features)
