"""Crystals to SLICES strings and back: how many return, before and after relaxation with CHGNet.

    python benchmarks/slices.py [--crystals 1000] [--seed 11] [--invariance 200]

Random crystals of the MP-20 test split (at most 20 atoms), none left out; the decoder has the string alone, and the lengths that it expects of
bonds were fitted to the training split. A crystal returns when pymatgen's StructureMatcher with its default tolerances finds the
decoded one the same as the original. Refinement is relaxation of atoms and cell to 0.05 eV/Angstrom, at most 150 steps.
The published figure (94.95%, Xiao et al. 2023) is for a set of MP without low-dimensional crystals.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pymatgen.core
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

import euhedral
from euhedral.core.crystal import Crystal
from euhedral.core.writing import write_atomically
from euhedral.data import load
from euhedral.errors import EuhedralError, MissingDataError
from euhedral.geometry.cells import niggli, primitive, supercell, with_cell
from euhedral.models.potentials.chgnet import CHGNet
from euhedral.representations.bonds import EffectiveCoordination
from euhedral.representations.labelled_quotient import labelled_quotient_graph
from euhedral.representations.slices import decode, encode
from euhedral.representations.slices.net import complete
from euhedral.simulation.relax import relax_stream

TARGET = Path(__file__).parent / "results" / "slices.json"
FMAX, STEPS = 0.05, 150


def structure(crystal):
    return Structure(crystal.cell, crystal.numbers.tolist(), crystal.frac)


def described_anew(crystal, *, rng):
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(len(crystal))
    moved = Crystal(
        cell=crystal.cell @ rotation, frac=crystal.frac[order] + rng.random(3), numbers=crystal.numbers[order]
    )
    return supercell(with_cell(moved, matrix=[[1, 1, 0], [0, 1, 0], [0, -1, 1]]), matrix=[1, 1, 2])


def holds_together(crystal):
    return complete(labelled_quotient_graph(niggli(primitive(crystal))))


def returns(matcher, crystal):
    """Whether a crystal comes back from the string of the published bond rule alone, without a choice of bonds."""
    try:
        back = decode(encode(crystal, bonds=(EffectiveCoordination(),)))
    except EuhedralError:
        return False
    return bool(matcher.fit(structure(crystal), structure(back)))


def share(flags):
    return float(np.mean(flags)) if len(flags) else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--crystals", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--invariance", type=int, default=200)
    parser.add_argument("--no-refinement", action="store_true")
    parser.add_argument("--output", type=Path, default=TARGET)
    options = parser.parse_args()
    try:
        data = load("mp-20").split("official")["test"]
    except MissingDataError:
        data = load("mp-20-sample")
    rng = np.random.default_rng(options.seed)
    chosen = rng.choice(len(data), min(options.crystals, len(data)), replace=False)
    originals = [data[int(i)] for i in chosen]
    matcher = StructureMatcher()
    encode(originals[0])  # compiled

    rows, texts, decoded = [], {}, {}
    for k, crystal in enumerate(originals):
        row = {"id": crystal.id, "atoms": len(crystal), "framework": holds_together(crystal), "before": False,
               "after": False, "failure": ""}  # fmt: skip
        rows.append(row)
        try:
            start = time.process_time()
            texts[k] = encode(crystal)
            middle = time.process_time()
            decoded[k] = decode(texts[k])
        except EuhedralError as error:
            row["failure"] = str(error)
            continue
        row |= {"encode_ms": 1e3 * (middle - start), "decode_ms": 1e3 * (time.process_time() - middle)}
        row |= {"tokens": len(texts[k].split()), "before": bool(matcher.fit(structure(crystal), structure(decoded[k])))}
        row["published_rule"] = returns(matcher, crystal)
    print(f"before refinement {share([row['before'] for row in rows]):.4f}", flush=True)

    same = [
        encode(described_anew(crystal, rng=rng)) == texts[k]
        for k, crystal in enumerate(originals[: options.invariance]) if k in texts
    ]  # fmt: skip
    print(f"same string from another cell: {sum(same)} of {len(same)}", flush=True)

    seconds = 0.0
    if not options.no_refinement:
        keys = list(decoded)
        start = time.process_time()
        stream = relax_stream(CHGNet.load(), [decoded[k] for k in keys], fmax=FMAX, steps=STEPS)
        for done, (position, result) in enumerate(stream, start=1):
            row = rows[keys[position]]
            row["after"] = bool(matcher.fit(structure(originals[keys[position]]), structure(result.crystal)))
            row["steps"], row["relaxed"] = result.steps, result.converged
            if done % 50 == 0:
                print(done, f"{time.process_time() - start:.0f} s", flush=True)
        seconds = time.process_time() - start

    def table(chosen):
        return {"crystals": len(chosen),
                "before_with_the_published_bond_rule_alone": share([row.get("published_rule", False) for row in chosen]),
                "before": share([row["before"] for row in chosen]),
                "after": share([row["after"] for row in chosen])}  # fmt: skip

    lost = [row for row in rows if not (row["before"] if options.no_refinement else row["after"])]
    result = {
        "what": "share of crystals that pymatgen's StructureMatcher finds again after encoding and decoding, before and after relaxation",
        "machine": {"cores": os.cpu_count(), "threads": 1, "python": platform.python_version(),
                    "pymatgen": pymatgen.core.__version__, "euhedral": euhedral.__version__},
        "crystals": f"{data.card.name}, {len(rows)} random ones of the test split, seed {options.seed}, none left out",
        "refinement": None if options.no_refinement else f"CHGNet 0.3.0, fmax {FMAX} eV/Angstrom, at most {STEPS} steps",
        "published": {"after": 0.9495, "of": "MP up to 20 atoms without low-dimensional crystals"},
        "all": table(rows),
        "bonds_of_the_published_rule_hold_it_together": table([row for row in rows if row["framework"]]),
        "layers_chains_molecules": table([row for row in rows if not row["framework"]]),
        "by_atoms": {f"{low}-{low + 4}": table([row for row in rows if low <= row["atoms"] <= low + 4]) for low in (1, 6, 11, 16)},
        "gained_by_refinement": sum(row["after"] and not row["before"] for row in rows),
        "lost_by_refinement": sum(row["before"] and not row["after"] for row in rows),
        "same_string_from_another_cell": {"crystals": len(same), "same": int(sum(same))},
        "refused": Counter(row["failure"] for row in rows if row["failure"]),
        "encode_ms": quantiles(rows, "encode_ms"),
        "decode_ms": quantiles(rows, "decode_ms"),
        "tokens": quantiles(rows, "tokens"),
        "refinement_seconds": seconds,
        "not_returned": [{key: row[key] for key in ("id", "atoms", "framework", "before", "failure")} for row in lost],
    }  # fmt: skip
    print(json.dumps({key: value for key, value in result.items() if key != "not_returned"}, indent=1))
    write_atomically(options.output, content=json.dumps(result, indent=2) + "\n")


def quantiles(rows, name):
    values = [row[name] for row in rows if name in row]
    return {"median": float(np.median(values)), "p90": float(np.quantile(values, 0.9)), "most": float(max(values))}


if __name__ == "__main__":
    main()
