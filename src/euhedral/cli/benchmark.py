"""`euhedral benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from euhedral.cli.output import show_table


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(benchmark)


def benchmark(
    task: Annotated[str, typer.Argument(help="property.")] = "property",
    protocol: Annotated[str, typer.Option(help="What to run; --list shows them.")] = "mp20-quick",
    system: Annotated[
        list[str] | None, typer.Option(help="A system or baseline; all of the task when not given. May be repeated.")
    ] = None,
    split: Annotated[list[str] | None, typer.Option(help="Only this split of the protocol. May be repeated.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Of training for each system and fold, instead of the protocol's.", min=0.01)
    ] = None,
    start: Annotated[
        str, typer.Option(help="Weights to begin from; they must not know the test crystals (train --without).")
    ] = "",
    members: Annotated[int, typer.Option(help="Networks whose mean answers; they share the minutes.", min=1)] = 1,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for results; a run goes on from it.")] = Path(
        "benchmark"
    ),
    jobs: Annotated[int, typer.Option(help="Systems that are trained side by side.", min=1)] = 1,
    show: Annotated[
        bool, typer.Option("--show", help="Show what is finished and write its page anew; run nothing.")
    ] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List the protocols.")] = False,
) -> None:
    """Train and judge systems under one protocol; a failure of one does not stop the others."""
    from euhedral.benchmarks.baselines import BASELINES
    from euhedral.benchmarks.leaderboard import leaderboard, pair_rows, rows
    from euhedral.benchmarks.page import page
    from euhedral.benchmarks.protocol import protocol as find
    from euhedral.benchmarks.protocol import protocols
    from euhedral.benchmarks.runner import failures, jobs_of, run
    from euhedral.core.writing import write_atomically
    from euhedral.errors import InvalidRequestError, MissingDataError, MissingDependencyError, unknown_name
    from euhedral.models.registry import ROWS
    from euhedral.tasks.weights import load_weights
    from euhedral.training.predictor import weights_folder

    tasks = sorted({one.task for one in protocols().values()})
    if task not in tasks:
        raise unknown_name("task with a benchmark", task, tasks, where="euhedral benchmark --list")
    if list_all:
        show_table(
            ["protocol", "task", "data", "splits", "minutes", "title"],
            rows=[
                [p.name, p.task, p.dataset, str(len(p.splits)), str(p.minutes or "as published"), p.title]
                for p in protocols().values()
                if p.task == task
            ],
        )
        return
    asked = find(protocol)
    known = [*BASELINES, *(row.name for row in ROWS if row.wing == asked.task)]
    if task != asked.task:
        raise InvalidRequestError(f"protocol {protocol} is of the task {asked.task}, not {task}")
    for name in system or ():
        if name not in known:
            raise unknown_name(f"system or baseline of {asked.task}", name, known, where="euhedral systems")
    if show and not (out / asked.name).is_dir():
        raise MissingDataError(
            f"no results of {protocol} in {out}; leave --show out to run it, or give the folder above {protocol} as --out"
        )
    if not show:
        systems = system or known
        if start:
            begun = str(weights_folder(start).resolve())
            systems = system or [load_weights(begun).system]
        todo = jobs_of(
            asked, systems=systems, minutes=minutes, splits=split or (), start=begun if start else "", members=members
        )
        run(
            todo, out=out, threads=asked.threads, at_once=jobs,
            report=lambda job, what, why: typer.echo(f"{job.name}: {what}{': ' + why if why else ''}", err=True),
        )  # fmt: skip
    board = leaderboard(asked, out=out)
    table = rows(board)
    pairs = pair_rows(board)
    folder, broken = out / asked.name, failures(asked, out=out)
    _write(folder / "results.parquet", table)
    _write(folder / "pairs.parquet", pairs)
    try:
        for name, text in page(asked, results=table, pairs=pairs, failures=broken).items() if table else ():
            write_atomically(folder / name, content=text)
    except MissingDependencyError as error:
        typer.echo(f"no page: {error}", err=True)
    show_table(
        ["system", "target", "unit", "error", "95%", "coverage", "beats composition", "epochs", "parameters", "minutes", "MB"],
        rows=[
            [
                str(row["system"]), str(row["target"]), str(row["unit"]), f"{row['error']:.4f}", f"{row['low']:.4f} to {row['high']:.4f}",
                "-" if row["coverage"] != row["coverage"] else f"{row['coverage']:.1%}",
                {True: "yes", False: "no", None: "-"}[row["beats_composition"]],
                f"{row['epochs']:.1f} of {row['published_epochs']:.0f}" if "epochs" in row else "-",
                f"{row.get('parameters', 0):,.0f}", f"{row.get('training_seconds', 0) / 60:.1f}", f"{row.get('peak_memory_mb', 0):.0f}",
            ]
            for row in table
        ],
        title=asked.title,
    )  # fmt: skip
    for name, why in broken:
        typer.echo(f"failed: {name}: {why}", err=True)
    write_atomically(out / asked.name / "failures.txt", content="".join(f"{name}\t{why}\n" for name, why in broken))
    raise typer.Exit(0 if not broken else 1 if table else 2)


def _write(path: Path, table: list[dict[str, object]]) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from euhedral.core.writing import write_atomically

    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), buffer, compression="zstd")
    write_atomically(path, content=buffer.getvalue())
