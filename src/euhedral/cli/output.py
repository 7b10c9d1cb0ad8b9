"""Tables to the terminal and to files, and progress on what takes longer than a moment."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from euhedral.core.failure import Failure
from euhedral.core.writing import write_atomically
from euhedral.errors import InvalidRequestError

Row = Mapping[str, Any]
_TABLES: Final = (".json", ".csv", ".parquet")
_SECONDS_BETWEEN_LINES: Final = 5.0
#: How a list can be printed.
FORMS: Final = ("table", "csv", "json", "markdown")


class Advance(Protocol):
    """Called with what is being done, how much of it is finished, and how much there is (None where not known)."""

    def __call__(self, what: str, finished: int, total: int | None) -> None:
        """Show where things stand."""
        ...


def check_output(path: Path | None) -> None:
    """Refuse an output file of a kind that cannot be written, before any work is done.

    Raises:
        InvalidRequestError: the name has another ending than .json, .csv or .parquet.
    """
    if path is not None and path.suffix not in _TABLES:
        raise InvalidRequestError(f"cannot write {path}: the name must end in .json, .csv or .parquet")


def write_rows(path: Path, *, rows: Sequence[Row], failures: Sequence[Failure] = ()) -> None:
    """Write a table; JSON keeps failures beside the rows, CSV and Parquet give them a column.

    Raises:
        RunFolderError: the file cannot be written.
    """
    if path.suffix == ".json":
        failed = [{"id": item.id, "stage": item.stage, "reason": item.reason} for item in failures]
        content = json.dumps({"results": [_clean(row) for row in rows], "failures": failed}, indent=2) + "\n"
    else:
        flat = [dict(row) for row in rows] + [{"id": item.id, "error": item.reason} for item in failures]
        columns = list(dict.fromkeys(key for row in flat for key in row))
        if path.suffix == ".parquet":
            write_atomically(path, content=_parquet(flat, columns=columns))
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        content = text.getvalue()
    write_atomically(path, content=content)


def _parquet(rows: Sequence[Row], *, columns: Sequence[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in columns}), buffer)
    return buffer.getvalue()


def _clean(row: Row) -> dict[str, Any]:
    # JSON has no NaN
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def show_table(columns: Sequence[str], *, rows: Sequence[Sequence[Any]], title: str = "", form: str = "table") -> None:
    """Print a table.

    Args:
        columns: heads.
        rows: as many cells each.
        title: above it, on a terminal.
        form: one of `FORMS` but json; "table" is tab-separated text when the output is not a terminal.
    """
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
        print(text.getvalue(), end="")
        return
    if form == "markdown":
        for row in [columns, ["---"] * len(columns), *rows]:
            print("| " + " | ".join(str(value).replace("|", "\\|") for value in row) + " |")
        return
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            print("\t".join(str(value) for value in row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title or None, header_style="bold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))
    Console().print(table)


def report_failures(failures: Sequence[Failure]) -> None:
    """Print each failure as one line of the error stream."""
    for failure in failures:
        sys.stderr.write(f"failed: {failure}\n")


def exit_code(*, done: int, failures: int) -> int:
    """0 when all went well, 1 when some inputs failed, 2 when all did."""
    if not failures:
        return 0
    return 1 if done else 2


def file_stem(name: str) -> str:
    """Make a file's name of a crystal's: whatever could be taken for a folder or a pattern becomes an underscore."""
    return "".join(letter if letter.isalnum() or letter in "-_.#+" else "_" for letter in name) or "crystal"


def file_stems(names: Sequence[str]) -> dict[str, str]:
    """Make files' names of crystals' names, as `file_stem`, no two the same.

    Args:
        names: all different.

    Returns:
        By name.
    """
    counts: Counter[str] = Counter()
    stems = {}
    for name in names:
        stem = file_stem(name)
        counts[stem] += 1
        stems[name] = stem if counts[stem] == 1 else f"{stem}#{counts[stem]}"
    return stems


@contextmanager
def progress(*, quiet: bool, lines: bool = False) -> Iterator[Advance]:
    """Show bars on the error stream while something runs, and say when loops are compiled.

    Args:
        quiet: show nothing.
        lines: where the error stream is no terminal, write a line now and then; else nothing is shown there.
    """
    if quiet:
        yield lambda what, finished, total: None  # noqa: ARG005
        return
    from euhedral.cli.compiling import told_of_compiling

    if not sys.stderr.isatty():
        with told_of_compiling():
            yield _Lines() if lines else lambda what, finished, total: None  # noqa: ARG005
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with told_of_compiling(), Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("starting", total=None)

        def advance(what: str, finished: int, total: int | None) -> None:
            bars.update(task, description=what, completed=finished, total=total)

        yield advance


class _Lines:
    """Progress for a file or a pipe: a line when something else begins (what stands before the first comma), and now and then."""

    def __init__(self) -> None:
        self._stage = ""
        self._said = -math.inf

    def __call__(self, what: str, finished: int, total: int | None) -> None:
        stage, now = what.partition(",")[0], time.monotonic()
        if stage == self._stage and now - self._said < _SECONDS_BETWEEN_LINES and finished != total:
            return
        self._stage, self._said = stage, now
        counted = f": {finished:,}" + (f" of {total:,}" if total is not None else "") if finished or total else ""
        sys.stderr.write(f"{what}{counted}\n")
        sys.stderr.flush()
