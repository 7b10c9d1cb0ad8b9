"""Distance to the hull of the shipped reference phases, candidates and references by the same method.

Two hulls stand side by side and are never mixed: one of a potential's energies, for crystals that the same potential has
relaxed, and one of the Materials Project's DFT formation energies. A user's own DFT entries join the second, when they
are of its method or through formation energies that the user vouches for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.composition import counts, fractions
from euhedral.core.crystal import Crystal
from euhedral.data.dataset import Dataset
from euhedral.data.references import reference_phases
from euhedral.errors import InvalidRequestError
from euhedral.metrics.hull import LowerHull
from euhedral.simulation.phase_index import PhaseIndex
from euhedral.simulation.reference_energies import (
    REFERENCE_FMAX,
    ReferenceEnergies,
    reference_energies,
    shipped_energies,
)
from euhedral.tasks.potential import Potential

#: the method of the formation energies that ship with the package
MP_METHOD: Final = "PBE and PBE+U with Materials Project corrections"


@dataclass(frozen=True)
class Entry:
    """One phase of a user's own.

    Args:
        composition: amounts by symbol.
        energy_per_atom: eV/atom; a formation energy when the method is that of the hull, else a total energy.
        method: functional, +U and corrections, such as "PBE and PBE+U with Materials Project corrections" or "PBE, no
            corrections"; entries of different methods are never mixed silently.
        id: a name.
    """

    composition: Mapping[str, float]
    energy_per_atom: float
    method: str
    id: str = ""


@dataclass(frozen=True)
class FormationScheme:
    """A common scheme for entries of one other method: energies relative to that method's own elements.

    Systematic errors of a functional cancel in part only: the user who gives this vouches for the rest.

    Args:
        method: of the entries and of the elements.
        elements: total energy of each pure element, eV/atom, by the same method.
    """

    method: str
    elements: Mapping[str, float]

    def formation_energy(self, entry: Entry) -> float:
        """eV/atom relative to the elements.

        Raises:
            InvalidRequestError: the entry is of another method, or an element's energy is missing.
        """
        if entry.method != self.method:
            raise InvalidRequestError(
                f"entry {entry.id!r} is by {entry.method!r} and the scheme is for {self.method!r}; give one scheme a method"
            )
        missing = sorted(set(entry.composition) - set(self.elements))
        if missing:
            raise InvalidRequestError(
                f"entry {entry.id!r}: the scheme has no energy of the element {', '.join(missing)}"
            )
        shares = fractions(entry.composition)
        return entry.energy_per_atom - sum(share * self.elements[symbol] for symbol, share in shares.items())


@dataclass(frozen=True)
class Placement:
    """One candidate relative to the hull.

    Args:
        distance: eV/atom above the hull; negative below it; NaN when the energy is not known.
        competing: fraction of the atoms in each reference phase that it would decompose into, by id.
    """

    distance: float
    competing: Mapping[str, float]


@dataclass(frozen=True)
class PlacedPhase:
    """One reference phase of a chemical system.

    Args:
        id: of the phase.
        composition: atomic fractions by symbol.
        formation_energy: eV/atom relative to the most stable elements of the hull.
        distance: eV/atom above the hull; 0 on it.
    """

    id: str
    composition: Mapping[str, float]
    formation_energy: float
    distance: float


@dataclass(eq=False)
class ReferenceHull:
    """The convex hulls of the reference phases, for any composition.

    Args:
        energies: of the reference phases by one potential.
        phases: the reference phases.
        exclude_systems: chemical systems whose own phases are left out; those of their subsystems stay.
    """

    energies: ReferenceEnergies
    phases: Dataset
    exclude_systems: Collection[str] = ()
    _index: PhaseIndex = field(init=False, repr=False)
    _added: list[tuple[Entry, float]] = field(init=False, repr=False, default_factory=list)
    _hulls: dict[tuple[bool, tuple[str, ...]], tuple[LowerHull, list[str]]] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._index = PhaseIndex(self.phases, exclude_systems=self.exclude_systems)
        self._ids = self.phases.ids.tolist()
        known = self.energies.energy_per_atom
        self._by_potential = np.array([known.get(name, np.nan) for name in self._ids])
        self._by_dft = self.phases.column("formation_energy_per_atom")

    @classmethod
    def shipped(cls, name: str = "chgnet-0.3.0", *, exclude_systems: Collection[str] = ()) -> ReferenceHull:
        """Open the hull whose energies ship with the package; nothing is relaxed.

        Raises:
            MissingDataError: no energies are shipped under this name.
        """
        return cls(shipped_energies(name), phases=reference_phases(), exclude_systems=exclude_systems)

    @classmethod
    def of(
        cls,
        potential: Potential,
        *,
        elements: Sequence[str],
        fmax: float = REFERENCE_FMAX,
        folder: str | Path | None = None,
        exclude_systems: Collection[str] = (),
        phases: Dataset | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ReferenceHull:
        """Build the hull of a potential: from the shipped energies when they are its own, else relaxed and kept.

        Args:
            potential: the one that relaxes the candidates.
            elements: symbols of the chemical system in question.
            fmax: eV/Angstrom, for references that have to be relaxed.
            folder: where relaxed energies are kept; the user's cache when None.
            exclude_systems: chemical systems whose own phases are left out.
            phases: the reference phases; the shipped ones when None.
            progress: called with (finished, needed) while references are relaxed.

        Raises:
            RunFolderError: the folder cannot be written.
        """
        table = reference_phases() if phases is None else phases
        shipped = shipped_energies("chgnet-0.3.0")
        if shipped.are_of(potential, phases=table):
            return cls(shipped, phases=table, exclude_systems=exclude_systems)
        rows = PhaseIndex(table, exclude_systems=exclude_systems).within(elements)
        found = reference_energies(
            potential, phases=table, rows=rows.tolist(), fmax=fmax, folder=folder, progress=progress
        )
        return cls(found, phases=table, exclude_systems=exclude_systems)

    @property
    def description(self) -> str:
        """One sentence: what the distance is."""
        excluded = sorted(self._index.exclude_systems)
        named = ", ".join(excluded) if len(excluded) <= 5 else f"{len(excluded)} chemical systems"
        left_out = f", without the phases of {named}" if excluded else ""
        relaxed = len(self.energies.relaxed)
        at_rest = len(self.energies.energy_per_atom) - relaxed
        geometry = f"{relaxed:,} relaxed by it" + (f", {at_rest:,} at their DFT geometry" if at_rest else "")
        return (
            f"distance to the hull of the {self.phases.card.count:,} shipped MP-20 reference phases (at most 20 atoms a "
            f"cell{left_out}), all energies by {self.energies.potential} ({geometry}); not a DFT distance, and phases with larger "
            "cells are missing from it"
        )

    @property
    def description_dft(self) -> str:
        """One sentence: what the DFT distance is."""
        known = int(np.isfinite(self._by_dft).sum())
        methods = sorted({entry.method for entry, _ in self._added if entry.method != MP_METHOD})
        own = f" and {len(self._added)} entries of your own" if self._added else ""
        mixed = f"; {', '.join(methods)} joined through formation energies" if methods else ""
        return f"distance to the hull of the {known:,} MP-20 phases with a formation energy ({MP_METHOD}){own}{mixed}"

    def add(self, entries: Iterable[Entry], *, scheme: FormationScheme | None = None) -> None:
        """Let a user's own DFT entries join the DFT hull.

        Args:
            entries: of the hull's own method with formation energies, or of one other method with a scheme.
            scheme: how entries of another method become formation energies.

        Raises:
            InvalidRequestError: an entry is of another method and no scheme was given; nothing is added then.
        """
        joining = []
        for entry in entries:
            if entry.method == MP_METHOD:
                energy = entry.energy_per_atom
            elif scheme is not None:
                energy = scheme.formation_energy(entry)
            else:
                raise InvalidRequestError(
                    f"entry {entry.id!r} is by {entry.method!r} and the hull by {MP_METHOD!r}; energies of different "
                    "methods are not mixed; give a FormationScheme with your elements' energies, if you mean to"
                )
            if not np.isfinite(energy):
                raise InvalidRequestError(f"entry {entry.id!r}: the energy is {energy}; leave it out")
            joining.append((entry, energy))
        self._added.extend(joining)
        self._hulls.clear()

    def distances(
        self, candidates: Sequence[Crystal | Mapping[str, float]], *, energies_per_atom: ArrayLike
    ) -> NDArray[np.float64]:
        """Distances to the hull of the potential's energies.

        Args:
            candidates: crystals, or compositions.
            energies_per_atom: (m,) eV/atom, total energies by the same potential; NaN gives NaN.

        Returns:
            (m,) eV/atom.

        Raises:
            InvalidRequestError: an element has no reference phase.
        """
        placed = self.place(candidates, energies_per_atom=energies_per_atom)
        return np.array([placement.distance for placement in placed])

    def distances_dft(
        self, candidates: Sequence[Crystal | Mapping[str, float]], *, formation_energies: ArrayLike
    ) -> NDArray[np.float64]:
        """Distances to the hull of DFT formation energies.

        Args:
            candidates: crystals, or compositions.
            formation_energies: (m,) eV/atom, of the hull's DFT method.

        Returns:
            (m,) eV/atom.

        Raises:
            InvalidRequestError: an element has no reference phase.
        """
        placed = self.place_dft(candidates, formation_energies=formation_energies)
        return np.array([placement.distance for placement in placed])

    def place(
        self, candidates: Sequence[Crystal | Mapping[str, float]], *, energies_per_atom: ArrayLike
    ) -> list[Placement]:
        """Like `distances`, with the phases that each candidate competes with."""
        return self._place(candidates, energies=energies_per_atom, dft=False)

    def place_dft(
        self, candidates: Sequence[Crystal | Mapping[str, float]], *, formation_energies: ArrayLike
    ) -> list[Placement]:
        """Like `distances_dft`, with the phases that each candidate competes with."""
        return self._place(candidates, energies=formation_energies, dft=True)

    def formation_energies(
        self, candidates: Sequence[Crystal | Mapping[str, float]], *, energies_per_atom: ArrayLike
    ) -> NDArray[np.float64]:
        """Energies relative to the most stable references of the elements, by the same potential.

        Returns:
            (m,) eV/atom.

        Raises:
            InvalidRequestError: an element has no reference phase.
        """
        values = np.array(energies_per_atom, dtype=np.float64)
        for row, candidate in enumerate(candidates):
            for symbol, share in _shares(candidate).items():
                hull, _ = self._hull((symbol,), dft=False)
                values[row] -= share * hull.energies.min()
        return values

    def system(self, elements: Sequence[str], *, dft: bool = False) -> list[PlacedPhase]:
        """Return the reference phases of a chemical system, each with its place, in order of distance.

        Raises:
            InvalidRequestError: an element has no reference phase.
        """
        symbols = tuple(sorted(set(elements)))
        hull, names = self._hull(symbols, dft=dft)
        placed = hull.distance(hull.compositions, energies=hull.energies).distance
        corners = np.array([hull.energies[hull.compositions[:, k] > 1.0 - 1e-9].min() for k in range(len(symbols))])
        formation = hull.energies - hull.compositions @ corners
        return [
            PlacedPhase(
                id=names[row],
                composition={s: float(x) for s, x in zip(symbols, hull.compositions[row], strict=True) if x > 0.0},
                formation_energy=float(formation[row]),
                distance=max(float(placed[row]), 0.0),
            )
            for row in np.argsort(placed, kind="stable")
        ]

    def _hull(self, elements: tuple[str, ...], *, dft: bool) -> tuple[LowerHull, list[str]]:
        key = (dft, elements)
        if key not in self._hulls:
            energies = self._by_dft if dft else self._by_potential
            rows, compositions = self._index.competing(elements, energies=energies)
            values, names = energies[rows], [self._ids[row] for row in rows]
            own = [pair for pair in self._added if set(pair[0].composition) <= set(elements)] if dft else []
            if own:
                table = [[fractions(entry.composition).get(symbol, 0.0) for symbol in elements] for entry, _ in own]
                compositions = np.concatenate([compositions, table])
                values = np.concatenate([values, [energy for _, energy in own]])
                names += [entry.id for entry, _ in own]
            self._hulls[key] = LowerHull(compositions=compositions, energies=values, elements=elements), names
        return self._hulls[key]

    def _place(
        self, candidates: Sequence[Crystal | Mapping[str, float]], *, energies: ArrayLike, dft: bool
    ) -> list[Placement]:
        values = np.asarray(energies, dtype=np.float64)
        if values.shape != (len(candidates),):
            raise InvalidRequestError(f"{len(candidates)} candidates need as many energies, got shape {values.shape}")
        shares = [_shares(candidate) for candidate in candidates]
        groups: dict[tuple[str, ...], list[int]] = {}
        for row, composition in enumerate(shares):
            groups.setdefault(tuple(sorted(composition)), []).append(row)
        found: dict[int, Placement] = {}
        for elements, rows in groups.items():
            hull, names = self._hull(elements, dft=dft)
            table = [[shares[row][symbol] for symbol in elements] for row in rows]
            placed = hull.distance(table, energies=values[rows])
            for place, row in enumerate(rows):
                competing = {names[phase]: share for phase, share in placed.decomposition(place).items()}
                found[row] = Placement(distance=float(placed.distance[place]), competing=competing)
        return [found[row] for row in range(len(candidates))]


def _shares(candidate: Crystal | Mapping[str, float]) -> dict[str, float]:
    amounts = counts(candidate.numbers) if isinstance(candidate, Crystal) else candidate
    return fractions({symbol: float(amount) for symbol, amount in amounts.items() if amount})
