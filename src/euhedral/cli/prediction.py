"""`euhedral predict`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from euhedral.cli.output import Advance, check_output, exit_code, progress, report_failures, show_table, write_rows
from euhedral.cli.reading import structures_and_formulas

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal
    from euhedral.core.failure import Failure
    from euhedral.tasks.property import Prediction
    from euhedral.training.predictor import Predictor

_AT_ONCE = 1024


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Structure files, folders, quoted patterns, tables, data sets, or formulas: Fe2O3."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Property to predict; all when not given. May be repeated.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="Shipped weights, or a folder of your own; the best measured for each target if not given."),
    ] = "",
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Condition that a --model takes, temperature=300, for all crystals that carry none themselves. May be repeated.",
        ),
    ] = None,
    coverage: Annotated[
        float, typer.Option(help="Share of truths that the intervals shall hold.", min=0.5, max=0.99)
    ] = 0.9,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a .json, .csv or .parquet file.")] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="List what the shipped models predict, and how well.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Predict properties of crystals or formulas, with intervals and a warning where one is unlike the training data."""
    from euhedral.errors import InvalidRequestError

    if list_all:
        _list()
        return
    if not inputs:
        raise InvalidRequestError("give structure files or formulas to predict, or --list for what can be predicted")
    check_output(output)
    models = _Models(model)
    asked = models.targets(target or (), where=model)
    given = models.conditions(conditions or ())
    with progress(quiet=quiet) as advance:
        crystals, formulas, failures = structures_and_formulas(inputs, advance=advance, values=models.inputs)
        rows: list[dict[str, object]] = []
        for part, structure in ((crystals, True), (formulas, False)):
            known = [crystal.replace(props={**given, **crystal.props}) for crystal in part] if given else part
            rows += _answer(
                known, asked=asked, structure=structure, models=models, coverage=coverage, advance=advance, failures=failures
            )  # fmt: skip
    if output is not None:
        write_rows(output, rows=rows, failures=failures)
    _show(rows, asked=asked, models=models, coverage=coverage)
    report_failures(failures)
    raise typer.Exit(exit_code(done=len(rows), failures=len(failures)))


