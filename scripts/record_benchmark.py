"""Take finished protocols over into benchmarks/results/property: tables, every prediction, and the machine.

    python scripts/record_benchmark.py FOLDER [PROTOCOL ...]

FOLDER is what `euhedral benchmark --out FOLDER` wrote. What is kept is such a folder again, without checkpoints: a later
`euhedral benchmark --out` on a copy of it adds systems to the same table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

import torch

from euhedral.benchmarks.protocol import protocol, protocols
from euhedral.benchmarks.runner import failures
from euhedral.core.writing import write_atomically

TARGET = Path(__file__).parent.parent / "benchmarks" / "results" / "property"


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    """Copy tables and predictions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("protocols", nargs="*", default=list(protocols()))
    asked = parser.parse_args()
    machine = f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__.split('+')[0]}, shared with other work: times are of the processor."
    for name in asked.protocols:
        folder = asked.folder / name
        if not (folder / "results.parquet").exists():
            continue
        for kind in ("results", "pairs"):
            write_atomically(TARGET / name / f"{kind}.parquet", content=(folder / f"{kind}.parquet").read_bytes())
        for job in sorted(path.parent for path in folder.glob("*/record.json")):
            for kept in ("record.json", "predictions.parquet"):
                write_atomically(TARGET / name / job.name / kept, content=(job / kept).read_bytes())
            asked_of = json.loads((job / "job.json").read_text(encoding="utf-8"))
            if asked_of.get("start"):  # where the weights lay is of this machine alone; the record says what they are
                asked_of["start"] = Path(asked_of["start"]).name
            write_atomically(TARGET / name / job.name / "job.json", content=json.dumps(asked_of) + "\n")
        described = {"machine": machine, "failures": failures(protocol(name), out=asked.folder)}
        write_atomically(TARGET / name / "machine.json", content=json.dumps(described, indent=1) + "\n")


if __name__ == "__main__":
    main()
