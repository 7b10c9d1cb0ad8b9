"""Fit an autoregressive model by maximum likelihood, within a given time, resumable after a kill."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from euhedral.core.writing import write_atomically
from euhedral.errors import DivergedError, RunFolderError

_log = logging.getLogger(__name__)


class Sequences(Protocol):
    """A set of encoded crystals that batches are taken from."""

    def __len__(self) -> int:
        """Count the crystals."""
        ...

    def select(self, index: Tensor) -> Sequences:
        """Take crystals by index."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Args:
        seconds: time to train for; the rate falls along half a cosine to the end of it.
        epochs: stop earlier after this many passes.
        rate: peak learning rate.
        warmup_steps: steps over which the rate rises.
        batch_tokens: about how many tokens, padding included, one step sees.
        weight_decay: of AdamW, on matrices.
        clip: largest norm of the gradient.
        average: decay of the running average of weights that is validated and kept.
        checkpoint_seconds: between checkpoints and validations.
        patience: validations without improvement after which training stops.
        seed: of the order of batches and of dropout.
    """

    seconds: float
    epochs: int = 1000
    rate: float = 1.0e-3
    warmup_steps: int = 300
    batch_tokens: int = 2048
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.999
    checkpoint_seconds: float = 180.0
    patience: int = 1000
    seed: int = 0


@dataclass
class Progress:
    """Where a fit stands; written beside its checkpoint."""

    step: int = 0
    epoch: int = 0
    seconds: float = 0.0
    best: float = math.inf
    since_best: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def fit_likelihood(
    model: nn.Module,
    train: Sequences,
    *,
    lengths: Tensor,
    validation: Sequences,
    validation_lengths: Tensor,
    schedule: Schedule,
    folder: str | Path,
    on_validation: Callable[[Progress], None] | None = None,
) -> Progress:
    """Maximise the likelihood that `model.log_prob` gives; the model ends with the best averaged weights.

    A folder with a checkpoint is gone on with; its time and steps count.

    Args:
        model: has `log_prob(sequences) -> {slot: (B,)}`.
        train: what to learn.
        lengths: (len(train),) tokens of each; batches are made of like lengths.
        validation: what the weights are chosen by.
        validation_lengths: (len(validation),) tokens of each.
        schedule: how long and how fast.
        folder: for checkpoints; `best.safetensors` holds the best averaged weights.
        on_validation: called after each validation.

    Raises:
        DivergedError: the loss is not finite.
        RunFolderError: the folder cannot be written, or its checkpoint is another model's.
    """
    folder = Path(folder)
    optimizer = _optimizer(model, schedule)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    progress = _resume(folder, model, optimizer, average)
    with torch.random.fork_rng(devices=[]):  # dropout draws from torch's own generator
        torch.manual_seed(schedule.seed + progress.step)
        begun = time.monotonic() - progress.seconds
        saved = progress.seconds
        model.train()
        running = 0.0
        for epoch in range(progress.epoch, schedule.epochs):
            progress.epoch = epoch
            rng = torch.Generator().manual_seed(schedule.seed * 1_000_003 + epoch + progress.step)
            for index in _batches(lengths, tokens=schedule.batch_tokens, rng=rng):
                progress.seconds = time.monotonic() - begun
                _set_rate(optimizer, schedule, progress)
                loss = -torch.stack(list(model.log_prob(train.select(index)).values())).sum(0).mean()  # pyright: ignore[reportCallIssue]
                if not torch.isfinite(loss):
                    raise DivergedError(f"step {progress.step}: the loss is {loss.item()}; lower the learning rate")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
                optimizer.step()
                progress.step += 1
                running += 0.01 * (loss.item() - running) if progress.step > 1 else loss.item()
                decay = min(schedule.average, (1 + progress.step) / (10 + progress.step))
                _update_average(average, model, decay)
                if progress.seconds - saved > schedule.checkpoint_seconds or progress.seconds > schedule.seconds:
                    saved = progress.seconds
                    _validate(
                        model, average, validation, lengths=validation_lengths, schedule=schedule, progress=progress,
                        folder=folder, running=running,
                    )  # fmt: skip
                    _save(folder, model, optimizer, average, progress)
                    if on_validation is not None:
                        on_validation(progress)
                if progress.seconds > schedule.seconds or progress.since_best >= schedule.patience:
                    break
            else:
                continue
            break
    from safetensors.torch import load_file

    if (folder / "best.safetensors").exists():
        model.load_state_dict(load_file(folder / "best.safetensors"))
    model.eval()
    return progress


@torch.no_grad()
def mean_log_prob(model: nn.Module, data: Sequences, *, lengths: Tensor, batch_tokens: int = 4096) -> dict[str, float]:
    """Average the log-likelihood per crystal over a set, by slot, with "total" their sum; natural logarithm."""
    training = model.training
    model.eval()
    sums: dict[str, float] = {}
    rng = torch.Generator().manual_seed(0)
    for index in _batches(lengths, tokens=batch_tokens, rng=rng):
        for slot, value in model.log_prob(data.select(index)).items():  # pyright: ignore[reportCallIssue]
            sums[slot] = sums.get(slot, 0.0) + float(value.sum())
    model.train(training)
    means = {slot: value / len(data) for slot, value in sums.items()}
    return {**means, "total": sum(means.values())}


def _batches(lengths: Tensor, *, tokens: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Cut a shuffled set into batches of like lengths, in random order, each of about as many tokens."""
    shuffled = torch.randperm(len(lengths), generator=rng)
    noise = torch.rand(len(lengths), generator=rng)  # ties and neighbours are mixed anew in every epoch
    order = shuffled[torch.argsort(lengths[shuffled] + noise[shuffled] * (1.0 + 0.1 * lengths[shuffled]))]
    batches, start = [], 0
    ordered = lengths[order].tolist()
    longest = 0
    for i, length in enumerate(ordered):
        if max(longest, length) * (i + 1 - start) > tokens and i > start:
            batches.append(order[start:i])
            start, longest = i, 0
        longest = max(longest, length)
    batches.append(order[start:])
    for i in torch.randperm(len(batches), generator=rng).tolist():
        yield batches[i]


