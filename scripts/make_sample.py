"""Write src/euhedral/data/sample/mp20_sample.parquet: labelled MP-20 crystals drawn by a recorded seed.

Run after scripts/make_references.py: python scripts/make_sample.py
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from euhedral.core.composition import chemical_system
from euhedral.data.card import Audit
from euhedral.data.columnar import Column
from euhedral.data.encoding import content_hash, described_targets, encode, write_columns
from euhedral.data.references import reference_phases

ROOT = Path(__file__).parents[1]
SEED = 20261124
SIZES = {"train": 1200, "val": 200, "test": 200}


def main() -> None:
    phases = reference_phases()
    held_out = set(json.loads((ROOT / "benchmarks/rediscovery/held_out.json").read_text())["held_out_systems"])
    split = phases.column("split")
    labelled = np.isfinite(phases.column("formation_energy_per_atom")) & np.isfinite(phases.column("band_gap"))
    rng = np.random.default_rng(SEED)
    rows = []
    for part, size in SIZES.items():
        allowed = [
            row
            for row in np.flatnonzero((split == part) & labelled)
            if chemical_system(phases[int(row)].numbers) not in held_out
        ]
        rows += sorted(rng.choice(allowed, size, replace=False).tolist())
    sample = phases.select(rows)
    crystals = list(sample)
    columns = [
        *described_targets(sample.targets, crystals=crystals),
        Column(name="space_group", kind="int", method=phases.described["space_group"].method),
        Column(name="split", kind="text", note="the part of MP-20's official split"),
    ]
    audit = Audit(read=len(crystals), kept=len(crystals))
    card = replace(
        phases.card,
        name="mp-20-sample",
        title=f"{len(crystals):,} labelled crystals of MP-20, for trying things out and for tests",
        description=(
            f"Drawn at random (NumPy generator, seed {SEED}) from the crystals of each official part that have a "
            "formation energy and a gap, without the chemical systems kept out for rediscovery. Too small to judge a model by."
        ),
        count=len(crystals),
        splits=SIZES,
        audit=audit,
        sha256=content_hash(crystals, columns=[column.name for column in columns if column.kind != "text"]),
        overlaps={"mp-20": "a part of it; train, val and test are parts of MP-20's train, val and test"},
    )
    path = ROOT / "src/euhedral/data/sample/mp20_sample.parquet"
    table = encode(crystals, columns=columns, text={"split": sample.column("split").tolist()}, decimals=8)
    write_columns(path, tables=[table], card=lambda: card)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


main()
