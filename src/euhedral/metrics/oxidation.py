"""Which oxidation states a composition suggests, and whether they are ones that crystals show.

A guess from the composition alone: states that balance, every cation less electronegative than every anion, the usual
ones first; one element may hold two neighbouring states (the mixed valence of Fe3O4). It is a flag for a reader, not an
assignment to sites.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from euhedral.core.elements import Element, element
from euhedral.metrics.validity import METALS

# Pb3O4 holds lead two apart; nothing usual holds an element in states farther apart than that.
_WIDEST_MIXTURE = 2


@dataclass(frozen=True)
class OxidationGuess:
    """What balances a composition.

    Args:
        states: mean oxidation state by symbol; empty when nothing balances or the notion does not apply.
        applies: whether charges are a useful notion; not so for elements and alloys of metals.
        balanced: whether some known states balance.
        plausible: whether states that the ICSD shows often balance it.
        mixed: the element that holds two states; empty when none does.
    """

    states: Mapping[str, float]
    applies: bool
    balanced: bool
    plausible: bool
    mixed: str = ""

    @property
    def implausible(self) -> bool:
        """Whether only states that crystals hardly ever show balance it."""
        return self.applies and self.balanced and not self.plausible

    def __str__(self) -> str:
        if not self.applies:
            return "metallic or elemental"
        if not self.balanced:
            return "no known states balance"
        return " ".join(symbol + _charge(state) for symbol, state in self.states.items())


def _charge(state: float) -> str:
    size = f"{abs(state):.3g}" if abs(state) != 1 else ""
    return f"{size}{'+' if state > 0 else '-'}"


def guess(composition: Mapping[str, float]) -> OxidationGuess:
    """Find the most usual oxidation states that balance a composition.

    States seen at least ten times in the ICSD are tried first (one an element, then one element mixed), then all that
    were ever reported.

    Args:
        composition: atoms by symbol.
    """
    if len(composition) == 1 or composition.keys() <= METALS:
        return OxidationGuess(states={}, applies=False, balanced=False, plausible=False)
    # the least electronegative first: cations are then a first part of the row
    elements = sorted((element(symbol) for symbol in composition), key=lambda e: (e.electronegativity or 0.0, e.symbol))
    amounts = [float(composition[known.symbol]) for known in elements]
    usual = [_usual(known) for known in elements]
    states = _best(elements, amounts=amounts, choices=usual)
    mixed = ""
    plausible = True
    if states is None:
        states, mixed = _best_mixed(elements, amounts=amounts, choices=usual)
    if states is None:
        plausible = False
        reported = [
            tuple(sorted({*known.oxidation_states, *known.smact_oxidation_states, *usual[i]} - {0}))
            for i, known in enumerate(elements)
        ]
        states = _best(elements, amounts=amounts, choices=reported)
    if states is None:
        return OxidationGuess(states={}, applies=True, balanced=False, plausible=False)
    named = {known.symbol: state for known, state in zip(elements, states, strict=True)}
    return OxidationGuess(states=named, applies=True, balanced=True, plausible=plausible, mixed=mixed)


def _usual(known: Element) -> tuple[int, ...]:
    return tuple(sorted(set(known.icsd_oxidation_states or known.common_oxidation_states) - {0}))


def _ordered(states: Sequence[float], elements: Sequence[Element]) -> bool:
    """Whether every cation is less electronegative than every anion."""
    cations = [known.electronegativity or 0.0 for known, state in zip(elements, states, strict=True) if state > 0]
    anions = [known.electronegativity or 0.0 for known, state in zip(elements, states, strict=True) if state < 0]
    return bool(cations and anions) and max(cations) < min(anions)


def _penalty(states: Sequence[float], elements: Sequence[Element], amounts: Sequence[float]) -> float:
    """Atoms in a state that is not common, then how far anions are from their fullest shell."""
    total = 0.0
    for known, state, amount in zip(elements, states, amounts, strict=True):
        if state not in known.common_oxidation_states:
            total += 10.0 * amount
        if state < 0:
            total += amount * (state - min(_usual(known), default=state))
    return total


def _best(
    elements: Sequence[Element], *, amounts: Sequence[float], choices: Sequence[Sequence[int]]
) -> tuple[float, ...] | None:
    if any(not states for states in choices):
        return None
    grids = np.stack(np.meshgrid(*[np.array(states) for states in choices], indexing="ij"), -1).reshape(
        -1, len(choices)
    )
    balanced = grids[np.abs(grids @ np.array(amounts)) < 1e-6]
    fitting = [tuple(row) for row in balanced.astype(float).tolist() if _ordered(row, elements)]
    return min(fitting, key=lambda row: (_penalty(row, elements, amounts), row), default=None)


def _best_mixed(
    elements: Sequence[Element], *, amounts: Sequence[float], choices: Sequence[Sequence[int]]
) -> tuple[tuple[float, ...] | None, str]:
    """Let one element take two neighbouring states; its mean state is returned."""
    found: list[tuple[float, tuple[float, ...], str]] = []
    if any(not states for states in choices):
        return None, ""
    for position, known in enumerate(elements):
        others = [states if i != position else (0,) for i, states in enumerate(choices)]
        pairs = [
            (a, b)
            for a, b in zip(choices[position], choices[position][1:], strict=False)
            if a * b > 0 and b - a <= _WIDEST_MIXTURE
        ]
        if not pairs:
            continue
        for row in product(*others):
            rest = sum(state * amount for state, amount in zip(row, amounts, strict=True))
            mean = -rest / amounts[position]
            if any(a < mean < b for a, b in pairs):
                states = tuple(mean if i == position else float(state) for i, state in enumerate(row))
                if _ordered(states, elements):
                    found.append((_penalty(states, elements, amounts), states, known.symbol))
    if not found:
        return None, ""
    _, states, symbol = min(found)
    return states, symbol