class _Models:
    """The predictors that answer: the one that was named, or the best shipped one for each question."""

    def __init__(self, name: str) -> None:
        from euhedral.training.predictor import Predictor
        from euhedral.training.shipped import read_shipped

        self.name = name
        self.loaded: dict[str, Predictor] = {name: Predictor.load(name)} if name else {}
        self.shipped = () if name else read_shipped()
        #: what was taken for which target, and why
        self.reasons: dict[str, str] = {}

    def targets(self, asked: Sequence[str], *, where: str) -> list[str]:
        """Check the targets that are asked for; all that there are when none is."""
        from euhedral.errors import unknown_name

        known = self.loaded[self.name].targets if self.name else [t for one in self.shipped for t in one.errors]
        known = list(dict.fromkeys(known))
        for name in asked:
            if name not in known:
                what = f"property in {where}" if self.name else "property that a shipped model predicts"
                listed = f"{where}/config.json" if self.name else "euhedral predict --list"
                raise unknown_name(what, name, known, where=listed)
        return list(asked) or known

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the conditions that the named model needs; shipped ones that are chosen need none."""
        return self.loaded[self.name].inputs if self.name else ()

    def conditions(self, texts: Sequence[str]) -> dict[str, float]:
        """Read conditions of crystals, each as "temperature=300".

        Raises:
            InvalidRequestError: one is no number, or of atoms, or no model is named that takes it.
            UnknownNameError: the model takes none of this name.
        """
        from euhedral.cli.training_data import pairs_of
        from euhedral.errors import InvalidRequestError, unknown_name

        given: dict[str, float] = {}
        for name, value in pairs_of(texts, option="--input").items():
            if not self.inputs:
                whose = f"{self.name} takes no conditions" if self.name else "shipped models take no conditions"
                raise InvalidRequestError(
                    f"--input {name}: {whose}; leave it out, or name a --model that was trained with it"
                )
            if name not in self.inputs:
                raise unknown_name(
                    f"condition that {self.name} takes", name, self.inputs, where=f"{self.name}/config.json"
                )
            if name in self.loaded[self.name].ensemble.site_inputs:
                raise InvalidRequestError(f"--input {name}: {_of_atoms(name)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InvalidRequestError(f"--input {name}={value}: expected a number, as --input {name}=300")
            given[name] = float(value)
        return given

    def answering(self, target: str, *, structure: bool) -> tuple[str, Predictor]:
        """Load the predictor that answers.

        Raises:
            InvalidRequestError: it needs structures, and formulas are given.
        """
        from euhedral.errors import InvalidRequestError
        from euhedral.training.predictor import Predictor
        from euhedral.training.shipped import choose

        if self.name:
            predictor = self.loaded[self.name]
            if predictor.sees_structure and not structure:
                raise InvalidRequestError(
                    f"{self.name} ({predictor.system}) needs a structure; give a file, or a --model of compositions"
                )
            return self.name, predictor
        choice = choose(target, structure=structure, known=self.shipped)
        one = choice.shipped
        if one.name not in self.loaded:
            self.loaded[one.name] = Predictor.load(one.name)
        predictor = self.loaded[one.name]
        unit = self.unit(target, predictor)
        key = f"{target}{'' if structure else ', formulas'}"
        self.reasons[key] = (
            f"{one.name}, {choice.reason}: mean error {one.errors[target]:g} {unit} on {one.test} ({one.source})"
        )
        return one.name, predictor

    def unit(self, target: str, predictor: Predictor | None = None) -> str:
        """Return the unit of a target."""
        from euhedral.cli.units import quantity_of

        owner = predictor or next(one for one in self.loaded.values() if target in one.targets)
        return quantity_of(target, card=owner.card).unit


@dataclass(frozen=True)
class _Asked:
    """One predictor and the targets that it is asked for."""

    name: str
    predictor: Predictor
    targets: list[str]


def _answer(
    crystals: Sequence[Crystal], *, asked: Sequence[str], structure: bool, models: _Models, coverage: float, advance: Advance,
    failures: list[Failure],
) -> list[dict[str, object]]:  # fmt: skip
    """Predict what can be predicted; what cannot be is added to the failures."""
    from euhedral.core.failure import Failure
    from euhedral.errors import InvalidRequestError

    if not crystals:
        return []
    asking: dict[str, _Asked] = {}
    for target in asked:
        try:
            name, predictor = models.answering(target, structure=structure)
        except InvalidRequestError as error:
            failures += [Failure(reason=str(error), id=crystal.id, stage="predict") for crystal in crystals]
            return []
        asking.setdefault(name, _Asked(name, predictor, [])).targets.append(target)
    refused = {}
    for one in asking.values():
        refused |= {failure.id: failure for failure in one.predictor.refusals(crystals) if failure is not None}
        if len(refused) == len(crystals):
            _demand_inputs(crystals, one=one)
    failures += refused.values()
    usable = [crystal for crystal in crystals if crystal.id not in refused]
    rows: list[dict[str, object]] = []
    for start in range(0, len(usable), _AT_ONCE):
        part = usable[start : start + _AT_ONCE]
        advance("predicting", start, len(usable))
        fresh: list[dict[str, object]] = [{"id": crystal.id, "formula": _formula(crystal)} for crystal in part]
        for one in asking.values():
            _add(fresh, crystals=part, one=one, coverage=coverage)
        sees = any(one.predictor.sees_structure for one in asking.values())
        for row in fresh:
            row["unlike_training"] = row.pop("unlike_training")  # to the end of the columns
            row["seen"] = "structure" if sees else "composition"
            row["model"] = ", ".join(asking)
        rows += fresh
    return rows


def _demand_inputs(crystals: Sequence[Crystal], *, one: _Asked) -> None:
    """Say once, and not of each crystal, that none has a condition."""
    from euhedral.core.batch import input_fault
    from euhedral.errors import InvalidRequestError

    for name in one.predictor.inputs:
        if all(input_fault(crystal, name=name) for crystal in crystals):
            of_atoms = name in one.predictor.ensemble.site_inputs
            cure = _of_atoms(name) if of_atoms else (
                f"give it for all by --input {name}=300, or for each (extxyz: {name}=300 in the second line of a frame; a column of a table)"
            )  # fmt: skip
            raise InvalidRequestError(f"{one.name} needs {name!r}, which no crystal has; {cure}")


def _of_atoms(name: str) -> str:
    return f"it is a value of each atom; write it into the files (extxyz: {name}:R:1 in Properties, and a column)"


def _add(rows: list[dict[str, object]], *, crystals: Sequence[Crystal], one: _Asked, coverage: float) -> None:
    """Add one predictor's columns to the rows of some crystals."""
    answers = one.predictor.predict(crystals, coverage=coverage)
    kinds = one.predictor.ensemble.kinds
    first = 0
    for i, (row, crystal) in enumerate(zip(rows, crystals, strict=True)):
        for name in one.targets:
            place = slice(first, first + len(crystal)) if kinds[name].per_atom else i
            row.update(_columns(name, answers[name], place))
        first += len(crystal)
        unlike = bool(answers[one.targets[0]].unlike_training[i])
        row["unlike_training"] = unlike or bool(row.get("unlike_training", False))


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


