# # First steps
#
# This page is a script that runs each time the site is built; what it prints is shown. It needs neither a network nor
# downloaded data: a sample of MP-20, the reference phases and the weights are part of the package.

# %%
# A crystal is a cell, fractional coordinates and atomic numbers. Here is one of the shipped sample.

from euhedral.data.catalogue import load

sample = load("mp-20-sample")
crystal = next(c for c in sample if len(c) == 4)
print(crystal)
print(crystal.lengths.round(3), crystal.angles.round(2))

# %%
# Files are read with `read` (CIF, POSCAR, extxyz, JSON) and written with `write`; the format follows from the name.

import tempfile
from pathlib import Path

from euhedral.core.files import read, write

folder = Path(tempfile.mkdtemp())
write(folder / "mine.cif", crystals=crystal)
print(read(folder / "mine.cif"))

# %%
# Its symmetry, with Wyckoff letters.

from euhedral.geometry.symmetry import symmetry

found = symmetry(crystal)
print(found.symbol, found.number, found.letters)

# %%
# Formation energy and band gap from an ensemble of CGCNNs. The interval holds the truth for 90% of crystals like those of the
# training set; the flag says when a crystal is not like them.

from euhedral.training.predictor import Predictor

predictor = Predictor.load("cgcnn-mp20")
for name, answer in predictor.predict([crystal]).items():
    print(
        f"{name}: {answer.value[0]:.3f} [{answer.lower[0]:.3f}, {answer.upper[0]:.3f}] unlike training: {answer.unlike_training[0]}"
    )

# %%
# Shake the atoms and relax them with CHGNet, many crystals at once.

import numpy as np

from euhedral.models.potentials.chgnet import CHGNet
from euhedral.simulation.relax import relax

rng = np.random.default_rng(0)
shaken = [
    crystal.replace(frac=crystal.frac + 0.02 * rng.normal(size=crystal.frac.shape), id=f"shaken-{i}") for i in range(4)
]
potential = CHGNet.load()
relaxed = relax(potential, shaken, fmax=0.05)
for result in relaxed:
    print(
        f"{result.crystal.id}: {result.energy_per_atom:.4f} eV/atom, converged {result.converged} after {result.steps} steps"
    )

# %%
# Where does it lie relative to the convex hull? Candidates and references have energies by the same potential.

from euhedral.simulation.references import ReferenceHull

hull = ReferenceHull.shipped()
distance = hull.distances([relaxed[0].crystal], energies_per_atom=[relaxed[0].energy_per_atom])
print(f"{distance[0]:+.3f} eV/atom: {hull.description}")
