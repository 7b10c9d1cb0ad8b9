# # Your own data
#
# From a folder of structures and a table of labels to a calibrated model, its errors and its doubts. This page is a script that
# runs each time the site is built. Training is kept short here, so the errors are not those of a finished model.

# %%
# A folder of CIF files and a CSV, as people have them; here the first crystals of the shipped sample
# and, as happens, a label without a structure.

import csv
import tempfile
from pathlib import Path

from euhedral.core.files import write
from euhedral.data import load

folder = Path(tempfile.mkdtemp())
sample = list(load("mp-20-sample"))[:400]
for crystal in sample:
    write(folder / "cifs" / f"{crystal.id}.cif", crystals=crystal.replace(props={}))
with (folder / "labels.csv").open("w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["id", "band_gap"])
    table.writerows([crystal.id, crystal.props["band_gap"]] for crystal in sample if "band_gap" in crystal.props)
    table.writerow(["mp-lost", 1.0])

# %%
# `from_files` joins the two and audits them: rows without a file, files without a label, values far from all others, ids that are
# there twice. Nothing is changed silently; what was remarked upon stands in the card.

from euhedral.data.own import from_files

mine = from_files(folder / "cifs", labels=folder / "labels.csv", units={"band_gap": "eV"})
print(mine)
print(*mine.card.audit.remarks, sep="\n")

# %%
# From the command line all that follows is one line, which goes on where it stopped if it is stopped:
#
# `euhedral train cgcnn --data cifs --labels labels.csv --target band_gap --unit band_gap=eV --out mine`
#
# From Python: a split, a recipe, an ensemble.

from euhedral.training.recipes import EnsembleRecipe, judge, train_ensemble
from euhedral.training.settings import TrainingSettings

parts = mine.split("random-0")
print({name: len(part) for name, part in parts.items()})
recipe = EnsembleRecipe(system="cgcnn", targets=("band_gap",), members=2, settings=TrainingSettings(epochs=8))
predictor = train_ensemble(
    recipe, train=list(parts["train"]), validation=list(parts["val"]), work=folder / "checkpoints"
)
for name, value in judge(predictor, list(parts["test"]))["band_gap"].items():
    print(f"{name}: {value:.3g}")

# %%
# A prediction has an interval, calibrated on the validation part, and says whether the crystal is unlike the training data. Gold in the
# structure of diamond is unlike everything.

import numpy as np

from euhedral.core.crystal import Crystal

cubic = np.eye(3) * 5.4
diamond = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
diamond += [[x + 0.25 for x in site] for site in diamond]
asked = [parts["test"][0], Crystal(cell=cubic, frac=diamond, numbers=[79] * 8, id="gold as diamond")]
answer = predictor.predict(asked)["band_gap"]
for crystal, value, low, high, odd in zip(
    asked, answer.value, answer.lower, answer.upper, answer.unlike_training, strict=True
):
    print(f"{crystal.id}: {value:.2f} [{low:.2f}, {high:.2f}] eV, unlike training: {odd}")

# %%
# How does it do where it must extrapolate? Leave an element out of training (also `leave-cluster-out-0`, `leave-prototype-out-0`,
# `leave-range-out-band_gap-high`).

apart = mine.split("leave-element-out-O+val")
print({name: len(part) for name, part in apart.items()})

# %%
# Save it, and it is what `euhedral predict FILES --model mine` takes. Go on from it with other data or another target by
# `euhedral finetune mine ...`; `euhedral evaluate mine ...` judges it again and leaves pictures.
#
# A single network can have a spread of its own: `--evidence 0.1` for any network of numbers, `--draws 20` for one with dropout.
# `--set atom_width=128` changes the network, `--training learning_rate=1e-3` the training, `--device cuda` the machine.

predictor.save(folder / "mine")
print(sorted(path.name for path in (folder / "mine").iterdir()))
