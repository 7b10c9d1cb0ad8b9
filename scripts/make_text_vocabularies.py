"""Make the vocabularies of `src/euhedral/representations/cif_text/vocabularies`.

A vocabulary never changes under its name: models are trained on the numbers. For another set of tokens, raise the version.

Run: python scripts/make_text_vocabularies.py
"""

from __future__ import annotations

import json
from pathlib import Path

from euhedral.core.elements import SYMBOLS
from euhedral.geometry.space_groups import space_group

TARGET = Path(__file__).parents[1] / "src" / "euhedral" / "representations" / "cif_text" / "vocabularies"

SPECIAL = ["<pad>", "<start>", "<end>"]
DIGITS = list("0123456789")

# The tags of CrystaLLM's tokeniser (Antunes et al. 2024), sorted, those of element properties included.
TAGS = [
    "_atom_site_B_iso_or_equiv",
    "_atom_site_attached_hydrogens",
    "_atom_site_fract_x",
    "_atom_site_fract_y",
    "_atom_site_fract_z",
    "_atom_site_label",
    "_atom_site_occupancy",
    "_atom_site_symmetry_multiplicity",
    "_atom_site_type_symbol",
    "_atom_type_electronegativity",
    "_atom_type_ionic_radius",
    "_atom_type_oxidation_number",
    "_atom_type_radius",
    "_atom_type_symbol",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
    "_cell_formula_units_Z",
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_volume",
    "_chemical_formula_structural",
    "_chemical_formula_sum",
    "_chemical_name_systematic",
    "_symmetry_Int_Tables_number",
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_site_id",
    "_symmetry_space_group_name_H-M",
    "data_",
    "loop_",
]


def characters() -> list[str]:
    return ["\n", *(chr(code) for code in range(32, 127))]


def cif() -> list[str]:
    groups = [f"{space_group(number).symbol}_sg" for number in range(1, 231)]
    return [*SYMBOLS[1:], *DIGITS, *TAGS, *"xyz.()+-/',", " ", "\n", *groups]


def coordinates() -> list[str]:
    lengths = [f"{tenth / 10:.1f}" for tenth in range(5, 1000)]
    angles = [str(degree) for degree in range(1, 180)]
    fractions = [f"{hundredth / 100:.2f}" for hundredth in range(100)]
    return [*SYMBOLS[1:], *lengths, *angles, *fractions]


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    for name, tokens in (("characters-1", characters()), ("cif-1", cif()), ("coordinates-1", coordinates())):
        assert len(set(tokens)) == len(tokens), name
        text = json.dumps({"name": name, "special": SPECIAL, "tokens": tokens}, ensure_ascii=True, indent=0)
        (TARGET / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name, len(tokens) + len(SPECIAL))


if __name__ == "__main__":
    main()
