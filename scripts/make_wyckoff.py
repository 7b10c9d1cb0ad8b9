"""Make `src/euhedral/geometry/wyckoff.npz`: the Wyckoff positions of the 230 space groups in the standard setting.

Source: the coordinate lists of PyXtal (MIT licence), checked here against the operations and the Wyckoff letters of
moyopy (MIT or Apache-2.0), from which the site-symmetry symbols come. Setting: International Tables A, unique axis b
(cell choice 1), hexagonal axes, origin choice 2.

Run: python scripts/make_wyckoff.py
"""

from __future__ import annotations

import ast
import csv
import re
import string
from fractions import Fraction
from pathlib import Path

import numpy as np

LETTERS = string.ascii_lowercase + "A"
TARGET = Path(__file__).parents[1] / "src" / "euhedral" / "geometry" / "wyckoff.npz"
DENOMINATOR = 24


def parse(triplet: str) -> np.ndarray:
    """Read "x, -y+1/2, 2x" as (3, 4): integer coefficients of x, y, z and the translation in 24ths."""
    operator = np.zeros((3, 4), dtype=np.int64)
    for row, text in enumerate(triplet.replace(" ", "").split(",")):
        for term in re.findall(r"[+-]?[^+-]+", text):
            variable = re.fullmatch(r"([+-]?)(\d*)\*?([xyz])", term)
            if variable:
                sign, count, name = variable.groups()
                operator[row, "xyz".index(name)] += (-1 if sign == "-" else 1) * int(count or 1)
            else:
                value = Fraction(term) * DENOMINATOR
                assert value.denominator == 1, term
                operator[row, 3] += int(value)
    return operator


