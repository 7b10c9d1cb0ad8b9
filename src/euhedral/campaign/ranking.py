"""In what order candidates are shown, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.campaign.goal import Goal
from euhedral.core.composition import counts, fractions
from euhedral.core.crystal import Crystal
from euhedral.metrics.hull import LowerHull
from euhedral.simulation.references import ReferenceHull
from euhedral.tasks.property import Prediction

#: eV/atom; a crystal this far above the hull is as often made as not (Aykol et al. 2018, doi:10.1126/sciadv.aaq0148, find
#: limits of 0.05 to 0.2 for most chemistries).
METASTABLE: Final = 0.1


@dataclass(frozen=True)
class StabilityModel:
    """How far a computed hull distance may be from the DFT one.

    Args:
        bias: eV/atom, computed minus DFT.
        width: eV/atom, standard deviation of the difference.
    """

    bias: float
    width: float

    def probability(self, distance: ArrayLike) -> NDArray[np.float64]:
        """Chance that the DFT distance is below `METASTABLE`.

        Args:
            distance: (B,) eV/atom above the hull as computed.
        """
        from scipy.special import ndtr

        return ndtr((METASTABLE - (np.asarray(distance, dtype=np.float64) - self.bias)) / self.width)


#: CHGNet's distance to the shipped hull minus the DFT one, on 500 crystals of WBM that are no phases of the Materials Project
#: (benchmarks/results/stability.json, "distance, CHGNet minus DFT, signed").
STABILITY: Final = StabilityModel(bias=-0.060, width=0.111)


#: eV/atom below the references' hull; what claims to be lower still has found a hole in the potential.
_HOLE: Final = -1.0


def distances_among(
    crystals: Sequence[Crystal], *, energies_per_atom: ArrayLike, converged: ArrayLike, hull: ReferenceHull,
    elements: Sequence[str],
) -> NDArray[np.float64]:  # fmt: skip
    """Distances to the hull of the references and of the candidates themselves.

    Two candidates of one composition may both lie below the references; only the lower of them can be stable.

    Args:
        crystals: B candidates.
        energies_per_atom: (B,) eV/atom by the potential of the hull.
        converged: (B,) whether the relaxation ended; others are placed but do not compete.
        hull: the references.
        elements: symbols of the chemical system.

    Returns:
        (B,) eV/atom, not negative for candidates that compete; NaN where the energy is.
    """
    symbols = sorted(set(elements))
    energies = np.asarray(energies_per_atom, dtype=np.float64)
    phases = hull.system(symbols)
    formation = hull.formation_energies(crystals, energies_per_atom=energies)
    own = np.array([_fractions(counts(crystal.numbers), symbols) for crystal in crystals])
    alone = hull.distances(crystals, energies_per_atom=energies)
    competing = np.asarray(converged, dtype=bool) & np.isfinite(energies) & (alone > _HOLE)
    everything = LowerHull(
        compositions=np.concatenate([[_fractions(phase.composition, symbols) for phase in phases], own[competing]]),
        energies=np.concatenate([[phase.formation_energy for phase in phases], formation[competing]]),
        elements=symbols,
    )
    return everything.distance(own, energies=formation).distance


#: eV/atom, and how much the first places of a ranked proposer are worth: chosen on chemical systems of the training split that
#: are not held out (templates and references without them), where the energy alone put fewer known phases among the first
#: eight than the proposer's own order did, and both together more than either.
_SCALE: Final = 0.02
_FIRST_PLACES: Final = 3.0
#: The place that a proposal counts for when its proposer does not put the best first.
UNRANKED: Final = 30


def plausibility(among: ArrayLike, *, places: ArrayLike) -> NDArray[np.float64]:
    """Weigh what the energy says of a candidate with what its proposer said by putting it first or late.

    Near the hull a potential's energies do not tell which of many candidates exists; chemical likeness still does.

    Args:
        among: (B,) eV/atom, from `distances_among`.
        places: (B,) place of the candidate among its proposer's, from 0.

    Returns:
        (B,) relative odds; 0 where the distance is NaN.
    """
    height = np.maximum(np.asarray(among, dtype=np.float64), 0.0)
    return np.nan_to_num(np.exp(-height / _SCALE), nan=0.0) / (_FIRST_PLACES + np.asarray(places, dtype=np.float64))


def _fractions(composition: Mapping[str, float], symbols: Sequence[str]) -> list[float]:
    shares = fractions(composition)
    return [shares.get(symbol, 0.0) for symbol in symbols]


def score(
    distance: ArrayLike, *, stability: StabilityModel, goals: Sequence[Goal], predictions: Sequence[Prediction]
) -> NDArray[np.float64]:
    """Chance that a candidate is what was asked for: stable enough and within every goal.

    The factors are taken as independent. Where nothing else was asked, the order is that of the hull distance.

    Args:
        distance: (B,) eV/atom above the hull.
        stability: error of the distance.
        goals: one for each prediction.
        predictions: of the goals' quantities, (B,) each.

    Returns:
        (B,) from 0 to 1; 0 where the distance is NaN.
    """
    chance = np.nan_to_num(stability.probability(distance), nan=0.0)
    for goal, prediction in zip(goals, predictions, strict=True):
        chance = chance * goal.probability(prediction)
    return chance
