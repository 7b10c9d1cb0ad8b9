"""From relaxed crystals to ranked candidates: duplicates merged, known ones marked, properties predicted, flags raised."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from euhedral.campaign.discover import Relaxed
from euhedral.campaign.filters import Shelf
from euhedral.campaign.goal import Goal
from euhedral.campaign.ledger import Decision
from euhedral.campaign.proposers import Yield
from euhedral.campaign.question import Question
from euhedral.campaign.ranking import METASTABLE, STABILITY, distances_among, plausibility, score
from euhedral.campaign.report_data import Candidate, Interval, ReferencePhase, ReportData, Stage
from euhedral.core.composition import counts, formula
from euhedral.core.crystal import Crystal
from euhedral.core.files import write
from euhedral.core.writing import write_atomically
from euhedral.data.quantities import Quantity, quantity
from euhedral.errors import InvalidCrystalError
from euhedral.geometry.symmetry import symmetry
from euhedral.metrics.oxidation import guess
from euhedral.simulation.references import ReferenceHull
from euhedral.training.predictor import Predictor

# Angstrom; relaxed coordinates carry the noise of a force limit, so that symmetry is sought more loosely than in data.
_SYMPREC = 0.05


@dataclass(frozen=True, eq=False)
class Results:
    """Turns what a run has relaxed into what its report shows.

    Args:
        question: what was asked.
        goals: as parsed.
        predictor: of properties.
        hull: the references.
        known: crystals that are known.
    """

    question: Question
    goals: Sequence[Goal]
    predictor: Predictor
    hull: ReferenceHull
    known: Shelf

    def candidates(self, relaxed: Sequence[Relaxed]) -> tuple[Candidate, ...]:
        """Rank the crystals that came through.

        Those that relaxed to the same structure are shown once, the lowest in energy. A crystal that relaxed to a known
        one stays, marked, behind the new ones.
        """
        items = self._distinct([item for item in relaxed if item.hull_distance is not None])
        if not items:
            return ()
        crystals = [item.crystal for item in items]
        answers = self.predictor.predict(crystals)
        distances = np.array([item.hull_distance for item in items], dtype=np.float64)
        wanted = [answers[goal.quantity] for goal in self.goals]
        among = distances_among(
            crystals, energies_per_atom=[item.energy_per_atom for item in items],
            converged=[item.converged for item in items], hull=self.hull, elements=self.question.elements,
        )  # fmt: skip
        chance = score(among, stability=STABILITY, goals=self.goals, predictions=wanted)
        merit = plausibility(among, places=[item.place for item in items])
        for goal in self.goals:
            merit = merit * goal.probability(answers[goal.quantity])
        twins = [self.known.twin(crystal) for crystal in crystals]
        order = sorted(range(len(items)), key=lambda i: (bool(twins[i]), -merit[i], distances[i], crystals[i].id))
        met = {goal.quantity: goal.met(answers[goal.quantity].value) for goal in self.goals}
        built = []
        for rank, i in enumerate(order, start=1):
            predictions = {
                name: Interval(
                    value=float(answer.value[i]), lower=float(answer.lower[i]), upper=float(answer.upper[i]),
                    coverage=answer.coverage, unlike_training=bool(answer.unlike_training[i]),
                    meets_target=bool(met[name][i]) if name in met else None,
                )
                for name, answer in answers.items()
            }  # fmt: skip
            built.append(
                self._candidate(
                    items[i],
                    rank=rank,
                    predictions=predictions,
                    twin=twins[i],
                    chance=float(chance[i]),
                    among=float(among[i]),
                )
            )
        return tuple(built)

    def _distinct(self, items: Sequence[Relaxed]) -> list[Relaxed]:
        by_energy = sorted(items, key=lambda item: (item.energy_per_atom, item.crystal.id))
        groups = self.known.matcher.groups([item.crystal for item in by_energy])
        return [by_energy[group[0]] for group in groups]

    def _candidate(
        self, item: Relaxed, *, rank: int, predictions: Mapping[str, Interval], twin: str, chance: float, among: float
    ) -> Candidate:
        charges = guess({symbol: float(amount) for symbol, amount in counts(item.crystal.numbers).items()})
        number, symbol = _space_group(item.crystal)
        before, _ = _space_group(item.proposed)
        notes: list[str] = []
        if among > max(item.hull_distance or 0.0, 0.0) + 1e-3:
            notes.append(f"other candidates are more stable: {among:.3f} eV/atom above the hull that they join")
        if before != number:
            notes.append(f"proposed in space group {before}, relaxed to {number}")
        if not item.converged:
            notes.append(f"relaxation not finished: {item.reason}")
        if charges.mixed:
            notes.append(f"{charges.mixed} of mixed valence")
        return Candidate(
            rank=rank,
            crystal=item.crystal,
            space_group=number,
            space_group_symbol=symbol,
            hull_distance=item.hull_distance,
            formation_energy=float(
                self.hull.formation_energies([item.crystal], energies_per_atom=[item.energy_per_atom])[0]
            ),
            predictions=predictions,
            known=f"{twin} of MP-20" if twin else "",
            charge_balanced=charges.balanced if charges.applies else None,
            implausible_oxidation=charges.implausible,
            oxidation_states=str(charges),
            proposer=f"{item.proposer}: {item.origin}" if item.origin else item.proposer,
            relaxation=f"{'converged' if item.converged else 'stopped'} after {item.steps} steps",
            score=chance,
            notes=tuple(notes),
        )

    def quantities(self) -> tuple[Quantity, ...]:
        """Say what kind of number each prediction is, the targets first."""
        asked = [goal.quantity for goal in self.goals]
        return tuple(quantity(name) for name in [*asked, *(n for n in self.predictor.targets if n not in asked)])

    def references(self) -> tuple[ReferencePhase, ...]:
        """Place the known phases of the system."""
        atoms = {c.id: counts(c.numbers) for c in self.hull.phases.within(self.question.elements)}
        return tuple(
            ReferencePhase(
                id=phase.id,
                composition={symbol: float(count) for symbol, count in atoms[phase.id].items()},
                formation_energy=phase.formation_energy,
                hull_distance=phase.distance,
            )
            for phase in self.hull.system(self.question.elements)
        )

    def funnel(self, decisions: Sequence[Decision], *, relaxed: Sequence[Relaxed]) -> tuple[Stage, ...]:
        """Count what went on and what did not, and why."""
        filtered = [d for d in decisions if d.stage == "filter"]
        why = Counter(_kind(d.reason) for d in filtered if d.verdict == "dropped")
        placed = [item for item in relaxed if item.hull_distance is not None]
        near = sum(item.hull_distance is not None and item.hull_distance <= METASTABLE for item in placed)
        return (
            Stage("proposed", kept=len(filtered)),
            Stage("valid and new", kept=sum(d.verdict == "kept" for d in filtered), dropped=dict(why)),
            Stage(
                "relaxed",
                kept=len(placed),
                dropped={"could not be relaxed": lost} if (lost := len(relaxed) - len(placed)) else {},
            ),
            Stage("distinct", kept=len(self._distinct(placed))),
            Stage(f"within {METASTABLE} eV/atom of the hull", kept=near),
        )

    @staticmethod
    def proposers(yields: Mapping[str, Yield]) -> dict[str, dict[str, float]]:
        """Say how each proposer did."""
        return {
            name: {"proposed": y.proposed, "relaxed": y.relaxed, f"within {METASTABLE} eV/atom of the hull": y.good}
            for name, y in yields.items()
        }

    @staticmethod
    def caveats() -> tuple[str, ...]:
        """What a reader must know besides the method of the hull and of each quantity."""
        return (
            (
                "The order weighs closeness to the hull that references and candidates form together, the place that the "
                "proposer gave a candidate, and the chance of being on target; known phases come last."
            ),
            f"The score is the estimated chance of being within {METASTABLE} eV/atom of that hull and on target.",
            (
                f"On crystals that it was not trained on the potential's distance to the hull differs from DFT's by "
                f"{STABILITY.bias:+.2f} ± {STABILITY.width:.2f} eV/atom (mean and standard deviation); the score allows for it."
            ),
            "Intervals hold for crystals like those of the training set; a flag marks those that are not.",
            "Nothing here has been checked by DFT or experiment; 0 K, no entropy, no kinetics.",
        )


def write_candidates(folder: Path, *, report: ReportData, relaxed: Sequence[Relaxed]) -> None:
    """Write `candidates.parquet` and one CIF for each candidate.

    Raises:
        RunFolderError: the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    by_id = {item.crystal.id: item for item in relaxed}
    rows = []
    for candidate in report.candidates:
        item = by_id[candidate.crystal.id]
        name = f"{candidate.rank:03d}-{formula(candidate.crystal.numbers)}-{candidate.crystal.id}.cif"
        row: dict[str, object] = {
            "rank": candidate.rank,
            "id": candidate.crystal.id,
            "formula": formula(candidate.crystal.numbers),
            "n_atoms": len(candidate.crystal),
            "space_group": candidate.space_group,
            "space_group_symbol": candidate.space_group_symbol,
            "hull_distance_ev_per_atom": candidate.hull_distance,
            "chgnet_formation_energy_ev_per_atom": candidate.formation_energy,
            "energy_ev_per_atom": item.energy_per_atom,
            "converged": item.converged,
            "steps": item.steps,
            "known": candidate.known,
            "charge_balanced": candidate.charge_balanced,
            "implausible_oxidation": candidate.implausible_oxidation,
            "oxidation_states": candidate.oxidation_states,
            "proposer": item.proposer,
            "origin": item.origin,
            "score": candidate.score,
            "notes": "; ".join(candidate.notes),
            "cif": f"cifs/{name}",
        }
        for quantity_name, interval in candidate.predictions.items():
            row[quantity_name] = interval.value
            row[f"{quantity_name}_lower"] = interval.lower
            row[f"{quantity_name}_upper"] = interval.upper
            row["unlike_training"] = interval.unlike_training
        rows.append(row)
        write(folder / "cifs" / name, crystals=candidate.crystal)
    table = pa.Table.from_pylist(rows) if rows else pa.table({"rank": pa.array([], pa.int64())})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_atomically(folder / "candidates.parquet", content=buffer.getvalue())
    wanted = {Path(str(row["cif"])).name for row in rows}
    for stale in (folder / "cifs").glob("*.cif") if (folder / "cifs").is_dir() else ():
        if stale.name not in wanted:
            stale.unlink()


def _kind(reason: str) -> str:
    """Shorten a reason to what can be counted: "known", "invalid", "duplicate"."""
    return "duplicate" if reason.startswith("duplicate of") else reason.partition(":")[0]


def _space_group(crystal: Crystal) -> tuple[int, str]:
    try:
        found = symmetry(crystal, symprec=_SYMPREC)
    except InvalidCrystalError:
        return 1, "P1"  # nothing beyond translations holds within the tolerance
    return found.number, found.symbol
