"""Make `data/references/prototypes.parquet` from the shipped reference phases (about ten minutes on one core).

    python scripts/make_prototypes.py [--out FILE]

For each crystal: the space group within 0.05 Angstrom (moyopy), the Wyckoff letters of each element's orbits in the setting,
among those that the group's Euclidean normalizer makes equivalent, whose letters come first, and a number that crystals
share which also match in shape (`geometry.matching`, default tolerances, elements renamed after their slots).

`element_volumes.json` beside it holds the volumes of atoms that sum up to the cells' volumes with the least relative square
error (never negative; elements with few crystals stay near nine cubed covalent radii), fitted on the training split without
the chemical systems that are held out for rediscovery.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import nnls

from euhedral.core.composition import chemical_system
from euhedral.core.crystal import Crystal
from euhedral.core.elements import MAX_NUMBER, SYMBOLS, elements
from euhedral.data.references import reference_phases
from euhedral.geometry.matching import Matcher
from euhedral.geometry.symmetry import Symmetry, symmetry
from euhedral.geometry.wyckoff_form import electropositivity_rank

SYMPREC = 0.05
PULL = 1e-4
HELD_OUT = Path(__file__).parents[1] / "benchmarks/rediscovery/held_out.json"
OUT = Path(__file__).parents[1] / "src/euhedral/data/references/prototypes.parquet"


@dataclass(frozen=True)
class Occupied:
    """Letters and atomic number of each slot, and how many atoms it holds."""

    space_group: int
    letters: tuple[str, ...]
    slots: tuple[int, ...]
    amounts: tuple[int, ...]

    @property
    def label(self) -> str:
        return " ".join([str(self.space_group), *self.letters])


class Settings:
    """How the normalizer of each group renames letters; found once for each set of letters of a group."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], list[dict[str, str]]] = {}

    def of(self, found: Symmetry) -> list[dict[str, str]]:
        used = "".join(sorted(set(found.letters)))
        if (found.number, used) not in self._found:
            self._found[found.number, used] = self._renamings(found) or [{letter: letter for letter in used}]
        return self._found[found.number, used]

    @staticmethod
    def _renamings(found: Symmetry) -> list[dict[str, str]]:
        try:
            representatives = found.dataset.normalizer_wyckoff_positions(preserve_chirality=True).coset_representatives
        except ValueError:  # ambiguous within the tolerance: the setting as found
            return []
        identity = next(
            (
                [position.letter for position in positions]
                for operation, positions in representatives
                if np.array_equal(operation.linear, np.eye(3)) and np.allclose(operation.origin_shift, 0.0)
            ),
            None,
        )
        if identity is None:
            return []
        unique = {
            tuple(sorted({*zip(identity, [position.letter for position in positions], strict=True)}))
            for _, positions in representatives
        }
        return [dict(renaming) for renaming in sorted(unique)]


def occupied(crystal: Crystal, *, settings: Settings) -> Occupied:
    found = symmetry(crystal, symprec=SYMPREC)
    first = np.unique(found.orbits)
    rank = electropositivity_rank()
    choices = []
    for renaming in settings.of(found):
        by_element: defaultdict[int, list[str]] = defaultdict(list)
        for atom in first:
            by_element[int(crystal.numbers[atom])].append(renaming.get(found.letters[atom], "?"))
        slots = sorted(("".join(sorted(names)), int(rank[number]), number) for number, names in by_element.items())
        if not any("?" in slot[0] for slot in slots):
            choices.append(slots)
    best = min(choices, key=lambda slots: ([slot[0] for slot in slots], [slot[1] for slot in slots]))
    numbers = tuple(slot[2] for slot in best)
    amounts = tuple(int((crystal.numbers == number).sum()) for number in numbers)
    return Occupied(found.number, tuple(slot[0] for slot in best), numbers, amounts)


def shapes(crystals: list[Crystal], described: list[Occupied]) -> list[int]:
    """Number the prototypes: same label, and a match with the first crystal that has the number."""
    matcher = Matcher()
    leaders: defaultdict[str, list[tuple[int, Crystal]]] = defaultdict(list)
    result, count = [], 0
    for crystal, own in zip(crystals, described, strict=True):
        names = {number: slot + 1 for slot, number in enumerate(own.slots)}
        bare = Crystal(cell=crystal.cell, frac=crystal.frac, numbers=[names[int(number)] for number in crystal.numbers])
        number = next((number for number, leader in leaders[own.label] if matcher.matches(leader, bare)), None)
        if number is None:
            number, count = count, count + 1
            leaders[own.label].append((number, bare))
        result.append(number)
    return result


def element_volumes(crystals: list[Crystal]) -> dict[str, float]:
    """Fit the volume of an atom of each element, Angstrom^3."""
    per_volume = np.array(
        [np.bincount(crystal.numbers, minlength=MAX_NUMBER + 1) / crystal.volume for crystal in crystals]
    )
    guess = np.array([1.0, *(9.0 * element.covalent_radius**3 for element in elements())])
    pull = np.sqrt(PULL) * np.eye(MAX_NUMBER + 1)
    fitted, _ = nnls(np.vstack([per_volume, pull]), np.concatenate([np.ones(len(crystals)), np.sqrt(PULL) * guess]))
    return {symbol: round(float(volume), 2) for symbol, volume in zip(SYMBOLS[1:], fitted[1:], strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    phases = reference_phases()
    crystals = list(phases)
    held_out = set(json.loads(HELD_OUT.read_text(encoding="utf-8"))["held_out_systems"])
    fitted = [
        crystal
        for crystal, split in zip(crystals, phases.column("split"), strict=True)
        if split == "train" and chemical_system(crystal.numbers) not in held_out
    ]
    volumes = json.dumps(element_volumes(fitted), indent=0)
    out.with_name("element_volumes.json").write_text(volumes + "\n", encoding="utf-8")
    settings = Settings()
    described = [occupied(crystal, settings=settings) for crystal in crystals]
    table = pa.table(
        {
            "id": pa.array([crystal.id for crystal in crystals]),
            "label": pa.array([own.label for own in described]),
            "prototype": pa.array(shapes(crystals, described), pa.int32()),
            "slots": pa.array([own.slots for own in described], pa.list_(pa.uint8())),
            "amounts": pa.array([own.amounts for own in described], pa.list_(pa.uint8())),
        }
    )
    pq.write_table(table, out, compression="zstd", compression_level=19)
    print(f"{len(table)} crystals, {len(set(table['prototype'].to_pylist()))} prototypes, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
