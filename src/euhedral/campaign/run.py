"""One run, from the question to the report."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path

from euhedral.campaign.discover import Loop, Progress, Relaxed
from euhedral.campaign.filters import known_shelf
from euhedral.campaign.goal import Goal, parse_goal
from euhedral.campaign.proposers import Proposer, default_proposers
from euhedral.campaign.question import Question
from euhedral.campaign.report import write_report
from euhedral.campaign.report_data import ReportData
from euhedral.campaign.results import Results, write_candidates
from euhedral.campaign.run_folder import RunFolder
from euhedral.core.elements import atomic_number
from euhedral.data.references import reference_phases
from euhedral.errors import InvalidRequestError
from euhedral.geometry.matching import Matcher
from euhedral.models.registry import load_trained
from euhedral.simulation.references import ReferenceHull
from euhedral.tasks.potential import Potential
from euhedral.training.predictor import Predictor

#: What predicts properties, and what relaxes.
PREDICTOR = "cgcnn-mp20"
POTENTIAL = "chgnet"


def discover(
    question: Question, *, folder: str | Path, progress: Progress, proposers: Sequence[Proposer] | None = None,
    predictor: Predictor | None = None,
) -> ReportData:  # fmt: skip
    """Answer a question in a run folder; a folder that holds a part of the answer is gone on with.

    Args:
        question: what is asked.
        folder: the run's.
        progress: told what is being done.
        proposers: who proposes; element substitution and CrystalFormer when None.
        predictor: of the properties; the shipped one when None.

    Returns:
        What the report shows.

    Raises:
        RunFolderError: the folder cannot be written or belongs to another question.
        UnknownNameError: no shipped model predicts a target.
        KeyboardInterrupt: after a report of what was finished has been written.
    """
    begun = time.monotonic()
    predictor = Predictor.load(PREDICTOR) if predictor is None else predictor
    goals = [parse_goal(text, known=predictor.targets) for text in question.targets]
    with RunFolder(folder, question=question) as run:
        progress("opening the references", 0, question.candidates)
        potential = load_trained(POTENTIAL, wing="potential")
        _check_elements(potential, question=question)
        hull = ReferenceHull.of(potential, elements=question.elements)
        hull.system(question.elements)  # an element without a reference phase is named before anything is proposed
        loop = Loop(
            question=question,
            ledger=run.ledger,
            proposers=default_proposers() if proposers is None else proposers,
            potential=potential,
            hull=hull,
            known=known_shelf(reference_phases(), elements=question.elements, matcher=Matcher()),
            progress=progress,
        )
        interrupted = False
        try:
            relaxed = loop.run()
        except KeyboardInterrupt:
            interrupted = True
            relaxed = loop.finished()
        progress("writing the report", len(relaxed), question.candidates)
        report = _report(
            run, loop=loop, goals=goals, predictor=predictor, relaxed=relaxed, interrupted=interrupted, begun=begun
        )
        write_candidates(run.path, report=report, relaxed=relaxed)
        write_report(run.path / "report.html", data=report)
    if interrupted:
        raise KeyboardInterrupt
    return report


def _report(
    run: RunFolder, *, loop: Loop, goals: Sequence[Goal], predictor: Predictor, relaxed: Sequence[Relaxed],
    interrupted: bool, begun: float,
) -> ReportData:  # fmt: skip
    results = Results(question=run.question, goals=goals, predictor=predictor, hull=loop.hull, known=loop.known)
    head = run.head
    return ReportData(
        question=run.question.text,
        command=command_line(run.question, folder=run.path),
        elements=run.question.elements,
        candidates=results.candidates(relaxed),
        quantities=results.quantities(),
        targets={goal.quantity: str(goal).removeprefix(goal.quantity).strip() for goal in goals},
        references=results.references(),
        hull_method=loop.hull.description,
        funnel=results.funnel(run.ledger.decisions(), relaxed=relaxed),
        proposers=results.proposers(loop.yields(loop.accepted())),
        machine=head["machine"],
        versions=head["versions"],
        seeds={"run": run.question.seed},
        timings={"this session": round(time.monotonic() - begun, 1)},
        caveats=results.caveats(),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        run=run.path.name,
        interrupted=interrupted,
    )


def _check_elements(potential: Potential, *, question: Question) -> None:
    unknown = [symbol for symbol in question.elements if atomic_number(symbol) not in potential.elements]
    if unknown:
        raise InvalidRequestError(
            f"{POTENTIAL} was not trained on {', '.join(unknown)}, so that nothing with it can be relaxed; leave it out of --elements"
        )


def command_line(question: Question, *, folder: Path) -> str:
    """Write the command that asks the question again."""
    import shlex

    base = Question(elements=question.elements)
    words = ["euhedral", "discover", "--elements", ",".join(question.elements)]
    for target in question.targets:
        words += ["--target", target]
    words += ["--candidates", str(question.candidates), "--run", folder.as_posix()]
    for name in ("seed", "max_atoms", "space_group", "fmax", "steps"):
        if getattr(question, name) != getattr(base, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(question, name))]
    if question.subsystems:
        words.append("--subsystems")
    return shlex.join(words)
