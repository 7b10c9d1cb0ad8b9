"""What a system learns from structures without labels, before it is trained with labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import Graph, GraphSpec


@dataclass(frozen=True, eq=False)
class PretrainingTask:
    """A network without labels and what it shall make small.

    Args:
        module: to be trained.
        graph: what it is given of a crystal.
        objective: of module, batch and graph; one number to make small.
        prefix: of the module's parameters that the network with labels has too; they are handed on without it.
        config: arguments that the network with labels must be made with, so that these fit.
    """

    module: nn.Module
    graph: GraphSpec
    objective: Callable[[Any, CrystalBatch, Graph], Tensor]
    prefix: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    def learnt(self) -> dict[str, Tensor]:
        """Parameters and buffers by the names that they have in the network with labels."""
        return {
            name.removeprefix(self.prefix): value
            for name, value in self.module.state_dict().items()
            if name.startswith(self.prefix)
        }
