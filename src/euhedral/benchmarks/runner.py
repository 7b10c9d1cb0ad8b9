"""Run a protocol: every system, fold and seed in a process of its own; what is finished stays, what failed is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from euhedral.benchmarks.baselines import BASELINES
from euhedral.benchmarks.job import RECORD, Job
from euhedral.benchmarks.protocol import Protocol
from euhedral.core.writing import write_atomically
from euhedral.errors import InvalidRequestError, RunFolderError, unknown_name

FAILURE: Final = "failure.json"

#: Called with a job, "skipped" | "begun" | "done" | "failed", and what there is to say of it.
Report = Callable[[Job, str, str], None]


def jobs_of(
    asked: Protocol, *, systems: Sequence[str], minutes: float | None = None, splits: Sequence[str] = (),
    start: str = "", members: int = 1,
) -> list[Job]:  # fmt: skip
    """List what a protocol asks of some systems, fold by fold so that all have their first fold early.

    Args:
        asked: the protocol.
        systems: rows of the registry, or baselines.
        minutes: of training, where the protocol's are not wanted.
        splits: only these of the protocol's; all when empty.
        start: weights to begin from.
        members: networks whose mean answers.

    Raises:
        UnknownNameError: the protocol has no such split.
        MissingDataError: there are no weights where they should be.
    """
    for split in splits:
        if split not in asked.splits:
            raise unknown_name(f"split of {asked.name}", split, asked.splits, where="euhedral benchmark --list")
    chosen = [split for split in asked.splits if not splits or split in splits]
    digest = ""
    if start:
        from euhedral.tasks.weights import weights_sha256
        from euhedral.training.predictor import weights_folder

        digest = weights_sha256(weights_folder(start))
    return [
        Job(
            protocol=asked.name,
            system=system,
            split=split,
            seed=seed,
            minutes=minutes,
            start=start if system not in BASELINES else "",
            members=members if system not in BASELINES else 1,
            start_sha256=digest if system not in BASELINES else "",
        )
        for seed in asked.seeds
        for split in chosen
        for system in systems
    ]


def run(jobs: Sequence[Job], *, out: Path, threads: int, report: Report, at_once: int = 1) -> None:
    """Do the jobs; those that have a record are not done again, those that failed are tried again.

    Args:
        jobs: in order.
        out: a folder; each job gets one in it.
        threads: of the processor, for each job.
        report: told what happens.
        at_once: jobs that run side by side; more than the processor has cores for only makes each slower.

    Raises:
        InvalidRequestError: what is recorded in the folder was asked for in other words: other minutes, other weights to begin from.
        RunFolderError: the folder cannot be written.
    """
    from concurrent.futures import ThreadPoolExecutor

    waiting = []
    for job in jobs:
        folder = folder_of(job, out=out)
        if (folder / RECORD).exists() or any(folder.glob("checkpoint*")):
            _check_same(job, folder=folder)
        if (folder / RECORD).exists():
            report(job, "skipped", "done before")
        else:
            waiting.append(job)
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        begun = [pool.submit(_in_own_process, job, out=out, threads=threads, report=report) for job in waiting]
        try:
            for future in begun:
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _check_same(job: Job, *, folder: Path) -> None:
    try:
        before = Job(**json.loads((folder / "job.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{folder}/job.json is no job: {error}; choose another --out folder") from error
    if before.minutes != job.minutes:
        raise InvalidRequestError(
            f"{folder} holds results of {_minutes(before)}, asked for were those of {_minutes(job)}; choose another --out folder"
        )
    # records from before the digest was kept do not tell
    if before.start_sha256 and before.start_sha256 != job.start_sha256:
        raise InvalidRequestError(
            f"{folder} holds results that began from other weights of the name {Path(job.start).name}; choose another --out folder"
        )


def _minutes(job: Job) -> str:
    return "the protocol's minutes" if job.minutes is None else f"{job.minutes:g} minutes"


def _in_own_process(job: Job, *, out: Path, threads: int, report: Report) -> None:
    folder = folder_of(job, out=out)
    write_atomically(folder / "job.json", content=json.dumps(asdict(job)) + "\n")
    report(job, "begun", "")
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    done = subprocess.run(  # noqa: S603 - this interpreter, this package
        [sys.executable, "-m", "euhedral.benchmarks.job", str(folder)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        (folder / FAILURE).unlink(missing_ok=True)
        report(job, "done", "")
        return
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    why = lines[-1] if lines else f"ended by signal {-done.returncode}"
    write_atomically(folder / FAILURE, content=json.dumps({"reason": why, "exit": done.returncode}) + "\n")
    report(job, "failed", why)


def folder_of(job: Job, *, out: Path) -> Path:
    """Where a job's files are."""
    return out / job.protocol / job.name


def records(asked: Protocol, *, out: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Go through the finished jobs of a protocol: folder and record; those of another version are left out."""
    for file in sorted((out / asked.name).glob(f"*/{RECORD}")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["version"] == asked.version:
            yield file.parent, record


def failures(asked: Protocol, *, out: Path) -> list[tuple[str, str]]:
    """List the jobs that failed, with the reason."""
    found = sorted((out / asked.name).glob(f"*/{FAILURE}"))
    return [(file.parent.name, json.loads(file.read_text(encoding="utf-8"))["reason"]) for file in found]
