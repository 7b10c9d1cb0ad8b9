"""AdsorbML: the lowest configuration of a molecule on a surface, by many placements relaxed at once.

Lan, Palizhati, Shuaibi, Wood, Wander, Das, Uyttendaele, Zitnick and Ulissi 2023, "AdsorbML: a leap in efficiency for adsorption
energy calculations using generalizable machine learning potentials", doi:10.1038/s41524-023-01121-5.

A molecule is put on every on-top, bridge and hollow site, upright and lying, and on random points in random turns; all of these are
relaxed in common batches with one potential, those that are no adsorption any more are marked, and the others are ranked by energy. What
the paper does next, a DFT calculation of the best few, is left to the user: `AdsorptionSearch.best` lists them.

Departures: any `Potential` may be used; a surface counts as reconstructed when one of its atoms has moved by more than half the
distance of its nearest neighbour, where the paper compares neighbour lists; atoms below `free_depth` are held; on sites the paper
has the one orientation of its database of molecules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import elements
from euhedral.errors import InvalidRequestError
from euhedral.geometry.neighbours import neighbours_within
from euhedral.simulation.placements import ADSORBATE, FIXED, Molecule, Surface, placements
from euhedral.simulation.relax import Relaxation, relax, relax_stream
from euhedral.tasks.potential import Potential

# Times the sum of covalent radii: atoms of a molecule that are bonded, and atoms that still hold a molecule to a surface.
_BONDED: Final = 1.25
_HELD: Final = 1.5
# Angstrom, edge of the box in which a molecule is alone.
_BOX: Final = 16.0


@dataclass(frozen=True, eq=False)
class Attempt:
    """One placement and what became of it.

    Args:
        site: where the molecule was put: "on-top", "bridge", "hollow" or "random".
        start: the placement.
        relaxation: its relaxation.
        adsorption_energy: eV, less the relaxed clean slab and the relaxed molecule alone.
        anomaly: why it is no adsorption: "desorbed", "dissociated", "reconstructed", "intercalated" or why it could not be
            relaxed; empty where it is one.
    """

    site: str
    start: Crystal
    relaxation: Relaxation
    adsorption_energy: float
    anomaly: str = ""


@dataclass(frozen=True, eq=False)
class AdsorptionSearch:
    """All attempts.

    Args:
        attempts: those that are adsorptions first, by energy, then the others.
        slab: the relaxed clean slab.
        molecule: the relaxed molecule alone.
    """

    attempts: tuple[Attempt, ...]
    slab: Relaxation
    molecule: Relaxation

    def best(self, n: int = 1) -> tuple[Attempt, ...]:
        """Return the n attempts of lowest energy that are adsorptions; fewer where there are not so many."""
        return tuple(attempt for attempt in self.attempts if not attempt.anomaly)[:n]

    def anomalies(self) -> dict[str, int]:
        """Count the attempts that are no adsorptions, by why."""
        names = [attempt.anomaly for attempt in self.attempts if attempt.anomaly]
        return {name: names.count(name) for name in sorted(set(names))}


def find_adsorption(
    potential: Potential, slab: Crystal, molecule: Molecule, *, rng: np.random.Generator, n_random: int = 100,
    turns_per_site: int = 3, contact: float = 1.1, free_depth: float = 1.0, fmax: float = 0.02, steps: int = 300,
    atoms_at_once: int = 512, on_attempt: Callable[[Attempt, int], None] | None = None,
) -> AdsorptionSearch:  # fmt: skip
    """Look for the lowest configuration of a molecule on the upper side of a slab.

    Args:
        potential: gives energies and forces.
        slab: clean, with vacuum along its third lattice vector.
        molecule: what adsorbs.
        rng: draws points and turns.
        n_random: placements on random points.
        turns_per_site: placements on each on-top, bridge and hollow site.
        contact: times the sum of two covalent radii, at which a molecule that is let down stops.
        free_depth: Angstrom below the highest atom of the slab; atoms farther down are held.
        fmax: eV/Angstrom.
        steps: the most evaluations for each relaxation.
        atoms_at_once: size of the shared evaluations.
        on_attempt: called with each attempt as it finishes, in no order, and the number of all; what was finished before a
            search is stopped is known by it.

    Raises:
        InvalidRequestError: the slab has no vacuum, or it or the molecule cannot be relaxed.
    """
    surface = Surface.of(slab)
    height = surface.height
    deep = height < height.max() - free_depth
    clean = surface.slab.replace(site={FIXED: deep.astype(float)}, id=slab.id or "slab")
    alone = Crystal(
        cell=np.eye(3) * (_BOX + np.ptp(molecule.positions, axis=0).max()),
        frac=_centred(molecule.positions, box=_BOX + np.ptp(molecule.positions, axis=0).max()),
        numbers=molecule.numbers, id="molecule", site={FIXED: np.zeros(len(molecule.numbers))},
    )  # fmt: skip
    references = relax(
        potential, [clean, alone], fmax=fmax, steps=steps, cell=False, fixed=FIXED, atoms_at_once=atoms_at_once
    )
    for reference in references:
        if np.isnan(reference.energy):
            raise InvalidRequestError(f"{reference.crystal.id}: {reference.reason}; no adsorption energy can be given")
    relaxed = Surface.of(references[0].crystal)
    made = list(
        placements(relaxed, molecule, n_random=n_random, turns_per_site=turns_per_site, contact=contact, rng=rng)
    )
    mask = np.concatenate([deep.astype(float), np.zeros(len(molecule.numbers))])
    starts = [
        crystal.replace(id=f"{clean.id} {number} ({site})", site={**crystal.site, FIXED: mask})
        for number, (site, crystal) in enumerate(made)
    ]
    zero = references[0].energy + references[1].energy
    finished: dict[int, Attempt] = {}
    stream = relax_stream(
        potential, starts, fmax=fmax, steps=steps, cell=False, fixed=FIXED, atoms_at_once=atoms_at_once
    )
    for place, result in stream:
        start = starts[place]
        attempt = Attempt(made[place][0], start, result, result.energy - zero, anomaly_of(start, result))
        finished[place] = attempt
        if on_attempt is not None:
            on_attempt(attempt, len(starts))
    attempts = [finished[place] for place in range(len(starts))]
    return AdsorptionSearch(ranked(attempts), slab=references[0], molecule=references[1])


def ranked(attempts: Iterable[Attempt]) -> tuple[Attempt, ...]:
    """Put those first that are adsorptions, by energy."""
    order = lambda attempt: (bool(attempt.anomaly), np.nan_to_num(attempt.adsorption_energy, nan=np.inf))  # noqa: E731
    return tuple(sorted(attempts, key=order))


def anomaly_of(start: Crystal, result: Relaxation) -> str:
    """Say why a relaxed placement is no adsorption of the molecule on the surface; empty where it is.

    Args:
        start: the slab and then the molecule, marked in `site["adsorbate"]`.
        result: its relaxation; one that ran out of steps is judged by where it stopped.
    """
    end = result.crystal
    if np.isnan(result.energy):
        return result.reason
    marked = start.site[ADSORBATE] != 0
    if not _touching(end, marked[:, None] & ~marked[None], stretch=_HELD).any():
        return "desorbed"
    inside = marked[:, None] & marked[None]
    if (_touching(start, inside, stretch=_BONDED) != _touching(end, inside, stretch=_BONDED)).any():
        return "dissociated"
    moved = end.frac - start.frac
    moved = np.linalg.norm((moved - np.round(moved)) @ start.cell, axis=1)
    if (moved > 0.5 * _nearest(start, marked))[~marked].any():
        return "reconstructed"
    clean = Surface.of(replace(end, frac=end.frac[~marked], numbers=end.numbers[~marked], site={}))
    upward = np.cross(end.cell[0], end.cell[1])
    upward /= np.linalg.norm(upward) * np.sign(upward @ end.cell[2])
    drop = (end.frac[~marked][0] @ end.cell - clean.positions[0]) @ upward
    tall = float(end.cell[2] @ upward)
    heights = (end.frac[marked] @ end.cell @ upward - drop) % tall
    if (heights < clean.height[clean.top].min() - 0.5).any():
        return "intercalated"
    return ""


def _centred(positions: NDArray[np.float64], *, box: float) -> NDArray[np.float64]:
    return (positions - positions.mean(0)) / box + 0.5


def _touching(crystal: Crystal, among: NDArray[np.bool_], *, stretch: float) -> NDArray[np.bool_]:
    """(n, n) whether two atoms, of the pairs looked at, are no farther apart than their stretched radii."""
    radius = np.array([np.nan, *(element.covalent_radius for element in elements())])[crystal.numbers]
    reach = float(2.0 * radius.max() * stretch)
    found = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=reach)
    near = found.distance <= stretch * (radius[found.source] + radius[found.target])
    touching = np.zeros((len(crystal), len(crystal)), dtype=np.bool_)
    touching[found.target[near], found.source[near]] = True
    return touching & among


def _nearest(crystal: Crystal, marked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) Angstrom from each atom of the slab to its nearest neighbour in it; infinite for the molecule's."""
    found = neighbours_within(crystal.cell[None], frac=crystal.frac, n_atoms=[len(crystal)], cutoff=6.0)
    own = ~marked[found.source] & ~marked[found.target]
    least = np.full(len(crystal), np.inf)
    np.minimum.at(least, found.target[own], found.distance[own])
    return least
