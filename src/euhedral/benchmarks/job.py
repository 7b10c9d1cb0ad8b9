"""One system, one fold, one seed: trained within the budget, its predictions and costs written to one folder.

    python -m euhedral.benchmarks.job FOLDER

reads FOLDER/job.json and leaves there `predictions.parquet`, `record.json` and the `history.csv` of the training; a job that was
killed goes on from its checkpoint. It runs in a process of its own, so that its memory is its own and its failure nobody else's.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.benchmarks.baselines import BASELINES, predict_baseline
from euhedral.benchmarks.protocol import parts_of, protocol
from euhedral.core.crystal import Crystal
from euhedral.core.locking import lock_folder
from euhedral.core.writing import write_atomically
from euhedral.errors import EuhedralError, FileFormatError

PREDICTIONS: Final = "predictions.parquet"
RECORD: Final = "record.json"


@dataclass(frozen=True)
class Job:
    """What one process does.

    Args:
        protocol: its name.
        system: a row of the registry, or a baseline.
        split: one of the protocol's.
        seed: one of the protocol's.
        minutes: of training; the protocol's where None.
        start: weights to begin from: a shipped name or a folder; none when empty.
        members: networks whose mean answers; they share the minutes.
        start_sha256: of these weights, so that others of the same name are not taken for them.
    """

    protocol: str
    system: str
    split: str
    seed: int
    minutes: float | None = None
    start: str = ""
    members: int = 1
    start_sha256: str = ""

    @property
    def label(self) -> str:
        """What tables call it."""
        begun = f"-from-{Path(self.start).name}" if self.start else ""
        return f"{self.system}{begun}{f'-x{self.members}' if self.members > 1 else ''}"

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"{self.label}_{self.split}_{self.seed}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a system says of the test crystals, and what it cost.

    Args:
        predicted: {target: (M, ...)}.
        lower: {target: (M, ...)} lower ends of 90% intervals; empty for what has none.
        upper: {target: (M, ...)}.
        costs: seconds, parameters and departures, for the record.
    """

    predicted: Mapping[str, NDArray]
    lower: Mapping[str, NDArray]
    upper: Mapping[str, NDArray]
    costs: Mapping[str, Any]


def perform(job: Job, *, folder: Path) -> dict[str, Any]:
    """Train, predict, and write; returns the record.

    Raises:
        EuhedralError: the data are missing, the system cannot learn these targets, or training diverged.
    """
    import torch

    asked = protocol(job.protocol)
    torch.set_num_threads(asked.threads)
    parts = parts_of(asked, split=job.split)
    test = list(parts.test)
    if job.system in BASELINES:
        outcome = Outcome(*predict_baseline(job.system, parts=parts, kinds=asked.kinds, seed=job.seed))
    else:
        from euhedral.benchmarks.networks import train_and_predict

        outcome = train_and_predict(job, asked=asked, parts=parts, test=test, folder=folder)
    _write_predictions(folder / PREDICTIONS, crystals=test, outcome=outcome, names=tuple(asked.kinds))
    record = {
        "protocol": job.protocol, "version": asked.version, "system": job.label, "row": job.system, "split": job.split, "seed": job.seed,
        "train": len(parts.train), "validation": len(parts.validation), "test": len(test), "start_sha256": job.start_sha256, **outcome.costs,
        "peak_memory_mb": _peak_memory(),
    }  # fmt: skip
    write_atomically(folder / RECORD, content=json.dumps(record, indent=1) + "\n")
    return record


def _peak_memory() -> float:
    """Megabytes of main memory that this process had at most; NaN on Windows, which does not say."""
    if sys.platform == "win32":
        return math.nan
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (1 << 20 if sys.platform == "darwin" else 1 << 10))  # bytes there, kilobytes elsewhere


def _write_predictions(path: Path, *, crystals: Sequence[Crystal], outcome: Outcome, names: Sequence[str]) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {"id": [crystal.id for crystal in crystals]}
    kept = {"": outcome.predicted, ".lower": outcome.lower, ".upper": outcome.upper}
    for name in names:
        for suffix, values in kept.items():
            if name in values:
                given = np.asarray(values[name], dtype=np.float32)
                flat = given if given.ndim == 1 else given.reshape(len(given), -1)
                kind = pa.float32() if given.ndim == 1 else pa.list_(pa.float32())
                columns[name + suffix] = pa.array(list(flat), kind)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    write_atomically(path, content=buffer.getvalue())


def main() -> None:
    """Perform the job of a folder; what went wrong is the last line, and the exit code is 1."""
    folder = Path(sys.argv[1])
    try:
        try:
            job = Job(**json.loads((folder / "job.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise FileFormatError(f"{folder}/job.json is no job: {error}") from error
        lock = lock_folder(
            folder, cure="choose another --out folder"
        )  # what a killed run left behind may still be at work
        perform(job, folder=folder)
        lock.close()
    except EuhedralError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
