"""Averages over a run: of weights over its last steps, and of batch statistics over its crystals."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from euhedral.training.graph_set import GraphSet


class WeightAverage:
    """The mean of a network's parameters over steps (Izmailov et al. 2018, arXiv:1803.05407, equal weights).

    Args:
        count: steps that were added.
        means: {parameter: mean}; empty before the first step.
    """

    def __init__(self, count: int = 0, means: Mapping[str, Tensor] | None = None) -> None:
        self.count = count
        self.means = dict(means or {})

    @torch.no_grad()
    def add(self, model: nn.Module) -> None:
        """Take in the parameters as they are now."""
        self.count += 1
        for name, value in model.named_parameters():
            if name in self.means:
                self.means[name].lerp_(value, 1.0 / self.count)
            else:
                self.means[name] = value.detach().clone()

    @torch.no_grad()
    def put(self, model: nn.Module) -> None:
        """Give the network the means; batch statistics do not belong to them and must be settled afterwards."""
        for name, value in model.named_parameters():
            value.copy_(self.means[name])


@torch.no_grad()
def settle_normalisation(model: nn.Module, data: GraphSet, *, batch_size: int, most: int) -> None:
    """Replace the running statistics of batch normalisation by averages over many crystals, with the weights as they are.

    The running ones remember some ten batches, and heavy-tailed sums of messages make them jump from batch to batch.

    Args:
        model: changed in place; one without batch normalisation is left as it is.
        data: the training set.
        batch_size: as in training.
        most: crystals to average over, drawn from the set; always the same ones, in whole batches where there is one.

    Source: Wu and Johnson 2021, arXiv:2105.07576, section 3 ("precise batch normalisation"), which finds 1,000 to 10,000 samples
    to be enough.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    training = model.training
    model.train()
    count = min(len(data), most)
    count -= count % batch_size if count > batch_size else 0  # a rest would count as much as a whole batch
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count].to(data.batch.device)
    with torch.compiler.set_stance("force_eager"):  # a second mode, used once, is not worth compiling
        for batch in data.batches(order, size=batch_size):
            model(*batch)
    model.train(training)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
