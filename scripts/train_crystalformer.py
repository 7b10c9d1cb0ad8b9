"""Train the shipped CrystalFormer weights on MP-20's training split without the held-out chemical systems.

Run (an hour and a half on one core): python scripts/train_crystalformer.py WORK_FOLDER
The MP-20 table must be on the machine (`euhedral fetch mp-20`, or EUHEDRAL_DATA). A killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seconds", type=float, default=5400.0)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--out", type=Path, default=ROOT / "src/euhedral/models/weights/crystalformer-mp20")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from euhedral.core.composition import chemical_system
    from euhedral.data.catalogue import load
    from euhedral.tasks.weights import save_weights
    from euhedral.training.generator_recipe import SMALL, GeneratorRecipe, train_crystalformer
    from euhedral.training.likelihood import Schedule

    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    dataset = load("mp-20")
    splits = dataset.split("official")
    held_out = set(json.loads((ROOT / "benchmarks/rediscovery/held_out.json").read_text())["held_out_systems"])
    train = [crystal for crystal in splits["train"] if chemical_system(crystal.numbers) not in held_out]
    validation = list(splits["val"])[::3]
    card = {
        "data": {"name": dataset.card.name, "version": dataset.card.version, "licence": dataset.card.licence},
        "split": "official train split for learning, every third crystal of the official validation split for choosing",
        "held_out_systems": sorted(held_out),
        "licence": "CC BY 4.0, as the Materials Project data that the weights were trained on",
        "command": "python scripts/train_crystalformer.py WORK_FOLDER",
        "departures": "a smaller network than the paper's (see config.json), AdamW with warmup and cosine, averaged weights",
    }
    recipe = GeneratorRecipe(
        config=SMALL, schedule=Schedule(seconds=arguments.seconds, rate=arguments.rate, batch_tokens=1536)
    )
    model, card = train_crystalformer(recipe, train=train, validation=validation, work=arguments.work, card=card)
    save_weights(arguments.out, weights=model.to_weights(card=card))


if __name__ == "__main__":
    main()
