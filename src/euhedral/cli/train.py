"""`euhedral train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from euhedral.cli.output import Advance, progress

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    system: Annotated[str, typer.Argument(help="cgcnn or crystalformer.")],
    data: Annotated[str, typer.Option(help="Data set, or files or a folder of your own.")] = "mp-20-sample",
    labels: Annotated[
        Path | None, typer.Option(help="CSV with a column id and one for each target, for your own files.")
    ] = None,
    target: Annotated[list[str] | None, typer.Option(help="Property to learn (cgcnn). May be repeated.")] = None,
    split: Annotated[str, typer.Option(help="official, random-0, fold-2, ...; see the data set's page.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights; also keeps checkpoints.")] = Path(
        "trained"
    ),
    epochs: Annotated[int, typer.Option(help="Passes over the training set.", min=1)] = 60,
    members: Annotated[int, typer.Option(help="Networks in the ensemble (cgcnn).", min=1)] = 4,
    minutes: Annotated[float, typer.Option(help="Longest training time (crystalformer).", min=0.05)] = 90.0,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train a system; the same command on the same folder goes on where it stopped."""
    from euhedral.errors import unknown_name

    trainers = {"cgcnn": _train_cgcnn, "crystalformer": _train_crystalformer}
    if system not in trainers:
        raise unknown_name("system that can be trained", system, trainers, where="euhedral train --help")
    with progress(quiet=quiet) as advance:
        advance("reading", 0, None)
        parts = _parts(data, labels=labels, split=split, advance=advance)
        trainers[system](
            parts, data=data, split=split, out=out, targets=target or (), epochs=epochs, members=members,
            minutes=minutes, seed=seed, advance=advance,
        )  # fmt: skip
    typer.echo(
        f"weights in {out}; use them with: euhedral predict FILES --model {out}"
        if system == "cgcnn"
        else f"weights in {out}"
    )


def _parts(data: str, *, labels: Path | None, split: str, advance: Advance) -> Mapping[str, Sequence[Crystal]]:
    from euhedral.cli.reading import crystals_from
    from euhedral.data.catalogue import SHIPPED, load
    from euhedral.data.dataset import Dataset
    from euhedral.data.sources import sources
    from euhedral.errors import InvalidRequestError

    if data in SHIPPED or data in sources():
        return load(data).split(split or "official")
    if not Path(data).exists():
        return load(data).split(split or "official")  # raises the error that lists the data sets
    if Path(data).suffix == ".parquet":
        own = Dataset.open(data)
    else:
        crystals, failures = crystals_from([Path(data)], advance=advance)
        if failures:
            raise InvalidRequestError(
                f"{len(failures)} of {len(failures) + len(crystals)} structures cannot be read, the first: {failures[0]}; mend or remove them"
            )
        if labels is not None:
            crystals = _labelled(crystals, labels)
        names = sorted(
            {key for crystal in crystals for key, value in crystal.props.items() if isinstance(value, (int, float))}
        )
        own = Dataset.from_crystals(crystals, name=Path(data).stem, targets=names)
    return own.split(split or "random-0")


def _labelled(crystals: Sequence[Crystal], path: Path) -> list[Crystal]:
    import csv

    from euhedral.errors import FileFormatError

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = {row.get("id", ""): row for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"cannot read {path}: {error}; expected a CSV with a column id") from error
    if "" in rows:
        raise FileFormatError(f"{path}: a row has no id; expected a column id with the names of the structure files")
    if missing := [crystal.id for crystal in crystals if crystal.id not in rows]:
        raise FileFormatError(
            f"{path} has no row for {missing[0]!r} (and {len(missing) - 1} more); ids are file names without their ending"
        )
    labelled = []
    for crystal in crystals:
        values = {key: text for key, text in rows[crystal.id].items() if key and key != "id" and text}
        try:
            props = {key: float(text) for key, text in values.items()}
        except ValueError as error:
            raise FileFormatError(f"{path}, row {crystal.id!r}: {error}; leave unknown values empty") from error
        labelled.append(crystal.replace(props={**crystal.props, **props}))
    return labelled


def _train_cgcnn(
    parts: Mapping[str, Sequence[Crystal]], *, data: str, split: str, out: Path, targets: Sequence[str], epochs: int,
    members: int, minutes: float, seed: int, advance: Advance,
) -> None:  # fmt: skip
    from dataclasses import replace

    from euhedral.training.recipes import EnsembleRecipe, judge, train_ensemble

    del minutes
    base = EnsembleRecipe()
    recipe = replace(
        base,
        targets=tuple(targets) or base.targets,
        members=members,
        seed=seed,
        settings=replace(base.settings, epochs=epochs),
    )
    predictor = train_ensemble(
        recipe, train=list(parts["train"]), validation=list(parts["val"]), work=out / "checkpoints",
        card={"data": data, "split": split or "official or random-0"},
        on_epoch=lambda member, epoch: advance(f"network {member + 1} of {members}", epoch.epoch, epochs),
    )  # fmt: skip
    report = judge(predictor, list(parts["test"]))
    replace(predictor, card={**predictor.card, "test": report}).save(out)
    for name, numbers in report.items():
        typer.echo(
            f"{name}: test MAE {numbers['mae']:.4f}, {numbers['interval_goal']:.0%} intervals hold {numbers['interval_coverage']:.1%} "
            f"of {numbers['crystals']} crystals"
        )


def _train_crystalformer(
    parts: Mapping[str, Sequence[Crystal]], *, data: str, split: str, out: Path, targets: Sequence[str], epochs: int,
    members: int, minutes: float, seed: int, advance: Advance,
) -> None:  # fmt: skip
    from euhedral.errors import InvalidRequestError
    from euhedral.tasks.weights import save_weights
    from euhedral.training.generator_recipe import SMALL, GeneratorRecipe, train_crystalformer
    from euhedral.training.likelihood import Schedule

    del members
    if targets:
        raise InvalidRequestError("crystalformer learns structures, not properties; leave --target out")
    recipe = GeneratorRecipe(config=SMALL, schedule=Schedule(seconds=60.0 * minutes, epochs=epochs, seed=seed))
    advance("encoding and training", 0, None)
    model, card = train_crystalformer(
        recipe, train=list(parts["train"]), validation=list(parts["val"]), work=out / "checkpoints",
        card={"data": data, "split": split or "official or random-0"},
        on_validation=lambda state: advance("training", int(state.seconds), int(60 * minutes)),
    )  # fmt: skip
    save_weights(out, weights=model.to_weights(card=card))
