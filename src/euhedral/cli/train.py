"""`euhedral train`, `finetune` and `evaluate`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from euhedral.cli.output import Advance, progress, show_table
from euhedral.cli.training_data import (
    check_parts,
    classes_of,
    config_of,
    not_seen,
    open_data,
    pairs_of,
    parts_of,
    targets_of,
    without_sets,
)

if TYPE_CHECKING:
    from euhedral.data.dataset import Dataset
    from euhedral.training.loop import Epoch
    from euhedral.training.predictor import Predictor
    from euhedral.training.recipes import EnsembleRecipe

Data = Annotated[
    str, typer.Option(help="Data set, or a file, folder, quoted pattern or table (.parquet, .csv) of your own.")
]
Labels = Annotated[
    Path | None, typer.Option(help="CSV with a column id and one for each target, for your own structure files.")
]
Units = Annotated[
    list[str] | None, typer.Option("--unit", help="Of a target of your own data, band_gap=eV. May be repeated.")
]
Split = Annotated[str, typer.Option(help="official, random-0, fold-2, ...; see the data set's page.")]
Target = Annotated[list[str] | None, typer.Option(help="Property to learn. May be repeated.")]
Classes = Annotated[
    list[str] | None,
    typer.Option(help='Names of a target\'s classes, "metal=no,yes"; its labels are these words, or 0, 1, ...'),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights; also keeps checkpoints.")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training set; the paper's when not given.", min=1)]
Members = Annotated[int, typer.Option(help="Networks in the ensemble.", min=1)]
Draws = Annotated[
    int, typer.Option(help="Monte Carlo dropout: how often each network is asked; 0 for not at all.", min=0)
]
Without = Annotated[
    list[str] | None, typer.Option(help="Data set whose materials are left out of all parts. May be repeated.")
]
Setting = Annotated[
    list[str] | None, typer.Option("--set", help="Argument of the network, width=128. May be repeated.")
]
Training = Annotated[
    list[str] | None,
    typer.Option(
        help="Setting of the training, learning_rate=1e-3, batch_size=32, schedule=one_cycle, loss=huber. May be repeated."
    ),
]
Device = Annotated[str, typer.Option(help="Where to train: cpu, cuda, cuda:1, mps.")]
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
    draws: Draws = 0,
    evidence: Annotated[
        float | None, typer.Option(help="Each network learns its spread, with this weight of wrong evidence.", min=0.0)
    ] = None,
    unit: Units = None,
    without: Without = None,
    setting: Setting = None,
    training: Training = None,
    device: Device = "cpu",
    seed: Seed = 0,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Train a system; the same command on the same folder goes on where it stopped."""
    from euhedral.cli.device import device_of
    from euhedral.errors import InvalidRequestError, unknown_name
    from euhedral.models.registry import ROWS
    from euhedral.training.network import inputs_of, network_of
    from euhedral.training.recipes import EnsembleRecipe

    known = [row.name for row in ROWS if row.wing == "property"]
    if system not in (*known, "crystalformer"):
        raise unknown_name(
            "system that can be trained", system, [*known, "crystalformer"], where="euhedral systems --task property"
        )
    if system == "crystalformer":
        given = {
            "--set": setting, "--training": training, "--draws": draws, "--evidence": evidence is not None,
            "--device": device != "cpu",
        }  # fmt: skip
        for option, is_given in given.items():
            if is_given:
                raise InvalidRequestError(f"{system} does not take {option}; leave it out")
    config = {} if system == "crystalformer" else config_of(setting or (), system=system)
    with progress(quiet=quiet, lines=True) as advance:
        advance("reading", 0, None)
        inputs = () if system == "crystalformer" else inputs_of(network_of(system, config=config))
        whole, named = open_data(
            data, labels=labels, targets=target, units=unit or (), classes=classes_of(classes or ()), inputs=inputs
        )
        parts = without_sets(parts_of(whole, named, split=split), names=without or ())
        data = f"{data} without {', '.join(without)}" if without else data
        if system == "crystalformer":
            _train_crystalformer(
                parts, data=data, split=split, out=out, targets=target or (), epochs=epochs or 60, minutes=minutes,
                seed=seed, log=log or (), advance=advance,
            )  # fmt: skip
        else:
            _train_property(
                EnsembleRecipe(
                    system=system, config=config, members=members, seed=seed, draws=draws, evidence=evidence
                ),
                parts=parts, whole=whole, inputs=inputs, data=data, split=split, out=out, targets=target or (), classes=classes or (), epochs=epochs, changes=training or (),
                device=device_of(device), log=log or (), advance=advance,
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
    leave: Annotated[
        list[str] | None,
        typer.Option(
            help='Weights that are not taken over, "readout.*"; the last layer, if the target is another, when not given.'
        ),
    ] = None,
    draws: Draws = 0,
    unit: Units = None,
    setting: Setting = None,
    training: Training = None,
    device: Device = "cpu",
    seed: Seed = 0,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Go on from trained weights with other data or another target; says what was taken over."""
    from euhedral.cli.device import device_of
    from euhedral.errors import InvalidRequestError
    from euhedral.models.registry import row
    from euhedral.tasks.weights import load_weights
    from euhedral.training.network import inputs_of, network_of
    from euhedral.training.predictor import weights_folder
    from euhedral.training.recipes import EnsembleRecipe, size_of

    weights = load_weights(weights_folder(start))
    system = weights.system
    if row(system).wing != "property":
        raise InvalidRequestError(
            f"{start} is of {system}, which predicts no properties; `euhedral predict --list` shows what can be tuned"
        )
    with progress(quiet=quiet, lines=True) as advance:
        advance("reading", 0, None)
        config = size_of(weights) | config_of(setting or (), system=system)
        inputs = inputs_of(network_of(system, config=config))
        whole, named = open_data(
            data, labels=labels, targets=target, units=unit or (), classes=classes_of(classes or ()), inputs=inputs
        )
        recipe = EnsembleRecipe(
            system=system, config=config, members=members, seed=seed, start=start, freeze=tuple(freeze or ()), draws=draws,
            leave=None if leave is None else tuple(leave),
        )  # fmt: skip
        _train_property(
            recipe, parts=parts_of(whole, named, split=split), whole=whole, inputs=inputs, data=data, split=split, out=out, targets=target or (),
            classes=classes or (), epochs=epochs, changes=training or (), device=device_of(device), log=log or (), advance=advance,
        )  # fmt: skip
    typer.echo(f"weights in {out}; use them with: euhedral predict FILES --model {out}")


def evaluate(
    model: Annotated[str, typer.Argument(help="Shipped weights, or a folder of your own.")],
    data: Data = "mp-20-sample",
    labels: Labels = None,
    split: Split = "",
    part: Annotated[str, typer.Option(help="train, val, test, or all.")] = "test",
    coverage: Annotated[float, typer.Option(help="Of the intervals.", min=0.5, max=0.99)] = 0.9,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for pictures.")] = Path("evaluated"),
    quiet: Quiet = False,
) -> None:
    """Compare a model's predictions with labels that it has not seen; pictures come with the figures."""
    from euhedral.cli.result_pictures import leave_pictures
    from euhedral.data.tensors import written_out
    from euhedral.errors import InvalidRequestError, unknown_name
    from euhedral.tasks.targets import CartesianTensor, Category
    from euhedral.training.predictor import Predictor
    from euhedral.training.recipes import report_on

    predictor = Predictor.load(model)
    with progress(quiet=quiet, lines=True) as advance:
        advance("reading", 0, None)
        kinds = predictor.ensemble.kinds
        classes = {name: kind.classes for name, kind in kinds.items() if isinstance(kind, Category)}
        whole, named = open_data(
            data, labels=labels, targets=predictor.targets, classes=classes, inputs=predictor.inputs
        )
        parts = {"all": whole} if part == "all" else parts_of(whole, named, split=split)
        if part not in parts:
            raise unknown_name(f"part of {data}", part, [*parts, "all"], where="euhedral evaluate --help")
        tensors = [name for name in predictor.targets if isinstance(kinds[name], CartesianTensor)]
        crystals = list(written_out(parts[part], names=tensors))
        if part not in ("train", "all"):
            crystals = not_seen(crystals, seen=predictor.trained_on, what=f"{part} part of {data}", whose=model)
        if not any(whole.known(name).any() for name in predictor.targets if name in whole.targets):
            raise InvalidRequestError(
                f"{data} has no labels of {', '.join(predictor.targets)}; there is nothing to compare with"
            )
        advance("predicting", 0, len(crystals))
        predictions = predictor.predict(crystals, coverage=coverage)
        report = report_on(predictor, crystals, predictions=predictions)
        what = f"{model}, {part} of {data}"
        _show(report, predictor=predictor, title=what)
        leave_pictures(out, predictor=predictor, crystals=crystals, predictions=predictions, report=report, what=what)


def _train_property(
    recipe: EnsembleRecipe, *, parts: Mapping[str, Dataset], whole: Dataset, inputs: Sequence[str], data: str, split: str, out: Path, targets: Sequence[str],
    classes: Sequence[str], epochs: int | None, changes: Sequence[str], device: str, log: Sequence[str], advance: Advance,
) -> None:  # fmt: skip
    """Train what a recipe says, on the targets and for the epochs that are asked for; judge it and leave pictures."""
    from dataclasses import replace

    from euhedral.cli.result_pictures import leave_pictures
    from euhedral.data.tensors import written_out
    from euhedral.models.registry import row
    from euhedral.training.loggers import HISTORY, Journal
    from euhedral.training.recipes import learnt_from, report_on, targets_learnt, train_ensemble
    from euhedral.training.settings import altered, settings_of

    system, start, members = recipe.system, recipe.start, recipe.members
    _not_over_another(out, system=system)
    settings = settings_of(row(system).training, whose=system) if row(system).training else recipe.settings
    settings = altered(settings, changes=pairs_of(changes, option="--training"), whose="--training")
    settings = replace(settings, epochs=epochs or settings.epochs, steps=None)
    default = [str(name) for name in recipe.targets if isinstance(name, str)]
    chosen = targets_of(
        parts.get("train", whole), names=targets, classes=classes, default=default, start=start, inputs=inputs
    )
    tensors = [target["name"] for target in chosen if target["kind"] == "tensor"]
    parts = {part: written_out(one, names=tensors) for part, one in parts.items()}
    check_parts(parts, targets=chosen)
    units = {target["name"]: whole.described[target["name"]].unit for target in chosen}
    recipe = replace(recipe, targets=chosen, settings=settings)

    def on_epoch(member: int, epoch: Epoch) -> None:
        errors = "".join(
            f", {name} {error:.4g} {units.get(name, '')}".rstrip() for name, error in epoch.validation.items()
        )
        advance(
            f"network {member + 1} of {members}, loss {epoch.loss:.4g}{errors}, epoch", epoch.epoch, settings.epochs
        )

    seen, before = learnt_from(start), targets_learnt(start)
    others = before is not None and not {target["name"] for target in chosen} & set(before)
    validation, test = (
        not_seen(parts[part], seen=seen, what=f"{part} part of {data}", whose=start, only_other_targets=others)
        for part in ("val", "test")
    )
    journal = Journal(out, kinds=log)
    advance("finding neighbours", 0, None)
    predictor = train_ensemble(
        recipe, train=list(parts["train"]), validation=validation, work=out / "checkpoints",
        card={"data": data, "split": split or "official or random-0", "units": units}, on_epoch=on_epoch, journal=journal, device=device,
    )  # fmt: skip
    journal.close()
    advance("judging", 0, len(test))
    predictions = predictor.predict(test)
    report = report_on(predictor, test, predictions=predictions)
    predictor = replace(predictor, card={**predictor.card, "test": report})
    predictor.save(out)
    if start:
        typer.echo(f"{start}: {predictor.card['training']['start']}")
    what = f"{system}, test part of {data}"
    _show(report, predictor=predictor, title=what)
    leave_pictures(
        out,
        predictor=predictor,
        crystals=test,
        predictions=predictions,
        report=report,
        what=what,
        history=out / HISTORY,
    )


def _show(report: Mapping[str, Mapping[str, float]], *, predictor: Predictor, title: str) -> None:
    """Print errors with their units, and say where intervals have no end."""
    from euhedral.cli.units import quantity_of

    kinds = predictor.ensemble.kinds
    rows = []
    for name, numbers in report.items():
        classes = hasattr(kinds[name], "classes")
        unit = "share that is wrong" if classes else quantity_of(name, card=predictor.card).unit
        rows.append([
            name, unit, f"{numbers['mae']:.4f}", "-" if classes else f"{numbers['rmse']:.4f}",
            "-" if math.isnan(numbers["interval_coverage"]) else f"{numbers['interval_coverage']:.1%} (goal {numbers['interval_goal']:.0%})",
            str(numbers["crystals"]),
        ])  # fmt: skip
    heads = ["target", "unit", "mean error", "root mean square", "intervals hold", "of crystals"]
    show_table(heads, rows=rows, title=title)
    for name, numbers in report.items():
        goal = numbers["interval_goal"]
        fewest = min(predictor.conformal[name].groups, key=lambda group: len(group.scores))
        if fewest.quantile(goal) == float("inf"):
            typer.echo(
                f"note: the intervals of {name} have no end: {len(fewest.scores)} labels to calibrate with are too few for {goal:.0%} "
                f"({math.ceil(goal / (1.0 - goal) - 1e-9)} are needed); give more crystals for validation",
                err=True,
            )


def _not_over_another(out: Path, *, system: str) -> None:
    """Refuse a folder that holds finished weights of another system, which would be lost."""
    from euhedral.errors import InvalidRequestError
    from euhedral.tasks.weights import load_weights

    if (out / "config.json").exists() and (there := load_weights(out).system) != system:
        raise InvalidRequestError(
            f"{out} holds weights of {there}; choose another --out for {system}, or delete the folder"
        )


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
