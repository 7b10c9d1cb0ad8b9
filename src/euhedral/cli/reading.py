"""Crystals from the files, folders, patterns, tables, data sets and formulas that a user names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from euhedral.cli.output import Advance
from euhedral.core.failure import Failure
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError

if TYPE_CHECKING:
    from euhedral.core.crystal import Crystal


def check_given(texts: Sequence[str], *, what: str) -> None:
    """Refuse an empty text, which as a path would mean the current folder.

    Args:
        texts: as the user gave them.
        what: the argument or option.

    Raises:
        InvalidRequestError: one is empty.
    """
    if not all(text.strip() for text in texts):
        raise InvalidRequestError(
            f"{what} is empty (an unset shell variable?); name files or a data set, or . for the current folder"
        )


def structures_and_formulas(
    inputs: Sequence[str], *, advance: Advance, values: Sequence[str] = ()
) -> tuple[list[Crystal], list[Crystal], list[Failure]]:
    """Tell files from formulas: what is no file or data set and reads as a formula is one.

    Args:
        inputs: what the user named.
        advance: told of what is read.
        values: as in `crystals_from`.

    Returns:
        Crystals from files; crystals that stand in for formulas (`training.stand_in`), under the formula as their id; and
        what could not be read.

    Raises:
        FileFormatError: files were named and nothing was found in them.
        InvalidRequestError: a text is empty.
    """
    from euhedral.core.files import is_file_name
    from euhedral.data.catalogue import is_known
    from euhedral.training.stand_in import stand_in

    check_given(inputs, what="an argument")
    paths, formulas, failures = [], [], []
    for given in dict.fromkeys(inputs):
        if is_known(given) or is_file_name(given):
            paths.append(given)
            continue
        try:
            formulas.append(stand_in(given))
        except EuhedralError as error:
            failures.append(Failure(reason=f"no such file, and no formula: {error}", id=given, stage="read"))
    crystals: list[Crystal] = []
    if paths:
        crystals, unread = crystals_from(paths, advance=advance, values=values)
        failures = unread + failures
    return crystals, formulas, failures


def crystals_from(
    sources: Sequence[str], *, advance: Advance, values: Sequence[str] = ()
) -> tuple[list[Crystal], list[Failure]]:
    """Read all that can be read, under the ids that training gives them, so that results and labels can be joined.

    Ids are made unique, so that every row of a result can be told from the others. Crystals with overlapping atoms are
    failures too.

    Args:
        sources: files, folders, patterns, tables (.parquet, .csv) and names of data sets.
        advance: told of what is read.
        values: columns that crystals of a table carry, as far as it has them.

    Raises:
        FileFormatError: nothing was found.
        InvalidRequestError: a source is empty.
    """
    check_given(sources, what="an argument")
    crystals: list[Crystal] = []
    failures: list[Failure] = []
    seen: dict[str, int] = {}
    for finished, result in enumerate(_results(sources, values=values), start=1):
        if finished % 100 == 0:
            advance("reading", finished, None)
        if isinstance(result, Failure):
            failures.append(result)
            continue
        count = seen[result.id] = seen.get(result.id, 0) + 1
        crystals.append(result if count == 1 else result.replace(id=f"{result.id}#{count}"))
    if not crystals and not failures:
        raise FileFormatError(
            f"no structures in {', '.join(sources)}; expected CIF, POSCAR, extxyz, JSON, or a table (.parquet, .csv)"
        )
    return _without_overlaps(crystals, failures=failures), failures


def _results(sources: Sequence[str], *, values: Sequence[str]) -> Iterator[Crystal | Failure]:
    """Read data sets and tables first, then all files together."""
    from euhedral.core.crystal import Crystal
    from euhedral.core.files import read_many
    from euhedral.data.catalogue import is_known, load
    from euhedral.data.own import TABLES, crystals_of_table, own_names

    files = []
    for source in dict.fromkeys(sources):
        if is_known(source):
            yield from load(source)
        elif Path(source).suffix in TABLES and Path(source).is_file():
            try:
                crystals, failures = crystals_of_table(source, values=values)
            except EuhedralError as error:
                crystals, failures = [], [Failure(reason=str(error), id=source, stage="read")]
            yield from (*crystals, *failures)
        else:
            files.append(source)
    found = list(read_many(files))
    own = own_names([one for one in found if isinstance(one, Crystal)])
    yield from (one.replace(id=own.get(one.id, one.id)) if isinstance(one, Crystal) else one for one in found)


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
