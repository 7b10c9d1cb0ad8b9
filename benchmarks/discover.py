"""How long the README's main job takes after the install: once with nothing compiled, once again.

python benchmarks/discover.py
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from euhedral.campaign.run_folder import machine, versions
from euhedral.core.writing import write_atomically

COMMAND = ["discover", "--elements", "Li,Mn,O", "--target", "band_gap > 1", "--candidates", "64"]


def timed(cache: str, *, folder: Path) -> dict[str, float]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    begun = time.perf_counter()
    words = [sys.executable, "-c", "from euhedral.cli import main; main()", *COMMAND, "--run", str(folder), "--quiet"]
    subprocess.run(words, env=environment, check=True, capture_output=True)
    table = pq.read_table(folder / "candidates.parquet")
    near = sum(value <= 0.1 for value in table.column("hull_distance_ev_per_atom").to_pylist())
    known = sum(bool(value) for value in table.column("known").to_pylist())
    seconds = time.perf_counter() - begun
    return {"seconds": round(seconds, 1), "candidates": len(table), "within_0.1_ev_per_atom": near, "known": known}


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        cache = str(Path(scratch) / "compiled")
        result = {
            "command": " ".join(["euhedral", *COMMAND]),
            "machine": {
                **machine(),
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "load_average": os.getloadavg()[0],
            },
            "versions": versions(),
            "first": timed(cache, folder=Path(scratch) / "first"),
            "again, compiled": timed(cache, folder=Path(scratch) / "again"),
        }
    path = Path(__file__).parent / "results" / "discover.json"
    write_atomically(path, content=json.dumps(result, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
