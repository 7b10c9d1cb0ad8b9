"""The reference phases that ship with the package: every structure of MP-20, with the Materials Project's numbers.

They serve as the phases of the convex hull, as the prototypes of element substitution, and to tell which crystals are
already known. The file was made by `scripts/make_references.py`; its README says where each number comes from.
"""

from __future__ import annotations

from euhedral.data.catalogue import open_shipped
from euhedral.data.dataset import Dataset


def reference_phases() -> Dataset:
    """Open the shipped table of all MP-20 structures.

    Columns: `split`; `formation_energy_per_atom` and `band_gap`, not known for the structures of the training split
    that the public tables leave without labels; `e_above_hull`, known for fewer; `space_group`. Structures are decoded
    when asked for: `reference_phases().within(["Li", "Mn", "O"])` reads elements only.
    """
    return open_shipped("mp-20-references")
