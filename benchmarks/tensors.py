"""ETGNN and GMTNet on measured terms: Frobenius error, share of tensors that are near enough, and of forced zeros that are kept.

    python benchmarks/tensors.py [--minutes 10] [--systems etgnn gmtnet gmtnet-4] [--sets dielectric piezoelectric elastic] [--seed 0]

Each system is trained on 80% of each set, in a random split, within the minutes given, with its published settings shortened to
what fits. The test set is 10%. "within 25%" is the share of test crystals whose tensor is off by less than 25% of its own Frobenius
norm (EwT of Yan et al. 2024, arXiv:2406.12888; those whose tensor is zero are left out). "zeros kept" is the share of
crystals with forbidden components in which all of these are below 1e-5 of the labels' root mean square. "gmtnet-4" is GMTNet with
harmonics up to degree 4, which it needs for sites of high symmetry (its documentation says why). The constant is the mean isotropic tensor of the training set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.benchmarks.budget import seconds_per_step, within
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.data.tensors import full_tensor
from euhedral.geometry.point_group import cartesian_point_group
from euhedral.models.registry import row
from euhedral.nn.cartesian_irreps import CartesianIrreps
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, predict
from euhedral.training.settings import settings_of

TARGET = Path(__file__).parent / "results" / "tensors.json"
#: Set, target, rank, index symmetry, unit.
SETS = {
    "dielectric": ("mp-dielectric-tensors", "dielectric_tensor", 2, "ij=ji", ""),
    "piezoelectric": ("mp-piezoelectric-tensors", "piezoelectric_tensor", 3, "ijk=ikj", "C/m^2"),
    "elastic": ("mp-elastic-tensors", "elastic_tensor", 4, "ijkl=jikl=klij", "GPa"),
}
ZERO = 1e-5


def parts(name: str, *, seed: int) -> dict[str, list[Crystal]]:
    """Train, validation and test crystals with their tensors written out."""
    data, target, *_ = SETS[name]
    split = load(data).split(f"random-{seed}")
    return {
        part: [crystal.replace(props={target: full_tensor(crystal.props[target])}) for crystal in split[part]]
        for part in ("train", "val", "test")
    }


def constant(train: NDArray[np.float64], *, rank: int, symmetry: str) -> NDArray[np.float64]:
    """(3, ..., 3) the mean of the part of each tensor that no rotation changes."""
    basis = CartesianIrreps(rank, symmetry=symmetry)
    features = basis.from_cartesian(torch.from_numpy(train)).mean(0, keepdim=True)
    first = 0
    for part in basis.kind:
        if part.ir.l > 0 or part.ir.p < 0:
            features[:, first : first + part.dim] = 0.0
        first += part.dim
    return basis.to_cartesian(features)[0].numpy()


def forbidden(crystal: Crystal, *, rank: int, symmetry: str) -> NDArray[np.bool_]:
    """(3^rank,) whether each component must be zero in the axes of the cell."""
    group = cartesian_point_group(crystal)
    basis = CartesianIrreps(rank, symmetry=symmetry)
    units = basis.basis.T.numpy() @ basis.basis.numpy()
    allowed = np.zeros((3**rank, 3**rank))
    for rotation in group:
        matrix = np.ones((1, 1))
        for _ in range(rank):
            matrix = np.kron(matrix, rotation)
        allowed += matrix / len(group)
    return np.abs(allowed @ units).max(1) < 1e-8


def scores(
    predicted: NDArray[np.float64], labels: NDArray[np.float64], *, zero: list[NDArray[np.bool_]]
) -> dict[str, float]:
    """What the table says of one system on one set."""
    flat, truth = predicted.reshape(len(predicted), -1), labels.reshape(len(labels), -1)
    error, norm = np.linalg.norm(flat - truth, axis=1), np.linalg.norm(truth, axis=1)
    known = norm > 1e-6
    ratio = error[known] / norm[known]
    deviation = float(np.sqrt((truth**2).mean()))
    kept = [np.abs(value[mask]).max() <= ZERO * deviation for value, mask in zip(flat, zero, strict=True) if mask.any()]
    return {
        "frobenius": float(error.mean()), "mae": float(np.abs(flat - truth).mean()),
        **{f"within_{share}%": float((ratio < share / 100.0).mean()) for share in (25, 10, 5)},
        "zeros_kept": float(np.mean(kept)), "crystals_with_zeros": len(kept),
    }  # fmt: skip


def trained(
    system: str, name: str, *, crystals: dict[str, list[Crystal]], minutes: float, seed: int
) -> tuple[NDArray, dict]:
    """Train a system on a set and predict the test crystals."""
    _, target, rank, symmetry, _ = SETS[name]
    name_of_row, _, lmax = system.partition("-")
    known = row(name_of_row)
    torch.manual_seed(seed)
    model = known.load()(
        **({"lmax": int(lmax)} if lmax else {}),
        targets=[{"kind": "tensor", "name": target, "rank": rank, "symmetry": symmetry}],
    )
    began = time.process_time()
    sets = {
        part: GraphSet.from_crystals(found, spec=model.graph, targets=(target,)) for part, found in crystals.items()
    }
    graphs = time.process_time() - began
    published = settings_of(known.training, whose=system)
    a_step = seconds_per_step(model, train=sets["train"], settings=published) / torch.get_num_threads()
    settings = within(published, minutes=minutes, seconds_a_step=a_step, n_crystals=len(sets["train"]))
    began = time.process_time()
    fit(model, train=sets["train"], settings=settings, rng=torch.Generator().manual_seed(seed))
    seconds = time.process_time() - began
    steps, batches = settings.length(len(sets["train"]))[0], -(-len(sets["train"]) // settings.batch_size)
    costs = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()), "graph_seconds": round(graphs, 1),
        "seconds_per_step": round(a_step, 3), "training_seconds": round(seconds / torch.get_num_threads(), 1), "epochs": round(steps / batches, 1),
        "published_epochs": published.epochs,
    }  # fmt: skip
    return predict(model, sets["test"], batch_size=64)[target].double().numpy(), costs


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of processor time for each system and set, a thread"
    )
    parser.add_argument("--systems", nargs="+", default=["etgnn", "gmtnet", "gmtnet-4"])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seed", type=int, default=0, help="of the split and of the weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {
        "what": "tensors of crystals, random split 80/10/10", "minutes": options.minutes, "seed": options.seed,
        "machine": {
            "processor": platform.machine(), "cores": os.cpu_count(), "threads": options.threads,
            "python": platform.python_version(), "torch": torch.__version__.split("+")[0],
            "load_average_at_start": os.getloadavg()[0],
        },
        "sets": {},
    }  # fmt: skip
    for name in options.sets:
        data, target, rank, symmetry, unit = SETS[name]
        crystals = parts(name, seed=options.seed)
        labels = {part: np.stack([c.props[target] for c in found]) for part, found in crystals.items()}
        zero = [forbidden(crystal, rank=rank, symmetry=symmetry) for crystal in crystals["test"]]
        same = np.broadcast_to(constant(labels["train"], rank=rank, symmetry=symmetry), labels["test"].shape)
        table: dict[str, Any] = {
            "data": data, "unit": unit, **{part: len(found) for part, found in crystals.items()},
            "labels": {"zeros_kept": scores(labels["test"], labels["test"], zero=zero)["zeros_kept"]},
            "constant": scores(same, labels["test"], zero=zero),
        }  # fmt: skip
        print(name, "constant", json.dumps(table["constant"]), flush=True)
        for system in options.systems:
            predicted, costs = trained(system, name, crystals=crystals, minutes=options.minutes, seed=options.seed)
            table[system] = {**scores(predicted, labels["test"], zero=zero), **costs}
            print(name, system, json.dumps(table[system]), flush=True)
        result["sets"][name] = table
        write_atomically(options.out, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
