"""`euhedral systems`, `datasets`, `fetch` and `cite`."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from euhedral.cli.output import FORMS, progress, show_table

_STATUS_WORDS: Final = (
    "status: implemented = the tests of its task and of its idea are green; parity = gives the authors' published outputs; "
    "reproduced = a recorded benchmark agrees with a published figure"
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (systems, datasets, fetch, cite):
        app.command()(command)


def systems(
    task: Annotated[
        str, typer.Option(help="Only these: property, generation, potential or simulation; as the review's tables.")
    ] = "",
    form: Annotated[str, typer.Option("--format", "-f", help="table, csv, json or markdown.")] = "table",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every column of the review's tables.")
    ] = False,
) -> None:
    """List the systems that work; with --task what each is made of, as the review's tables have it."""
    from euhedral.errors import unknown_name
    from euhedral.models.registry import ROWS

    wings = list(dict.fromkeys(row.wing for row in ROWS))
    if task and task not in wings:
        raise unknown_name("task", task, wings, where="euhedral systems --help")
    form = "json" if as_json else form
    if form not in FORMS:
        raise unknown_name("form of a list", form, FORMS, where="euhedral systems --help")
    chosen = [row for row in ROWS if task in ("", row.wing)]
    if form == "json":
        names = (
            "name", "wing", "title", "authors", "year", "doi", "representation", "model", "physics", "predicts", "symmetry",
            "weights", "status", "evidence", "licence",
        )  # fmt: skip
        typer.echo(json.dumps([{name: getattr(row, name) for name in names} for row in chosen], indent=2))
        return
    if task:
        columns = [
            "system", "data representation", "fundamental model", "physical knowledge", "predicted property", "symmetry claimed",
            "status", "year", "doi",
        ]  # fmt: skip
        rows = [
            [r.name, r.representation, r.model, r.physics, r.predicts, r.symmetry, r.status, r.year, r.doi]
            for r in chosen
        ]
    else:
        columns = ["system", "wing", "predicts", "symmetry", "weights", "status", "paper"]
        rows = [
            [r.name, r.wing, r.predicts, r.symmetry, ", ".join(r.weights) or "-", r.status, f"{r.authors} {r.year}"]
            for r in chosen
        ]
    show_table(columns, rows=rows, form=form)
    if form == "table":
        typer.echo(_STATUS_WORDS, err=True)


def datasets(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the data sets, where they are, and their licences."""
    from dataclasses import asdict

    from euhedral.data.catalogue import entries

    rows = entries()
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2, default=dict))
        return
    show_table(
        ["data set", "crystals", "targets", "where", "licence"],
        rows=[
            [
                row.name,
                f"{row.count:,}",
                ", ".join(f"{name} ({unit})" if unit else name for name, unit in row.targets.items()),
                row.present or f"fetch, about {row.megabytes} MB",
                row.licence,
            ]
            for row in rows
        ],
    )


def fetch(
    names: Annotated[list[str], typer.Argument(help="Data sets, as `euhedral datasets` lists them.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Download data sets; the only command that touches the network."""
    from euhedral.data.catalogue import load
    from euhedral.data.fetch import fetch as download
    from euhedral.data.sources import sources
    from euhedral.errors import unknown_name

    for name in names:
        if name not in sources():
            raise unknown_name("data set to fetch", name, sources(), where="euhedral datasets")
    for name in names:
        with progress(quiet=quiet) as advance:
            download(name, progress=lambda file, done, total: advance(f"fetching {file}", done, total))
            found = load(name)
        typer.echo(f"{name}: {len(found):,} crystals, {found.card.licence}")


def cite(
    names: Annotated[
        list[str] | None, typer.Argument(help="Systems, data sets or run folders; all systems when none.")
    ] = None,
) -> None:
    """Print BibTeX for what was used."""
    from euhedral.campaign.citation import bibtex

    typer.echo(bibtex(names or []))
