"""Crystals from the files, folders and patterns that a user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from euhedral.cli.output import Advance
from euhedral.core.failure import Failure
from euhedral.errors import FileFormatError

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal


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
