"""Pre-training: weights from structures alone, from which a network with labels begins."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from euhedral.core.crystal import Crystal
from euhedral.models.registry import row
from euhedral.tasks.pretraining import PretrainingTask
from euhedral.tasks.weights import Weights
from euhedral.training.graph_set import GraphSet
from euhedral.training.loggers import Journal
from euhedral.training.loop import Epoch, fit
from euhedral.training.seen import joined, material_keys
from euhedral.training.settings import TrainingSettings


def pretrain(
    system: str, *, crystals: Sequence[Crystal], settings: TrainingSettings, work: str | Path,
    config: Mapping[str, Any] | None = None, card: Mapping[str, Any] | None = None, seed: int = 0,
    device: torch.device | str = "cpu", on_epoch: Callable[[Epoch], None] | None = None, journal: Journal | None = None,
) -> Weights:  # fmt: skip
    """Train what a system's paper trains without labels; goes on where a killed run stopped.

    Args:
        system: the registry's name of a system that has a pre-training.
        crystals: structures; their labels are not looked at.
        settings: how to train.
        work: folder for the checkpoint.
        config: arguments of the network that will begin from these weights.
        card: what shall be known of the weights; how they were trained is added.
        seed: of everything that is drawn.
        device: where to train.
        on_epoch: called after each epoch.
        journal: takes down every epoch.

    Raises:
        UnknownNameError: there is no such system.
        InvalidRequestError: it has no pre-training, or cannot be made so.
        DivergedError: a loss is not finite.
        RunFolderError: the folder cannot be written or holds another run.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        task: PretrainingTask = row(system).load_pretraining()(config or {})
    task.module.to(device)
    data = GraphSet.from_crystals(crystals, spec=task.graph).to(device)

    def told(epoch: Epoch) -> None:
        if journal is not None:
            journal.write(epoch)
        if on_epoch is not None:
            on_epoch(epoch)

    done = fit(
        task.module, train=data, settings=settings, rng=torch.Generator().manual_seed(seed), objective=task.objective,
        checkpoint=Path(work) / f"{system}-pretraining.safetensors", on_epoch=told,
    )  # fmt: skip
    if journal is not None:
        journal.complete(done.history)
    how = {
        "objective": str(task.objective), "settings": str(settings), "seed": seed, "crystals": len(crystals),
        "training_seconds": round(sum(epoch.seconds for epoch in done.history)), "last_loss": done.history[-1].loss,
        "threads": torch.get_num_threads(),
        "machine": f"{platform.machine()}, torch {torch.__version__.split('+')[0]}, {data.batch.device.type}",
    }  # fmt: skip
    nothing = torch.zeros(0, dtype=torch.int64)
    tensors = {**task.learnt(), "trained_on": joined(nothing, material_keys(crystals))}
    return Weights(system=system, config=dict(task.config), tensors=tensors, card={**(card or {}), "training": how})
