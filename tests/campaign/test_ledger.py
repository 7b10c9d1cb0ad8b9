from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from euhedral.campaign.ledger import Decision, Ledger
from euhedral.errors import RunFolderError


def test_records_and_decisions_come_back_in_order(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.append(
        "relax", records={"b": {"energy": -1.5}, "a": [1, 2]}, decisions=[Decision("relax", "b", "kept", "3 steps")]
    )
    ledger.append("relax", records={"c": None})
    ledger.close()
    again = Ledger(tmp_path / "ledger.sqlite")
    assert list(again.records("relax").items()) == [("b", {"energy": -1.5}), ("a", [1, 2]), ("c", None)]
    assert again.records("other") == {}
    (decision,) = again.decisions()
    assert (decision.stage, decision.crystal, decision.verdict, decision.reason) == ("relax", "b", "kept", "3 steps")
    assert decision.time.startswith("20")


def test_nothing_is_recorded_twice_and_a_refused_append_leaves_nothing(tmp_path):
    import sqlalchemy as sa

    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.append("relax", records={"a": 1})
    with pytest.raises((sa.exc.IntegrityError, RunFolderError)):
        ledger.append("relax", records={"z": 3, "a": 2}, decisions=[Decision("relax", "a", "kept")])
    assert ledger.records("relax") == {"a": 1}
    assert ledger.decisions() == []


def test_what_was_appended_survives_a_kill(tmp_path):
    code = f"""
    import os, signal
    from euhedral.campaign.ledger import Ledger
    ledger = Ledger({str(tmp_path / "ledger.sqlite")!r})
    for i in range(5):
        ledger.append("relax", records={{str(i): i}})
    os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert list(Ledger(tmp_path / "ledger.sqlite").records("relax").values()) == [0, 1, 2, 3, 4]


def test_any_sql_tool_reads_it(tmp_path):
    Ledger(tmp_path / "ledger.sqlite").append("relax", decisions=[Decision("filter", "x", "dropped", "known: mp-1")])
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        assert connection.execute("select crystal, verdict, reason from decisions").fetchall() == [
            ("x", "dropped", "known: mp-1")
        ]


def test_a_file_that_is_no_ledger_is_one_clear_line(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"this is not a database, whatever it is called" * 100)
    with pytest.raises(RunFolderError, match="cannot write") as caught:
        Ledger(tmp_path / "ledger.sqlite")
    assert "\n" not in str(caught.value)
