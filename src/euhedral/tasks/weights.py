"""Weights on disk: a folder with `weights.safetensors`, `config.json` and `card.json`. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from euhedral.core.writing import write_atomically
from euhedral.errors import FileFormatError, MissingDataError

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Weights:
    """A trained system as it lies on disk.

    Args:
        system: the registry's name of the system.
        config: the constructor's arguments.
        tensors: parameters and buffers by name.
        card: what it was trained on, how, and how well it does; JSON values only.
    """

    system: str
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    card: Mapping[str, Any] = field(default_factory=dict)


def save_weights(folder: str | Path, *, weights: Weights) -> Path:
    """Write a folder of weights; each file appears whole or not at all.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    from safetensors.torch import save

    folder = Path(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.tensors.items()}
    write_atomically(folder / "weights.safetensors", content=save(tensors))
    write_atomically(folder / "card.json", content=json.dumps(_plain(weights.card), indent=2, allow_nan=False) + "\n")
    head = {"format": _FORMAT, "system": weights.system, "config": dict(weights.config)}
    write_atomically(folder / "config.json", content=json.dumps(head, indent=2) + "\n")
    return folder


def _plain(value: Any) -> Any:
    """The same without numbers that JSON has no word for: these become null."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def weights_sha256(folder: str | Path) -> str:
    """Digest the tensors of a folder of weights.

    Raises:
        MissingDataError: they are not there.
    """
    file = Path(folder) / "weights.safetensors"
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise MissingDataError(f"no weights in {folder}: {file.name} cannot be read ({error.strerror})") from error


def load_weights(folder: str | Path) -> Weights:
    """Read a folder of weights.

    Raises:
        MissingDataError: the folder or one of its files is not there.
        FileFormatError: a file is not what it should be.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    try:
        head = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        card_file = folder / "card.json"
        card = json.loads(card_file.read_text(encoding="utf-8")) if card_file.exists() else {}
        tensors = load((folder / "weights.safetensors").read_bytes())
    except FileNotFoundError as error:
        raise MissingDataError(
            f"no weights in {folder}: {Path(error.filename).name} is missing; `euhedral systems` lists what is shipped"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise FileFormatError(f"{folder} does not hold weights: {error}") from error
    if not isinstance(head, dict) or head.get("format") != _FORMAT or not isinstance(head.get("system"), str):
        raise FileFormatError(
            f"{folder}/config.json: expected format {_FORMAT} and a system's name, got {str(head)[:80]}"
        )
    return Weights(system=head["system"], config=head.get("config", {}), tensors=tensors, card=card)
