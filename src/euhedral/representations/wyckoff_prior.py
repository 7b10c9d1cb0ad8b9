"""How often space groups, and formula units in a cell, occur among known crystals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import gcd
from typing import Final

import torch
from torch import Tensor, nn

from euhedral.representations.wyckoff_sequences import WyckoffSequences, group_tables

_MOST_ELEMENTS: Final = 8  # crystals of that many elements or more share the last row
_SEEN_SHARE: Final = 0.9  # of the probability, for groups and units seen with the same stoichiometry


class StructurePrior(nn.Module):
    """Frequencies of space groups by number of elements, and by stoichiometry with the number of formula units.

    Before `observe`, all groups are equally likely.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("groups", torch.ones(_MOST_ELEMENTS + 1, 231))
        # rows: sorted stoichiometry filled with zeros, space group, formula units in the conventional cell, crystals
        self.register_buffer("seen", torch.zeros(0, _MOST_ELEMENTS + 3, dtype=torch.int32))

    def resize(self, rows: int) -> None:
        """Make room for as many rows as stored weights have."""
        self.seen = self.seen.new_zeros(rows, _MOST_ELEMENTS + 3)

    def observe(self, sequences: WyckoffSequences) -> None:
        """Count what occurs in a set of crystals."""
        multiplicity = group_tables().multiplicity[sequences.group[:, None], sequences.letters]
        groups, seen = torch.zeros_like(self.groups), Counter()
        for group, numbers, counts in zip(
            sequences.group.tolist(), sequences.numbers.tolist(), multiplicity.tolist(), strict=True
        ):
            atoms: Counter[int] = Counter()
            for number, count in zip(numbers, counts, strict=True):
                if count:
                    atoms[number] += count
            groups[min(len(atoms), _MOST_ELEMENTS), group] += 1
            key = stoichiometry(atoms.values())
            if len(key) <= _MOST_ELEMENTS:
                seen[(*key, *[0] * (_MOST_ELEMENTS - len(key)), group, gcd(*atoms.values()))] += 1
        groups[0] = groups[1:].sum(0)
        self.groups = groups
        rows = [[*key, count] for key, count in sorted(seen.items())]
        self.seen = torch.tensor(rows, dtype=torch.int32)

    def group_weights(self, n_elements: int, *, or_fewer: bool = False) -> Tensor:
        """Return (231,) weights of space groups of crystals with so many elements; 0 for any number."""
        last = min(n_elements, _MOST_ELEMENTS)
        return self.groups[1 : last + 1].sum(0) if or_fewer and last else self.groups[last].clone()

    def formula_weights(self, counts: Iterable[int], *, choices: list[tuple[int, int]]) -> Tensor:
        """Weigh pairs of a space group and a number of formula units.

        Args:
            counts: atoms of each element in the formula.
            choices: the pairs that are possible.
        """
        key = stoichiometry(counts)
        weights = self.group_weights(len(key))
        per_group = Counter(group for group, _ in choices)
        base = torch.tensor([float(weights[group]) / per_group[group] for group, _ in choices])
        base = base / base.sum().clamp_min(1e-12)
        row = torch.tensor([*key, *[0] * (_MOST_ELEMENTS - len(key))], dtype=torch.int32)
        same = self.seen[(self.seen[:, :_MOST_ELEMENTS] == row).all(1)] if len(key) <= _MOST_ELEMENTS else self.seen[:0]
        known = {(group, units): count for group, units, count in same[:, _MOST_ELEMENTS:].tolist()}
        found = torch.tensor([float(known.get(choice, 0)) for choice in choices])
        if not found.any():
            return base
        return _SEEN_SHARE * found / found.sum() + (1.0 - _SEEN_SHARE) * base


def stoichiometry(counts: Iterable[int]) -> tuple[int, ...]:
    """Reduce and sort atoms per element: (2, 4, 2) is (1, 1, 2)."""
    counts = sorted(counts)
    divisor = gcd(*counts)
    return tuple(count // divisor for count in counts)
