"""The folder of a run: one question, one process at a time, nothing lost by a kill."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import euhedral
from euhedral.campaign.ledger import Ledger
from euhedral.campaign.question import Question
from euhedral.core.locking import lock_folder
from euhedral.core.writing import write_atomically
from euhedral.errors import RunFolderError

_PACKAGES: Final = ("torch", "numpy", "numba", "scipy", "pyarrow", "moyopy", "safetensors")


class RunFolder:
    """A run's files, held by this process while it is open.

    Holds `run.json` (question, versions, machine), `ledger.sqlite`, and, when the run has got that far,
    `candidates.parquet`, `cifs/` and `report.html`.

    Args:
        path: the folder; made when it does not exist.
        question: what is asked; a folder that answers another question is refused.

    Raises:
        RunFolderError: the folder cannot be written, another process has it, or it belongs to another question.
    """

    def __init__(self, path: str | Path, *, question: Question) -> None:
        self.path = Path(path)
        self.question = question
        self._lock = lock_folder(self.path, cure="choose another --run folder")
        try:
            self.resumed = self._check_question()
            self.ledger = Ledger(self.path / "ledger.sqlite")
        except RunFolderError:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ledger.close()
        self._lock.close()

    def _check_question(self) -> bool:
        file = self.path / "run.json"
        if not file.exists():
            write_atomically(file, content=json.dumps(self._head(), indent=2) + "\n")
            return False
        try:
            head = json.loads(file.read_text(encoding="utf-8"))
            before = Question.from_json(head["question"])
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise RunFolderError(f"{file} is not a run's: {error}; choose another --run folder") from error
        if changes := before.differences(self.question):
            raise RunFolderError(
                f"{self.path} answers another question ({'; '.join(changes)}); repeat that one or choose another --run folder"
            )
        return True

    def _head(self) -> dict[str, Any]:
        return {"question": self.question.to_json(), "versions": versions(), "machine": machine()}

    @property
    def head(self) -> dict[str, Any]:
        """What `run.json` says: the question, and versions and machine of the first start."""
        return json.loads((self.path / "run.json").read_text(encoding="utf-8"))


def versions() -> dict[str, str]:
    """Return the versions of this package and of those whose numbers it uses."""
    found = {"euhedral": euhedral.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Describe the machine without naming it."""
    import torch

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
