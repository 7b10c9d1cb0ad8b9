"""Data sets: opened by name, split by name, and honest about where they come from."""

from euhedral.data.catalogue import entries, load
from euhedral.data.dataset import Dataset
from euhedral.data.overlaps import require_disjoint, shared_materials
from euhedral.data.references import reference_phases

__all__ = ["Dataset", "entries", "load", "reference_phases", "require_disjoint", "shared_materials"]
