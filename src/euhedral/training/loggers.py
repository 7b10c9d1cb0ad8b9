"""Where the numbers of a training run go: a CSV file, TensorBoard, Weights & Biases."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from euhedral.core.writing import write_atomically
from euhedral.errors import MissingDependencyError, unknown_name
from euhedral.training.loop import Epoch

#: The file of `CsvLogger` in a run's folder.
HISTORY: Final = "history.csv"


class Logger(Protocol):
    """Takes down what each epoch did."""

    def write(self, record: Epoch, *, network: int) -> None:
        """Take down an epoch.

        Args:
            record: what it did.
            network: number of the network, from 0, where several are trained.
        """
        ...

    def close(self) -> None:
        """Bring everything to disk."""
        ...


class CsvLogger:
    """A table with a row for each network and epoch; whole at any moment.

    A run that goes on keeps the rows of the epochs before.

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._rows: dict[tuple[int, int], dict[str, str]] = {}
        self._begun: set[int] = set()
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                self._rows = {(int(row["network"]), int(row["epoch"])): row for row in csv.DictReader(file)}

    def write(self, record: Epoch, *, network: int) -> None:
        """Put the epoch's row in its place."""
        self.complete([record], network=network)

    def complete(self, history: Sequence[Epoch], *, network: int) -> None:
        """Put rows in their places; a history that begins anew takes the place of an older one."""
        if history and history[0].epoch == 1 and network not in self._begun:
            self._rows = {key: row for key, row in self._rows.items() if key[0] != network}
        self._begun.add(network)
        for record in history:
            numbers = {name: repr(value) for name, value in scalars(record).items()}
            self._rows[network, record.epoch] = {"network": str(network), "epoch": str(record.epoch), **numbers}
        columns = list(dict.fromkeys(name for row in self._rows.values() for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows[key] for key in sorted(self._rows))
        write_atomically(self.path, content=text.getvalue())

    def close(self) -> None:
        """Nothing is left to do."""


class TensorBoardLogger:
    """Curves for TensorBoard.

    Args:
        folder: of the event files.

    Raises:
        MissingDependencyError: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependencyError(
                "logging to TensorBoard needs tensorboard; run: pip install 'euhedral[loggers]'"
            ) from error
        self._writer = SummaryWriter(log_dir=str(folder))

    def write(self, record: Epoch, *, network: int) -> None:
        """Add a point to each curve."""
        for name, value in scalars(record).items():
            self._writer.add_scalar(f"network {network}/{name}", value, record.epoch)

    def close(self) -> None:
        """Bring everything to disk."""
        self._writer.close()


class WandbLogger:
    """Curves for Weights & Biases, kept on disk; `wandb sync FOLDER/wandb/offline-run-*` sends them when asked to.

    Args:
        folder: of the run; its name is the run's.

    Raises:
        MissingDependencyError: wandb is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            wandb: Any = import_module("wandb")
        except ImportError as error:
            raise MissingDependencyError(
                "logging to Weights & Biases needs wandb; run: pip install 'euhedral[loggers]'"
            ) from error
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(mode="offline", silent=True, console="off")
        self._run = wandb.init(project="euhedral", name=folder.resolve().name, dir=str(folder), settings=settings)
        self._known: set[int] = set()

    def write(self, record: Epoch, *, network: int) -> None:
        """Add a point to each curve, over the network's own epochs."""
        prefix = f"network {network}"
        if network not in self._known:
            self._known.add(network)
            self._run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/epoch")
        self._run.log({f"{prefix}/{name}": value for name, value in {"epoch": record.epoch, **scalars(record)}.items()})

    def close(self) -> None:
        """Bring everything to disk."""
        self._run.finish()


_LOGGERS: Final[Mapping[str, Callable[[Path], Logger]]] = MappingProxyType(
    {"tensorboard": lambda folder: TensorBoardLogger(folder / "tensorboard"), "wandb": WandbLogger}
)


class Journal:
    """All loggers of a run as one: a CSV file always, others when asked for.

    Args:
        folder: of the run.
        kinds: "csv", "tensorboard", "wandb".

    Raises:
        UnknownNameError: there is no such kind.
        MissingDependencyError: its library is not installed.
    """

    def __init__(self, folder: str | Path, *, kinds: Iterable[str] = ()) -> None:
        chosen = [kind for kind in dict.fromkeys(kinds) if kind != "csv"]
        for kind in chosen:
            if kind not in _LOGGERS:
                raise unknown_name("logger", kind, ["csv", *_LOGGERS], where="euhedral train --help")
        self._table = CsvLogger(Path(folder) / HISTORY)
        self._others = [_LOGGERS[kind](Path(folder)) for kind in chosen]

    def write(self, record: Epoch, *, network: int = 0) -> None:
        """Tell every logger of an epoch."""
        for logger in (self._table, *self._others):
            logger.write(record, network=network)

    def complete(self, history: Sequence[Epoch], *, network: int = 0) -> None:
        """Give the table a network's whole history, epochs before a kill included."""
        self._table.complete(history, network=network)

    def close(self) -> None:
        """Bring everything to disk."""
        for logger in (self._table, *self._others):
            logger.close()


def scalars(record: Epoch) -> dict[str, Any]:
    """The numbers of an epoch, by name."""
    errors = {f"validation {target}": value for target, value in record.validation.items()}
    return {"loss": record.loss, **errors, "learning_rate": record.learning_rate, "seconds": round(record.seconds, 3)}
