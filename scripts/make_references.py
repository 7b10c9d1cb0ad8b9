"""Write src/euhedral/data/references/mp20.parquet: every MP-20 structure, with the Materials Project's numbers.

Run where `euhedral.data.catalogue.load("mp-20")` works: python scripts/make_references.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from euhedral.data.card import Audit
from euhedral.data.catalogue import load
from euhedral.data.columnar import Column
from euhedral.data.encoding import content_hash, encode, write_columns
from euhedral.geometry.symmetry import symmetry

SYMPREC = 0.01
TARGETS = ("formation_energy_per_atom", "band_gap", "e_above_hull")
DESCRIPTION = (
    "Every structure of MP-20 with the Materials Project's formation energy, gap and hull distance where the public "
    "tables have them, and the space group found here. The phases of the convex hull, the prototypes of element "
    "substitution, and the crystals that count as known."
)


def main() -> None:
    dataset = load("mp-20")
    splits = dataset.column("split").tolist()
    crystals = []
    agree = stated = 0
    for crystal in dataset:
        props = {name: crystal.props[name] for name in TARGETS if name in crystal.props}
        number = symmetry(crystal, symprec=SYMPREC).number
        if "space_group" in crystal.props:
            stated += 1
            agree += number == crystal.props["space_group"]
        crystals.append(crystal.replace(props={**props, "space_group": number}))
    print(f"space group as the Materials Project states it: {agree} of {stated}")
    columns = [
        *(Column.target(name) for name in TARGETS),
        Column(name="space_group", kind="int", method=f"moyopy, symprec {SYMPREC} Å"),
        Column(name="split", kind="text", note="the part of MP-20's official split"),
    ]
    unlabelled = sum("formation_energy_per_atom" not in crystal.props for crystal in crystals)
    without_hull = sum("e_above_hull" not in crystal.props for crystal in crystals)
    remarks = (
        f"{unlabelled:,} crystals of the training split have neither id nor labels in the public tables",
        f"{without_hull:,} crystals have no e_above_hull",
        f"the space group is the one that the Materials Project states for {agree:,} of {stated:,} crystals",
    )
    card = replace(
        dataset.card,
        name="mp-20-references",
        title="All 45,229 structures of MP-20: hull phases, prototypes and known crystals",
        description=DESCRIPTION,
        units={column.name: column.unit for column in columns if column.kind == "float"},
        audit=Audit(read=len(dataset), kept=len(crystals), remarks=remarks),
        sha256=content_hash(crystals, columns=[column.name for column in columns if column.kind != "text"]),
        overlaps={
            **dataset.card.overlaps,
            "mp-20": f"the same crystals; {dataset.card.overlaps['mp-20']}",
            "mp-20-sample": "holds all of it",
        },
    )
    path = Path(__file__).parents[1] / "src/euhedral/data/references/mp20.parquet"
    table = encode(crystals, columns=columns, text={"split": splits}, decimals=8)
    write_columns(path, tables=[table], card=lambda: card)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


main()
