"""One equivariant convolution here and in e3nn, forwards and backwards, with the same weights in the same process, in turns.

    python benchmarks/equivariant.py [--crystals 64] [--rounds 9]

The second convolution of E(3)NN (32x0e+32x1o, element attributes of width 64) on real small cells with all neighbours
within 5 Angstrom. "distinct" is ours with the radial network run once for each distinct length.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import e3nn
import torch
from e3nn.nn.models.gate_points_2101 import Convolution
from torch import Tensor

from euhedral.core.batch import CrystalBatch
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.nn.equivariant_convolution import EquivariantConvolution
from euhedral.nn.irreps import irreps, spherical_harmonics, split_irreps
from euhedral.representations.distinct_lengths import EDGE_LENGTH, WithDistinctLengths, distinct_lengths
from euhedral.representations.graphs import Radius

TARGET = Path(__file__).parent / "results" / "equivariant.json"
IN, OUT, WIDTH, BASIS, HIDDEN, NEIGHBOURS = "32x0e+32x1o", "64x0e+32x1o", 64, 10, 100, 40.0


def flipped(features: Tensor, kind: str) -> Tensor:
    """Ours in e3nn's layout."""
    return torch.cat([part.transpose(1, 2).flatten(1) for part in split_irreps(features, irreps(kind))], dim=1)


def seconds(run: Callable[[], Tensor]) -> tuple[float, float]:
    """Processor time of a pass forwards and one backwards."""
    began = time.process_time()
    result = run()
    middle = time.process_time()
    result.square().sum().backward()
    return middle - began, time.process_time() - middle


def main() -> None:
    """Check that all give the same, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crystals", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = load("mp-20-sample")
    batch = CrystalBatch.from_crystals([data[i] for i in range(options.crystals)])
    graph = WithDistinctLengths(Radius(5.0)).build(batch)
    vectors = graph.vectors(batch)
    harmonics = spherical_harmonics(vectors, lmax=1)
    centres = torch.linspace(0.0, 5.0, BASIS)
    lengths = distinct_lengths(graph, vectors.norm(dim=1))
    few = torch.exp(-(lengths[:, None] - centres).square())
    every = few.index_select(0, graph.extra[EDGE_LENGTH])
    elements, rows = torch.unique(batch.numbers, return_inverse=True)
    table = torch.randn(len(elements), WIDTH)
    features = torch.randn(len(batch.numbers), irreps(IN).dim)
    ours = EquivariantConvolution(IN, OUT, attributes=WIDTH, lmax=1, radial=[BASIS, HIDDEN], neighbours=NEIGHBOURS)
    theirs = Convolution(IN, f"{WIDTH}x0e", "0e+1o", OUT, BASIS, 1, HIDDEN, NEIGHBOURS)
    with torch.no_grad():
        for mine, other in ((ours.itself, theirs.sc), (ours.before, theirs.lin1)):
            other.weight.copy_(torch.cat([weight.transpose(0, 1).flatten() for weight in mine.weights.values()]))
    common: dict[str, Any] = {"source": graph.source, "target": graph.target, "attributes": table, "rows": rows}
    attributes, theirs_in = table[rows], flipped(features, IN)
    sides: dict[str, Callable[[], Tensor]] = {
        "e3nn": lambda: theirs(theirs_in, attributes, graph.source, graph.target, harmonics, every),
        "ours": lambda: ours(features, harmonics, every, **common),
        "distinct": lambda: ours(features, harmonics, few, **common, lengths=graph.extra[EDGE_LENGTH]),
    }
    with torch.no_grad():
        difference = (sides["ours"]() - sides["distinct"]()).abs().max().item()
        own = (flipped(ours.itself(features, table, rows), OUT) - theirs.sc(theirs_in, attributes)).abs().max().item()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for turn in range(options.rounds + 1):
        for name, run in sides.items():
            spent = seconds(run)
            if turn:
                times[name].append(spent)
    medians = {name: [statistics.median(1000.0 * s[i] for s in spent) for i in (0, 1)] for name, spent in times.items()}
    result = {
        "what": "one convolution 32x0e+32x1o -> 64x0e+32x1o, processor milliseconds, median",
        "crystals": options.crystals, "atoms": len(batch.numbers), "edges": len(graph.source), "distinct_lengths": len(lengths),
        "largest_difference": {"distinct lengths": difference, "self-connection beside e3nn": own},
        "milliseconds": {name: {"forward": round(f, 1), "backward": round(b, 1)} for name, (f, b) in medians.items()},
        "times_as_fast_as_e3nn": {name: round(sum(medians["e3nn"]) / sum(medians[name]), 2) for name in ("ours", "distinct")},
        "machine": {
            "processor": platform.machine(), "threads": 1, "torch": torch.__version__.split("+")[0], "e3nn": e3nn.__version__,
            "load_average": os.getloadavg()[0],
        },
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    write_atomically(TARGET, content=json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
