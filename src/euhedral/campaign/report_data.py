"""What a report shows, as plain values: the loop fills them, `campaign.report` draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from euhedral.core.crystal import Crystal
from euhedral.data.quantities import Quantity


@dataclass(frozen=True)
class Interval:
    """One predicted number of one crystal.

    Args:
        value: in the quantity's unit.
        lower: lower end of the interval.
        upper: upper end of the interval.
        coverage: the share of truths that such intervals hold, as calibrated.
        unlike_training: whether the crystal is unlike the training data, so that the interval may not hold.
        meets_target: whether the value meets what was asked of it; None when nothing was asked.
    """

    value: float
    lower: float
    upper: float
    coverage: float = 0.9
    unlike_training: bool = False
    meets_target: bool | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """One row of the report.

    Args:
        rank: 1 is the best.
        crystal: the relaxed structure; its id names the row.
        space_group: number, 1 to 230.
        space_group_symbol: Hermann-Mauguin, as printed.
        hull_distance: eV/atom above the hull of the references; negative is below; None when not computed.
        formation_energy: eV/atom from the same potential as the references; None when not computed.
        predictions: by the name of a quantity in `ReportData.quantities`.
        known: what it is the same as ("mp-1234 of MP-20"); empty when nothing like it is known.
        charge_balanced: whether oxidation states balance; None where the notion does not apply, as in alloys.
        implausible_oxidation: whether only states that crystals hardly ever show balance it.
        oxidation_states: as printed ("Li+ Mn3+ O2-"); empty when there are none.
        proposer: who proposed it, and from what.
        relaxation: one line ("converged in 41 steps").
        score: the estimated chance, 0 to 1, by which the candidates are ranked; None when there is none.
        notes: further warnings, one line each.
    """

    rank: int
    crystal: Crystal
    space_group: int
    space_group_symbol: str
    hull_distance: float | None = None
    formation_energy: float | None = None
    predictions: Mapping[str, Interval] = field(default_factory=dict)
    known: str = ""
    charge_balanced: bool | None = None
    implausible_oxidation: bool = False
    oxidation_states: str = ""
    proposer: str = ""
    relaxation: str = ""
    score: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReferencePhase:
    """One known phase of the chemical system, for the hull plot.

    Args:
        id: where it is from ("mp-1234").
        composition: atoms by symbol.
        formation_energy: eV/atom, same method as the candidates.
        hull_distance: eV/atom above the hull of the references; 0 on it.
    """

    id: str
    composition: Mapping[str, float]
    formation_energy: float
    hull_distance: float


@dataclass(frozen=True)
class Stage:
    """One step of the funnel.

    Args:
        name: what was done ("valid", "new", "relaxed").
        kept: how many went on.
        dropped: how many did not, by reason.
    """

    name: str
    kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that a report shows.

    Args:
        question: what was asked, in one sentence.
        command: the command line that asks it again.
        elements: the symbols of the chemical system.
        candidates: in order of rank.
        quantities: what is predicted, with units and methods.
        targets: the goal as given, by the name of its quantity ("> 1").
        references: known phases of the system.
        hull_method: one sentence: which potential, which references, what the distance means.
        funnel: from proposed to ranked.
        proposers: how each proposer did: proposer -> {column: number}.
        machine: what it ran on ("CPU", "cores", "system").
        versions: package -> version.
        seeds: what each seed was used for.
        timings: stage -> seconds.
        caveats: what a reader must know before believing a number, one sentence each.
        created: when, ISO 8601 in UTC.
        run: name of the run.
        interrupted: whether the run was stopped before its end.
    """

    question: str
    command: str
    elements: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    quantities: tuple[Quantity, ...] = ()
    targets: Mapping[str, str] = field(default_factory=dict)
    references: tuple[ReferencePhase, ...] = ()
    hull_method: str = ""
    funnel: tuple[Stage, ...] = ()
    proposers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    created: str = ""
    run: str = ""
    interrupted: bool = False
