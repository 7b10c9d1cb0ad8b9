"""A spread from one network with dropout: it is asked many times with dropout on.

Gal and Ghahramani 2016, "Dropout as a Bayesian Approximation", arXiv:1506.02142, equation 7. The mean is what the network says with
dropout off, not the mean of the draws: it is the same each time, and for a linear layer equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.representations.graphs import Graph
from euhedral.tasks.targets import kinds_of
from euhedral.training.opinion import Around, Opinion


class DropoutNetwork(Around):
    """A trained network whose spread is that of many answers with dropout.

    The draws are the same in each call, so that the same question has the same answer; which of them a crystal gets depends on
    the crystals beside it.

    Args:
        network: a property model with dropout layers.
        draws: how many answers, at least 2.

    Raises:
        InvalidRequestError: the network has no dropout layer that drops anything, or there are too few draws.
    """

    def __init__(self, network: nn.Module, *, draws: int = 20) -> None:
        super().__init__(network, kinds=kinds_of(network))
        if draws < 2:
            raise InvalidRequestError(f"a spread needs at least 2 draws, got {draws}")
        if not any(layer.p > 0.0 for layer in _dropouts(network)):
            raise InvalidRequestError(
                f"{type(network).__name__} has no dropout, so that it always says the same; take several networks (members) instead"
            )
        self.draws = draws

    def forward(self, batch: CrystalBatch, graph: Graph) -> Mapping[str, Tensor]:
        """Predict {target: (B, ...)} in the target's unit, as the network does."""
        network: Any = self.network
        return network(batch, graph)

    def opinion(self, batch: CrystalBatch, graph: Graph) -> Opinion:
        """Ask once without dropout and many times with it; all else stays in evaluation mode."""
        mean = self(batch, graph)
        device = batch.device
        before = [(layer, layer.training) for layer in _dropouts(self.network)]
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(0)
            try:
                for layer, _ in before:
                    layer.train()
                answers = [self(batch, graph) for _ in range(self.draws)]
            finally:
                for layer, mode in before:
                    layer.train(mode)
        spread = {name: torch.stack([answer[name] for answer in answers]).std(0, correction=1) for name in mean}
        return Opinion(mean=mean, spread=spread)


def _dropouts(network: nn.Module) -> list[_DropoutNd]:
    return [layer for layer in network.modules() if isinstance(layer, _DropoutNd)]
