"""Which materials a network was trained on, kept with its weights, so that nothing is tested on what was learnt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.data.overlaps import canonical_names


def material_keys(crystals: Sequence[Crystal]) -> Tensor:
    """(n,) a number for each crystal's material: the same in every known data set (`data.overlaps`), and for own data by id and formula.

    Args:
        crystals: with their ids; one without an id is no material that could be known again, and its key is 0.
    """
    names = canonical_names([crystal.id for crystal in crystals])
    keys = [
        int.from_bytes(
            hashlib.blake2b(f"{name} {formula(crystal.numbers)}".encode(), digest_size=8).digest(), "big", signed=True
        )
        if crystal.id
        else 0
        for name, crystal in zip(names, crystals, strict=True)
    ]
    return torch.tensor(keys, dtype=torch.int64)


def joined(first: Tensor, second: Tensor) -> Tensor:
    """Rising keys of both, each once, without that of crystals that have no id."""
    both = torch.unique(torch.cat([first, second]))
    return both[both != 0]


def unseen(crystals: Sequence[Crystal], *, seen: Tensor) -> list[Crystal]:
    """Leave out crystals whose material was trained on.

    Args:
        crystals: any.
        seen: (M,) keys, as a predictor has them.
    """
    known = np.isin(material_keys(crystals).numpy(), seen.numpy())
    return [crystal for crystal, was_seen in zip(crystals, known, strict=True) if not was_seen]
