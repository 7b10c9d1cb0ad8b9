"""A run that is killed without warning, at whatever moment, goes on to the same candidates."""

from __future__ import annotations

import importlib.util
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from euhedral.campaign.ledger import Ledger

SCRIPT = '''
import sys
import torch
from euhedral.campaign.proposers import Proposer
from euhedral.campaign.question import Question
from euhedral.campaign.run import discover
from euhedral.core.failure import Failure
from euhedral.data.references import reference_phases


class Selenides:
    """Gives the phases of Na-Se as Li-S, in their own order."""

    capabilities = frozenset({"chemical_system", "n_atoms"})

    def sample(self, request, *, rng):
        found = [
            phase.replace(numbers=[{11: 3, 34: 16}[int(z)] for z in phase.numbers], cell=0.85 * phase.cell)
            for phase in reference_phases().within(["Na", "Se"])
            if set(phase.numbers.tolist()) == {11, 34}
        ]
        return (found + [Failure("no more")] * request.n)[: request.n]


def main(folder):
    torch.set_num_threads(1)
    question = Question(elements=("Li", "S"), candidates=4, steps=40)
    report = discover(
        question, folder=folder, progress=lambda *_: None, proposers=[Proposer("selenides", Selenides(), ordered=True)]
    )
    return [candidate.crystal.id for candidate in report.candidates]


if __name__ == "__main__":
    main(sys.argv[1])
'''


def _relaxed(folder):
    try:
        with sqlite3.connect(f"file:{folder / 'ledger.sqlite'}?mode=ro", uri=True) as connection:
            return connection.execute("select key, time, value from records where stage = 'relax'").fetchall()
    except sqlite3.OperationalError:  # not there yet, or being written
        return []


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_candidates(tmp_path):
    script = tmp_path / "selenides.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "run"
    command = [sys.executable, str(script), str(folder)]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while process.poll() is None and not _relaxed(folder):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = _relaxed(folder)
    assert before
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"

    spec = importlib.util.spec_from_file_location("selenides", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    resumed = module.main(folder)
    assert _relaxed(folder)[: len(before)] == before
    assert not list(folder.rglob("*.part"))
    assert len(pq.read_table(folder / "candidates.parquet")) == len(resumed)

    whole = module.main(tmp_path / "whole")
    accepted = Ledger(tmp_path / "whole" / "ledger.sqlite").records("propose")
    assert Ledger(folder / "ledger.sqlite").records("propose") == accepted
    assert resumed == whole
