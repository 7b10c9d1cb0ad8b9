"""`euhedral discover`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from euhedral.cli.output import progress, show_table
from euhedral.cli.units import headed

if TYPE_CHECKING:
    from euhedral.campaign.report_data import Candidate


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(discover)


def discover(
    elements: Annotated[str, typer.Option(help="The chemical system: Li,Mn,O.")],
    target: Annotated[
        list[str] | None, typer.Option(help='Goal, such as "band_gap > 1" or "band_gap 1..2". May be repeated.')
    ] = None,
    candidates: Annotated[int, typer.Option(help="New crystals to relax.", min=1)] = 64,
    run: Annotated[Path | None, typer.Option(help="Run folder; the same command on the same folder goes on.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    subsystems: Annotated[bool, typer.Option(help="Allow candidates that lack some of the elements.")] = False,
    max_atoms: Annotated[int, typer.Option(help="Most atoms in a candidate's primitive cell.", min=1)] = 20,
    space_group: Annotated[int | None, typer.Option(help="Space group of the proposals.")] = None,
    fmax: Annotated[float, typer.Option(help="Longest force left, eV/Angstrom.")] = 0.05,
    steps: Annotated[int, typer.Option(help="Most evaluations in one relaxation.")] = 200,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find new crystals: propose, filter, relax, place on the hull, predict with intervals, rank, report."""
    from euhedral.campaign.question import Question
    from euhedral.campaign.run import discover as answer
    from euhedral.core.composition import formula

    question = Question(
        elements=tuple(symbol for symbol in elements.replace(" ", "").split(",") if symbol),
        targets=tuple(target or ()),
        candidates=candidates,
        seed=seed,
        subsystems=subsystems,
        max_atoms=max_atoms,
        space_group=space_group,
        fmax=fmax,
        steps=steps,
    )
    folder = run or Path("runs") / "-".join(question.elements).lower()
    with progress(quiet=quiet, lines=True) as advance:
        report = answer(question, folder=folder, progress=advance)
    show_table(
        [
            "rank",
            "formula",
            "space group",
            "hull (eV/atom)",
            *(headed(q.name, q.unit) for q in report.quantities),
            "flags",
        ],
        rows=[
            [
                item.rank,
                formula(item.crystal.numbers),
                item.space_group_symbol,
                "-" if item.hull_distance is None else f"{item.hull_distance:+.3f}",
                *(
                    f"{p.value:.2f} [{p.lower:.2f}, {p.upper:.2f}]" if (p := item.predictions.get(q.name)) else "-"
                    for q in report.quantities
                ),
                ", ".join(_flags(item)),
            ]
            for item in report.candidates[:10]
        ],
        title=question.text,
    )
    typer.echo(f"{len(report.candidates)} candidates; open {folder / 'report.html'}")


def _flags(candidate: Candidate) -> list[str]:
    """Name what a reader should look at twice."""
    flags = [f"known: {candidate.known}"] if candidate.known else []
    if candidate.charge_balanced is False:
        flags.append("charges do not balance")
    if candidate.implausible_oxidation:
        flags.append("implausible oxidation state")
    if any(interval.unlike_training for interval in candidate.predictions.values()):
        flags.append("unlike training")
    return flags
