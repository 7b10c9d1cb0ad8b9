"""`euhedral adsorb`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from euhedral.cli.output import check_output, file_stem, progress, show_table, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from euhedral.simulation.adsorption import Attempt


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(adsorb)


def adsorb(
    slab: Annotated[Path, typer.Argument(help="File of a clean slab, with vacuum along its third lattice vector.")],
    adsorbate: Annotated[str, typer.Option("--adsorbate", "-a", help="CO, CH3OH, an element, or a molecule's file.")],
    binding: Annotated[
        str, typer.Option(help="Atom that is put on sites: an element, or a position from 1; first that is no H.")
    ] = "",
    potential: Annotated[str, typer.Option(help="Shipped potential.")] = "chgnet",
    random: Annotated[int, typer.Option(help="Placements on random points.", min=0)] = 30,
    turns: Annotated[int, typer.Option(help="Placements on each on-top, bridge and hollow site.", min=1)] = 3,
    free_depth: Annotated[
        float, typer.Option(help="Å below the highest atom; atoms farther down stay.", min=0.0)
    ] = 1.0,
    fmax: Annotated[float, typer.Option(help="Longest force left, eV/Å.", min=1e-6)] = 0.05,
    steps: Annotated[int, typer.Option(help="Most evaluations for one placement.", min=1)] = 300,
    best: Annotated[int, typer.Option("--best", "-n", help="How many structures are written.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="The same seed gives the same placements.")] = 0,
    folder: Annotated[Path, typer.Option("--folder", "-d", help="Where the structures and the table go.")] = Path(
        "adsorbed"
    ),
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Table of all placements, .json or .csv; in the folder if not given."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Find the lowest-energy configuration of a molecule on a slab: many placements, relaxed in a batch (AdsorbML)."""
    import numpy as np

    from euhedral.core.files import read, write
    from euhedral.errors import FileFormatError
    from euhedral.models.registry import load_trained
    from euhedral.simulation.adsorption import AdsorptionSearch, find_adsorption, ranked
    from euhedral.simulation.molecules import molecule_of

    table = output or folder / "adsorption.csv"
    check_output(table)
    found = read(slab)
    if len(found) != 1:
        raise FileFormatError(f"{slab}: expected one slab, got {len(found)}")
    molecule = molecule_of(adsorbate, binding=binding)
    calculator = load_trained(potential, wing="potential")
    finished: list[Attempt] = []
    search: AdsorptionSearch | None = None
    with progress(quiet=quiet, lines=True) as advance:
        advance("relaxing the slab and the molecule", 0, None)

        def on_attempt(attempt: Attempt, all_of_them: int) -> None:
            finished.append(attempt)
            advance("relaxing placements", len(finished), all_of_them)

        try:
            search = find_adsorption(
                calculator, found[0], molecule, rng=np.random.default_rng(seed), n_random=random, turns_per_site=turns,
                free_depth=free_depth, fmax=fmax, steps=steps, on_attempt=on_attempt,
            )  # fmt: skip
        except KeyboardInterrupt:
            if not finished:
                raise
    attempts = search.attempts if search is not None else ranked(finished)
    lowest = [attempt for attempt in attempts if not attempt.anomaly][:best]
    stem = f"{file_stem(found[0].id)}-{file_stem(Path(adsorbate).stem)}"
    files = {id(attempt): f"{stem}-{rank}.cif" for rank, attempt in enumerate(lowest, start=1)}
    for attempt in lowest:
        write(folder / files[id(attempt)], crystals=attempt.relaxation.crystal)
    if search is not None:
        write(folder / f"{stem}-slab.cif", crystals=search.slab.crystal)
    rows = [
        {
            "id": attempt.start.id, "site": attempt.site, "adsorption_energy_eV": round(attempt.adsorption_energy, 6),
            "energy_eV": round(attempt.relaxation.energy, 6), "converged": attempt.relaxation.converged,
            "steps": attempt.relaxation.steps, "largest_force_eV_per_A": round(attempt.relaxation.largest_force, 6),
            "anomaly": attempt.anomaly, "note": attempt.relaxation.reason, "file": files.get(id(attempt), ""),
        }
        for attempt in attempts
    ]  # fmt: skip
    write_rows(table, rows=rows)
    show_table(
        ["rank", "site", "adsorption energy (eV)", "converged", "file"],
        rows=[
            [
                rank, attempt.site, f"{attempt.adsorption_energy:.4f}", "yes" if attempt.relaxation.converged else "no",
                files[id(attempt)],
            ]
            for rank, attempt in enumerate(lowest, start=1)
        ],
        title=f"{adsorbate} on {found[0].id}, {potential}, {folder}",
    )  # fmt: skip
    typer.echo(_summary(attempts, table=table, potential=potential), err=True)
    if potential == "chgnet":
        typer.echo(
            "note: CHGNet learnt from bulk crystals and not from molecules on surfaces; rank configurations by it, and take energies from DFT",
            err=True,
        )
    if search is None:
        typer.echo(f"the best of {len(finished)} placements that were finished are in {folder}", err=True)
        raise typer.Exit(130)
    raise typer.Exit(0 if lowest else 2)


def _summary(attempts: Sequence[Attempt], *, table: Path, potential: str) -> str:
    anomalies = Counter(attempt.anomaly for attempt in attempts if attempt.anomaly)
    adsorbed = len(attempts) - anomalies.total()
    lost = ", ".join(f"{count} {why}" for why, count in sorted(anomalies.items()))
    return (
        f"{adsorbed} of {len(attempts)} placements are adsorptions{f' (others: {lost})' if lost else ''}; energies by {potential}, less "
        f"the relaxed slab and the molecule alone; all in {table}"
    )
