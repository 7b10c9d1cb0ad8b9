"""Draw the chemical systems that are kept out for rediscovery: writes `held_out.json`, the same every time.

    python benchmarks/rediscovery/draw.py --tables FOLDER [--check]

(a) 50 stable phases: chemical systems with at least two stable phases in MP-20, in random order, until they hold 50.
(b) 50 stable phases of the validation and test splits, each of another system, whose prototype is not in the training split
once the systems of (a) are left out: anonymous formula, space group and occupied Wyckoff letters, and neither with site
symmetries and multiplicities in place of letters (letters depend on the choice of origin).

Stable: an energy above the hull of at most 1e-6 eV/atom in the tables `train.parquet`, `val.parquet` and `test.parquet` (columns
material_id, e_above_hull; rows in the order of MP-20). For part of the training split these hold a later hull of the Materials
Project (see `data/references/README.md`), which the package uses nowhere else; it only decided what counts as a phase to find.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from euhedral.core.composition import anonymous_formula, chemical_system
from euhedral.core.crystal import Crystal
from euhedral.data.references import reference_phases
from euhedral.geometry.symmetry import symmetry

SEED = 20261124
PHASES = 50
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Phase:
    """What the draw needs to know of one crystal."""

    id: str
    split: str
    system: str
    stable: bool
    letters: tuple
    sites: tuple


def described(crystal: Crystal, *, split: str, above_hull: float) -> Phase:
    found = symmetry(crystal)
    sizes = Counter(found.orbits.tolist())
    base = (anonymous_formula(crystal.numbers), found.number)
    return Phase(
        id=crystal.id,
        split=split,
        system=chemical_system(crystal.numbers),
        stable=above_hull <= 1e-6,
        letters=(*base, "".join(sorted(found.letters[atom] for atom in sizes))),
        sites=(*base, tuple(sorted((found.site_symmetries[atom], size) for atom, size in sizes.items()))),
    )


def hulls(folder: Path, *, ids: list[str]) -> list[float]:
    """Read the energies above the hull, NaN where a table has none."""
    names: list[str | None] = []
    values: list[float] = []
    for split in ("train", "val", "test"):
        table = pq.read_table(folder / f"{split}.parquet", columns=["material_id", "e_above_hull"]).to_pydict()
        names += table["material_id"]
        values += [float("nan") if value is None else float(value) for value in table["e_above_hull"]]
    wrong = [own for own, name in zip(ids, names, strict=True) if name and name != own]
    if wrong:
        raise SystemExit(f"{folder}: the rows are not those of the reference phases, the first is {wrong[0]}")
    return values


def draw(phases: list[Phase]) -> dict:
    rng = random.Random(SEED)
    stable: defaultdict[str, list[Phase]] = defaultdict(list)
    for phase in phases:
        if phase.stable and "-" in phase.system:
            stable[phase.system].append(phase)
    order = sorted(system for system, own in stable.items() if len(own) >= 2)
    rng.shuffle(order)
    first: list[Phase] = []
    systems: list[str] = []
    for system in order:
        if len(first) + len(stable[system]) <= PHASES:
            systems.append(system)
            first += stable[system]
        if len(first) == PHASES:
            break
    left = [phase for phase in phases if phase.split == "train" and phase.system not in systems]
    letters, sites = {phase.letters for phase in left}, {phase.sites for phase in left}
    novel = sorted(
        (
            phase
            for phase in phases
            if phase.split != "train" and phase.stable and "-" in phase.system and phase.system not in systems
            and phase.letters not in letters and phase.sites not in sites
        ),
        key=lambda phase: phase.id,
    )  # fmt: skip
    second: dict[str, Phase] = {}
    for phase in rng.sample(novel, len(novel)):
        second.setdefault(phase.system, phase)
        if len(second) == PHASES:
            break
    return {
        "seed": SEED,
        "source": "mp_20",
        "a": {"systems": sorted(systems), "phases": sorted(phase.id for phase in first)},
        "b": {"systems": sorted(second), "phases": sorted(phase.id for phase in second.values())},
        "held_out_systems": sorted({*systems, *second}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with held_out.json instead of writing it")
    parser.add_argument("--tables", type=Path, required=True, help="folder of MP-20's three tables")
    arguments = parser.parse_args()
    table = reference_phases()
    above_hull = hulls(arguments.tables, ids=table.ids.tolist())
    columns = zip(table, table.column("split"), above_hull, strict=True)
    drawn = draw([described(crystal, split=str(split), above_hull=hull) for crystal, split, hull in columns])
    file = HERE / "held_out.json"
    if arguments.check:
        same = drawn == json.loads(file.read_text(encoding="utf-8"))
        print("the same" if same else "differs from held_out.json")
        raise SystemExit(0 if same else 1)
    file.write_text(json.dumps(drawn, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
