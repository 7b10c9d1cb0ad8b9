"""`euhedral pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from euhedral.cli.train import Data, Device, Epochs, Log, Quiet, Seed, Setting, Split, Training, Without


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(pretrain)


def pretrain(
    system: Annotated[str, typer.Argument(help="A system whose paper trains it without labels first.")],
    data: Data = "mp-20-sample",
    split: Split = "",
    without: Without = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights; also keeps checkpoints.")] = Path(
        "pretrained"
    ),
    epochs: Epochs = None,
    setting: Setting = None,
    training: Training = None,
    device: Device = "cpu",
    seed: Seed = 0,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Train a system on structures without labels; `finetune` goes on from it with labels."""
    from dataclasses import replace

    from euhedral.cli.device import device_of
    from euhedral.cli.output import progress
    from euhedral.cli.training_data import config_of, open_data, pairs_of, parts_of, without_sets
    from euhedral.models.registry import row
    from euhedral.tasks.weights import save_weights
    from euhedral.training.loggers import Journal
    from euhedral.training.loop import Epoch
    from euhedral.training.pretraining import pretrain as train_without_labels
    from euhedral.training.settings import altered, settings_of

    known = row(system)
    known.load_pretraining()  # said before the data are read
    settings = altered(
        settings_of(known.pretraining_settings, whose=system),
        changes=pairs_of(training or (), option="--training"),
        whose="--training",
    )
    if epochs is not None:
        settings = replace(settings, epochs=epochs, steps=None)
    with progress(quiet=quiet, lines=True) as advance:
        advance("reading", 0, None)
        whole, named = open_data(data, labels=None, targets=None)
        parts = without_sets(parts_of(whole, named, split=split), names=without or ())
        crystals = list(parts["train"])
        left_out = f" without {', '.join(without)}" if without else ""
        total = settings.length(len(crystals))[1]

        def on_epoch(epoch: Epoch) -> None:
            advance(f"pre-training, loss {epoch.loss:.4g}, epoch", epoch.epoch, total)

        journal = Journal(out, kinds=log or ())
        advance("finding neighbours", 0, None)
        weights = train_without_labels(
            system, crystals=crystals, settings=settings, work=out / "checkpoints",
            config=config_of(setting or (), system=system), seed=seed, device=device_of(device), on_epoch=on_epoch,
            card={"data": f"structures of {data}{left_out}", "split": split or "official or random-0"}, journal=journal,
        )  # fmt: skip
        journal.close()
        save_weights(out, weights=weights)
    typer.echo(f"weights in {out}; go on with labels: euhedral finetune {out} --data FILES --labels labels.csv")
