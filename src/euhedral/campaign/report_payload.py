"""What the page of a report draws with: crystals, peaks and hulls as plain JSON values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any, Final

import numpy as np

from euhedral.campaign.report_data import Candidate, ReferencePhase, ReportData
from euhedral.core.composition import counts, density, formula
from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number, element
from euhedral.core.files.cif_writer import cif_from_crystals
from euhedral.errors import InvalidRequestError
from euhedral.metrics.hull import LowerHull
from euhedral.metrics.validity import METALS
from euhedral.representations.spectra.diffraction import powder_pattern
from euhedral.representations.spectra.radiation import WAVELENGTHS

#: eV/atom; up to here a phase may be metastable, a limit that is usual and arbitrary.
METASTABLE: Final = 0.1
#: eV/atom; below this a distance to the hull is zero to the precision of a relaxation.
ON_HULL: Final = 0.001

_TWO_THETA: Final = (5.0, 90.0)


def payload(data: ReportData) -> dict[str, Any]:
    """Build the values that the page's scripts read; NaN becomes null.

    Args:
        data: what to show.
    """
    present = sorted({number for row in data.candidates for number in row.crystal.numbers.tolist()})
    return _finite(
        {
            "elements": list(data.elements),
            "style": {SYMBOLS[number]: _style(number) for number in present},
            "candidates": [_candidate(row, data) for row in data.candidates],
            "quantities": [
                {"name": q.name, "label": label(q.name), "unit": q.unit, "method": q.method, "note": q.note,
                 "target": data.targets.get(q.name, "")}
                for q in data.quantities
            ],
            "references": [_reference(phase, data.elements) for phase in data.references],
            "ties": tie_lines(data.references, elements=data.elements),
            "metastable": METASTABLE,
            "onHull": ON_HULL,
            "xrd": {"wavelength": WAVELENGTHS["CuKa"], "range": list(_TWO_THETA)},
        }
    )  # fmt: skip


def label(name: str) -> str:
    """Write a property's name in words; its unit says whether it is per atom."""
    return name.removesuffix("_per_atom").replace("_", " ")


def stability(hull_distance: float | None) -> str:
    """Sort a distance to the hull into "stable", "near", "far" or "unknown"."""
    if hull_distance is None or math.isnan(hull_distance):
        return "unknown"
    if hull_distance <= ON_HULL:
        return "stable"
    return "near" if hull_distance <= METASTABLE else "far"


def tie_lines(references: Sequence[ReferencePhase], *, elements: Sequence[str]) -> list[tuple[int, int]]:
    """Find which stable references coexist: pairs whose mixture lies on the hull all along.

    Args:
        references: known phases; energies of one method.
        elements: two or three symbols; for others there is no picture to draw.

    Returns:
        Pairs of positions in `references`.
    """
    if len(elements) not in {2, 3}:
        return []
    stable = [i for i, phase in enumerate(references) if phase.hull_distance <= ON_HULL]
    if len(stable) < 2:
        return []
    points = np.array([_fractions(references[i], elements) for i in stable])
    energies = np.array([references[i].formation_energy for i in stable])
    try:
        hull = LowerHull(points, energies, tuple(elements))
    except InvalidRequestError:
        return []  # an element without a reference: there is no hull to draw
    pairs = list(combinations(range(len(stable)), 2))
    middles = np.array([(points[a] + points[b]) / 2.0 for a, b in pairs])
    means = np.array([(energies[a] + energies[b]) / 2.0 for a, b in pairs])
    above = hull.distance(middles, energies=means).distance
    return [(stable[a], stable[b]) for (a, b), distance in zip(pairs, above, strict=True) if distance < 1e-6]


def _fractions(phase: ReferencePhase, elements: Sequence[str]) -> list[float]:
    total = sum(phase.composition.values())
    return [phase.composition.get(symbol, 0.0) / total for symbol in elements]


def _reference(phase: ReferencePhase, elements: Sequence[str]) -> dict[str, Any]:
    return {
        "id": phase.id,
        "formula": _reduced(phase.composition),
        "x": _fractions(phase, elements),
        "energy": phase.formation_energy,
        "hull": phase.hull_distance,
    }


def _reduced(composition: Mapping[str, float]) -> str:
    if all(float(amount).is_integer() for amount in composition.values()):
        return formula([atomic_number(symbol) for symbol, amount in composition.items() for _ in range(int(amount))])
    return "".join(f"{symbol}{amount:g}" for symbol, amount in composition.items())


def _candidate(row: Candidate, data: ReportData) -> dict[str, Any]:
    crystal = row.crystal
    tally = counts(crystal.numbers)
    total = sum(tally.values())
    a, b, c = crystal.lengths.tolist()
    alpha, beta, gamma = crystal.angles.tolist()
    return {
        "rank": row.rank,
        "id": crystal.id,
        "formula": formula(crystal.numbers),
        "atoms": len(crystal),
        "density": density(crystal),
        "volume": crystal.volume,
        "cell": np.round(crystal.cell, 6).tolist(),
        "lengths": [a, b, c],
        "angles": [alpha, beta, gamma],
        "symbols": [SYMBOLS[number] for number in crystal.numbers.tolist()],
        "frac": np.round(crystal.frac, 6).tolist(),
        "x": [tally.get(symbol, 0) / total for symbol in data.elements],
        "spaceGroup": row.space_group,
        "symbol": row.space_group_symbol,
        "hull": row.hull_distance,
        "energy": row.formation_energy,
        "class": stability(row.hull_distance),
        "predictions": {
            name: {"value": p.value, "lower": p.lower, "upper": p.upper, "coverage": p.coverage,
                   "unlike": p.unlike_training, "meets": p.meets_target}
            for name, p in row.predictions.items()
        },
        "known": row.known,
        "charge": row.charge_balanced,
        "implausible": row.implausible_oxidation,
        "states": row.oxidation_states,
        "proposer": row.proposer,
        "relaxation": row.relaxation,
        "score": row.score,
        "notes": list(row.notes),
        "peaks": _peaks(crystal),
        "cif": cif_from_crystals([crystal]),
    }  # fmt: skip


def _peaks(crystal: Crystal) -> list[list[float | str]]:
    """[angle, intensity, indices] of each peak above a thousandth of the strongest; empty where an element has no table."""
    try:
        pattern = powder_pattern(crystal, two_theta=_TWO_THETA)
    except InvalidRequestError:
        return []
    rows = zip(pattern.two_theta.tolist(), pattern.intensity.tolist(), pattern.hkl.tolist(), strict=True)
    return [
        [round(angle, 4), round(strength, 3), " ".join(map(str, hkl))]
        for angle, strength, hkl in rows
        if strength > 0.1
    ]


def _style(number: int) -> dict[str, Any]:
    known = element(number)
    return {
        "colour": _colours()[known.symbol],
        "radius": known.covalent_radius,
        "metal": known.symbol in METALS,
        "electronegativity": known.electronegativity,
        "name": known.name,
    }


@cache
def _colours() -> dict[str, str]:
    text = files("euhedral.campaign").joinpath("element_colours.json").read_text(encoding="utf-8")
    return json.loads(text)["colours"]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
