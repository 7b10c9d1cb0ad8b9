"""`euhedral relax`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from euhedral.cli.output import check_output, exit_code, file_stems, progress, report_failures, show_table, write_rows
from euhedral.cli.reading import crystals_from


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(relax)


def relax(
    files: Annotated[
        list[str], typer.Argument(help="Structure files, folders, quoted patterns, tables, or data sets.")
    ],
    potential: Annotated[str, typer.Option(help="Shipped potential.")] = "chgnet",
    fmax: Annotated[float, typer.Option(help="Longest force left, eV/Angstrom.", min=1e-6)] = 0.05,
    steps: Annotated[int, typer.Option(help="Most evaluations for one crystal.", min=1)] = 500,
    cell: Annotated[bool, typer.Option(help="Relax the cell too.")] = True,
    folder: Annotated[Path, typer.Option("--folder", "-d", help="Where the relaxed CIFs go.")] = Path("relaxed"),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a .json or .csv table.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Relax crystals with a potential; each is written as soon as it is finished."""
    from euhedral.core.composition import formula
    from euhedral.core.failure import Failure
    from euhedral.core.files import write
    from euhedral.models.registry import load_trained
    from euhedral.simulation.relax import relax_stream

    check_output(output)
    calculator = load_trained(potential, wing="potential")
    rows: list[dict[str, Any]] = []
    interrupted = False
    with progress(quiet=quiet) as advance:
        crystals, failures = crystals_from(files, advance=advance)
        stems = file_stems([crystal.id for crystal in crystals])
        folder.mkdir(parents=True, exist_ok=True)
        try:
            stream = relax_stream(calculator, crystals, fmax=fmax, steps=steps, cell=cell)
            for finished, (_, result) in enumerate(stream, start=1):
                advance("relaxing", finished, len(crystals))
                crystal = result.crystal
                if result.energy != result.energy:
                    failures.append(Failure(reason=result.reason, id=crystal.id, stage="relax"))
                    continue
                write(folder / f"{stems[crystal.id]}.cif", crystals=crystal)
                rows.append(
                    {
                        "id": crystal.id,
                        "formula": formula(crystal.numbers),
                        "energy_per_atom": round(result.energy_per_atom, 6),
                        "energy_gained_per_atom": round((result.start_energy - result.energy) / len(crystal), 6),
                        "converged": result.converged,
                        "steps": result.steps,
                        "largest_force": round(result.largest_force, 6),
                        "note": result.reason,
                    }
                )
        except KeyboardInterrupt:
            interrupted = True
    place = {crystal.id: position for position, crystal in enumerate(crystals)}
    rows.sort(key=lambda row: place[row["id"]])
    if output is not None:
        write_rows(output, rows=rows, failures=failures)
    show_table(
        ["id", "formula", "energy (eV/atom)", "gained (eV/atom)", "converged", "steps", "note"],
        rows=[
            [
                r["id"], r["formula"], f"{r['energy_per_atom']:.4f}", f"{r['energy_gained_per_atom']:.4f}",
                "yes" if r["converged"] else "no", r["steps"], r["note"],
            ]
            for r in rows
        ],
        title=f"{potential}, {folder}",
    )  # fmt: skip
    report_failures(failures)
    if interrupted:
        typer.echo(f"{len(rows)} of {len(crystals)} are finished and in {folder}", err=True)
        raise typer.Exit(130)
    raise typer.Exit(exit_code(done=len(rows), failures=len(failures)))
