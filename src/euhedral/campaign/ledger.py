"""The ledger: every decision of a run and everything that was computed, in the order in which it happened.

Nothing in it is ever changed or deleted. What a stage has recorded is not computed again, so that a run that was killed
goes on from its last record. It is a SQLite file that any SQL tool reads.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from euhedral.errors import RunFolderError

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class Decision:
    """Why something happened to a candidate.

    Args:
        stage: the step that decided ("filter", "relax", ...).
        crystal: the candidate, or empty when it concerns the whole run.
        verdict: "kept", "dropped" or "noted".
        reason: one line.
        time: when, ISO 8601 in UTC; filled in by the ledger.
    """

    stage: str
    crystal: str
    verdict: str
    reason: str = ""
    time: str = ""


class Ledger:
    """An append-only record in one SQLite file.

    Args:
        path: the file; made when it does not exist.

    Raises:
        RunFolderError: the file cannot be written, or is something else.
    """

    def __init__(self, path: str | Path) -> None:
        import sqlalchemy as sa

        self.path = Path(path)
        self._engine = sa.create_engine(f"sqlite:///{self.path}")
        tables = sa.MetaData()
        self._decisions = sa.Table(
            "decisions", tables,
            sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("time", sa.String, nullable=False),
            sa.Column("stage", sa.String, nullable=False),
            sa.Column("crystal", sa.String, nullable=False),
            sa.Column("verdict", sa.String, nullable=False),
            sa.Column("reason", sa.String, nullable=False),
        )  # fmt: skip
        self._records = sa.Table(
            "records", tables,
            sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("time", sa.String, nullable=False),
            sa.Column("stage", sa.String, nullable=False),
            sa.Column("key", sa.String, nullable=False),
            sa.Column("value", sa.String, nullable=False),
            sa.UniqueConstraint("stage", "key"),
        )  # fmt: skip
        with self._writing() as connection:
            # each commit reaches the disk, so that a power cut loses only what had not been committed
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            tables.create_all(connection)

    def append(
        self, stage: str, *, records: Mapping[str, Any] | None = None, decisions: Sequence[Decision] = ()
    ) -> None:
        """Add records and decisions, all of them or none.

        Args:
            stage: the step that made the records.
            records: JSON values by key; a key that this stage has already recorded is an error.
            decisions: what was decided on the way.

        Raises:
            RunFolderError: the file cannot be written (the disk is full, the folder is read-only).
        """
        import sqlalchemy as sa

        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        with self._writing() as connection:
            if records:
                rows = [
                    {"time": now, "stage": stage, "key": key, "value": json.dumps(value)}
                    for key, value in records.items()
                ]
                connection.execute(sa.insert(self._records), rows)
            if decisions:
                connection.execute(
                    sa.insert(self._decisions),
                    [
                        {"time": now, "stage": d.stage, "crystal": d.crystal, "verdict": d.verdict, "reason": d.reason}
                        for d in decisions
                    ],
                )

    def records(self, stage: str) -> dict[str, Any]:
        """Return what a stage has recorded, in the order of recording."""
        import sqlalchemy as sa

        table = self._records
        query = sa.select(table.c.key, table.c.value).where(table.c.stage == stage).order_by(table.c.sequence)
        with self._engine.connect() as connection:
            return {key: json.loads(value) for key, value in connection.execute(query)}

    def decisions(self) -> list[Decision]:
        """Return every decision, in order."""
        import sqlalchemy as sa

        table = self._decisions
        query = sa.select(
            table.c.stage, table.c.crystal, table.c.verdict, table.c.reason, table.c.time
        ).order_by(table.c.sequence)  # fmt: skip
        with self._engine.connect() as connection:
            return [Decision(*row) for row in connection.execute(query)]

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        import sqlalchemy as sa

        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.OperationalError, sa.exc.DatabaseError) as error:
            cause = error.orig if isinstance(error.orig, sqlite3.Error) else error
            raise RunFolderError(
                f"cannot write {self.path}: {cause}; free space, allow writing, or choose another --run folder"
            ) from error
