"""The autoregressive engine: a network that reads a prefix, heads that draw what comes next, a grammar that rules.

A sequence is made of slots: "token" for text, "letter", "number", "x", "y", "z", "lattice" for crystals by Wyckoff
position. A codec (in `representations`) turns crystals into `Sequences` and back. The same masks rule training and sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from euhedral.representations.sequence_target import Target
from euhedral.tasks.heads import Head


class Grammar(Protocol):
    """The rules of a language, and the state of B sentences that are being written in it."""

    def slots(self) -> Iterator[str]:
        """Yield the name of each slot in the order in which they are filled, until every sentence has ended."""
        ...

    def active(self, slot: str) -> Tensor:
        """Return (B,) whether each sentence has this slot."""
        ...

    def allowed(self, slot: str) -> Tensor | None:
        """Return (B, ...) what may fill it; a row of an active sentence that allows nothing ends it as failed."""
        ...

    def accept(self, slot: str, *, rows: Tensor, value: Tensor) -> None:
        """Write (M, ...) values into the sentences `rows` (M,)."""
        ...

    def fail(self, rows: Tensor) -> None:
        """End sentences that cannot be completed."""
        ...


class Network(Protocol):
    """Reads prefixes. Implementations are `nn.Module`s."""

    #: width of what it gives
    model_size: int

    def __call__(self, condition: Tensor, tokens: Any) -> Tensor:
        """Read whole sequences: (B, 1 + T, d), place 0 before the first token."""
        ...

    def begin(self, condition: Tensor) -> tuple[Tensor, Any]:
        """Start B sequences: (B, d), and a memory of them."""
        ...

    def advance(self, memory: Any, *, slot: str, rows: Tensor, value: Tensor) -> Tensor:
        """Read the next token of the sequences `rows`: (M, d)."""
        ...


class Autoregressor(nn.Module):
    """A network with one head for each kind of slot.

    Args:
        network: reads prefixes.
        heads: by slot.
        rng: draws the first weights of the heads.
    """

    def __init__(self, network: nn.Module, *, heads: Mapping[str, Head], rng: torch.Generator) -> None:
        super().__init__()
        self.network = network
        self.heads = dict(heads)
        size: int = network.model_size  # pyright: ignore[reportAssignmentType]
        outputs = {slot: nn.Linear(size, head.n_parameters) for slot, head in heads.items()}
        self.outputs = nn.ModuleDict(outputs)
        with torch.no_grad():
            for slot, head in heads.items():
                output = outputs[slot]
                nn.init.trunc_normal_(output.weight, std=0.01, generator=rng)
                output.bias.copy_(head.initial_bias(rng=rng))

    def log_prob(self, condition: Tensor, *, tokens: Any, targets: Mapping[str, Target]) -> dict[str, Tensor]:
        """Compute the log-likelihood of each sequence, by slot: {slot: (B,)}; a missing slot is certain."""
        hidden = self.network(condition, tokens)
        result = {}
        for slot, target in targets.items():
            parameters = self.outputs[slot](hidden[target.sequence, target.place]).float()
            each = self.heads[slot].log_prob(parameters, target.value, allowed=target.allowed)
            result[slot] = each.new_zeros(len(condition)).index_add(0, target.sequence, each)
        return result

    @torch.no_grad()
    def sample(
        self, condition: Tensor, *, grammar: Grammar, rng: torch.Generator, temperature: float, top_p: float
    ) -> None:
        """Write sentences into `grammar`, one for each row of the condition.

        Args:
            condition: (B, ...) what the network starts from.
            grammar: B fresh sentences.
            rng: draws every token.
            temperature: above 1 for more variety.
            top_p: share of probability that categories are drawn from.
        """
        hidden, memory = self.network.begin(condition)  # pyright: ignore[reportCallIssue]
        for slot in grammar.slots():
            rows = grammar.active(slot).nonzero()[:, 0]
            if not len(rows):
                continue
            allowed = grammar.allowed(slot)
            if allowed is not None:
                allowed = allowed[rows]
                possible = allowed.any(-1)
                grammar.fail(rows[~possible])
                rows, allowed = rows[possible], allowed[possible]
                if not len(rows):
                    continue
            parameters = self.outputs[slot](hidden[rows])
            value = self.heads[slot].sample(parameters, allowed=allowed, rng=rng, temperature=temperature, top_p=top_p)
            grammar.accept(slot, rows=rows, value=value)
            hidden[rows] = self.network.advance(memory, slot=slot, rows=rows, value=value)  # pyright: ignore[reportCallIssue]
