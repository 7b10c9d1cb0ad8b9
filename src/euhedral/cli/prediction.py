"""`euhedral predict`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from euhedral.cli.output import check_output, exit_code, progress, report_failures, show_table, write_rows
from euhedral.cli.reading import crystals_from

if TYPE_CHECKING:
    from euhedral.tasks.property import Prediction


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
    kinds_of_targets = predictor.ensemble.kinds
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
            first = 0
            for i, crystal in enumerate(part):
                row: dict[str, object] = {"id": crystal.id, "formula": _formula(crystal)}
                for name in targets:
                    place = slice(first, first + len(crystal)) if kinds_of_targets[name].per_atom else i
                    row |= _columns(name, answers[name], place)
                first += len(crystal)
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
                *(_shown(row, n) for n in targets),
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


def _columns(name: str, answer: Prediction, place: int | slice) -> dict[str, object]:
    """What a table says of one prediction: a number or array with its interval, or a class with its probability."""
    import numpy as np

    if answer.classes:
        chance = np.atleast_2d(answer.value[place])
        likely = np.atleast_2d(answer.plausible[place]) if answer.plausible is not None else chance > 0
        columns = {
            name: [answer.classes[k] for k in chance.argmax(1)],
            f"{name}_probability": chance.max(1).round(4).tolist(),
            f"{name}_plausible": [
                " ".join(c for c, is_likely in zip(answer.classes, row, strict=True) if is_likely) for row in likely
            ],
        }
        return {key: values if isinstance(place, slice) else values[0] for key, values in columns.items()}
    ends = {name: answer.value, f"{name}_lower": answer.lower, f"{name}_upper": answer.upper}
    return {key: np.round(values[place], 6).tolist() for key, values in ends.items()}


def _shown(row: Mapping[str, object], name: str) -> str:
    value = row[name]
    if isinstance(value, float):
        return f"{value:.3f} [{row[f'{name}_lower']:.3f}, {row[f'{name}_upper']:.3f}]"
    if isinstance(value, list):
        return f"{len(value)} values in --output"
    return f"{value} ({row[f'{name}_probability']:.0%}; plausible: {row[f'{name}_plausible']})"


def _formula(crystal: object) -> str:
    from euhedral.core.composition import formula

    return formula(crystal.numbers)  # type: ignore[attr-defined]
