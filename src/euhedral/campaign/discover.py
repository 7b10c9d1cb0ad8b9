"""The loop, in its one-round form: propose, filter, mark the known, relax, place on the hull, predict, rank.

Work goes in waves. After each wave the ledger tells how many candidates of each proposer ended near the hull, and the next
wave's budget is divided accordingly. Everything that costs time is recorded as it is finished; a run that was killed skips
what is recorded and ends with the same candidates.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from euhedral.campaign.filters import Shelf, fault
from euhedral.campaign.ledger import Decision, Ledger
from euhedral.campaign.proposers import Proposer, Yield, shares
from euhedral.campaign.question import Question
from euhedral.campaign.ranking import METASTABLE, UNRANKED
from euhedral.core.crystal import Crystal
from euhedral.core.failure import Failure
from euhedral.core.files import parse
from euhedral.core.files.json_file import json_from_crystals
from euhedral.simulation.references import ReferenceHull
from euhedral.simulation.relax import relax_stream
from euhedral.tasks.potential import Potential

_log = logging.getLogger(__name__)

_WAVE: Final = 16
# Proposals that a proposer may need for one that is new and valid, before it is taken to have run dry.
_PATIENCE: Final = 12

#: Called with (what is being done, finished, all).
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Accepted:
    """A candidate that passed the filters.

    Args:
        crystal: as proposed; its id names the candidate.
        proposer: who proposed it.
        origin: what the proposer says that it made it from.
    """

    crystal: Crystal
    proposer: str
    origin: str


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A candidate after relaxation.

    Args:
        crystal: as relaxed; its id names the candidate.
        proposed: as proposed.
        proposer: who proposed it.
        origin: what the proposer says that it made it from.
        energy_per_atom: eV/atom.
        converged: whether forces and stress fell below the limit.
        steps: evaluations it took.
        reason: why it did not converge.
        hull_distance: eV/atom; None when it could not be evaluated.
        place: how many its proposer put before it; `UNRANKED` when the proposer does not put the best first.
    """

    crystal: Crystal
    proposed: Crystal
    proposer: str
    origin: str
    energy_per_atom: float
    converged: bool
    steps: int
    reason: str
    hull_distance: float | None
    place: int = UNRANKED


