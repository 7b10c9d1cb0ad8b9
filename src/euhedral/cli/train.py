"""`euhedral train`, `finetune` and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from euhedral.cli.output import Advance, progress, show_table

if TYPE_CHECKING:
    from euhedral.data.dataset import Dataset

Data = Annotated[str, typer.Option(help="Data set, or files, a folder or a table (.parquet, .csv) of your own.")]
Labels = Annotated[
    Path | None, typer.Option(help="CSV with a column id and one for each target, for your own structure files.")
]
Split = Annotated[str, typer.Option(help="official, random-0, fold-2, ...; see the data set's page.")]
Target = Annotated[list[str] | None, typer.Option(help="Property to learn. May be repeated.")]
Classes = Annotated[
    list[str] | None, typer.Option(help='Names of a target\'s classes, "metal=no,yes"; its labels are 0, 1, ...')
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights; also keeps checkpoints.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training set; the paper's when not given.", min=1)]
Members = Annotated[int, typer.Option(help="Networks in the ensemble.", min=1)]
Seed = Annotated[int, typer.Option(help="Of everything that is drawn.")]
Log = Annotated[
    list[str] | None,
    typer.Option(
        help="tensorboard or wandb (offline), beside OUT/history.csv, which is always written. May be repeated."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (train, finetune, evaluate):
        app.command()(command)


def train(
    system: Annotated[str, typer.Argument(help="A property system, or crystalformer.")],
    data: Data = "mp-20-sample",
    labels: Labels = None,
    target: Target = None,
    classes: Classes = None,
    split: Split = "",
    out: Out = Path("trained"),
    epochs: Epochs = None,
    members: Members = 4,
    minutes: Annotated[float, typer.Option(help="Longest training time (crystalformer).", min=0.05)] = 90.0,
    seed: Seed = 0,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Train a system; the same command on the same folder goes on where it stopped."""
    from euhedral.errors import unknown_name
    from euhedral.models.registry import ROWS

    known = [row.name for row in ROWS if row.wing == "property"]
    if system not in (*known, "crystalformer"):
        raise unknown_name("system that can be trained", system, [*known, "crystalformer"], where="euhedral systems")
    with progress(quiet=quiet) as advance:
        advance("reading", 0, None)
        whole, named = _dataset(data, labels=labels, targets=target)
        parts = _parts(whole, named, split=split)
        if system == "crystalformer":
            _train_crystalformer(
                parts, data=data, split=split, out=out, targets=target or (), epochs=epochs or 60, minutes=minutes,
                seed=seed, log=log or (), advance=advance,
            )  # fmt: skip
        else:
            _train_property(
                system, parts=parts, whole=whole, data=data, split=split, out=out, targets=target or (),
                classes=classes or (), epochs=epochs, members=members, seed=seed, start="", freeze=(), log=log or (),
                advance=advance,
            )  # fmt: skip
    typer.echo(
        f"weights in {out}"
        + ("" if system == "crystalformer" else f"; use them with: euhedral predict FILES --model {out}")
    )


