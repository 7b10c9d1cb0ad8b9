"""The one training loop.

An epoch begins by drawing one seed from the run's generator; the order of the crystals and whatever the network draws
itself follow from that seed. A run that was killed goes on from its last whole epoch and gives, bit for bit on one machine,
the weights that it would have given.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from euhedral.errors import DivergedError, InvalidRequestError
from euhedral.nn.scaling import TargetScaling
from euhedral.tasks.property import PropertyModel
from euhedral.tasks.targets import kinds_of
from euhedral.training.averaging import WeightAverage, settle_normalisation
from euhedral.training.checkpoint import Progress, load_checkpoint, preparation_of, save_checkpoint
from euhedral.training.graph_set import GraphSet
from euhedral.training.objective import Objective, Supervised, fit_scaling
from euhedral.training.schedules import MomentumCycle, Plateau
from euhedral.training.settings import TrainingSettings

_LOG = logging.getLogger(__name__)

# Crystals from which the statistics of batch normalisation are taken before the validation set is looked at.
_SETTLED_ON: Final = 1000


@runtime_checkable
class TrainableModel(PropertyModel, Protocol):
    """A property model whose last step brings its numbers to the targets' units."""

    scaling: TargetScaling


@runtime_checkable
class Preparable(Protocol):
    """A model that first looks at the labels and then says what to make small."""

    def prepare(self, labels: Mapping[str, Tensor], *, rng: torch.Generator) -> Objective:
        """Change the model in place and return the objective of its training.

        Args:
            labels: {target: (B, ...) or (N, ...)} of the training set; NaN where one is not known.
            rng: decides on everything random; the same seed must give the same bits, since a run that goes on prepares again.
        """
        ...


@dataclass(frozen=True)
class Epoch:
    """What one epoch did.

    Args:
        epoch: counted from 1.
        loss: mean training loss.
        validation: mean error of each target as its kind counts it (`tasks.targets`), or of "objective" where one was given;
            empty without a validation set.
        learning_rate: at the end of the epoch.
        seconds: it took, validation included.
    """

    epoch: int
    loss: float
    validation: Mapping[str, float]
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Fit:
    """A finished run.

    Args:
        history: one record an epoch.
        epoch: the epoch whose weights the model now has.
    """

    history: tuple[Epoch, ...]
    epoch: int


