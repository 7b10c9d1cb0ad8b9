"""Wyckoff sequences as packed tokens, with what each slot must give."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from euhedral.representations.sequence_target import Target
from euhedral.representations.wyckoff_sequences import (
    N_LETTERS,
    SITE_SLOTS,
    WyckoffSequences,
    allowed_letters,
    allowed_numbers,
    free_slots,
    group_tables,
)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Packed tokens, T at most; coordinates that are not free are no tokens.

    Args:
        kind: (B, T) index in `SITE_SLOTS`, -1 for padding.
        index: (B, T) letter or atomic number.
        coordinate: (B, T) fractional.
        multiplicity: (B, T) of the position, for letters.
    """

    kind: Tensor
    index: Tensor
    coordinate: Tensor
    multiplicity: Tensor


def count_tokens(sequences: WyckoffSequences) -> Tensor:
    """Count the tokens of each crystal, the end included: (B,)."""
    first = (torch.arange(sequences.letters.shape[1]) == 0).expand_as(sequences.letters)
    group = sequences.group[:, None].expand_as(sequences.letters)
    free = free_slots(group, sequences.letters, first=first) & (sequences.letters > 0)[..., None]
    return 1 + 2 * sequences.n_sites + free.sum((1, 2))


def multiplicity_of(group: Tensor, letter: Tensor) -> Tensor:
    """Look up (M,) multiplicities of letters (M,); what is no letter is taken as the last."""
    table = group_tables().multiplicity
    return table[group, letter.clamp(max=N_LETTERS - 1)].float()


def pack(sequences: WyckoffSequences, *, n_max: int, elements: Tensor) -> tuple[Tokens, dict[str, Target]]:
    """Lay out the tokens of B crystals without gaps, and say what each slot must give.

    Args:
        sequences: the crystals.
        n_max: most sites, the end counted.
        elements: (119,) elements that the grammar knows.
    """
    batch, sites = sequences.letters.shape
    zero = torch.zeros(batch, 1, dtype=torch.int64)
    group = sequences.group[:, None].expand(batch, sites + 1)
    letters = torch.cat([sequences.letters, zero], 1)
    numbers = torch.cat([sequences.numbers, zero], 1)
    frac = torch.cat([sequences.frac, sequences.frac.new_zeros(batch, 1, 3)], 1)
    real = letters > 0
    first = (torch.arange(sites + 1) == 0).expand(batch, sites + 1)
    ends = torch.arange(sites + 1) == sequences.n_sites[:, None]
    present = torch.cat(
        [(real | ends)[..., None], real[..., None], free_slots(group, letters, first=first) & real[..., None]], 2
    )  # (B, S + 1, 5)
    place = (present.flatten(1).cumsum(1) - 1).view_as(present)
    length = present.flatten(1).sum(1)
    row, site, kind = present.nonzero(as_tuple=True)
    at = place[row, site, kind]
    shape = (batch, int(length.max()))
    tokens = Tokens(
        kind=torch.full(shape, -1), index=torch.zeros(shape, dtype=torch.int64), coordinate=torch.zeros(shape),
        multiplicity=torch.zeros(shape),
    )  # fmt: skip
    tokens.kind[row, at] = kind
    tokens.index[row, at] = torch.where(kind == 0, letters[row, site], numbers[row, site])
    tokens.coordinate[row, at] = frac[row, site, (kind - 2).clamp_min(0)]
    tokens.multiplicity[row, at] = multiplicity_of(group[row, site], letters[row, site])
    targets = {}
    for index, slot in enumerate(SITE_SLOTS):
        row, site = present[:, :, index].nonzero(as_tuple=True)
        letter, before = letters[row, site], (site - 1).clamp_min(0)
        previous = letters[row, before] * (site > 0)
        if slot == "letter":
            value = letter
            allowed = allowed_letters(sequences.group[row], previous=previous, full=site == n_max - 1)
        elif slot == "number":
            value = numbers[row, site]
            allowed = allowed_numbers(
                letter, previous_letter=previous, previous_number=numbers[row, before], elements=elements
            )
        else:
            value, allowed = frac[row, site, index - 2], None
        targets[slot] = Target(sequence=row, place=place[row, site, index], value=value, allowed=allowed)
    targets["lattice"] = Target(
        sequence=torch.arange(batch), place=length, value=sequences.lattice,
        allowed=group_tables().lattice[sequences.group],
    )  # fmt: skip
    return tokens, targets
