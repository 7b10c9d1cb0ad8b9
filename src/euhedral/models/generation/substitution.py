"""Element substitution into known prototypes, best first: what a materials scientist would try before anything else.

Hautier et al. 2011, "Data mined ionic substitutions for the discovery of new compounds", doi:10.1021/ic102031h.

A candidate is a template (a known crystal) with other elements in its slots. Its score is the logarithm of the evidence for
its prototype with these elements: the sum, over all templates of the prototype, of the product over slots of the likeness
between the template's element and the new one (`representations.element_likeness`, the paper's substitution probability).
So a prototype that many similar compounds have beats one that a single compound has.

Departures: likeness is of elements, not of ions, because the templates carry no oxidation states (charge balance raises the
score instead); the paper multiplies pairwise probabilities of one template and cuts at a threshold, here the evidence of all
templates is added and candidates are ranked; candidates of one composition stand back behind those of others; two slots may
merge (a ternary template with one element in two slots is a binary) and a slot with several orbits may be divided, at a
price. Of the constants none was chosen on systems that are held out for rediscovery.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, count, islice, permutations, product
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.composition import formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number, element
from euhedral.core.failure import Failure
from euhedral.data.prototypes import element_volumes, reference_prototypes
from euhedral.data.references import reference_phases
from euhedral.errors import InvalidCrystalError, InvalidRequestError
from euhedral.geometry.matching import Matcher
from euhedral.representations.element_likeness import log_likeness
from euhedral.tasks.generation import Request, check_capable

_BALANCED: Final = 0.5
_REPEATED: Final = 0.3
_MERGED: Final = 3.0
_DIVIDED: Final = 4.0
# what ranks behind so many, or has a score below minus this, is never reached
_KEPT: Final = 4_000
_NEVER: Final = 50.0
# subsets of a slot's orbits grow as 2^n; beyond this only one orbit against the rest
_ORBITS: Final = 5

#: For each slot the elements that go there: one, or two when the slot is divided.
_Assignment = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class _Templates:
    """Templates with k slots, sorted by prototype; `starts` are the first rows of the prototypes."""

    rows: NDArray[np.int64]
    slots: NDArray[np.int64]
    amounts: NDArray[np.int64]
    divisible: NDArray[np.bool_]
    space_group: NDArray[np.int64]
    starts: NDArray[np.int64]


@dataclass(order=True)
class _Entry:
    """A proposal in the queue: a prototype with new elements, and how its slots are divided."""

    priority: float
    order: int
    score: float = field(compare=False)
    row: int = field(compare=False)
    assignment: _Assignment = field(compare=False)
    composition: str = field(compare=False)
    repeats: int = field(compare=False, default=0)


class Substitution:
    """Puts the elements asked for into the slots of known prototypes.

    With a chemical system or a composition the results are the best-ranked ones, all elements of the system in each, and do not
    depend on the rng; without, template and substitution are drawn by likeness.

    Args:
        exclude_systems: chemical systems ("Li-Mn-O") whose crystals are neither templates nor counted for likeness.
        splits: parts of MP-20 whose crystals are templates.
    """

    capabilities: frozenset[str] = frozenset({"chemical_system", "composition", "space_group", "n_atoms"})

    def __init__(self, *, exclude_systems: Collection[str] = (), splits: Sequence[str] = ("train",)) -> None:
        self._crystals = reference_phases()
        self._prototypes = known = reference_prototypes()
        excluded = {frozenset(map(atomic_number, system.split("-"))) for system in exclude_systems}
        in_split = np.isin(self._crystals.column("split"), list(splits))
        used = [row for row in np.flatnonzero(in_split).tolist() if frozenset(known.slots[row]) not in excluded]
        if not used:
            raise InvalidRequestError(
                f"no templates left in {', '.join(splits)}; exclude fewer systems or name a split"
            )
        self._rows = np.array(used)
        self._likeness = log_likeness(known.prototype[self._rows], slots=[known.slots[row] for row in used])
        self._volumes = element_volumes()
        self._matcher = Matcher()
        self._asked: tuple[Request, Iterator[Crystal], list[Crystal]] | None = None
        by_size: defaultdict[int, list[int]] = defaultdict(list)
        for row in used:
            by_size[len(known.slots[row])].append(row)
        self._templates = {size: self._sorted(rows) for size, rows in by_size.items()}

    @classmethod
    def load(cls) -> Self:
        """Build it as it ships: there is nothing to load but the tables."""
        return cls()

    def sample(self, request: Request, *, rng: torch.Generator) -> list[Crystal | Failure]:
        """Propose exactly `request.n` crystals; where the ranking ends before, the rest are failures.

        Raises:
            InvalidRequestError: the request asks for a condition that substitution does not know.
        """
        check_capable(self, request)
        if request.chemical_system or request.composition:
            results: list[Crystal | Failure] = list(self._best(request))
        else:
            results = self._drawn(request, rng=rng)
        missing = Failure(reason="no further prototype takes these elements", stage="substitute")
        return results + [missing] * (request.n - len(results))

    def _best(self, request: Request) -> list[Crystal]:
        """Return the first n of the ranking; a longer request goes on where a shorter one ended."""
        wanted = replace(request, n=1)
        if self._asked is None or self._asked[0] != wanted:
            self._asked = (wanted, self.ranked(request), [])
        _, stream, found = self._asked
        found.extend(islice(stream, max(request.n - len(found), 0)))
        return found[: request.n]

    def ranked(self, request: Request) -> Iterator[Crystal]:
        """Yield candidates from the best to the last, no two of them the same structure.

        Args:
            request: with a chemical system or a composition.
        """
        symbols = request.composition or request.chemical_system or ()
        numbers = tuple(sorted(atomic_number(symbol) for symbol in symbols))
        wanted = _reduced({atomic_number(s): amount for s, amount in (request.composition or {}).items()})
        queue = self._entries(numbers, request=request)
        heapq.heapify(queue)
        ticket = count(len(queue))
        repeats: Counter[str] = Counter()
        shown: defaultdict[str, list[Crystal]] = defaultdict(list)
        while queue:
            entry = heapq.heappop(queue)
            if not entry.composition:  # divided slots: one entry for each way of dividing
                for crystal in self._divided(entry, wanted=wanted):
                    name = formula(crystal.numbers)
                    if self._is_new(crystal, shown[name], request=request):
                        shown[name].append(crystal)
                        yield crystal
                continue
            if repeats[entry.composition] != entry.repeats:  # another of this composition came first meanwhile
                entry.repeats = repeats[entry.composition]
                entry.priority = -entry.score + _REPEATED * float(np.log1p(entry.repeats))
                entry.order = next(ticket)
                heapq.heappush(queue, entry)
                continue
            crystal = self._substituted(entry.row, [target for (target,) in entry.assignment])
            if self._is_new(crystal, shown[entry.composition], request=request):
                shown[entry.composition].append(crystal)
                repeats[entry.composition] += 1
                yield crystal

    def _is_new(self, crystal: Crystal, others: Sequence[Crystal], *, request: Request) -> bool:
        if request.space_group is not None and _space_group(crystal) != request.space_group:
            return False
        return not any(self._matcher.matches(crystal, other) for other in others)

    def _sorted(self, rows: Sequence[int]) -> _Templates:
        known = self._prototypes
        ordered = np.array(rows)[np.argsort(known.prototype[rows], kind="stable")]
        prototype = known.prototype[ordered]
        return _Templates(
            rows=ordered,
            slots=np.array([known.slots[row] for row in ordered]),
            amounts=np.array([known.amounts[row] for row in ordered]),
            divisible=np.array([[len(names) > 1 for names in known.letters[row]] for row in ordered]),
            space_group=known.space_group[ordered],
            starts=np.flatnonzero(np.append(True, prototype[1:] != prototype[:-1])),
        )

    def _entries(self, numbers: tuple[int, ...], *, request: Request) -> list[_Entry]:
        """List the best proposals of every kind: plain, merged, divided."""
        size = len(numbers)
        scored: list[tuple[NDArray[np.float64], _Templates, _Assignment]] = []
        for slots, price in ((size, 0.0), (size + 1, _MERGED), (size - 1, _DIVIDED)):
            if templates := self._templates.get(slots):
                for assignment in _assignments(numbers, slots=slots):
                    evidence = self._evidence(templates, assignment, request=request)
                    scored.append((evidence - price, templates, assignment))
        if not scored:
            return []
        everything = np.concatenate([evidence for evidence, _, _ in scored])
        kept = min(_KEPT, len(everything))
        least = max(float(np.partition(everything, -kept)[-kept]), -_NEVER)
        return [
            self._entry(
                float(evidence[group]), templates, assignment, group=int(group), order=order * _KEPT + int(group)
            )
            for order, (evidence, templates, assignment) in enumerate(scored)
            for group in np.flatnonzero(evidence >= least)
        ]

    def _evidence(self, templates: _Templates, assignment: _Assignment, *, request: Request) -> NDArray[np.float64]:
        """Score every prototype with these elements in its slots; minus infinity where the request forbids it."""
        each = np.zeros(len(templates.rows))
        allowed = np.ones(len(templates.rows), dtype=bool)
        for slot, new in enumerate(assignment):
            for number in new:
                each += self._likeness[templates.slots[:, slot], number]
            if len(new) > 1:
                allowed &= templates.divisible[:, slot]
        if request.space_group is not None:
            allowed &= templates.space_group == request.space_group
        if request.n_atoms is not None:
            allowed &= templates.amounts.sum(axis=1) <= request.n_atoms
        if request.composition and all(len(new) == 1 for new in assignment):
            total = sum(request.composition.values())
            for symbol, amount in request.composition.items():
                inside = [slot for slot, (number,) in enumerate(assignment) if number == atomic_number(symbol)]
                allowed &= templates.amounts[:, inside].sum(axis=1) * total == amount * templates.amounts.sum(axis=1)
        weight = np.where(allowed, np.exp(each), 0.0)
        return np.log(np.maximum(np.add.reduceat(weight, templates.starts), np.exp(-2.0 * _NEVER)))

    def _entry(
        self, evidence: float, templates: _Templates, assignment: _Assignment, *, group: int, order: int
    ) -> _Entry:
        start, end = templates.starts[group], [*templates.starts, len(templates.rows)][group + 1]
        weight = sum(
            self._likeness[templates.slots[start:end, slot], number]
            for slot, new in enumerate(assignment)
            for number in new
        )
        best = int(start + np.argmax(weight))
        composition = ""
        if all(len(new) == 1 for new in assignment):
            amounts: Counter[int] = Counter()
            for (number,), amount in zip(assignment, templates.amounts[best].tolist(), strict=True):
                amounts[number] += amount
            composition = _reduced(amounts)
            evidence += _BALANCED * _balanced(tuple(sorted(amounts.items())))
        return _Entry(-evidence, order, evidence, int(templates.rows[best]), assignment, composition)

    def _substituted(self, row: int, targets: Sequence[int]) -> Crystal:
        template = self._crystals[row]
        table = dict(zip(self._prototypes.slots[row], targets, strict=True))
        numbers = np.array([table[int(number)] for number in template.numbers])
        return self._scaled(template, numbers)

    def _divided(self, entry: _Entry, *, wanted: str) -> Iterator[Crystal]:
        """Give some orbits of the divided slot to one element and the rest to the other, in every way."""
        from euhedral.geometry.symmetry import symmetry

        template = self._crystals[entry.row]
        slots = self._prototypes.slots[entry.row]
        orbits = symmetry(template, symprec=0.05).orbits
        slot = next(slot for slot, new in enumerate(entry.assignment) if len(new) > 1)
        inside = np.unique(orbits[template.numbers == slots[slot]])
        sizes = range(1, len(inside)) if len(inside) <= _ORBITS else (1, len(inside) - 1)
        plain = {old: new[0] for old, new in zip(slots, entry.assignment, strict=True)}
        for chosen in (part for size in sizes for part in combinations(inside.tolist(), size)):
            numbers = np.array([plain[int(number)] for number in template.numbers])
            numbers[np.isin(orbits, chosen)] = entry.assignment[slot][1]
            if not wanted or formula(numbers) == wanted:
                yield self._scaled(template, numbers)

    def _scaled(self, template: Crystal, numbers: NDArray[np.int64]) -> Crystal:
        """Put new elements into a cell whose volume changes with the elements' own volumes."""
        before, after = self._volumes[template.numbers].sum(), self._volumes[numbers].sum()
        cell = template.cell * float(after / before) ** (1 / 3)
        changes = dict.fromkeys(
            f"{SYMBOLS[old]}>{SYMBOLS[new]}"
            for old, new in zip(template.numbers.tolist(), numbers.tolist(), strict=True)
        )
        return Crystal(cell=cell, frac=template.frac, numbers=numbers, id=f"{template.id} {' '.join(changes)}")

    def _drawn(self, request: Request, *, rng: torch.Generator) -> list[Crystal | Failure]:
        known = self._prototypes
        rows = [
            row
            for row in self._rows.tolist()
            if (request.n_atoms is None or sum(known.amounts[row]) <= request.n_atoms)
            and request.space_group in (None, int(known.space_group[row]))
        ]
        nothing = Failure(reason="no template has this space group and size", stage="substitute")
        chance = torch.from_numpy(np.exp(self._likeness))
        chance[:, np.bincount(np.concatenate([known.slots[row] for row in self._rows]), minlength=119) == 0] = 0.0
        results: list[Crystal | Failure] = []
        for _ in range(request.n if rows else 0):
            row = rows[int(torch.randint(len(rows), (), generator=rng))]
            old = known.slots[row]
            new = [int(torch.multinomial(chance[number], 1, generator=rng)) for number in old]
            while len(set(new)) < len(old) or set(new) == set(old):
                new = [int(torch.multinomial(chance[number], 1, generator=rng)) for number in old]
            crystal = self._substituted(row, new)
            if request.space_group is not None and _space_group(crystal) != request.space_group:
                results.append(Failure(reason=f"{crystal.id} lost its space group", stage="substitute"))
            else:
                results.append(crystal)
        return results or [nothing] * request.n


