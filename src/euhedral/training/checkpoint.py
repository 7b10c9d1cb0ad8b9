"""The state of a training run in one safetensors file, so that a killed run goes on as if it had not been killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from euhedral.core.writing import write_atomically
from euhedral.errors import FileFormatError, RunFolderError


@dataclass(frozen=True, eq=False)
class Progress:
    """Where a run stands after an epoch.

    Args:
        run: a description of the run; a checkpoint of another run is refused.
        history: one record an epoch.
        best: the best weights so far and the epoch they are from; None when every epoch's weights are taken.
        average: how many steps' weights were averaged, and their means; None before the first.
        preparation: the seed with which the model was prepared; None for one that needs none.
    """

    run: str
    history: tuple[Mapping[str, Any], ...] = ()
    best: tuple[int, Mapping[str, Tensor]] | None = None
    average: tuple[int, Mapping[str, Tensor]] | None = None
    preparation: int | None = None


def save_checkpoint(
    path: Path, *, model: nn.Module, optimizer: torch.optim.Optimizer, rng: torch.Generator, progress: Progress,
) -> None:  # fmt: skip
    """Write model, optimizer, random state and history; the file appears whole or not at all.

    Raises:
        RunFolderError: the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    state = optimizer.state_dict()
    plain: dict[str, Any] = {}
    for index, entry in state["state"].items():
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                plain[f"{index}.{name}"] = value
    tensors["rng"] = rng.get_state()
    if progress.best is not None:
        tensors |= {f"best.{name}": value for name, value in progress.best[1].items()}
    if progress.average is not None:
        tensors |= {f"average.{name}": value for name, value in progress.average[1].items()}
    head = {
        "run": progress.run,
        "history": [dict(record) for record in progress.history],
        "best_epoch": progress.best[0] if progress.best else None,
        "preparation": progress.preparation,
        "averaged": progress.average[0] if progress.average else None,
        "optimizer": plain,
    }
    stored = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_atomically(path, content=save(stored, metadata={"progress": json.dumps(head)}))


def load_checkpoint(
    path: Path, *, model: nn.Module, optimizer: torch.optim.Optimizer, rng: torch.Generator, run: str,
) -> Progress:  # fmt: skip
    """Put model, optimizer and random state back to where the checkpoint was written.

    Raises:
        FileFormatError: the file is not a checkpoint.
        RunFolderError: it belongs to a run with other settings, data or model.
    """
    head, tensors = _read(path, tensors=True)
    if head["run"] != run:
        raise RunFolderError(
            f"{path} belongs to another run: {_difference(str(head['run']), run)}; choose another --out folder or delete it"
        )
    model.load_state_dict(_under(tensors, "model."))
    optimizer.load_state_dict({"state": _optimizer_state(tensors, head["optimizer"]), "param_groups": optimizer.state_dict()["param_groups"]})  # fmt: skip
    rng.set_state(tensors["rng"])
    best = None
    if head["best_epoch"] is not None:
        best = (int(head["best_epoch"]), _under(tensors, "best."))
    average = None
    if head.get("averaged"):
        device = next(model.parameters()).device
        average = (
            int(head["averaged"]),
            {name: value.to(device) for name, value in _under(tensors, "average.").items()},
        )
    preparation = head.get("preparation")
    return Progress(run=run, history=tuple(head["history"]), best=best, average=average, preparation=preparation)


def _difference(old: str, new: str) -> str:
    """Say in few words what differs between two descriptions of runs: model, data and settings, parted by commas."""
    (model, data, settings), (own_model, own_data, own_settings) = (f"{run}, , ".split(", ", 2) for run in (old, new))
    if model != own_model:
        return f"it is of {model}, this one of {own_model}"
    parts = [
        (before, after)
        for before, after in zip(settings.split(", "), own_settings.split(", "), strict=False)
        if before != after
    ]
    said = [f"{before.rpartition('(')[2]}, here {after.rpartition('(')[2]}" for before, after in parts[:2]]
    whose = [*(["the data"] if data != own_data else []), *(["the settings"] if settings != own_settings else [])]
    return " and ".join(whose) + " differ" + (f" ({'; '.join(said)})" if said else "")


def preparation_of(path: Path) -> int | None:
    """Return the seed with which a run's model was prepared, if it was.

    Raises:
        FileFormatError: the file is not a checkpoint.
    """
    return _read(path, tensors=False)[0].get("preparation")


def _read(path: Path, *, tensors: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            head = json.loads((file.metadata() or {})["progress"])
            names = file.keys() if tensors else ()
            return head, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise FileFormatError(f"{path} is not a training checkpoint ({error}); delete it to start again") from error


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimizer_state(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*_under(tensors, "optimizer.").items(), *plain.items()]:
        index, _, leaf = name.partition(".")
        state.setdefault(int(index), {})[leaf] = value
    return state
