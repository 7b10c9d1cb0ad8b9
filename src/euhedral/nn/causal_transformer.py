"""A causal transformer that reads a whole sequence at once, or one token at a time with its past kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(eq=False)
class Memory:
    """Keys and values of the tokens read so far; changed in place by `CausalTransformer.step`.

    Args:
        keys: for each layer (B, heads, capacity, key_size).
        values: as keys.
        length: (B,) tokens read.
    """

    keys: list[Tensor]
    values: list[Tensor]
    length: Tensor


class _Block(nn.Module):
    def __init__(
        self, *, heads: int, key_size: int, model_size: int, widening: int, dropout: float, attention_dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.key_size, self.attention_dropout = heads, key_size, attention_dropout
        self.before_attention = nn.LayerNorm(model_size)
        self.query_key_value = nn.Linear(model_size, 3 * heads * key_size)
        self.merge = nn.Linear(heads * key_size, model_size)
        self.before_dense = nn.LayerNorm(model_size)
        self.dense = nn.Sequential(
            nn.Linear(model_size, widening * model_size), nn.GELU(), nn.Linear(widening * model_size, model_size)
        )
        self.dropout = nn.Dropout(dropout)

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project (..., T, d) to query, key and value, each (..., heads, T, key_size)."""
        split = self.query_key_value(self.before_attention(x)).unflatten(-1, (3, self.heads, self.key_size))
        query, key, value = split.movedim(-3, 0)
        return query.transpose(-2, -3), key.transpose(-2, -3), value.transpose(-2, -3)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what was attended to, (..., heads, T, key_size), then the dense layer."""
        x = x + self.dropout(self.merge(attended.transpose(-2, -3).flatten(-2)))
        return x + self.dropout(self.dense(self.before_dense(x)))


class CausalTransformer(nn.Module):
    """Layers of masked self-attention and dense blocks, normalised before each (Xiong et al. 2020, arXiv:2002.04745).

    Args:
        layers: how many.
        heads: attention heads.
        key_size: width of a head.
        model_size: width of the stream.
        widening: width of the dense block over that of the stream.
        dropout: after attention and dense blocks.
        attention_dropout: on attention weights.
    """

    def __init__(
        self, *, layers: int, heads: int, key_size: int, model_size: int, widening: int, dropout: float, attention_dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(
                heads=heads, key_size=key_size, model_size=model_size, widening=widening, dropout=dropout,
                attention_dropout=attention_dropout,
            )
            for _ in range(layers)
        )  # fmt: skip
        self.last = nn.LayerNorm(model_size)

    @property
    def _layers(self) -> list[_Block]:
        return list(self.blocks)  # pyright: ignore[reportReturnType] - a ModuleList forgets what it holds

    def forward(self, x: Tensor) -> Tensor:
        """Read (B, T, d) sequences; each output sees its own token and those before. Padding goes at the end."""
        for block in self._layers:
            query, key, value = block.heads_of(x)
            attended = F.scaled_dot_product_attention(
                query, key, value, is_causal=True, dropout_p=block.attention_dropout if self.training else 0.0
            )
            x = block.finish(x, attended)
        return self.last(x)

    def memory(self, *, batch: int, capacity: int) -> Memory:
        """Make an empty memory for `batch` sequences of at most `capacity` tokens."""
        weight = self.last.weight
        first = self._layers[0]
        shape = (batch, first.heads, capacity, first.key_size)
        return Memory(
            keys=[weight.new_zeros(shape) for _ in self.blocks],
            values=[weight.new_zeros(shape) for _ in self.blocks],
            length=torch.zeros(batch, dtype=torch.int64, device=weight.device),
        )

    def step(self, x: Tensor, *, rows: Tensor, memory: Memory) -> Tensor:
        """Read the next token (M, d) of the sequences `rows` (M,); returns (M, d), what `forward` gives at that place."""
        place = memory.length[rows]
        longest = int(place.max()) + 1
        seen = (torch.arange(longest, device=x.device) <= place[:, None])[:, None, None]
        x = x[:, None]
        for block, keys, values in zip(self._layers, memory.keys, memory.values, strict=True):
            query, key, value = block.heads_of(x)
            keys[rows, :, place] = key[:, :, 0]
            values[rows, :, place] = value[:, :, 0]
            attended = F.scaled_dot_product_attention(
                query, keys[rows, :, :longest], values[rows, :, :longest], attn_mask=seen
            )
            x = block.finish(x, attended)
        memory.length[rows] += 1
        return self.last(x[:, 0])