def _optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=schedule.rate, betas=(0.9, 0.98), fused=True,
    )  # fmt: skip


def _set_rate(optimizer: torch.optim.Optimizer, schedule: Schedule, progress: Progress) -> None:
    done = min(max(progress.seconds / schedule.seconds, progress.epoch / schedule.epochs), 1.0)
    rate = schedule.rate * min(1.0, (progress.step + 1) / schedule.warmup_steps) * 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = max(rate, 1e-6)


@torch.no_grad()
def _update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1.0 - decay)
        else:
            average[name].copy_(tensor)


def _validate(
    model: nn.Module, average: Mapping[str, Tensor], validation: Sequences, *, lengths: Tensor, schedule: Schedule,
    progress: Progress, folder: Path, running: float,
) -> None:  # fmt: skip
    from safetensors.torch import save

    current = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(average)
    scores = mean_log_prob(model, validation, lengths=lengths, batch_tokens=2 * schedule.batch_tokens)
    model.load_state_dict(current)
    nll = -scores["total"]
    progress.since_best += 1
    if nll < progress.best:
        progress.best, progress.since_best = nll, 0
        write_atomically(folder / "best.safetensors", content=save({k: v.contiguous() for k, v in average.items()}))
    entry = {
        "step": progress.step, "epoch": progress.epoch, "seconds": round(progress.seconds, 1),
        "train_nll": round(running, 4), "validation_nll": round(nll, 4),
        **{f"validation_{slot}": round(-value, 4) for slot, value in scores.items() if slot != "total"},
    }  # fmt: skip
    progress.history.append(entry)
    _log.info("%s", json.dumps(entry))


def _save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: Mapping[str, Tensor], progress: Progress
) -> None:
    from safetensors.torch import save

    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    # one file, so that a kill between two writes cannot pair new weights with an old state
    content = save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"progress": json.dumps(asdict(progress))},
    )
    write_atomically(folder / "checkpoint.safetensors", content=content)


def _resume(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]) -> Progress:
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return Progress()
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    try:
        model.load_state_dict(parts["model"])
    except RuntimeError as error:
        raise RunFolderError(f"{path} is a checkpoint of another model; choose an empty folder") from error
    average.update(parts["average"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    _log.info("going on from step %d", progress.step)
    return progress