def fit(
    model: nn.Module, *, train: GraphSet, validation: GraphSet | None = None, settings: TrainingSettings,
    rng: torch.Generator, checkpoint: str | Path | None = None, on_epoch: Callable[[Epoch], None] | None = None,
    checkpoint_every: int = 1, objective: Objective | None = None, keep_scaling: bool = False,
    settle_on: int = 10_000,
) -> Fit:  # fmt: skip
    """Train a network in place; leaves it in evaluation mode.

    Args:
        model: a `TrainableModel`, on the device and in the dtype to train in. Its target scaling is set from the labels, and
            one that is `Preparable` is prepared. With an objective any module will do.
        train: crystals with labels, on the same device; NaN labels take no part.
        validation: crystals whose error is reported after each epoch; it decides on stopping when `patience` is set, and on
            the learning rate when the schedule is a `Plateau`.
        settings: how to train.
        rng: decides on everything random; seed it.
        checkpoint: file to keep the run's state in; a run that finds its own state there goes on from it.
        on_epoch: called after each epoch, for progress.
        checkpoint_every: epochs between two writings of the checkpoint.
        objective: what to make small, where it is neither the error of labels nor what the model itself says: a pre-training.
        keep_scaling: leave the target scaling as it is, for a network that was trained before.
        settle_on: crystals over which batch normalisation is averaged at the end; 0 leaves its running averages.

    Raises:
        InvalidRequestError: the model cannot be trained so, nothing in it would change, or the settings contradict each other
            or need a validation set.
        DivergedError: a loss is not finite; the message names the batch.
        RunFolderError: the checkpoint belongs to another run or cannot be written.
    """
    _check(settings, validation=validation)
    path = Path(checkpoint) if checkpoint is not None and Path(checkpoint).exists() else None
    make_small, labels, preparation = objective or Supervised(settings.loss), {}, None
    if objective is None:
        if not isinstance(model, TrainableModel):
            raise InvalidRequestError(f"{type(model).__name__} cannot be trained here: it has no target scaling")
        labels = train.labels(model.targets)
        if not keep_scaling:
            fit_scaling(model, labels=labels)
        if isinstance(model, Preparable):
            preparation = preparation_of(path) if path else None
            preparation = int(torch.randint(2**62, (), generator=rng)) if preparation is None else preparation
            make_small = model.prepare(labels, rng=torch.Generator().manual_seed(preparation))
    module = cast("nn.Module", model)
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise InvalidRequestError(
            f"{type(model).__name__} has no parameter that training may change; unfreeze some of it"
        )
    optimizer = settings.optimizer.make(parameters)
    run = _describe(module, train=train, labels=labels, settings=settings)
    progress = Progress(run=run)
    if path is not None:
        progress = load_checkpoint(path, model=module, optimizer=optimizer, rng=rng, run=run)
        _LOG.info("going on after epoch %d of %s", len(progress.history), path)
    history = [Epoch(**record) for record in progress.history]  # type: ignore[arg-type]
    best = progress.best
    average = WeightAverage(*progress.average) if progress.average else WeightAverage()

    epochs = settings.length(len(train))[1]
    while len(history) < epochs and not _should_stop(history, patience=settings.patience):
        began = time.perf_counter()
        loss = _epoch(
            module,
            train=train,
            settings=settings,
            optimizer=optimizer,
            rng=rng,
            history=history,
            objective=make_small,
            average=average,
        )
        number = len(history) + 1
        due = validation is not None and (number % settings.validate_every == 0 or number == epochs)
        errors = {}
        if due and validation is not None:
            # the running statistics lag behind the weights by some ten batches, which may be all of a short run
            settle_normalisation(module, train, batch_size=settings.batch_size, most=_SETTLED_ON)
            errors = _looked_at(model, validation, objective=objective, settings=settings)
        rate = float(optimizer.param_groups[0]["lr"])
        history.append(Epoch(number, loss, errors, rate, time.perf_counter() - began))
        if settings.patience is not None and errors and _best_epoch(history) == number:
            best = (number, {name: value.detach().clone() for name, value in module.state_dict().items()})
        if checkpoint is not None and (len(history) % checkpoint_every == 0 or len(history) == epochs):
            progress = Progress(
                run=run, history=tuple(asdict(record) for record in history), best=best,
                average=(average.count, average.means) if average.count else None, preparation=preparation,
            )  # fmt: skip
            save_checkpoint(Path(checkpoint), model=module, optimizer=optimizer, rng=rng, progress=progress)
        _LOG.info("epoch %d: loss %.4f, validation %s", len(history), loss, errors)
        if on_epoch is not None:
            on_epoch(history[-1])
    if best is not None:
        module.load_state_dict(best[1])
    if average.count:
        average.put(module)
    if settle_on:
        settle_normalisation(module, train, batch_size=settings.batch_size, most=settle_on)
    module.eval()
    return Fit(history=tuple(history), epoch=best[0] if best else len(history))


@torch.no_grad()
def predict(model: PropertyModel, data: GraphSet, *, batch_size: int = 256) -> dict[str, Tensor]:
    """Predict {target: (B,)} for a whole set, in evaluation mode and in the targets' units.

    Args:
        model: a property model; its training mode is put back afterwards.
        data: crystals on the model's device.
        batch_size: crystals at a time.
    """
    module = cast("nn.Module", model)
    training = module.training
    module.eval()
    order = torch.arange(len(data), device=data.batch.device)
    with torch.compiler.set_stance("force_eager"):  # compiled layers are compiled for training only
        parts = [model(*batch) for batch in data.batches(order, size=batch_size)]
    module.train(training)
    return {name: torch.cat([part[name] for part in parts]) for name in model.targets}


def mean_errors(model: PropertyModel, data: GraphSet, *, batch_size: int = 256) -> dict[str, float]:
    """Mean error of each target, as its kind counts it, over the crystals or atoms whose label is known; NaN where none is."""
    predicted = predict(model, data, batch_size=batch_size)
    labels = data.labels(model.targets)
    return {name: kind.error(predicted[name], labels[name]).nanmean().item() for name, kind in kinds_of(model).items()}