def _show(rows: Sequence[Mapping[str, object]], *, asked: Sequence[str], models: _Models, coverage: float) -> None:
    from euhedral.cli.units import headed, quantity_of
    from euhedral.data.tensors import VOIGT_SHAPES

    if not rows:
        return
    kinds = {}
    for name in asked:
        owner = next(one for one in models.loaded.values() if name in one.targets)
        kinds[name] = quantity_of(name, card=owner.card)
    show_table(
        ["id", "formula", *(headed(name, kinds[name].unit) for name in asked), "unlike training", "seen"],
        rows=[
            [
                row["id"],
                row["formula"],
                *(_shown(row, n) for n in asked),
                "yes" if row["unlike_training"] else "no",
                row["seen"],
            ]
            for row in rows
        ],
        title=f"{', '.join(models.loaded)}, {coverage:.0%} intervals",
    )
    for name in asked:
        full = "; here with all indices written out" if kinds[name].shape in VOIGT_SHAPES else ""
        typer.echo(f"{name}: {kinds[name].method}; {kinds[name].note}{full}", err=True)
    for what, why in models.reasons.items():
        typer.echo(f"{what}: answered by {why}", err=True)
    if any(row["seen"] == "composition" for row in rows):
        typer.echo(
            "only the composition was seen where the column says so: the interval is that of a model which cannot tell structures of "
            "one formula apart",
            err=True,
        )
    if any(value in (float("inf"), float("-inf")) for row in rows for value in row.values()):
        typer.echo(
            f"an interval without an end: the model was calibrated on too few crystals for {coverage:.0%}; lower --coverage, or train it "
            "with more of them for validation",
            err=True,
        )
    if any(
        name in row and row[f"{name}_lower"] == row[f"{name}_upper"]
        for row in rows
        for name in asked
        if f"{name}_lower" in row
    ):
        typer.echo(
            f"an interval of no width: of the crystals that calibrated it, at least {coverage:.0%} of those with such an answer had exactly "
            "that value (metals have a gap of 0); it says nothing of how far off the others were",
            err=True,
        )


def _shown(row: Mapping[str, object], name: str) -> str:
    import numpy as np

    value = row[name]
    if isinstance(value, float):
        return f"{value:.3f} [{row[f'{name}_lower']:.3f}, {row[f'{name}_upper']:.3f}]"
    if isinstance(value, list):
        return f"{np.size(value)} values in --output"
    return f"{value} ({row[f'{name}_probability']:.0%}; plausible: {row[f'{name}_plausible']})"


def _list() -> None:
    from euhedral.data.quantities import quantities
    from euhedral.training.shipped import read_shipped

    rows = []
    for one in read_shipped():
        for name, error in one.errors.items():
            unit = quantities()[name].unit if name in quantities() else ""
            given = "structure" if one.sees_structure else "composition"
            rows.append([name, unit, given, one.name, one.system, f"{error:g} {unit}".strip(), one.test, one.source])
    show_table(["target", "unit", "from", "model", "system", "mean error", "tested on", "result"], rows=rows)


def _formula(crystal: Crystal) -> str:
    from euhedral.core.composition import formula

    return formula(crystal.numbers)
