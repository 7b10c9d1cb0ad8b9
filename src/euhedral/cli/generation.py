"""`euhedral generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from euhedral.cli.output import check_output, exit_code, progress, report_failures, show_table, write_rows


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(generate)


def generate(
    system: Annotated[str, typer.Option(help="Shipped generator.")] = "crystalformer",
    n: Annotated[int, typer.Option("-n", "--number", help="How many.", min=1)] = 16,
    elements: Annotated[str | None, typer.Option(help="Elements that may occur: Li,Mn,O.")] = None,
    composition: Annotated[str | None, typer.Option(help="Exact formula: LiMn2O4.")] = None,
    space_group: Annotated[int | None, typer.Option(help="Space group number.")] = None,
    max_atoms: Annotated[int | None, typer.Option(help="Most atoms in the primitive cell.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same crystals.")] = 0,
    folder: Annotated[Path, typer.Option("--folder", "-d", help="Where the CIFs go.")] = Path("generated"),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a .json or .csv table.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Generate crystals; as they come, not relaxed and not checked for stability (see `discover`)."""
    import torch

    from euhedral.core.composition import formula, parse_formula
    from euhedral.core.failure import Failure
    from euhedral.core.files import write
    from euhedral.errors import InvalidRequestError
    from euhedral.geometry.symmetry import symmetry
    from euhedral.models.registry import load_trained
    from euhedral.tasks.generation import Request

    check_output(output)
    counts = parse_formula(composition) if composition else None
    if counts and any(value != int(value) for value in counts.values()):
        raise InvalidRequestError(f"--composition needs whole numbers, got {composition}")
    request = Request(
        n=n,
        composition={symbol: int(value) for symbol, value in counts.items()} if counts else None,
        chemical_system=tuple(elements.replace(" ", "").split(",")) if elements else None,
        space_group=space_group,
        n_atoms=max_atoms,
    )
    generator = load_trained(system, wing="generation")
    with progress(quiet=quiet) as advance:
        advance(f"{system} writes crystals", 0, None)
        results = generator.sample(request, rng=torch.Generator().manual_seed(seed))
    rows, failures = [], []
    for number, result in enumerate(results):
        if isinstance(result, Failure):
            failures.append(result)
            continue
        name = f"{system}-{seed}-{number:04d}"
        found = symmetry(result)
        write(folder / f"{name}.cif", crystals=result.replace(id=name))
        rows.append(
            {
                "id": name,
                "formula": formula(result.numbers),
                "n_atoms": len(result),
                "space_group": found.number,
                "symbol": found.symbol,
                "volume_per_atom": round(result.volume / len(result), 3),
            }
        )
    if output is not None:
        write_rows(output, rows=rows, failures=failures)
    columns = ["id", "formula", "n_atoms", "space_group", "symbol", "volume_per_atom"]
    heads = [*columns[:-1], "volume (Å^3/atom)"]
    show_table(heads, rows=[[row[column] for column in columns] for row in rows], title=f"{len(rows)} CIFs in {folder}")
    report_failures(failures)
    raise typer.Exit(exit_code(done=len(rows), failures=len(failures)))
