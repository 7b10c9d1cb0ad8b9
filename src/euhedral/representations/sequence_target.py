"""What the slots of a batch of sequences hold, as autoregressive models are taught it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Target:
    """What one kind of slot holds in a batch of sequences, M slots in all.

    Args:
        sequence: (M,) which sequence.
        place: (M,) which output of the network it is drawn from; 0 is the one that has read the condition only.
        value: (M, ...) what was drawn.
        allowed: (M, ...) the grammar's mask, or None where everything is allowed.
    """

    sequence: Tensor
    place: Tensor
    value: Tensor
    allowed: Tensor | None
