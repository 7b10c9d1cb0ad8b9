"""`euhedral systems`, `datasets`, `fetch` and `cite`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from euhedral.cli.output import progress, show_table


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (systems, datasets, fetch, cite):
        app.command()(command)


def systems(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON with every column of the review's tables.")
    ] = False,
) -> None:
    """List the systems that work."""
    from euhedral.models.registry import ROWS

    if as_json:
        fields = (
            "name",
            "wing",
            "title",
            "authors",
            "year",
            "doi",
            "representation",
            "model",
            "physics",
            "predicts",
            "symmetry",
        )
        rows = [
            {key: getattr(row, key) for key in (*fields, "weights", "status", "evidence", "licence")} for row in ROWS
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    show_table(
        ["system", "wing", "predicts", "symmetry", "weights", "status", "paper"],
        rows=[
            [
                row.name,
                row.wing,
                row.predicts,
                row.symmetry,
                ", ".join(row.weights) or "-",
                row.status,
                f"{row.authors} {row.year}",
            ]
            for row in ROWS
        ],
    )


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