@dataclass(eq=False)
class Loop:
    """Everything that a run needs, and the run.

    Args:
        question: what is asked.
        ledger: where everything is recorded.
        proposers: at least one.
        potential: relaxes the candidates.
        hull: the references, by the same potential.
        known: crystals that are known.
        progress: told what is being done.
    """

    question: Question
    ledger: Ledger
    proposers: Sequence[Proposer]
    potential: Potential
    hull: ReferenceHull
    known: Shelf
    progress: Progress = lambda what, finished, total: None  # noqa: ARG005
    _seen: Shelf = field(init=False)

    def __post_init__(self) -> None:
        self._seen = Shelf(self.known.matcher)

    def run(self) -> list[Relaxed]:
        """Propose and relax until there are as many candidates as asked for, or no proposer has more.

        Returns:
            The relaxed candidates in the order in which they were accepted.
        """
        accepted: dict[str, Accepted] = {}
        for wave in range(10 * self.question.candidates):
            missing = self.question.candidates - len(accepted)
            if missing <= 0:
                break
            before = len(accepted)
            accepted |= self._wave(wave, n=min(_WAVE, missing), accepted=accepted)
            self._relax(accepted)
            if len(accepted) == before:
                note = Decision(
                    "propose", "", "noted", f"no proposer has more; {before} of {self.question.candidates} found"
                )
                self._record_once("notes", key="exhausted", decision=note)
                break
        return self._relaxed(accepted)

    def accepted(self) -> dict[str, Accepted]:
        """Return every candidate that has been accepted so far, from the ledger."""
        waves = self.ledger.records("propose").values()
        return {item["id"]: _accepted(item) for record in waves for item in record["accepted"]}

    def finished(self) -> list[Relaxed]:
        """Return the candidates that have been relaxed so far, from the ledger."""
        return self._relaxed(self.accepted())

    def _wave(self, wave: int, *, n: int, accepted: Mapping[str, Accepted]) -> dict[str, Accepted]:
        recorded = self.ledger.records("propose").get(str(wave))
        if recorded is None:
            recorded = self._proposed(wave, n=n, accepted=accepted)
        new = {item["id"]: _accepted(item) for item in recorded["accepted"]}
        self._seen.extend(item.crystal for item in new.values())
        return new

    def _proposed(self, wave: int, *, n: int, accepted: Mapping[str, Accepted]) -> dict[str, Any]:
        """Ask each proposer for its share of one wave, and record what was kept, what was dropped, and why."""
        yields = self.yields(accepted)
        budget = shares(yields, n=n)
        kept: list[dict[str, Any]] = []
        decisions = [
            Decision("budget", "", "noted", f"wave {wave}: " + ", ".join(f"{k} {v}" for k, v in budget.items()))
        ]
        asked: dict[str, int] = {}
        fresh = Shelf(self.known.matcher)
        for proposer in self.proposers:
            start, wanted, found = yields[proposer.name].proposed, budget[proposer.name], 0
            end = start + _PATIENCE * max(wanted, 1)
            position = start
            while found < wanted and position < end:
                self.progress(f"wave {wave + 1}: {proposer.name} proposes", len(kept), n)
                batch = proposer.batch(self.question, start=position, n=min(4 * wanted, end - position))
                for result in batch:
                    name = f"{proposer.name}-{position:05d}"
                    position += 1
                    verdict = self._verdict(result, fresh=fresh)
                    decisions.append(Decision("filter", name, "dropped" if verdict else "kept", verdict))
                    if not verdict and isinstance(result, Crystal):
                        candidate = result.replace(id=name)
                        fresh.add(candidate)
                        kept.append(
                            {"id": name, "proposer": proposer.name, "crystal": _text(candidate), "origin": result.id}
                        )
                        found += 1
                        if found == wanted:
                            break
            asked[proposer.name] = position
        record = {"accepted": kept, "asked": asked}
        self.ledger.append("propose", records={str(wave): record}, decisions=decisions)
        return record

    def _verdict(self, result: Crystal | Failure, *, fresh: Shelf) -> str:
        if isinstance(result, Failure):
            return f"could not be made: {result.reason}"
        if why := fault(result, question=self.question):
            return f"invalid: {why}"
        if twin := self.known.twin(result):
            return f"known: the same as {twin}"
        if twin := self._seen.twin(result) or fresh.twin(result):
            return f"duplicate of {twin}"
        return ""

    def _relax(self, accepted: Mapping[str, Accepted]) -> None:
        done = self.ledger.records("relax")
        waiting = [item.crystal for name, item in accepted.items() if name not in done]
        stream = relax_stream(self.potential, waiting, fmax=self.question.fmax, steps=self.question.steps)
        for finished, (position, result) in enumerate(stream, start=len(done) + 1):
            name = waiting[position].id
            record = {
                "crystal": _text(result.crystal.replace(id=name)),
                "energy_per_atom": result.energy_per_atom,
                "converged": result.converged,
                "steps": result.steps,
                "reason": result.reason,
            }
            verdict = Decision(
                "relax", name, "kept" if result.converged else "noted", result.reason or f"{result.steps} steps"
            )
            self.ledger.append("relax", records={name: record}, decisions=[verdict])
            self.progress("relaxing", finished, self.question.candidates)

    def _relaxed(self, accepted: Mapping[str, Accepted]) -> list[Relaxed]:
        records = self.ledger.records("relax")
        names = [name for name in accepted if name in records]
        crystals = [_crystal(records[name]["crystal"]) for name in names]
        energies = [records[name]["energy_per_atom"] for name in names]
        distances = self.hull.distances(crystals, energies_per_atom=energies) if names else []
        ordered = {proposer.name for proposer in self.proposers if proposer.ordered}
        return [
            Relaxed(
                crystal=crystal, proposed=accepted[name].crystal, proposer=accepted[name].proposer, origin=accepted[name].origin,
                energy_per_atom=energy,
                converged=records[name]["converged"], steps=records[name]["steps"], reason=records[name]["reason"],
                hull_distance=None if distance != distance else float(distance),  # noqa: PLR0124 - NaN
                place=int(name.rpartition("-")[2]) if accepted[name].proposer in ordered else UNRANKED,
            )
            for name, crystal, energy, distance in zip(names, crystals, energies, distances, strict=True)
        ]  # fmt: skip

    def yields(self, accepted: Mapping[str, Accepted]) -> dict[str, Yield]:
        """Count what each proposer has brought, from what is recorded."""
        asked: dict[str, int] = dict.fromkeys((proposer.name for proposer in self.proposers), 0)
        for record in self.ledger.records("propose").values():
            asked |= record["asked"]
        relaxed = self._relaxed(accepted)
        found = {}
        for name in asked:
            own = [item for item in relaxed if item.proposer == name]
            good = sum(item.hull_distance is not None and item.hull_distance <= METASTABLE for item in own)
            found[name] = Yield(proposed=asked[name], relaxed=len(own), good=good)
        return found

    def _record_once(self, stage: str, *, key: str, decision: Decision) -> None:
        if key not in self.ledger.records(stage):
            self.ledger.append(stage, records={key: True}, decisions=[decision])


def _accepted(item: Mapping[str, Any]) -> Accepted:
    return Accepted(_crystal(item["crystal"]), proposer=item["proposer"], origin=item["origin"])


def _text(crystal: Crystal) -> str:
    return json_from_crystals([crystal])


def _crystal(text: str) -> Crystal:
    return parse(text, format="json")[0]
