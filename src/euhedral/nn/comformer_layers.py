"""The node-wise transformer layer of ComFormer, which GMTNet shares.

Source: Yan et al. 2024, "Complete and Efficient Graph Transformers for Crystal Material Property Prediction",
arXiv:2403.11857, section 4 and the released code; Yan et al. 2024, arXiv:2406.12888, for GMTNet's use of it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from euhedral.nn.normalisation import RowBatchNorm
from euhedral.nn.row_index import RowIndex


class NodeTransformer(nn.Module):
    """Atoms attend to their neighbours, channel by channel and without a softmax.

    With query q_i, keys k and values v linear in the atoms' features and e linear in the edge's,

        a_ij = sigmoid(BN(q_i * K[k_i, k_j, e_ij] / sqrt(width)))
        x_i <- softplus(x_i + BN(W sum_j a_ij * V[v_i, v_j, e_ij]))

    where K and V are networks of two layers. Products over [., ., .] are taken as three, those of atoms once an atom, and that
    with e_ij through both of its linear maps at once: the same numbers.

    Args:
        width: features of an atom.
        edge_width: features of an edge.
        normalise: batch normalisation of the sum, as in ComFormer; GMTNet has none.
    """

    def __init__(self, width: int, *, edge_width: int, normalise: bool = True) -> None:
        super().__init__()
        self.width = width
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.edge = nn.Linear(edge_width, width)
        self.key_first, self.key_last = nn.Linear(3 * width, width), nn.Linear(width, width)
        self.message_first, self.message_last = nn.Linear(3 * width, width), nn.Linear(width, width)
        self.attention_norm = RowBatchNorm(width)
        self.joined = nn.Linear(width, width)
        self.norm = RowBatchNorm(width) if normalise else None

    def forward(
        self, atoms: Tensor, edges: Tensor, *, source: Tensor, target: Tensor, rows: Tensor | None = None,
        count: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Update (N, width) atoms.

        Args:
            atoms: (N, width).
            edges: (K, edge_width).
            source: (E,) int64 which atom sends.
            target: (E,) int64 which atom receives.
            rows: (E,) int64 the features of each edge; without it each has its own, in order.
            count: (E,) how many equal edges each stands for; one without it.
        """
        own_key, other_key, edge_key = self.key_first.weight.split(self.width, dim=1)
        own_value, other_value, edge_value = self.message_first.weight.split(self.width, dim=1)
        keys, values = self.key(atoms), self.value(atoms)
        through = torch.cat([edge_key, edge_value])
        bias = torch.cat([self.key_first.bias, self.message_first.bias]) + F.linear(self.edge.bias, through)
        own = torch.cat([F.linear(keys, own_key), F.linear(values, own_value)], dim=1)
        other = torch.cat([F.linear(keys, other_key), F.linear(values, other_value)], dim=1)
        mixed = F.linear(edges, through @ self.edge.weight, bias)
        senders, receivers = RowIndex(source, n=len(atoms)), RowIndex(target, n=len(atoms))
        mixed = mixed if rows is None else RowIndex(rows, n=len(edges)).take(mixed)
        mixed = F.silu(mixed + receivers.take(own) + senders.take(other))
        key, message = mixed.split(self.width, dim=1)
        score = receivers.take(self.query(atoms)) * self.key_last(key) / math.sqrt(self.width)
        message = torch.sigmoid(self.attention_norm(score, count)) * self.message_last(message)
        message = message if count is None else message * count[:, None]
        total = self.joined(receivers.add(message))
        return F.softplus(atoms + (total if self.norm is None else self.norm(total)))
