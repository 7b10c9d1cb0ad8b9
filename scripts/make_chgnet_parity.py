"""Record what the `chgnet` package gives for fixed crystals and for crystals of the Materials Project, for the parity test.

    python scripts/make_chgnet_parity.py val.csv

The package computes in single precision, whose rounding moves some of its forces by more than 1e-4 eV/Angstrom (the arc
cosine of straight angles amplifies it). It is run here in double precision; its single-precision outputs are recorded beside.

The CSV has the columns material_id and cif (the first 2,000 rows of the MP-20 validation split, as its authors publish it, were used).
"""

from __future__ import annotations

import sys
from pathlib import Path

import chgnet.graph.converter
import chgnet.graph.crystalgraph
import chgnet.model.model
import numpy as np
import pandas as pd
import torch
from chgnet.model import CHGNet
from pymatgen.core import Structure

N = 15
TARGET = Path(__file__).parents[1] / "tests" / "data" / "chgnet_0.3.0.npz"


def predict(model: CHGNet, structures: list[Structure], *, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """What the package gives, as flat arrays: eV, eV/Angstrom, GPa, mu_B."""
    for module in (chgnet.graph.converter, chgnet.graph.crystalgraph, chgnet.model.model):
        module.TORCH_DTYPE = dtype
    torch.set_default_dtype(dtype)
    hook = model.composition_model.fc.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype),))
    results = [model.to(dtype).predict_structure(structure) for structure in structures]
    hook.remove()
    return {
        "energy": np.array(
            [float(result["e"]) * len(structure) for result, structure in zip(results, structures, strict=True)]
        ),
        "forces": np.concatenate([result["f"] for result in results]),
        "stress_gpa": np.stack([result["s"] for result in results]),
        "magmom": np.concatenate([result["m"] for result in results]),
    }


def main() -> None:
    table = pd.read_csv(sys.argv[1])
    model = CHGNet.load(use_device="cpu", verbose=False)
    chosen = table.sample(frac=1.0, random_state=20)
    seen: set[str] = set()
    structures, ids = [], []
    for identifier, text in zip(chosen["material_id"], chosen["cif"], strict=True):
        structure = Structure.from_str(text, fmt="cif")
        symbols = {site.specie.symbol for site in structure}
        if len(symbols - seen) >= 2:  # each crystal brings at least two elements that no earlier one has
            seen |= symbols
            structures.append(structure)
            ids.append(str(identifier))
        if len(ids) == N:
            break
    single = predict(model, structures, dtype=torch.float32)
    double = predict(model, structures, dtype=torch.float64)
    n_atoms = np.array([len(structure) for structure in structures])
    np.savez_compressed(
        TARGET,
        ids=np.array(ids),
        n_atoms=n_atoms,
        cell=np.stack([structure.lattice.matrix for structure in structures]),
        frac=np.concatenate([structure.frac_coords for structure in structures]),
        numbers=np.concatenate([structure.atomic_numbers for structure in structures]),
        **double,
        **{f"single_{name}": value for name, value in single.items()},
    )
    print(f"{len(ids)} crystals, {len(seen)} elements, {n_atoms.min()} to {n_atoms.max()} atoms")


if __name__ == "__main__":
    main()
