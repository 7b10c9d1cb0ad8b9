"""Write src/euhedral/core/elements.json from pymatgen's periodic table and SMACT's oxidation states (both MIT).

Run after `pip install pymatgen smact`: python scripts/make_elements.py
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import smact
from ase.data import covalent_radii  # Cordero 2008, doi:10.1039/B801115J
from pymatgen.core import Element

warnings.filterwarnings("ignore")
table = smact.element_dictionary()
rows = []
for number in range(1, 119):
    element = Element.from_Z(number)
    smact_element = table.get(element.symbol)
    shannon = [
        {"charge": int(charge), "coordination": coordination, "spin": spin, "radius": values["ionic_radius"]}
        for charge, by_coordination in element.data.get("Shannon radii", {}).items()
        if charge
        for coordination, by_spin in by_coordination.items()
        for spin, values in by_spin.items()
    ]
    electronegativity = element.data.get("X")
    rows.append(
        {
            "symbol": element.symbol,
            "name": str(element.long_name),
            "mass": float(element.atomic_mass),
            "row": element.row,
            "group": element.group,
            "block": element.block,
            "electronegativity": electronegativity,
            "mendeleev": element.mendeleev_no,
            "atomic_radius": None if element.atomic_radius is None else float(element.atomic_radius),
            "covalent_radius": None,
            "oxidation_states": list(element.oxidation_states),
            "common_oxidation_states": list(element.common_oxidation_states),
            "icsd_oxidation_states": list(element.icsd_oxidation_states),
            "smact_oxidation_states": list(smact_element.oxidation_states or []) if smact_element else [],
            "smact_electronegativity": smact_element.pauling_eneg if smact_element else None,
            "shannon_radii": shannon,
        }
    )

for number, row in enumerate(rows, start=1):
    row["covalent_radius"] = float(covalent_radii[number])
path = Path(__file__).parents[1] / "src/euhedral/core/elements.json"
path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