def _reduced(amounts: Mapping[int, int]) -> str:
    return formula(np.repeat(list(amounts), list(amounts.values()))) if amounts else ""


def _assignments(numbers: tuple[int, ...], *, slots: int) -> Iterator[_Assignment]:
    """List the ways to put all elements into the slots, with one slot merged or divided where the counts differ."""
    size = len(numbers)
    if slots == size:
        yield from (tuple((number,) for number in chosen) for chosen in permutations(numbers))
        return
    if slots > size:
        for chosen in product(numbers, repeat=slots):
            if set(chosen) == set(numbers):
                yield tuple((number,) for number in chosen)
        return
    for pair in combinations(numbers, 2):
        rest = [number for number in numbers if number not in pair]
        for order in permutations([pair, *((number,) for number in rest)]):
            yield tuple(order)


def _balanced(amounts: tuple[tuple[int, int], ...]) -> bool:
    """Whether states that the ICSD shows often add up to zero, for compounds of metals with nonmetals."""
    if max(element(z).electronegativity or 0.0 for z, _ in amounts) < 2.5:
        return False
    totals = {0}
    for number, amount in amounts:
        known = element(number)
        states = known.icsd_oxidation_states or known.common_oxidation_states or (0,)
        totals = {total + amount * state for total in totals for state in states}
    return 0 in totals


def _space_group(crystal: Crystal) -> int:
    from euhedral.geometry.symmetry import symmetry

    try:
        return symmetry(crystal).number
    except InvalidCrystalError:
        return 0