def finetune(
    start: Annotated[str, typer.Argument(help="Weights to begin from: shipped ones, or a folder of your own.")],
    data: Data = "mp-20-sample",
    labels: Labels = None,
    target: Target = None,
    classes: Classes = None,
    split: Split = "",
    out: Out = Path("tuned"),
    epochs: Epochs = None,
    members: Members = 4,
    freeze: Annotated[
        list[str] | None, typer.Option(help='Parameters that stay, "convolutions.*". May be repeated.')
    ] = None,
    seed: Seed = 0,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Go on from trained weights with other data or another target; says what was taken over."""
    from euhedral.tasks.weights import load_weights
    from euhedral.training.predictor import weights_folder

    system = load_weights(weights_folder(start)).system
    with progress(quiet=quiet) as advance:
        advance("reading", 0, None)
        whole, named = _dataset(data, labels=labels, targets=target)
        _train_property(
            system, parts=_parts(whole, named, split=split), whole=whole, data=data, split=split, out=out, targets=target or (),
            classes=classes or (), epochs=epochs, members=members, seed=seed, start=start, freeze=tuple(freeze or ()),
            log=log or (), advance=advance,
        )  # fmt: skip
    typer.echo(f"weights in {out}; use them with: euhedral predict FILES --model {out}")


def evaluate(
    model: Annotated[str, typer.Argument(help="Shipped weights, or a folder of your own.")],
    data: Data = "mp-20-sample",
    labels: Labels = None,
    split: Split = "",
    part: Annotated[str, typer.Option(help="train, val, test, or all.")] = "test",
    coverage: Annotated[float, typer.Option(help="Of the intervals.", min=0.5, max=0.99)] = 0.9,
    quiet: Quiet = False,
) -> None:
    """Compare a model's predictions with labels that it has not seen."""
    from euhedral.errors import unknown_name
    from euhedral.training.predictor import Predictor
    from euhedral.training.recipes import judge

    predictor = Predictor.load(model)
    with progress(quiet=quiet) as advance:
        advance("reading", 0, None)
        whole, named = _dataset(data, labels=labels, targets=predictor.targets)
        parts = {"all": whole} if part == "all" else _parts(whole, named, split=split)
        if part not in parts:
            raise unknown_name(f"part of {data}", part, parts, where="euhedral datasets")
        advance("predicting", 0, len(parts[part]))
        report = judge(predictor, list(parts[part]), coverage=coverage)
    _show(report, title=f"{model} on {part} of {data}")


def _dataset(data: str, *, labels: Path | None, targets: Sequence[str] | None) -> tuple[Dataset, bool]:
    """Open a data set by name, or make one of a user's own data; tells whether it was a name."""
    from euhedral.data.catalogue import SHIPPED, load
    from euhedral.data.dataset import Dataset
    from euhedral.data.own import from_files, from_table
    from euhedral.data.sources import sources
    from euhedral.errors import FileFormatError

    path = Path(data)
    if data in SHIPPED or data in sources() or not path.exists():
        return load(data), True  # one that does not exist raises the error that lists the data sets
    if path.suffix == ".parquet":
        try:
            return Dataset.open(path), False
        except FileFormatError:
            return _remarked(from_table(path, targets=targets)), False  # a table with a column of structures
    if path.suffix == ".csv":
        return _remarked(from_table(path, targets=targets)), False
    return _remarked(from_files(path, labels=labels, targets=targets)), False


def _remarked(own: Dataset) -> Dataset:
    """Say on the standard error what was left out or looks strange."""
    if own.card.audit is not None:
        for remark in own.card.audit.remarks:
            typer.echo(f"note: {remark}", err=True)
    return own


def _parts(whole: Dataset, named: bool, *, split: str) -> Mapping[str, Dataset]:
    rule = split or ("official" if named or "split" in whole.described else "random-0")
    parts = whole.split(rule)
    return parts if "val" in parts else whole.split(f"{rule}+val")


def _targets(
    whole: Dataset, *, names: Sequence[str], classes: Sequence[str], default: Sequence[str]
) -> tuple[Any, ...]:  # fmt: skip
    """Say what each target is, by the kind of its column."""
    from euhedral.errors import InvalidRequestError, unknown_name

    named_classes = {}
    for text in classes:
        name, equals, listed = text.partition("=")
        if not equals:
            raise InvalidRequestError(f'--classes {text!r}: expected "target=first,second"')
        named_classes[name] = listed.split(",")
    found: list[Any] = []
    chosen = list(names) or [name for name in default if name in whole.described] or list(whole.targets)
    for name in chosen:
        column = whole.described.get(name)
        if column is None or column.kind == "text":
            raise unknown_name("target", name, whole.targets, where="euhedral datasets")
        if name in named_classes:
            kind = {"kind": "category", "classes": named_classes[name], "per_atom": column.kind == "site"}
        elif column.frame and set(column.shape) == {3}:
            kind = {"kind": "tensor", "rank": len(column.shape)}
        elif column.kind == "array" and len(column.shape) == 1:
            kind = {"kind": "spectrum", "size": column.shape[0]}
        elif column.kind == "array":
            raise InvalidRequestError(
                f"target {name!r} holds arrays of shape {column.shape}; a spectrum or a Cartesian tensor can be learnt"
            )
        else:
            kind = {"kind": "scalar", "per_atom": column.kind == "site"}
        found.append({**kind, "name": name})
    if not found:
        raise InvalidRequestError("there is no number to learn in these data; name one with --target")
    return tuple(found)


def _train_property(
    system: str, *, parts: Mapping[str, Dataset], whole: Dataset, data: str, split: str, out: Path, targets: Sequence[str],
    classes: Sequence[str], epochs: int | None, members: int, seed: int, start: str, freeze: tuple[str, ...],
    log: Sequence[str], advance: Advance,
) -> None:  # fmt: skip
    from dataclasses import replace

    from euhedral.models.registry import row
    from euhedral.training.loggers import Journal
    from euhedral.training.recipes import EnsembleRecipe, judge, train_ensemble
    from euhedral.training.settings import settings_of

    base = EnsembleRecipe()
    settings = settings_of(row(system).training, whose=system) if row(system).training else base.settings
    settings = replace(settings, epochs=epochs or settings.epochs, steps=None)
    default = base.targets if all(isinstance(target, str) for target in base.targets) else ()
    recipe = EnsembleRecipe(
        system=system, targets=_targets(whole, names=targets, classes=classes, default=[str(name) for name in default]),
        members=members, seed=seed, settings=settings, start=start, freeze=freeze,
    )  # fmt: skip
    journal = Journal(out, kinds=log)
    predictor = train_ensemble(
        recipe, train=list(parts["train"]), validation=list(parts["val"]), work=out / "checkpoints",
        card={"data": data, "split": split or "official or random-0"},
        on_epoch=lambda member, epoch: advance(f"network {member + 1} of {members}", epoch.epoch, settings.epochs),
        journal=journal,
    )  # fmt: skip
    journal.close()
    report = judge(predictor, list(parts["test"]))
    replace(predictor, card={**predictor.card, "test": report}).save(out)
    if start:
        typer.echo(f"{start}: {predictor.card['training']['start']}")
    _show(report, title=f"{system} on the test part of {data}")


def _show(report: Mapping[str, Mapping[str, float]], *, title: str) -> None:
    show_table(
        ["target", "mean error", "root mean square", "intervals hold", "of crystals"],
        rows=[
            [
                name, f"{numbers['mae']:.4f}", f"{numbers['rmse']:.4f}",
                f"{numbers['interval_coverage']:.1%} (goal {numbers['interval_goal']:.0%})", str(numbers["crystals"]),
            ]
            for name, numbers in report.items()
        ],
        title=title,
    )  # fmt: skip


def _train_crystalformer(
    parts: Mapping[str, Dataset], *, data: str, split: str, out: Path, targets: Sequence[str], epochs: int,
    minutes: float, seed: int, log: Sequence[str], advance: Advance,
) -> None:  # fmt: skip
    from euhedral.errors import InvalidRequestError
    from euhedral.tasks.weights import save_weights
    from euhedral.training.generator_recipe import SMALL, GeneratorRecipe, train_crystalformer
    from euhedral.training.likelihood import Schedule

    if targets:
        raise InvalidRequestError("crystalformer learns structures, not properties; leave --target out")
    if log:
        raise InvalidRequestError("crystalformer keeps its losses in the card of its weights; leave --log out")
    recipe = GeneratorRecipe(config=SMALL, schedule=Schedule(seconds=60.0 * minutes, epochs=epochs, seed=seed))
    advance("encoding and training", 0, None)
    model, card = train_crystalformer(
        recipe, train=list(parts["train"]), validation=list(parts["val"]), work=out / "checkpoints",
        card={"data": data, "split": split or "official or random-0"},
        on_validation=lambda state: advance("training", int(state.seconds), int(60 * minutes)),
    )  # fmt: skip
    save_weights(out, weights=model.to_weights(card=card))
