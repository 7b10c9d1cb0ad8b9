"""The same crystal said differently: other orders of the atoms, other origins.

A model of text has no symmetry of its own and learns it from such copies (Gruver et al. 2024, arXiv:2402.04379, section 4).
"""

from __future__ import annotations

import numpy as np

from euhedral.core.crystal import Crystal


def permuted(crystal: Crystal, *, rng: np.random.Generator) -> Crystal:
    """Return the crystal with its atoms in a random order; site values go with their atoms."""
    order = rng.permutation(len(crystal))
    return crystal.replace(
        frac=crystal.frac[order],
        numbers=crystal.numbers[order],
        site={key: value[order] for key, value in crystal.site.items()},
    )


def translated(crystal: Crystal, *, rng: np.random.Generator) -> Crystal:
    """Return the crystal with all atoms moved by one random vector of the cell."""
    return crystal.replace(frac=crystal.frac + rng.random(3))
