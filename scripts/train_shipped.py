"""Train a shipped property predictor, measure it on the test split, and write weights and result.

    python scripts/train_shipped.py roost-mp20 WORK_FOLDER [--epochs 15] [--members 2] [--threads 1] [--recalibrate]

A killed run goes on where it stopped. MP-20 must be on the machine (`euhedral fetch mp-20`, or EUHEDRAL_DATA). The weights go to
`src/euhedral/models/weights/NAME`, the errors to `benchmarks/results/NAME.json`, and what `src/euhedral/training/shipped.toml`
must say of them is printed. Nothing is written where the weights would be larger than 10 MB.
With --recalibrate the networks stay as they are shipped; their intervals, novelty and errors are taken anew.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data.catalogue import load
from euhedral.training.graph_set import GraphSet
from euhedral.training.predictor import Predictor
from euhedral.training.recipes import EnsembleRecipe, calibrate, judge, train_ensemble
from euhedral.training.seen import material_keys, unseen
from euhedral.training.settings import AdamW, OneCycle, TrainingSettings

ROOT = Path(__file__).parents[1]
TARGETS = ("formation_energy_per_atom", "band_gap")
LARGEST = 10_000_000  # bytes


def cgcnn() -> EnsembleRecipe:
    """As the package trains it by default."""
    return EnsembleRecipe()


def roost() -> EnsembleRecipe:
    """The published width and depth but for the two widest layers of the readout, which would be half of the weights."""
    return EnsembleRecipe(
        system="roost", members=2, config={"readout": [256, 128, 64]},
        settings=TrainingSettings(
            epochs=15, batch_size=128, optimizer=AdamW(learning_rate=1e-3, weight_decay=1e-2), schedule=OneCycle(), validate_every=5
        ),
    )  # fmt: skip


RECIPES: dict[str, Callable[[], EnsembleRecipe]] = {"cgcnn-mp20": cgcnn, "roost-mp20": roost}


def recalibrated(predictor: Predictor, *, train: list[Crystal], validation: list[Crystal]) -> Predictor:
    """Take intervals and novelty anew."""
    ensemble = predictor.ensemble
    sets = (
        GraphSet.from_crystals(
            part, spec=ensemble.graph, targets=ensemble.targets, inputs=ensemble.inputs + ensemble.site_inputs,
            merge_equal=ensemble.merges_equal,
        )
        for part in (train, validation)
    )  # fmt: skip
    conformal, novelty = calibrate(
        ensemble, train=next(sets), validation=next(sets), rng=torch.Generator().manual_seed(0)
    )
    return replace(predictor, conformal=conformal, novelty=novelty)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table_of(name: str, *, predictor: Predictor, test: str, source: str, report: dict) -> str:
    """What the table of shipped predictors must say."""
    targets = report["targets"]
    lines = [
        "[[predictor]]", f'name = "{name}"', f'system = "{predictor.system}"',
        f"sees_structure = {str(predictor.sees_structure).lower()}", f'test = "{test}"', f'source = "{source}"', "", "[predictor.errors]",
        *(f"{target} = {targets[target]['mae']:.4f}" for target in targets), "", "[predictor.where]",
        *(f'{target} = "targets.{target}.mae"' for target in targets),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("work", type=Path)
    parser.add_argument("--recalibrate", action="store_true")
    parser.add_argument("--data", default="mp-20")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--members", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "src" / "euhedral" / "models" / "weights")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = RECIPES[arguments.name]()
    if arguments.epochs is not None:
        recipe = replace(recipe, settings=replace(recipe.settings, epochs=arguments.epochs))
    if arguments.members is not None:
        recipe = replace(recipe, members=arguments.members)
    dataset = load(arguments.data)
    parts = dataset.split("official")
    train = list(parts["train"])
    keys = material_keys(train)
    validation, test = (unseen(list(parts[part]), seen=keys) for part in ("val", "test"))
    command = f"python scripts/train_shipped.py {arguments.name} WORK_FOLDER"
    card = {
        "name": arguments.name, "data": f"{dataset.card.title}; official split, training rows with labels",
        "data_sha256": dataset.card.sha256, "licence": dataset.card.licence, "source": dataset.card.doi, "command": command,
        "attribution": "Materials Project, Jain et al. 2013, doi:10.1063/1.4812323; MP-20, Xie et al. 2022, arXiv:2110.06197",
        "calibration": (
            "intervals and novelty on the official validation split; the test split decided nothing; materials of the training "
            "split that are also in the other two were left out of these"
        ),
        "units": {target: dataset.described[target].unit for target in TARGETS},
    }  # fmt: skip
    if arguments.recalibrate:
        predictor = recalibrated(Predictor.load(arguments.name), train=train, validation=validation)
        how = predictor.card["training"] | {"validation_crystals": len(validation)}
        predictor = replace(predictor, card=predictor.card | card | {"training": how})
    else:
        predictor = train_ensemble(recipe, train=train, validation=validation, work=arguments.work, card=card)
    began = time.process_time()
    targets = judge(predictor, test)
    seconds = time.process_time() - began
    report = {
        "what": f"{recipe.system} (ensemble) on the official test split of {arguments.data}", "weights": arguments.name,
        "members": len(predictor.ensemble.members), "settings": predictor.card["training"]["settings"], "config": dict(recipe.config),
        "machine": {
            "cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "python": platform.python_version(), "torch": torch.__version__,
        },
        "crystals": {
            "train": predictor.card["training"]["training_crystals"], "validation": len(validation), "test": len(test),
        },
        "training_seconds": predictor.card["training"]["training_seconds"], "seconds_per_crystal": seconds / len(test),
        "targets": targets,
    }  # fmt: skip
    predictor = replace(predictor, card={**predictor.card, "test": targets})
    size = size_of(predictor.save(arguments.work / "predictor"))
    if size > LARGEST:
        sys.exit(
            f"the weights are {size / 1e6:.1f} MB, more than {LARGEST / 1e6:g}; lower --members or the widths in RECIPES"
        )
    predictor.save(arguments.out / arguments.name)
    result = arguments.results / f"{arguments.name.replace('-', '_')}.json"
    write_atomically(result, content=json.dumps(report, indent=2) + "\n")
    what = f"{arguments.data.upper()}, official test split, {len(test):,} crystals that are not in its training split"
    source = f"benchmarks/results/{result.name}"
    print(table_of(arguments.name, predictor=predictor, test=what, source=source, report=report))
    print(
        f'and in models/rows/property.toml, system "{recipe.system}": weights = ["{arguments.name}"], licence as the data\'s'
    )


if __name__ == "__main__":
    main()