@torch.no_grad()
def _looked_at(
    model: Any, data: GraphSet, *, objective: Objective | None, settings: TrainingSettings,
) -> dict[str, float]:  # fmt: skip
    """Errors on the validation set; those of an objective on the same random draws each time."""
    if objective is None:
        return mean_errors(model, data, batch_size=settings.batch_size)
    training = model.training
    model.eval()
    device = data.batch.device
    order = torch.arange(len(data), device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        parts = [
            (objective(model, batch, graph).item(), len(batch))
            for batch, graph in data.batches(order, size=settings.batch_size)
        ]
    model.train(training)
    return {"objective": sum(loss * count for loss, count in parts) / len(data)}


def _epoch(
    module: nn.Module, *, train: GraphSet, settings: TrainingSettings, optimizer: torch.optim.Optimizer,
    rng: torch.Generator, history: Sequence[Epoch], objective: Objective, average: WeightAverage,
) -> float:  # fmt: skip
    module.train()
    epoch = len(history)
    device = train.batch.device
    seed = int(torch.randint(2**62, (), generator=rng))
    shuffled = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).to(device)
    n_batches = math.ceil(len(train) / settings.batch_size)
    steps, epochs = settings.length(len(train))
    total, done = torch.zeros((), device=device), 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for index, (batch, graph) in enumerate(train.batches(shuffled, size=settings.batch_size)):
            step = epoch * n_batches + index + 1
            if step > steps:
                break
            _set_rate(optimizer, settings=settings, progress=step / steps, history=history, epochs=epochs)
            optimizer.zero_grad(set_to_none=True)
            loss = objective(module, batch, graph)
            if not torch.isfinite(loss):
                raise DivergedError(
                    f"epoch {epoch + 1}, batch {index + 1} of {n_batches} ({_name(batch.ids)}): the loss is {loss.item()}; "
                    "lower the learning rate or look at these crystals"
                )
            loss.backward()
            if settings.clip is not None:
                nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
            optimizer.step()
            if step > steps * (1.0 - settings.averaged):
                average.add(module)
            total += loss.detach()
            done += 1
    return total.item() / done


def _set_rate(
    optimizer: torch.optim.Optimizer, *, settings: TrainingSettings, progress: float, history: Sequence[Epoch], epochs: int,
) -> None:  # fmt: skip
    """Give the optimizer its learning rate, and its momentum where the schedule has one."""
    schedule = settings.schedule
    progress = min(progress, 1.0 - settings.averaged)
    factor = schedule.after(_scores(history), epochs=epochs) if isinstance(schedule, Plateau) else schedule(progress)
    for group in optimizer.param_groups:
        group["lr"] = settings.optimizer.learning_rate * factor
        if isinstance(schedule, MomentumCycle):
            if "betas" in group:
                group["betas"] = (schedule.momentum(progress), group["betas"][1])
            else:
                group["momentum"] = schedule.momentum(progress)


def _check(settings: TrainingSettings, *, validation: GraphSet | None) -> None:
    if settings.watches and validation is None:
        what = "patience" if settings.patience is not None else "the schedule Plateau"
        raise InvalidRequestError(f"{what} needs a validation set; give one or take `settings.unwatched()`")
    if not 0.0 <= settings.averaged < 1.0:
        raise InvalidRequestError(f"averaged is a share of the run in [0, 1), got {settings.averaged}")
    if settings.averaged and settings.patience is not None:
        raise InvalidRequestError(
            "averaged weights and the best of the epochs (patience) exclude each other; set one of them"
        )


def _scores(history: Sequence[Epoch]) -> list[tuple[int, float]]:
    """Each look's (epoch, validation error), each target's in units of its first one, so that units do not matter."""
    looked = [record for record in history if record.validation]
    first = looked[0].validation if looked else {}
    return [
        (record.epoch, sum(error / max(first[name], 1e-12) for name, error in record.validation.items()))
        for record in looked
    ]


def _best_epoch(history: Sequence[Epoch]) -> int:
    """The epoch with the least validation error."""
    return min(_scores(history), key=lambda look: look[1])[0]


def _should_stop(history: Sequence[Epoch], *, patience: int | None) -> bool:
    if patience is None or not any(record.validation for record in history):
        return False
    return len(history) - _best_epoch(history) >= patience


def _describe(
    model: nn.Module, *, train: GraphSet, labels: Mapping[str, Tensor], settings: TrainingSettings,
) -> str:  # fmt: skip
    """One line that differs when model, data or settings differ."""
    digest = hashlib.sha256()
    for value in (train.batch.numbers, train.graph.source, *labels.values()):
        digest.update(value.nan_to_num(-1e9).cpu().numpy().tobytes())
    shapes = sum(parameter.numel() for parameter in model.parameters())
    return f"{type(model).__name__} of {shapes} parameters, data {digest.hexdigest()[:12]}, {settings}"


def _name(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:4])
    return f"{shown} and {len(ids) - 4} more" if len(ids) > 4 else shown or "unnamed"
