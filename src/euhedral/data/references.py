"""The reference phases that ship with the package: every structure of MP-20, with the Materials Project's numbers.

They serve as the phases of the convex hull, as the prototypes of element substitution, and to tell which crystals are
already known. The file was made by `scripts/make_references.py`; its README says where each number comes from.
"""

from __future__ import annotations

from importlib.resources import as_file, files

from euhedral.data.columnar import Columns
from euhedral.data.dataset import Dataset


def reference_phases() -> Dataset:
    """Open the shipped table of all 45,229 MP-20 structures.

    Columns: `split`; `formation_energy_per_atom` and `band_gap`, not known for 5,253 structures of the training
    split; `e_above_hull`, `e_above_hull_lemat` (two different hulls, see the README beside the table); `space_group`.
    Structures are decoded when asked for: `reference_phases().within(["Li", "Mn", "O"])` reads elements only.
    """
    with as_file(files("euhedral.data") / "references" / "mp20.parquet") as path:
        return Dataset(Columns(path))
