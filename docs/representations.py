"""The page on representations: each kind of `euhedral represent` for one crystal, and the symmetries that each has."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from euhedral.cli.representation import write_product
from euhedral.cli.representation_kinds import KINDS, Options
from euhedral.core.crystal import Crystal
from euhedral.geometry.matching import Matcher
from euhedral.representations.slices import decode, encode
from euhedral.testing.representation_cards import CARDS, Card
from euhedral.testing.transforms import SYMMETRIES

#: Rutile, TiO2 (Howard, Sabine and Dickson 1991, doi:10.1107/S010876819100335X).
RUTILE = Crystal(
    cell=np.diag([4.5937, 4.5937, 2.9587]),
    frac=[
        [0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.3048, 0.3048, 0.0], [0.6952, 0.6952, 0.0], [0.8048, 0.1952, 0.5],
        [0.1952, 0.8048, 0.5],
    ],
    numbers=[22, 22, 8, 8, 8, 8],
    id="rutile",
)  # fmt: skip

# What is shown of each kind: options beyond the usual ones, as written on the command line and as given to the function.
SHOWN: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "graph": (
        "Graph", "--edges radius --cutoff 2.2", {"edges": "radius", "cutoff": 2.2},
        ("Atoms of the cell and their neighbours in other cells, which are paler. `--edges` chooses the rule: the k nearest with whole"
        " shells, exactly k, all within a radius, or all pairs."),
    ),
    "slices": (
        "SLICES", "", {}, "Which atoms are bonded, and across which face of the cell. Every cell of the crystal gives the same string.",
    ),
    "wyckoff": (
        "Wyckoff positions", "", {},
        "The space group, one atom of each orbit with its multiplicity, Wyckoff letter and site symmetry, and its coordinates.",
    ),
    "cif-text": (
        "CIF as text", "", {}, "The form in which language models read and write crystals: order, rounding and origin are fixed.",
    ),
    "xrd": ("X-ray powder pattern", "", {}, "Kinematic intensities; below each peak its place, above the strongest their indices."),
    "neutron": ("Neutron powder pattern", "", {}, "Nuclei scatter alike in all directions: peaks stay strong at large angles."),
    "electron": ("Electron powder pattern", "", {}, "The wavelength is short and the angles are small."),
    "pdf": ("Pair distribution", "--range 0.5 12", {"span": (0.5, 12.0)}, "The first peak is the bond between Ti and O."),
    "diffraction": (
        "Diffraction image", "--zone-axis 0,0,1", {},
        "A block of rutile in an electron beam along [001]. Of h00 only even h show: a glide plane makes the others extinct.",
    ),
    "stem": (
        "STEM image", "--zone-axis 0,0,1", {},
        ("The annular dark field of a slab and, beside it, the ground truth. Columns of Ti are bright, those of O faint; columns of"
        " one element that begin at another height are another class."),
    ),
}  # fmt: skip


def representations_page() -> tuple[str, dict[str, bytes]]:
    """Make the page, and its pictures by path beneath the site."""
    lines = [
        "# Representations", "",
        ("`euhedral represent FILES... --as KIND` turns crystals into what models read. This page shows each kind for rutile, TiO2;"
        " texts and pictures were made when the site was built."), "",
    ]  # fmt: skip
    pictures: dict[str, bytes] = {}
    for name in KINDS:
        title, command, changes, text = SHOWN[name]
        formats = "" if name in ("diffraction", "stem") else "-f png"
        shown = _texts(name) if "txt" in KINDS[name].formats else []
        words = ["euhedral represent rutile.cif --as", name, command, "" if shown else formats]
        lines += [f"## {title}", "", text, "", "```", " ".join(word for word in words if word), "```", "", *shown]
        if not shown:
            made = _pictures(name, Options(**changes))
            pictures |= made
            width = "" if len(made) == 1 and name not in ("diffraction", "graph") else "{ width=340 }"
            lines += [" ".join(f"![{title}]({path}){width}" for path in made), ""]
    lines += symmetry_table(CARDS)
    return "\n".join(lines) + "\n", pictures


def symmetry_table(cards: tuple[Card, ...]) -> list[str]:
    """Draw the table of symmetries, and say why one is missing."""
    symmetries = [transform.name for transform in SYMMETRIES]
    lines = [
        "## Symmetries", "",
        ("Which symmetries of the review's Box 1 each representation has, and whether it sees other elements and other distances. The"
        " tests hold this table: a symmetry that is marked holds on every test crystal, to rounding; one that is not fails on at"
        " least one of them."), "",
        f"| representation | {' | '.join([*symmetries, 'sees elements', 'sees distances'])} |",
        f"|---{'|:-:' * (len(symmetries) + 2)}|",
    ]  # fmt: skip
    for card in cards:
        marks = ["–" if name in card.lacks else "✓" for name in symmetries]
        marks += ["–" if name in card.blind else "✓" for name in ("elements", "distances")]
        lines.append(f"| {card.name} | {' | '.join(marks)} |")
    lines += ["", "Where a mark is missing:", ""]
    for card in cards:
        reasons: dict[str, list[str]] = {}
        for name, reason in [*card.lacks.items(), *card.blind.items()]:
            reasons.setdefault(reason, []).append(name)
        if reasons:
            why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
            lines.append(f"- **{card.name}** (`{card.where}`): {why}.")
    return [*lines, ""]


def _texts(name: str) -> list[str]:
    text = KINDS[name].make(RUTILE, Options()).text
    lines = ["```text", text.strip(), "```", ""]
    if name == "slices":
        back = decode(encode(RUTILE))
        same = "matches" if Matcher().matches(RUTILE, back) else "does not match"
        lines += [
            (f"Decoded again from the string alone, before any relaxation, it is a crystal of {back.volume:.1f} Å³ a cell"
            f" (rutile has {RUTILE.volume:.1f} Å³) that {same} rutile."), "",
        ]  # fmt: skip
    return lines


def _pictures(name: str, options: Options) -> dict[str, bytes]:
    product = KINDS[name].make(RUTILE, options)
    with TemporaryDirectory() as folder:
        paths = write_product(product, crystal=RUTILE, base=Path(folder) / name, formats=("png",))
        return {f"images/representations/{path.name}": path.read_bytes() for path in paths if path.suffix == ".png"}
