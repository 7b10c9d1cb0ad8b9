"""Quasi-Newton descent of one crystal's energy in atoms and cell together.

L-BFGS whose initial matrix is the spring model of `stiffness`, in the coordinates (displacement, symmetric strain) of
the present cell; each step is kept within a trust radius, and a step that raises the energy is taken back. The potential
is evaluated elsewhere: `propose` says where, `observe` is told the result. That way a thousand crystals, each with its own
memory and step length, share every evaluation of a potential.

Sources: Nocedal 1980, doi:10.1090/S0025-5718-1980-0572855-7 (L-BFGS); Packwood et al. 2016, doi:10.1063/1.4947024
(preconditioned by springs); the logarithmic strain is that of ASE's FrechetCellFilter.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from euhedral.simulation.stiffness import SYMMETRIC_BASIS, Solver

_MEMORY = 30
_SUFFICIENT = 1e-4
_MOST_REJECTIONS = 8
# eV/Angstrom^2; a step along which the energy curves less teaches nothing of the minimum
_LEAST_CURVATURE = 1e-5
# the spring model is not believed to be wrong by more than this factor
_SCALING = 5.0


@dataclass(frozen=True, eq=False)
class Point:
    """A geometry with its energy and derivatives.

    Args:
        cell: (3, 3) Angstrom.
        frac: (n, 3) fractional, not wrapped.
        energy: eV.
        forces: (n, 3) eV/Angstrom.
        stress: (3, 3) eV/Angstrom^3, tension positive.
    """

    cell: NDArray[np.float64]
    frac: NDArray[np.float64]
    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]

    @property
    def finite(self) -> bool:
        """Whether energy and derivatives are all numbers."""
        return bool(np.isfinite(self.energy) and np.isfinite(self.forces).all() and np.isfinite(self.stress).all())

    @property
    def largest_force(self) -> float:
        """The longest force on an atom, eV/Angstrom."""
        return float(np.sqrt((self.forces**2).sum(axis=1).max()))

    @property
    def largest_cell_force(self) -> float:
        """The longest row of the virial for each atom, eV: the cell's share in ASE's `fmax`."""
        volume = abs(float(np.linalg.det(self.cell)))
        return float(np.linalg.norm(self.stress, axis=1).max() * volume / len(self.frac))


class Descent:
    """The state of one crystal's minimisation.

    Args:
        start: the first point, evaluated.
        solver: divides a gradient by a model of the second derivatives.
        cell: let the cell change.
        rounding: eV; energies closer than this are equal (the precision of the potential's numbers).
        max_displacement: Angstrom that an atom may move in a step.
        max_strain: largest strain of a step.
    """

    def __init__(
        self,
        start: Point,
        *,
        solver: Solver,
        cell: bool,
        rounding: float,
        max_displacement: float,
        max_strain: float,
    ) -> None:
        self.point = start
        self._cell = cell
        self._rounding = rounding
        self._max_displacement = max_displacement
        self._max_strain = max_strain
        self._size = 3 * len(start.frac)
        self._solver = solver
        self._gradient = self._gradient_of(start)
        self._lowest = start.energy
        self._pairs: deque[tuple[NDArray[np.float64], NDArray[np.float64], float]] = deque(maxlen=_MEMORY)
        self._scale = 1.0
        self._trust = 1.0
        self._step = np.zeros_like(self._gradient)
        self.rejections = 0

    @property
    def stuck(self) -> bool:
        """No step along the descent lowers the energy any more."""
        return self.rejections > _MOST_REJECTIONS

    def _gradient_of(self, point: Point) -> NDArray[np.float64]:
        by_displacement = -point.forces.ravel()
        if not self._cell:
            return by_displacement
        volume = abs(float(np.linalg.det(point.cell)))
        return np.concatenate([by_displacement, volume * np.einsum("sij,ij->s", SYMMETRIC_BASIS, point.stress)])

    def _newton_step(self) -> NDArray[np.float64]:
        """Nocedal's two loops, with the spring model in the middle."""
        direction = -self._gradient
        weights = []
        for step, change, curvature in reversed(self._pairs):
            weight = (step @ direction) / curvature
            direction = direction - weight * change
            weights.append(weight)
        direction = self._scale * self._solver(direction)
        for (step, change, curvature), weight in zip(self._pairs, reversed(weights), strict=True):
            direction = direction + (weight - (change @ direction) / curvature) * step
        return direction

    def propose(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the (3, 3) cell and (n, 3) fractional coordinates to evaluate next."""
        step = self._newton_step()
        length = self._length(step)
        if length > self._trust:
            step = step * (self._trust / length)
        self._step = step
        return self._moved(step)

    def _moved(self, step: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        point = self.point
        frac = point.frac + np.linalg.solve(point.cell.T, step[: self._size].reshape(-1, 3).T).T
        if not self._cell:
            return point.cell, frac
        values, axes = np.linalg.eigh(np.einsum("s,sij->ij", step[self._size :], SYMMETRIC_BASIS))
        return point.cell @ (axes * np.exp(values)) @ axes.T, frac

    def observe(self, point: Point) -> bool:
        """Take the evaluated proposal, or step back from it.

        Args:
            point: the proposal, evaluated; its numbers may be NaN.

        Returns:
            Whether the crystal has moved there.
        """
        if not point.finite:
            self._trust *= 0.25
            self.rejections += 1
            return False
        gradient = self._gradient_of(point)
        change = gradient - self._gradient
        curvature = float(self._step @ change)
        if curvature > _LEAST_CURVATURE * float(self._step @ self._step):
            self._pairs.append((self._step, change, curvature))
            inverse = float(change @ self._solver(change))
            self._scale = float(np.clip(curvature / inverse, 1.0 / _SCALING, _SCALING))
        expected = float(self._gradient @ self._step)
        allowed = min(self.point.energy + _SUFFICIENT * expected, self._lowest) + self._rounding
        if point.energy > allowed:
            self._trust = 0.5 * min(self._trust, self._length(self._step))
            self.rejections += 1
            return False
        self._trust = min(1.0, 2.0 * self._trust)
        self.rejections = 0
        self.point = point
        self._lowest = min(self._lowest, point.energy)
        self._gradient = gradient
        return True

    def _length(self, step: NDArray[np.float64]) -> float:
        """The step in units of the largest that is allowed."""
        displacement = float(np.sqrt((step[: self._size].reshape(-1, 3) ** 2).sum(axis=1).max()))
        strain = float(np.linalg.norm(step[self._size :])) if self._cell else 0.0
        return max(displacement / self._max_displacement, strain / self._max_strain)
