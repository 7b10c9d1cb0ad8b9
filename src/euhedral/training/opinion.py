"""What a network says of crystals and how sure it is: the part that single networks and ensembles have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from euhedral.core.batch import CrystalBatch
from euhedral.representations.graphs import Graph, GraphSpec
from euhedral.tasks.targets import Target


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a network or an ensemble says of B crystals.

    Args:
        mean: {target: (B, ...) or (N, ...)} in the target's unit; of a class the logarithm of the mean probability.
        spread: the same; standard deviation, zero where none is known.
    """

    mean: Mapping[str, Tensor]
    spread: Mapping[str, Tensor]


@runtime_checkable
class Opinionated(Protocol):
    """A network that has a spread of its own."""

    def opinion(self, batch: CrystalBatch, graph: Graph) -> Opinion:
        """Say what it predicts and how far that may be off."""
        ...


class Around(nn.Module):
    """A property model made of another one, with the other's graph and inputs.

    Args:
        network: a property model.
        kinds: what it predicts, by name.
    """

    def __init__(self, network: nn.Module, *, kinds: Mapping[str, Target]) -> None:
        super().__init__()
        inner: Any = network
        self.network = network
        self.kinds = dict(kinds)
        self.targets = tuple(kinds)
        self.graph: GraphSpec = inner.graph
        self.scale: Literal["intensive", "extensive"] = inner.scale
        self.inputs: tuple[str, ...] = tuple(getattr(inner, "inputs", ()))
        self.site_inputs: tuple[str, ...] = tuple(getattr(inner, "site_inputs", ()))
        self.sees_structure = bool(getattr(inner, "sees_structure", True))
        self.merges_equal = bool(getattr(inner, "merges_equal", False))

    @property
    def elements(self) -> Tensor | None:
        """The table of elements of a network that does not know all."""
        return getattr(self.network, "elements", None)
