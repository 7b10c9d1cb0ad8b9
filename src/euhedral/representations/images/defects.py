"""Point defects drawn at random: vacancies, substitutions and displacements, and the record of what was changed.

As in Ziletti et al. 2018, doi:10.1038/s41467-018-05169-6, who remove and displace atoms of supercells, and in Yang et al.
2021, doi:10.1002/advs.202101099, whose sheets lack atoms and hold dopants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.errors import InvalidRequestError
from euhedral.representations.images.specimen import Specimen

Structure = TypeVar("Structure", Crystal, Specimen)


@dataclass(frozen=True)
class Vacancies:
    """Atoms that are missing.

    Args:
        fraction: of the atoms concerned, 0 to 1; the nearest whole number of them is taken, none twice.
        element: symbol of the only element concerned; empty for all.
    """

    fraction: float
    element: str = ""


@dataclass(frozen=True)
class Substitutions:
    """Atoms replaced by other elements.

    Args:
        fraction: of the atoms concerned, 0 to 1.
        by: symbols; each atom is replaced by any one of them that it is not already.
        element: symbol of the only element concerned; empty for all.
    """

    fraction: float
    by: tuple[str, ...]
    element: str = ""


@dataclass(frozen=True)
class Displacements:
    """Atoms moved from their places by a normal distribution, independently in x, y and z.

    Args:
        sigma: Angstrom, standard deviation of each coordinate. The strength of a reflection g falls to
            exp(-4 pi^2 sigma^2 |g|^2), the Debye-Waller factor with B = 8 pi^2 sigma^2.
        element: symbol of the only element concerned; empty for all.
    """

    sigma: float
    element: str = ""


Defect = Vacancies | Substitutions | Displacements


@dataclass(frozen=True, eq=False)
class DefectRecord:
    """What became of each atom of the structure that was handed in.

    Args:
        kept: (n,) bool, False for a vacancy.
        before: (n,) atomic numbers.
        after: (n,) atomic numbers; that of a vacancy is 0.
        shift: (n, 3) Angstrom; of a vacancy it tells nothing.
    """

    kept: NDArray[np.bool_]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    shift: NDArray[np.float64]

    @property
    def vacancies(self) -> NDArray[np.int64]:
        """Indices of the atoms that are missing."""
        return np.flatnonzero(~self.kept)

    @property
    def substituted(self) -> NDArray[np.int64]:
        """Indices of the atoms that are of another element now."""
        return np.flatnonzero(self.kept & (self.before != self.after))


def with_defects(
    structure: Structure, *, defects: Sequence[Defect], rng: np.random.Generator
) -> tuple[Structure, DefectRecord]:
    """Put defects into a structure, one kind after the other in the order given.

    Args:
        structure: a crystal (usually a supercell) or a specimen.
        defects: kinds and amounts; a later kind finds what the earlier ones left.
        rng: where the randomness comes from.

    Returns:
        The defective structure, and the record over the atoms of the one handed in.

    Raises:
        InvalidRequestError: a fraction outside 0 to 1, a negative sigma, an element that the structure does not have,
            substitution by nothing else, or no atom left.
        UnknownNameError: a symbol that no element has.
    """
    name = f"structure {structure.id!r}"
    before = np.array(structure.numbers)
    after, shift = before.copy(), np.zeros((len(before), 3))
    for defect in defects:
        concerned = np.flatnonzero(after > 0)
        if defect.element:
            concerned = concerned[after[concerned] == atomic_number(defect.element)]
            if not concerned.size:
                raise InvalidRequestError(f"{name}: {defect} concerns an element that it does not have")
        if isinstance(defect, Displacements):
            if not (np.isfinite(defect.sigma) and defect.sigma >= 0.0):
                raise InvalidRequestError(f"{name}: displacements need a sigma of 0 Å or more, got {defect.sigma}")
            shift[concerned] += rng.normal(0.0, defect.sigma, (concerned.size, 3))
            continue
        if not 0.0 <= defect.fraction <= 1.0:
            raise InvalidRequestError(f"{name}: the fraction of a defect is 0 to 1, got {defect.fraction}")
        chosen = rng.choice(concerned, round(defect.fraction * concerned.size), replace=False)
        after[chosen] = 0 if isinstance(defect, Vacancies) else _replacements(name, defect, now=after[chosen], rng=rng)
    kept = after > 0
    if not kept.any():
        raise InvalidRequestError(f"{name}: these vacancies leave none of its {len(before)} atoms")
    record = DefectRecord(kept=kept, before=before, after=after, shift=shift)
    if isinstance(structure, Crystal):
        frac = structure.frac + shift @ np.linalg.inv(structure.cell)
        site = {key: value[kept] for key, value in structure.site.items()}
        return structure.replace(frac=frac[kept], numbers=after[kept], site=site, props={}), record
    return replace(structure, cart=(structure.cart + shift)[kept], numbers=after[kept]), record


def _replacements(
    name: str, defect: Substitutions, *, now: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    choices = np.array(sorted({atomic_number(symbol) for symbol in defect.by}), dtype=np.int64)
    others = len(choices) - np.isin(now, choices)
    if now.size and not others.min(initial=len(choices)) > 0:
        raise InvalidRequestError(f"{name}: {defect} would replace an element by itself; name another in `by`")
    # counting only the choices that differ from the atom: those from its own place on are moved up by one
    picked = (rng.random(now.size) * others).astype(np.int64)
    own = np.searchsorted(choices, now)
    skip = np.isin(now, choices) & (picked >= own)
    return choices[picked + skip]
