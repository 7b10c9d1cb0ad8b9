"""Write `data/overlaps.json`: which materials the known data sets share, by id and by structure.

Run with EUHEDRAL_DATA set: python scripts/make_overlaps.py (some twenty minutes). Crystals with one id, or with one formula
and structures that match (`geometry.matching`, the usual tolerances, likeness passed on), are one material. Among themselves
the crystals of Carbon-24 are not compared, and with others only where fingerprints are within 0.2.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.data import load
from euhedral.data.duplicates import duplicate_of, shared_structures
from euhedral.data.overlaps import beginning

OUT = Path(__file__).parents[1] / "src/euhedral/data/overlaps.json"
SETS = (
    "mp-20", "mp-crysxpp", "perov-5", "carbon-24", "matbench-phonons", "matbench-dielectric", "matbench-jdft2d",
    "mp-binary-elasticity", "alexandria-heat-capacity", "mp-dielectric-tensors", "mp-elastic-tensors",
    "mp-piezoelectric-tensors", "phonon-dos", "jarvis-supercon", "wbm-10k",
)  # fmt: skip
#: Subsets of the above, by the ids of the above.
SUBSETS = {"mp-20-sample": "mp-20", "mp-20-references": "mp-20"}
#: Sets whose materials no other set has: frameworks and slabs.
ALONE = ("hmof-100", "odac-promising", "gamenet-fg")


def order(name: str) -> tuple[int, int, str]:
    """Names of the Materials Project first, by number."""
    prefix, _, number = name.partition("-")
    return (("mp", "mvc").index(prefix) if prefix in ("mp", "mvc") and number.isdecimal() else 2,
            int(number) if number.isdecimal() else 0, name)  # fmt: skip


def materials(crystals: Sequence[Crystal], owner: Sequence[str]) -> np.ndarray:
    """(n,) the first crystal of the same material."""
    ids = [crystal.id for crystal in crystals]
    first: dict[str, int] = {}
    joined = np.array([first.setdefault(name, i) for i, name in enumerate(ids)])
    carbon = np.array([name == "carbon-24" for name in owner])
    rest = np.flatnonzero(~carbon)
    place = np.full(len(ids), -1)
    place[rest] = np.arange(len(rest))

    def advance(label: str, done: int, total: int | None) -> None:
        if done % 5000 < 20:
            print(label, done, total, flush=True)

    found = duplicate_of([crystals[i] for i in rest], joined=place[joined[rest]], progress=advance)
    leader = joined.copy()
    leader[rest] = rest[found]
    others = [i for i in rest if formula(crystals[i].numbers) == "C"]
    own = np.flatnonzero(carbon)
    for a, b in shared_structures([crystals[i] for i in own], [crystals[i] for i in others], reach=0.2):
        leader[own[a]] = leader[others[b]]
    return leader


def main() -> None:
    sets = {name: load(name) for name in SETS}
    crystals, owner = [], []
    for name, dataset in sets.items():
        crystals += list(dataset)
        owner += [name] * len(dataset)
        print(name, len(dataset), flush=True)
    leader = materials(crystals, owner)
    members = defaultdict(list)
    for i, first in enumerate(leader.tolist()):
        members[first].append(i)
    key, has = {}, defaultdict(set)
    for group in members.values():
        names = sorted({crystals[i].id for i in group}, key=order)
        key.update(dict.fromkeys(names[1:], names[0]))
        for i in group:
            has[owner[i]].add(names[0])
    shared = {}
    for first, second in combinations(SETS, 2):
        both = has[first] & has[second]
        if both:
            one, two = set(sets[first].ids.tolist()), set(sets[second].ids.tolist())
            systems = [{formula(crystal.numbers) for crystal in sets[name]} for name in (first, second)]
            shared[f"{first} {second}"] = {
                "materials": len(both), "ids": len(one & two),
                "rows": [sum(key.get(name, name) in both for name in ids) for ids in (one, two)],
                "formulas": len(systems[0] & systems[1]),
            }  # fmt: skip
    rows = {
        name: {"rows": len(dataset), "materials": len(has[name]), "sha256": dataset.card.sha256,
               "beginnings": sorted({beginning(identifier) for identifier in dataset.ids.tolist()})}
        for name, dataset in sets.items()
    }  # fmt: skip
    for name, row in rows.items():
        if len(row["beginnings"]) > 6:
            sys.exit(f"{name}: names have too many beginnings: {row['beginnings'][:20]}")
    text = json.dumps({"sets": rows, "subsets": SUBSETS, "alone": list(ALONE), "shared": shared}, indent=1)
    same = ",\n".join(f"{json.dumps(name)}: {json.dumps(key[name])}" for name in sorted(key, key=order))
    OUT.write_text(text.rstrip().removesuffix("}").rstrip() + ',\n "same": {\n' + same + "\n}}\n", encoding="utf-8")
    print(len(key), "names beside the first of their material;", OUT.stat().st_size, "bytes")
    for pair, row in shared.items():
        print(pair, row)


if __name__ == "__main__":
    main()
