"""`euhedral predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from euhedral.cli.output import check_output, exit_code, progress, report_failures, show_table, write_rows
from euhedral.cli.reading import crystals_from


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(
    files: Annotated[list[Path], typer.Argument(help="Structure files, folders, or quoted patterns.")],
    target: Annotated[
        list[str] | None, typer.Option(help="Property to predict; all when not given. May be repeated.")
    ] = None,
    model: Annotated[str, typer.Option(help="Shipped weights, or a folder of your own.")] = "cgcnn-mp20",
    coverage: Annotated[
        float, typer.Option(help="Share of truths that the intervals shall hold.", min=0.5, max=0.99)
    ] = 0.9,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a .json or .csv file.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Predict properties of crystals, with intervals and a warning where a crystal is unlike the training data."""
    from euhedral.data.quantities import Quantity, quantities
    from euhedral.errors import unknown_name
    from euhedral.training.predictor import Predictor

    check_output(output)
    predictor = Predictor.load(model)
    for name in target or ():
        if name not in predictor.targets:
            raise unknown_name(f"property in {model}", name, predictor.targets, where="euhedral systems")
    targets = target or list(predictor.targets)
    with progress(quiet=quiet) as advance:
        crystals, failures = crystals_from(files, advance=advance)
        refusals = predictor.refusals(crystals)
        failures += [refusal for refusal in refusals if refusal is not None]
        usable = [crystal for crystal, refusal in zip(crystals, refusals, strict=True) if refusal is None]
        rows = []
        for start in range(0, len(usable), 1024):
            part = usable[start : start + 1024]
            advance("predicting", start, len(usable))
            answers = predictor.predict(part, coverage=coverage)
            for i, crystal in enumerate(part):
                row: dict[str, object] = {"id": crystal.id, "formula": _formula(crystal)}
                for name in targets:
                    answer = answers[name]
                    row[name] = round(float(answer.value[i]), 6)
                    row[f"{name}_lower"] = round(float(answer.lower[i]), 6)
                    row[f"{name}_upper"] = round(float(answer.upper[i]), 6)
                row["unlike_training"] = bool(answers[targets[0]].unlike_training[i])
                rows.append(row)
    if output is not None:
        write_rows(output, rows=rows, failures=failures)
    own = {
        name: Quantity(name, unit="as in its labels", method="as in its labels", note="a model of your own")
        for name in targets
    }
    kinds = {**own, **quantities()}
    units = {name: kinds[name].unit for name in targets}
    show_table(
        ["id", "formula", *(f"{name} ({units[name]})" for name in targets), "unlike training"],
        rows=[
            [
                row["id"], row["formula"],
                *(f"{row[n]:.3f} [{row[f'{n}_lower']:.3f}, {row[f'{n}_upper']:.3f}]" for n in targets),
                "yes" if row["unlike_training"] else "no",
            ]
            for row in rows
        ],
        title=f"{model}, {coverage:.0%} intervals",
    )  # fmt: skip
    for name in targets:
        typer.echo(f"{name}: {kinds[name].method}; {kinds[name].note}", err=True)
    report_failures(failures)
    raise typer.Exit(exit_code(done=len(rows), failures=len(failures)))


def _formula(crystal: object) -> str:
    from euhedral.core.composition import formula

    return formula(crystal.numbers)  # type: ignore[attr-defined]
