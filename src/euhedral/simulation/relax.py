"""Relaxation of many crystals at once, each to its own convergence.

The crystals that are being relaxed share every evaluation of the potential; one that has converged leaves and a waiting
one takes its place. A crystal that cannot be relaxed is marked with the reason and never stops the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS
from euhedral.errors import EuhedralError, InvalidCrystalError, InvalidRequestError
from euhedral.representations.graphs import Graph
from euhedral.simulation.descent import Descent, Point
from euhedral.simulation.stiffness import Bonds, Solver, Springs
from euhedral.simulation.symmetric import SymmetricMean
from euhedral.tasks.potential import Evaluation, Potential

_LOGGER = logging.getLogger(__name__)
# Atoms this close (Angstrom) sit on one another: the file is wrong, not the structure strained.
_COINCIDENT = 0.3
_VOLUME_CHANGE = 8.0


@dataclass(frozen=True, eq=False)
class Relaxation:
    """What became of one crystal.

    Args:
        crystal: where it ended; as given when it could not be relaxed at all.
        energy: eV; NaN when it could not be evaluated.
        start_energy: eV, before the first step.
        converged: every force and the cell's stress are below the limit.
        steps: evaluations of the potential after the first.
        reason: why it did not converge, in one line; empty when it did.
        forces: (n, 3) eV/Angstrom at the end.
        stress: (3, 3) eV/Angstrom^3 at the end, tension positive.
        site: (n, ...) what else the potential says of each atom ("magmom" in mu_B).
        trajectory: the accepted geometries, first to last, when they were asked for.
    """

    crystal: Crystal
    energy: float
    start_energy: float
    converged: bool
    steps: int
    reason: str = ""
    forces: NDArray[np.float64] = field(default_factory=lambda: np.full((0, 3), np.nan))
    stress: NDArray[np.float64] = field(default_factory=lambda: np.full((3, 3), np.nan))
    site: dict[str, NDArray] = field(default_factory=dict)
    trajectory: tuple[Crystal, ...] = ()

    @property
    def energy_per_atom(self) -> float:
        """eV/atom."""
        return self.energy / len(self.crystal)

    @property
    def largest_force(self) -> float:
        """eV/Angstrom; NaN when it could not be evaluated."""
        return float(np.linalg.norm(self.forces, axis=1).max()) if self.forces.size else float("nan")


def relax(
    potential: Potential,
    crystals: Sequence[Crystal],
    *,
    fmax: float = 0.02,
    steps: int = 500,
    cell: bool = True,
    atoms_at_once: int = 512,
    symprec: float | None = None,
    fixed: str = "",
    springs: Springs | None = None,
    max_displacement: float = 0.2,
    max_strain: float = 0.06,
    keep_trajectory: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Relaxation]:
    """Relax atoms and cells of many crystals; one result for each, in order.

    Args:
        potential: gives energies, forces and stress.
        crystals: any number.
        fmax: eV/Angstrom, the longest force left on an atom; also the longest row of (volume x stress / atoms), eV, as
            in ASE's cell filters.
        steps: the most evaluations of the potential that a crystal may have after its first.
        cell: relax the cell too.
        atoms_at_once: size of the shared evaluations; one crystal larger than this is evaluated alone.
        symprec: Angstrom; keep the space group that the start has within it. None lets symmetry break.
        fixed: name of the value in `Crystal.site` that is not 0 for atoms that stay where they are, only with the cell held and
            without `symprec`; the forces on them are given as 0. None stays when empty.
        springs: what stiffness is assumed at the start.
        max_displacement: Angstrom that an atom may move in one step.
        max_strain: the largest strain of one step.
        keep_trajectory: keep every accepted geometry.
        progress: called with (finished, all) after each crystal.

    Raises:
        InvalidRequestError: a limit that is not positive, or atoms are fixed while the cell or a space group is not free of them.
    """
    results: list[Relaxation | None] = [None] * len(crystals)
    stream = relax_stream(
        potential, crystals, fmax=fmax, steps=steps, cell=cell, atoms_at_once=atoms_at_once, symprec=symprec,
        fixed=fixed, springs=springs, max_displacement=max_displacement, max_strain=max_strain, keep_trajectory=keep_trajectory,
    )  # fmt: skip
    for finished, (position, result) in enumerate(stream, start=1):
        results[position] = result
        if progress is not None:
            progress(finished, len(crystals))
    return [result for result in results if result is not None]


def relax_stream(
    potential: Potential,
    crystals: Iterable[Crystal],
    *,
    fmax: float = 0.02,
    steps: int = 500,
    cell: bool = True,
    atoms_at_once: int = 512,
    symprec: float | None = None,
    fixed: str = "",
    springs: Springs | None = None,
    max_displacement: float = 0.2,
    max_strain: float = 0.06,
    keep_trajectory: bool = False,
) -> Iterator[tuple[int, Relaxation]]:
    """Relax many crystals and yield (position, result) as each finishes, so that a kill loses nothing.

    The arguments are those of `relax`; `crystals` may be a generator and is read only as fast as it is needed.

    Raises:
        InvalidRequestError: as in `relax`.
    """
    for name, value in (("fmax", fmax), ("max_displacement", max_displacement), ("max_strain", max_strain)):
        if not value > 0.0:
            raise InvalidRequestError(f"{name} is {value}, expected a positive number")
    if steps < 0 or atoms_at_once < 1:
        raise InvalidRequestError(f"steps is {steps} and atoms_at_once {atoms_at_once}; expected at least 0 and 1")
    if fixed and (cell or symprec is not None):
        raise InvalidRequestError(f"atoms are fixed by {fixed!r}; relax them with cell=False and symprec=None")
    settings = _Settings(
        fmax, steps, cell, symprec, fixed, springs or Springs(), max_displacement, max_strain, keep_trajectory
    )
    waiting = enumerate(crystals)
    active: list[_Task] = []
    held: _Task | None = None
    more = True
    while True:
        n_atoms = sum(len(task) for task in active)
        while more or held is not None:
            if held is None:
                position, crystal = next(waiting, (-1, None))
                if crystal is None:
                    more = False
                    break
                reason = _unfit(potential, crystal, fixed=fixed)
                if reason:
                    yield position, _refused(crystal, reason)
                    continue
                held = _Task(position, crystal, settings)
            if active and n_atoms + len(held) > atoms_at_once:
                break
            active.append(held)
            n_atoms += len(held)
            held = None
        if not active:
            return
        _advance(potential, active)
        for task in active:
            if task.result is not None:
                yield task.position, task.result
        active = [task for task in active if task.result is None]


@dataclass(frozen=True)
class _Settings:
    fmax: float
    steps: int
    cell: bool
    symprec: float | None
    fixed: str
    springs: Springs
    max_displacement: float
    max_strain: float
    keep_trajectory: bool


class _Task:
    """One crystal on its way."""

    def __init__(self, position: int, crystal: Crystal, settings: _Settings) -> None:
        self.position = position
        self.crystal = crystal
        self.settings = settings
        self.cell, self.frac = np.array(crystal.cell), np.array(crystal.frac)
        self.descent: Descent | None = None
        self.mean: SymmetricMean | None = None
        self.held = crystal.site[settings.fixed] != 0 if settings.fixed else None
        self.start_energy = float("nan")
        self.evaluations = 0
        self.site: dict[str, NDArray] = {}
        self.trajectory: list[Crystal] = []
        self.result: Relaxation | None = None

    def __len__(self) -> int:
        return len(self.crystal)

    def begin(self, point: Point, *, site: dict[str, NDArray], bonds: Bonds, rounding: float) -> None:
        """Start from what the potential says of the crystal as given."""
        reason = "" if point.finite else "the potential gives an energy or force that is not finite"
        if bonds.shortest < _COINCIDENT:
            reason = f"two atoms are {bonds.shortest:.2f} Å apart; separate them or remove one"
        if reason:
            self.result = _refused(self.crystal, reason)
            return
        settings = self.settings
        if settings.symprec is not None:
            try:
                self.mean = SymmetricMean(self.crystal, symprec=settings.symprec)
            except InvalidCrystalError as error:
                self.result = _refused(self.crystal, str(error))
                return
            point = self.mean(point)
        point = self._free(point)
        solver = settings.springs.solver(bonds, numbers=self.crystal.numbers, cell=settings.cell)
        self.start_energy = point.energy
        self.descent = Descent(
            point,
            solver=solver if self.held is None else _without(solver, self.held),
            cell=settings.cell,
            rounding=rounding * max(abs(point.energy), 1.0),
            max_displacement=settings.max_displacement,
            max_strain=settings.max_strain,
        )
        self.site = site
        self._decide(self.descent)

    def move(self, descent: Descent, point: Point, *, site: dict[str, NDArray]) -> None:
        """Go on with what the potential says of the geometry proposed last."""
        self.evaluations += 1
        if descent.observe(self.mean(point) if self.mean is not None and point.finite else self._free(point)):
            self.site = site
        self._decide(descent)

    def _free(self, point: Point) -> Point:
        """Leave out the forces on atoms that stay."""
        return point if self.held is None else replace(point, forces=np.where(self.held[:, None], 0.0, point.forces))

    def _decide(self, descent: Descent) -> None:
        settings, point = self.settings, descent.point
        if settings.keep_trajectory and descent.rejections == 0:
            self.trajectory.append(self.crystal.replace(cell=point.cell, frac=point.frac))
        left = max(point.largest_force, point.largest_cell_force if settings.cell else 0.0)
        if left <= settings.fmax:
            self.stop("")
        elif self.evaluations >= settings.steps:
            self.stop(f"not converged after {self.evaluations} steps; {left:.3f} eV/Å left, {settings.fmax} wanted")
        elif descent.stuck:
            self.stop(f"no step lowers the energy; {left:.3f} eV/Å left, {settings.fmax} wanted")
        else:
            self.cell, self.frac = descent.propose()
            ratio = abs(float(np.linalg.det(self.cell))) / self.crystal.volume
            if not 1.0 / _VOLUME_CHANGE < ratio < _VOLUME_CHANGE:
                self.stop(f"the volume went to {ratio:.3g} times that of the start; the structure falls apart")

    def stop(self, reason: str) -> None:
        """Make the result from the last accepted geometry; converged when there is no reason against it."""
        if self.descent is None:
            self.result = _refused(self.crystal, reason)
            return
        point = self.descent.point
        self.result = Relaxation(
            crystal=self.crystal.replace(cell=point.cell, frac=point.frac),
            energy=point.energy,
            start_energy=self.start_energy,
            converged=not reason,
            steps=self.evaluations,
            reason=reason,
            forces=point.forces,
            stress=point.stress,
            site=self.site,
            trajectory=tuple(self.trajectory),
        )


def _refused(crystal: Crystal, reason: str) -> Relaxation:
    _LOGGER.info("crystal %r is not relaxed: %s", crystal.id, reason)
    return Relaxation(
        crystal=crystal, energy=float("nan"), start_energy=float("nan"), converged=False, steps=0, reason=reason
    )


def _without(solver: Solver, held: NDArray[np.bool_]) -> Solver:
    """Divide by the model of stiffness as if the springs pulled at atoms that stay in vain."""
    free = np.repeat(~held, 3)
    return lambda gradient: np.where(free, solver(np.where(free, gradient, 0.0)), 0.0)


def _unfit(potential: Potential, crystal: Crystal, *, fixed: str) -> str:
    if fixed and fixed not in crystal.site:
        return f"it does not say which atoms stay: no site value {fixed!r}"
    unknown = sorted(set(crystal.numbers.tolist()) - potential.elements)
    if unknown:
        symbols = ", ".join(SYMBOLS[number] for number in unknown)
        return f"{type(potential).__name__} was not trained on {symbols}"
    return ""


def _advance(potential: Potential, tasks: list[_Task]) -> None:
    """Evaluate the present geometry of every task in one batch and hand each its share."""
    try:
        batch, graph, result = _evaluate(potential, tasks)
    except (EuhedralError, RuntimeError, ValueError) as error:
        if len(tasks) == 1:
            tasks[0].stop(f"the potential stopped: {str(error).splitlines()[0]}")
            return
        # one of them stops the others, or together they need too much memory: try halves
        middle = len(tasks) // 2
        _advance(potential, tasks[:middle])
        _advance(potential, tasks[middle:])
        return
    _distribute(tasks, batch, graph, result)


def _evaluate(potential: Potential, tasks: list[_Task]) -> tuple[CrystalBatch, Graph, Evaluation]:
    parameter = next(potential.parameters(), torch.zeros(()))
    batch = CrystalBatch(
        cell=torch.as_tensor(np.stack([task.cell for task in tasks])),
        frac=torch.as_tensor(np.concatenate([task.frac for task in tasks])),
        numbers=torch.as_tensor(np.concatenate([task.crystal.numbers for task in tasks])),
        n_atoms=torch.tensor([len(task) for task in tasks], dtype=torch.int64),
        ids=tuple(task.crystal.id for task in tasks),
    ).to(parameter.device, dtype=parameter.dtype)
    graph = potential.graph.build(batch)
    return batch, graph, potential.evaluate(batch, graph=graph)


def _distribute(tasks: list[_Task], batch: CrystalBatch, graph: Graph, result: Evaluation) -> None:
    if result.forces is None or result.stress is None:
        raise InvalidRequestError("relaxation needs forces and stress from the potential, got none")
    atoms = batch.offsets.cpu().numpy()
    energies = result.energy.double().cpu().numpy()
    forces = result.forces.double().cpu().numpy()
    stress = result.stress.double().cpu().numpy()
    site = {name: value.detach().cpu().numpy() for name, value in result.site.items()}
    rounding = 4.0 * torch.finfo(batch.dtype).eps
    beginning = any(task.descent is None for task in tasks)
    vectors = graph.vectors(batch).detach().double().cpu().numpy() if beginning else np.zeros((0, 3))
    source, target = graph.source.cpu().numpy(), graph.target.cpu().numpy()
    for task, start, stop, energy, strained in zip(tasks, atoms[:-1], atoms[1:], energies, stress, strict=True):
        point = Point(cell=task.cell, frac=task.frac, energy=float(energy), forces=forces[start:stop], stress=strained)
        of_atoms = {name: value[start:stop] for name, value in site.items()}
        if task.descent is not None:
            task.move(task.descent, point, site=of_atoms)
            continue
        mine = (target >= start) & (target < stop)
        bonds = Bonds(vectors=vectors[mine], source=source[mine] - start, target=target[mine] - start)
        task.begin(point, site=of_atoms, bonds=bonds, rounding=rounding)
