"""Crystals from the files, folders, patterns and formulas that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from euhedral.cli.output import Advance
from euhedral.core.failure import Failure
from euhedral.errors import FileFormatError

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal


def structures_and_formulas(
    inputs: Sequence[str], *, advance: Advance
) -> tuple[list[Crystal], list[Crystal], list[Failure]]:
    """Tell files from formulas: what is no file and reads as a formula is one.

    Returns:
        Crystals from files; crystals that stand in for formulas (`training.stand_in`), under the formula as their id; and
        what could not be read.

    Raises:
        FileFormatError: files were named and nothing was found in them.
    """
    from euhedral.core.files import is_file_name
    from euhedral.errors import EuhedralError
    from euhedral.training.stand_in import stand_in

    paths, formulas, failures = [], [], []
    for given in dict.fromkeys(inputs):
        if is_file_name(given):
            paths.append(Path(given))
            continue
        try:
            formulas.append(stand_in(given))
        except EuhedralError as error:
            failures.append(Failure(reason=f"no such file, and no formula: {error}", id=given, stage="read"))
    crystals: list[Crystal] = []
    if paths:
        crystals, unread = crystals_from(paths, advance=advance)
        failures = unread + failures
    return crystals, formulas, failures


def crystals_from(paths: Sequence[Path], *, advance: Advance) -> tuple[list[Crystal], list[Failure]]:
    """Read all that can be read; ids are made unique, so that every row of a result can be told from the others.

    Crystals with overlapping atoms are failures too.

    Raises:
        FileFormatError: nothing was found.
    """
    from euhedral.core.files import read_many

    crystals: list[Crystal] = []
    failures: list[Failure] = []
    seen: dict[str, int] = {}
    for finished, result in enumerate(read_many(paths), start=1):
        if finished % 100 == 0:
            advance("reading", finished, None)
        if isinstance(result, Failure):
            failures.append(result)
            continue
        count = seen[result.id] = seen.get(result.id, 0) + 1
        crystals.append(result if count == 1 else result.replace(id=f"{result.id}#{count}"))
    if not crystals and not failures:
        raise FileFormatError(
            f"no structure files in {', '.join(map(str, paths))}; expected CIF, POSCAR, extxyz or JSON"
        )
    return _without_overlaps(crystals, failures=failures), failures


def _without_overlaps(crystals: list[Crystal], *, failures: list[Failure]) -> list[Crystal]:
    """Set crystals with two atoms in one place aside: no model says anything sensible of them."""
    from euhedral.metrics.validity import structurally_valid, structure_fault

    kept = []
    for crystal, valid in zip(crystals, structurally_valid(crystals), strict=True):
        if valid:
            kept.append(crystal)
        else:
            reason = f"{structure_fault(crystal)}; separate the atoms or remove one"
            failures.append(Failure(reason=reason, id=crystal.id, stage="read"))
    return kept
