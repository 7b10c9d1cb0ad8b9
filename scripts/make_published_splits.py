"""Write `data/published_splits/mp-2018.6.1.npz` from the JARVIS-Leaderboard's tables of the Materials Project of 2018-06-01.

Run with EUHEDRAL_DATA set: python scripts/make_published_splits.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from euhedral.data.cache import mirror_folder

OUT = Path(__file__).parents[1] / "src/euhedral/data/published_splits/mp-2018.6.1.npz"


def main() -> None:
    mirror = mirror_folder()
    if mirror is None:
        sys.exit("set EUHEDRAL_DATA to a folder that holds jarvis_leaderboard")
    tables = [
        pq.read_table(mirror / "jarvis_leaderboard" / f"{name}.parquet", columns=["id", "split"]).to_pydict()
        for name in ("megnet_e_form", "megnet_gappbe")
    ]
    if tables[0] != tables[1]:
        sys.exit("the splits of formation energies and of gaps differ; expected one")
    ids, split = np.array(tables[0]["id"]), np.array(tables[0]["split"])
    prefix = np.array([name.partition("-")[0] for name in ids])
    number = np.array([int(name.partition("-")[2]) for name in ids], dtype=np.uint32)
    found = {
        f"{part}_{kind}": np.sort(number[(split == part) & (prefix == kind)])
        for part in ("train", "val", "test")
        for kind in ("mp", "mvc")
    }
    if sum(rows.size for rows in found.values()) != len(ids):
        sys.exit("an id or a part has another name than expected")
    np.savez_compressed(OUT, **found)
    print({name: rows.size for name, rows in found.items()}, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
