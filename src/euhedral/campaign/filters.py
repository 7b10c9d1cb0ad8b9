"""What is dropped before anything is relaxed, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from euhedral.campaign.question import Question
from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS
from euhedral.data.dataset import Dataset
from euhedral.geometry.matching import Matcher
from euhedral.metrics.validity import structure_fault


def fault(crystal: Crystal, *, question: Question) -> str:
    """Say why a candidate cannot be used, in one line; empty when it can.

    Args:
        crystal: the candidate.
        question: asks for elements and a size.
    """
    symbols = {SYMBOLS[int(number)] for number in crystal.numbers}
    if foreign := symbols - set(question.elements):
        return f"holds {', '.join(sorted(foreign))}, which was not asked for"
    if not question.subsystems and (missing := set(question.elements) - symbols):
        return f"lacks {', '.join(sorted(missing))}"
    if len(crystal) > question.max_atoms:
        return f"has {len(crystal)} atoms, more than {question.max_atoms}"
    return structure_fault(crystal)


@dataclass(eq=False)
class Shelf:
    """Crystals by formula, to ask whether one like it is there already.

    Args:
        matcher: decides whether two crystals are the same.
    """

    matcher: Matcher
    _by_formula: dict[str, list[Crystal]] = field(default_factory=lambda: defaultdict(list))

    def add(self, crystal: Crystal) -> None:
        """Put a crystal on the shelf."""
        self._by_formula[formula(crystal.numbers)].append(crystal)

    def extend(self, crystals: Iterable[Crystal]) -> None:
        """Put several on the shelf."""
        for crystal in crystals:
            self.add(crystal)

    def twin(self, crystal: Crystal) -> str:
        """Return the id of the first crystal on the shelf that is the same; empty when none is."""
        for other in self._by_formula.get(formula(crystal.numbers), ()):
            if self.matcher.matches(crystal, other):
                return other.id
        return ""


def known_shelf(references: Dataset, *, elements: Sequence[str], matcher: Matcher) -> Shelf:
    """Put the known crystals of a chemical system on a shelf.

    Args:
        references: known crystals.
        elements: of the system; its subsystems come too.
        matcher: decides whether two crystals are the same.
    """
    shelf = Shelf(matcher)
    shelf.extend(references.within(elements))
    return shelf
