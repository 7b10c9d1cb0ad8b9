"""Convert the public CHGNet 0.3.0 weights, as the `chgnet` package ships them, to safetensors.

python scripts/convert_chgnet.py
"""

from __future__ import annotations

from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from euhedral.core.writing import write_atomically
from euhedral.tasks.weights import Weights, save_weights

VERSION = "0.3.0"
TARGET = Path(__file__).parents[1] / "src" / "euhedral" / "models" / "weights" / f"chgnet-{VERSION}"
#: in MPtrj there are no Po, At, Rn, Fr, Ra; their rows were never trained
UNTRAINED = (84, 85, 86, 87, 88)
WIDTH = 64


def gated(theirs: dict[str, Tensor], *, prefix: str, parts: tuple[str, ...]) -> dict[str, Tensor]:
    """Split the matrices that act on joined features, and stack the two branches."""
    hidden = f"{prefix}.mlp_core.layers.3.weight" in theirs
    first = 0 if hidden else 1
    stack = {
        kind: torch.cat([theirs[f"{prefix}.mlp_{branch}.layers.{first}.{kind}"] for branch in ("core", "gate")])
        for kind in ("weight", "bias")
    }
    ours = {
        f"parts.{name}.weight": matrix for name, matrix in zip(parts, stack["weight"].split(WIDTH, dim=1), strict=True)
    }
    ours["bias"] = stack["bias"]
    for branch, norm in (("core", "bn1"), ("gate", "bn2")):
        for kind in ("weight", "bias"):
            if hidden:
                ours[f"{branch}.{kind}"] = theirs[f"{prefix}.mlp_{branch}.layers.3.{kind}"]
            ours[f"{branch}_norm.{kind}"] = theirs[f"{prefix}.{norm}.{kind}"]
    return ours


def convert(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {
        "reference_energy": theirs["composition_model.fc.weight"].squeeze(0),
        "embedding.weight": theirs["atom_embedding.embedding.weight"],
        "atom_basis.frequencies": theirs["bond_basis_expansion.rbf_expansion_ag.frequencies"],
        "bond_basis.frequencies": theirs["bond_basis_expansion.rbf_expansion_bg.frequencies"],
        "angle_basis.frequencies": theirs["angle_basis_expansion.fourier_expansion.frequencies"],
        "bond_embedding.weight": theirs["bond_embedding.weight"],
        "atom_weight.weight": theirs["bond_weights_ag.weight"],
        "bond_weight.weight": theirs["bond_weights_bg.weight"],
        "angle_embedding.weight": theirs["angle_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        ours[f"magmom.{kind}"] = theirs[f"site_wise.{kind}"]
        ours[f"norm.{kind}"] = theirs[f"readout_norm.{kind}"]
        for mine, their in ((0, 0), (2, 2), (4, 4), (6, 7)):
            ours[f"readout.{mine}.{kind}"] = theirs[f"mlp.layers.{their}.{kind}"]
    layers = (
        ("atom_convolutions", "atom_conv_layers", "twoBody_atom", ("centre", "bond", "neighbour"), 4),
        ("bond_convolutions", "bond_conv_layers", "twoBody_bond", ("first", "second", "angle", "centre"), 3),
        ("angle_updates", "angle_layers", "twoBody_bond", ("first", "second", "angle", "centre"), 2),
    )
    for mine, their, block, parts, count in layers:
        for i in range(count):
            for name, tensor in gated(theirs, prefix=f"{their}.{i}.{block}", parts=parts).items():
                ours[f"{mine}.{i}.message.{name}"] = tensor
            if mine != "angle_updates":
                ours[f"{mine}.{i}.out.weight"] = theirs[f"{their}.{i}.mlp_out.layers.1.weight"]
    return ours


def main() -> None:
    pretrained = files("chgnet").joinpath("pretrained", VERSION)
    (checkpoint,) = [entry for entry in pretrained.iterdir() if entry.name.endswith(".pth.tar")]
    theirs = torch.load(str(checkpoint), map_location="cpu", weights_only=True)["model"]
    args = theirs["model_args"]
    config = {
        "width": args["atom_fea_dim"],
        "n_blocks": args["n_conv"],
        "n_radial": args["num_radial"],
        "n_angular": args["num_angular"],
        "cutoff": float(args["atom_graph_cutoff"]),
        "bond_cutoff": float(args["bond_graph_cutoff"]),
        "exponent": args["cutoff_coeff"],
        "readout": args["mlp_hidden_dims"],
        "elements": [number for number in range(1, 95) if number not in UNTRAINED],
    }
    card = {
        "name": f"CHGNet {VERSION}",
        "authors": "Deng, Zhong, Jun, Riebesell, Han, Bartel and Ceder",
        "doi": "10.1038/s42256-023-00716-3",
        "source": f"the file {checkpoint.name} of the Python package chgnet {distribution('chgnet').version}, converted without change of value",
        "licence": "modified BSD (Lawrence Berkeley National Laboratory), in LICENCE.txt beside this file",
        "data": "MPtrj: 1.58 million structures of Materials Project relaxations, PBE and PBE+U with MP2020 corrections; 89 elements",
        "split": "90 / 5 / 5, as the release notes say",
        "test_mae": {
            "energy_ev_per_atom": 0.029,
            "force_ev_per_angstrom": 0.068,
            "stress_gpa": 0.314,
            "magmom_mu_b": 0.037,
        },
        "test_mae_from": "the authors' release notes; not measured here",
        "mind": "no dispersion; softer than PBE far from equilibrium; no Po, At, Rn, Fr, Ra",
    }
    save_weights(
        TARGET, weights=Weights(system="chgnet", config=config, tensors=convert(theirs["state_dict"]), card=card)
    )
    (licence,) = [
        file for file in distribution("chgnet").files or [] if file.name == "LICENSE" and "licenses" in str(file)
    ]
    write_atomically(TARGET / "LICENCE.txt", content=licence.read_text())
    print(f"wrote {TARGET}")


if __name__ == "__main__":
    main()
