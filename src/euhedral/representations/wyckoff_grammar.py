"""Writing crystals site by site: which letters and elements may follow, under a request's conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import gcd

import torch
from torch import Tensor

from euhedral.core.failure import Failure
from euhedral.geometry.wyckoff import WyckoffCrystal
from euhedral.geometry.wyckoff_form import electropositivity_rank
from euhedral.representations.wyckoff_sequences import (
    SITE_SLOTS,
    WyckoffSequences,
    allowed_letters,
    allowed_numbers,
    decode,
    free_slots,
    group_tables,
)

_WRITING, _CELL, _DONE, _FAILED = range(4)


class FormulaFill:
    """Tells exactly which sites can still complete a formula in one space group.

    Args:
        space_group: number, 1 to 230.
        formula: atoms by atomic number in one formula unit.
    """

    def __init__(self, space_group: int, *, formula: Mapping[int, int]) -> None:
        rank = electropositivity_rank()
        tables = group_tables()
        self.elements = sorted(formula, key=lambda number: int(rank[number]))
        self.unit = tuple(formula[number] for number in self.elements)
        self.centring = int(tables.centring[space_group])
        n = int(tables.n_letters[space_group])
        self._multiplicity = tables.multiplicity[space_group, : n + 1].tolist()
        self._fixed = tables.fixed[space_group, : n + 1].tolist()
        letters = range(
            n + 2
        )  # of the positions from each letter on: multiplicities with freedom, common divisor of all
        self._open = [
            sorted({m for m, fixed in zip(self._multiplicity[i:], self._fixed[i:], strict=True) if m and not fixed})
            for i in letters
        ]
        self._divisor = [gcd(*self._multiplicity[i:]) for i in letters]
        self._known: dict[tuple[int, int, tuple[int, ...]], bool] = {}

    def completes(self, letter: int, place: int, remaining: tuple[int, ...]) -> bool:
        """Tell whether positions from `letter` on, elements from `place` on for that letter, can hold what remains."""
        if not any(remaining):
            return True
        if letter >= len(self._multiplicity):
            return False
        if place >= len(remaining):
            return self.completes(letter + 1, 0, remaining)
        if any(count % self._divisor[letter] for count in remaining):
            return False
        for multiplicity in self._open[letter + (place > 0)]:  # one position with freedom can hold everything
            if not any(count % multiplicity for count in remaining):
                return True
        key = letter, place, remaining
        if key not in self._known:
            answer = self.completes(letter, place + 1, remaining)
            if not answer:
                after = self.after(letter, place, remaining)
                answer = after is not None and self.completes(*after)
            self._known[key] = answer
        return self._known[key]

    def after(self, letter: int, place: int, remaining: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]] | None:
        """Occupy a position with an element: the next state, or None when it does not fit."""
        left = remaining[place] - self._multiplicity[letter]
        if left < 0:
            return None
        rest = (*remaining[:place], left, *remaining[place + 1 :])
        return (letter + 1, 0, rest) if self._fixed[letter] else (letter, place, rest)

    def units(self, *, most_atoms: int) -> list[int]:
        """List the numbers of formula units in the conventional cell that fit the group.

        Args:
            most_atoms: in the primitive cell.
        """
        limit = most_atoms * self.centring // sum(self.unit)
        return [k for k in range(1, limit + 1) if self.completes(1, 0, tuple(k * count for count in self.unit))]

    def choices(self, letter: int, place: int, remaining: tuple[int, ...]) -> dict[int, list[int]]:
        """List {letter: places of elements} that may come next and can be completed."""
        result: dict[int, list[int]] = {}
        for candidate in range(letter, len(self._multiplicity)):
            start = place if candidate == letter else 0
            fitting = []
            for element in range(start, len(remaining)):
                after = self.after(candidate, element, remaining)
                if after is not None and self.completes(*after):
                    fitting.append(element)
            if fitting:
                result[candidate] = fitting
        return result


class WyckoffGrammar:
    """The rules of Wyckoff sequences, and B crystals that are being written.

    Args:
        group: (B,) space groups.
        n_max: most sites, the end counted.
        elements: (119,) elements that may occur.
        most_atoms: in the primitive cell, or None.
        fills: for each crystal the formula to complete and the number of units, or None.
    """

    def __init__(
        self,
        group: Tensor,
        *,
        n_max: int,
        elements: Tensor,
        most_atoms: int | None = None,
        fills: Sequence[tuple[FormulaFill, int]] | None = None,
    ) -> None:
        batch = len(group)
        self.group, self.n_max, self.elements, self.fills = group, n_max, elements, fills
        self.capacity = None if most_atoms is None else most_atoms * group_tables().centring[group]
        self.letters = torch.zeros(batch, n_max, dtype=torch.int64)
        self.numbers = torch.zeros(batch, n_max, dtype=torch.int64)
        self.frac = torch.zeros(batch, n_max, 3)
        self.lattice = torch.zeros(batch, 6)
        self.status = torch.full((batch,), _WRITING)
        self.site = 0
        self._states = [(1, 0, tuple(k * count for count in fill.unit)) for fill, k in fills or ()]

    def slots(self) -> Iterator[str]:
        """Yield the slots of one site after another, then the lattice."""
        while self.site < self.n_max and (self.status == _WRITING).any():
            yield from SITE_SLOTS
            self.site += 1
        yield "lattice"

    def active(self, slot: str) -> Tensor:
        """Return (B,) whether each crystal has this slot."""
        if slot == "lattice":
            return self.status == _CELL
        writing = self.status == _WRITING
        if slot in ("letter", "number"):
            return writing
        first = torch.full_like(writing, self.site == 0)
        free = free_slots(self.group, self.letters[:, self.site], first=first)
        return writing & free[:, "xyz".index(slot)]

    def allowed(self, slot: str) -> Tensor | None:
        """Return (B, n) which letters, elements or lattice parameters are open."""
        if slot == "lattice":
            return group_tables().lattice[self.group]
        if slot not in ("letter", "number"):
            return None
        previous = self.letters[:, self.site - 1] if self.site else torch.zeros_like(self.group)
        if slot == "letter":
            full = torch.full_like(self.group, self.site == self.n_max - 1, dtype=torch.bool)
            allowed = allowed_letters(self.group, previous=previous, full=full)
            if self.capacity is not None:
                held = group_tables().multiplicity[self.group[:, None], self.letters].sum(1)
                fits = held[:, None] + group_tables().multiplicity[self.group] <= self.capacity[:, None]
                allowed &= fits
            return self._fillable(allowed, self._letter_choices)
        number = self.numbers[:, self.site - 1] if self.site else torch.zeros_like(self.group)
        allowed = allowed_numbers(
            self.letters[:, self.site], previous_letter=previous, previous_number=number, elements=self.elements
        )
        return self._fillable(allowed, self._number_choices)

    def _fillable(self, allowed: Tensor, choices: Callable[[int], list[int]]) -> Tensor:
        if self.fills is None:
            return allowed
        open_ = torch.zeros_like(allowed)
        for row in (self.status == _WRITING).nonzero()[:, 0].tolist():
            open_[row, choices(row)] = True
        return allowed & open_

    def _letter_choices(self, row: int) -> list[int]:
        state = self._states[row]
        return list(self.fills[row][0].choices(*state)) if any(state[2]) else [0]  # pyright: ignore[reportOptionalSubscript]

    def _number_choices(self, row: int) -> list[int]:
        fill = self.fills[row][0]  # pyright: ignore[reportOptionalSubscript]
        letter = int(self.letters[row, self.site])
        return [fill.elements[place] for place in fill.choices(*self._states[row])[letter]]

    def accept(self, slot: str, *, rows: Tensor, value: Tensor) -> None:
        """Write (M, ...) values into the crystals `rows` (M,)."""
        if slot == "lattice":
            self.lattice[rows] = value
            self.status[rows] = _DONE
        elif slot == "letter":
            self.letters[rows, self.site] = value
            self.status[rows[value == 0]] = _CELL
        elif slot == "number":
            self.numbers[rows, self.site] = value
            for row in rows.tolist() if self.fills is not None else ():
                fill = self.fills[row][0]
                letter, place = (
                    int(self.letters[row, self.site]),
                    fill.elements.index(int(self.numbers[row, self.site])),
                )
                self._states[row] = fill.after(letter, place, self._states[row][2])  # pyright: ignore[reportArgumentType]
        else:
            self.frac[rows, self.site, "xyz".index(slot)] = value

    def fail(self, rows: Tensor) -> None:
        """End crystals that cannot be completed."""
        self.status[rows] = _FAILED

    def results(self) -> list[WyckoffCrystal | Failure]:
        """Read what was written."""
        sequences = WyckoffSequences(
            group=self.group, letters=self.letters, numbers=self.numbers, frac=self.frac, lattice=self.lattice
        )
        return decode(sequences, unfinished=self.status != _DONE)