def by_coordinates(operators: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rewrite operators so that they act on the coordinates of the first point instead of on parameters.

    A coordinate is free when it does not follow from those before it. Returns the operators and the (3,) mask.
    """
    first = operators[0]
    pivots: list[int] = []
    for row in range(3):
        if np.linalg.matrix_rank(first[[*pivots, row], :3]) > len(pivots):
            pivots.append(row)
    free = np.isin(np.arange(3), pivots)
    if not pivots:
        return operators, free
    inverse = np.linalg.pinv(first[pivots, :3].astype(float))
    rewritten = operators.copy()
    linear = operators[:, :, :3] @ inverse
    shift = operators[:, :, 3] - linear @ first[pivots, 3]
    assert np.allclose(linear, np.round(linear))
    assert np.allclose(shift, np.round(shift))
    rewritten[:, :, :3] = 0
    rewritten[:, :, pivots] = np.round(linear).astype(np.int64)
    rewritten[:, :, 3] = np.round(shift).astype(np.int64)
    return rewritten, free


def main() -> None:
    import pyxtal
    from moyopy import Setting, operations_from_number

    source = Path(pyxtal.__file__).parent / "database" / "wyckoff_list.csv"
    with source.open() as file:
        rows = {int(row[0]): row[1] for row in list(csv.reader(file))[2:]}
    arrays: dict[str, list] = {name: [] for name in ("group", "letter", "multiplicity", "free", "operators")}
    changed = 0
    for number in range(1, 231):
        positions = ast.literal_eval(rows[number])[::-1]  # the list starts with the general position
        for letter, triplets in zip(LETTERS, positions, strict=False):
            raw = np.stack([parse(triplet) for triplet in triplets])
            operators, free = by_coordinates(raw)
            changed += not np.array_equal(raw, operators)
            operators[:, :, 3] %= DENOMINATOR
            operators[0, free, 3] = 0
            again = operators[0, :, :3] @ operators[0, :, :3]
            assert np.array_equal(again, operators[0, :, :3]), (number, letter, "not a projection")
            arrays["group"].append(number)
            arrays["letter"].append(letter)
            arrays["multiplicity"].append(len(operators))
            arrays["free"].append(free)
            arrays["operators"].append(operators)
        theirs = operations_from_number(number, setting=Setting.standard())
        ours = {tuple(operator.ravel()) for operator in operators}
        expected = {
            tuple(
                np.column_stack([rotation, np.round(np.array(shift) * DENOMINATOR).astype(int) % DENOMINATOR]).ravel()
            )
            for rotation, shift in zip(theirs.rotations, theirs.translations, strict=True)
        }
        assert ours == expected, f"group {number}: the operations differ from moyopy's"
    print("rewritten", changed, "positions", len(arrays["letter"]))
    operators = np.concatenate(arrays["operators"])
    tables = {
        "group": np.array(arrays["group"], dtype=np.uint8),
        "letter": np.array(arrays["letter"], dtype="U1"),
        "multiplicity": np.array(arrays["multiplicity"], dtype=np.uint8),
        "free": np.array(arrays["free"]),
        "linear": operators[:, :, :3].astype(np.int8),
        "shift": operators[:, :, 3].astype(np.int8),
        "site_symmetry": np.array(site_symmetries(arrays)),
    }
    np.savez_compressed(TARGET, **tables)
    print(TARGET, TARGET.stat().st_size)


def site_symmetries(arrays: dict[str, list]) -> list[str]:
    """Ask moyopy for the symbol of every position, and check its letters and representatives against the table."""
    from moyopy import Cell, MoyoDataset, Setting

    rng = np.random.default_rng(0)
    found: dict[tuple[int, str], str] = {}
    groups = np.array(arrays["group"])
    for number in range(1, 231):
        rows = np.flatnonzero(groups == number)
        cell = random_cell(number, rng)
        for row in rows:
            frac, numbers = [], []
            for which, element in ((rows[-1], 1), (rows[-1], 2), (row, 3)):
                operators = arrays["operators"][which]
                x = rng.uniform(0, 1, 3)
                point = operators[:, :, :3] @ x + operators[:, :, 3] / DENOMINATOR
                frac.append(point % 1.0)
                numbers += [element] * len(point)
            dataset = MoyoDataset(
                Cell(cell.tolist(), np.concatenate(frac).tolist(), numbers), symprec=1e-4, setting=Setting.standard()
            )
            assert dataset.number == number, (number, dataset.number)
            for _, sequence in dataset.normalizer_wyckoff_positions().coset_representatives:
                for position in sequence:
                    key = number, position.letter
                    assert found.setdefault(key, position.site_symmetry) == position.site_symmetry
                    same = [r for r in rows if arrays["letter"][r] == position.letter]
                    assert arrays["multiplicity"][same[0]] == position.multiplicity
                    check_representative(arrays["operators"][same[0]], position.coordinates, rng, key)
    keys = list(zip(arrays["group"], arrays["letter"], strict=True))
    missing = [key for key in keys if key not in found]
    assert not missing, missing
    return [found[key] for key in keys]


def check_representative(operators: np.ndarray, coordinates: str, rng: np.random.Generator, key: tuple) -> None:
    """A point of moyopy's representative must lie on the orbit that our table makes from it."""
    theirs = parse(coordinates)
    point = theirs[:, :3] @ rng.uniform(0, 1, 3) + theirs[:, 3] / DENOMINATOR
    for operator in operators:
        # on one of the position's subspaces, modulo the lattice: projecting by that operator's own pivots leaves it
        rewritten, _ = by_coordinates(operator[None])
        image = rewritten[0, :, :3] @ point + rewritten[0, :, 3] / DENOMINATOR
        if np.allclose((image - point + 0.5) % 1.0, 0.5, atol=1e-9):
            return
    for shifts in np.ndindex(3, 3, 3):  # a subspace that meets the cell again one lattice vector on
        for operator in operators:
            rewritten, _ = by_coordinates(operator[None])
            moved = point + np.array(shifts) - 1
            image = rewritten[0, :, :3] @ moved + rewritten[0, :, 3] / DENOMINATOR
            if np.allclose((image - moved + 0.5) % 1.0, 0.5, atol=1e-9):
                return
    raise AssertionError(f"{key}: {coordinates} is not on the orbit")


def random_cell(number: int, rng: np.random.Generator) -> np.ndarray:
    """A cell of the group's crystal system with no accidental symmetry."""
    from euhedral.core.crystal import cell_from_parameters

    a, b, c = rng.permutation([5.13, 6.71, 8.37])
    if number <= 2:
        return cell_from_parameters([a, b, c], [81.3, 97.1, 103.7])
    if number <= 15:
        return cell_from_parameters([a, b, c], [90, 103.3, 90])
    if number <= 74:
        return cell_from_parameters([a, b, c], [90, 90, 90])
    if number <= 142:
        return cell_from_parameters([a, a, c], [90, 90, 90])
    if number <= 194:
        return cell_from_parameters([a, a, c], [90, 90, 120])
    return cell_from_parameters([a, a, a], [90, 90, 90])


if __name__ == "__main__":
    main()
