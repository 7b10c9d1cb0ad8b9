"""Sets of compositions: values by formula, without structures.

    log_kvrh = load_compositions("matbench-log-kvrh")
    train = log_kvrh.split("fold-0")["train"]
    train.fractions(SYMBOLS[1:]), train.column("log10_bulk_modulus")

They are divided by the same names as sets of crystals, as far as no structure is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from euhedral.core.composition import fractions, parse_formula
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.data.cache import mirror_folder, originals_folder
from euhedral.data.card import Audit, DatasetCard, SourceFile
from euhedral.data.checksum import file_sha256
from euhedral.data.column import Column
from euhedral.data.labels import number_of
from euhedral.data.readers import read_rows
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, MissingDataError, unknown_name


@dataclass(frozen=True)
class CompositionSource:
    """One set of compositions as published.

    Args:
        name: as given to `load_compositions`.
        file: its name, without ending.
        column: the values, in the authors' file.
        target: the quantity that they are.
        rows: how many.
        classes: whether the values are classes, 0 and 1.
        sha256: of the authors' file; empty when not known.
        title: one line.
        licence: of the data.
        doi: of the data or of the paper that describes them.
        citation: BibTeX.
        description: what a user must know first.
    """

    name: str
    file: str
    column: str
    target: str
    rows: int
    classes: bool
    sha256: str
    title: str
    licence: str
    doi: str
    citation: str
    description: str


@dataclass(frozen=True, eq=False)
class CompositionSet:
    """Compositions with one value each, in the order of their source; divided by the same names as a `Dataset`.

    Args:
        card: what the set is.
        ids: (n,) names.
        formulas: (n,) as the source writes them.
        amounts: (n, 119) atomic fractions, by atomic number.
        columns: what is known of each.
        described: unit and method of each column.
        classes: the column of classes, which folds divide evenly; empty where values are numbers.
    """

    card: DatasetCard
    ids: NDArray[np.str_]
    formulas: NDArray[np.str_]
    amounts: NDArray[np.float64]
    columns: Mapping[str, NDArray]
    described: Mapping[str, Column]
    classes: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<CompositionSet {self.card.name!r}, {len(self):,} compositions, targets {', '.join(self.targets)}>"

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the values."""
        return tuple(self.columns)

    def crystals(self) -> None:
        """There are no structures."""

    def column(self, name: str) -> NDArray:
        """Return one column: (n,) float64 with NaN where not known, or the ids.

        Raises:
            UnknownNameError: the set has no such column.
        """
        if name == "id":
            return self.ids
        if name not in self.columns:
            raise unknown_name(f"column in {self.card.name!r}", name, self.columns, where="euhedral datasets")
        return self.columns[name]

    def element_table(self) -> NDArray[np.bool_]:
        """Tell which elements each composition has, (n, 119) by atomic number."""
        return self.amounts > 0.0

    def fractions(self, elements: Sequence[str]) -> NDArray[np.float64]:
        """Give the composition of each row.

        Args:
            elements: k symbols.

        Returns:
            (n, k) atomic fractions.

        Raises:
            UnknownNameError: a symbol is no element's.
        """
        return self.amounts[:, [atomic_number(symbol) for symbol in elements]]

    def select(self, rows: ArrayLike) -> CompositionSet:
        """Take some of the rows, by position or by truth values, in the order given."""
        chosen = np.asarray(rows)
        return replace(
            self, ids=self.ids[chosen], formulas=self.formulas[chosen], amounts=self.amounts[chosen],
            columns={name: values[chosen] for name, values in self.columns.items()},
        )  # fmt: skip

    def split(self, name: str) -> Mapping[str, CompositionSet]:
        """Divide the set by a named rule, as `Dataset.split` does.

        Raises:
            UnknownNameError: no rule has this name, or it needs structures.
        """
        from euhedral.data.splits import positions

        return {part: self.select(rows) for part, rows in positions(self, name).items()}


@cache
def composition_sources() -> Mapping[str, CompositionSource]:
    """Return every source of compositions by name."""
    rows = json.loads(files("euhedral.data").joinpath("compositions.json").read_text(encoding="utf-8"))
    return MappingProxyType({row["name"]: CompositionSource(**row) for row in rows})


def load_compositions(name: str) -> CompositionSet:
    """Open a set of compositions, from the cache folder or from a mirror's tables (`EUHEDRAL_DATA`).

    Args:
        name: one of `composition_sources`.

    Raises:
        UnknownNameError: nothing has this name.
        MissingDataError: its file is not on this machine.
        FileFormatError: the file is damaged or another one.
    """
    known = composition_sources()
    if name not in known:
        raise unknown_name("set of compositions", name, known, where="euhedral.data.composition_sources")
    source = known[name]
    mirror = mirror_folder()
    published = f"{source.file}.json.gz"
    places = [originals_folder(name) / published]
    if mirror is not None:
        places += [mirror / "matbench" / published, mirror / "matbench" / "composition" / f"{source.file}.parquet"]
    for path in places:
        if path.is_file():
            return read_compositions(source, path=path)
    raise MissingDataError(
        f"{name} is not on this machine; put https://ml.materialsproject.org/projects/{published} into {places[0].parent}, or "
        f"set EUHEDRAL_DATA to a folder that holds matbench/composition/{source.file}.parquet"
    )


def read_compositions(source: CompositionSource, *, path: Path) -> CompositionSet:
    """Read a set of compositions from its authors' file (.json.gz) or a mirror's table.

    Every row is kept, because the published folds are drawn from their order.

    Args:
        source: what the file is.
        path: of the file.

    Raises:
        FileFormatError: a row is no composition with a number, or there are more or fewer than there should be.
    """
    names, formulas, values = [], [], []
    amounts = []
    width = len(str(source.rows))
    for number, row in enumerate(read_rows(path)):
        where = f"{path.name}, row {number}"
        formula, composition = _composition(row, where=where)
        value = number_of(row, source.column if source.column in row else "target", where=where)
        names.append(f"{source.name.replace('matbench', 'mb')}-{number + 1:0{width}d}")
        formulas.append(formula)
        values.append(np.nan if value is None else value)
        amounts.append(composition)
    if len(names) != source.rows:
        raise FileFormatError(
            f"{path} has {len(names):,} rows, expected {source.rows:,}; it is cut off or another version"
        )
    column = Column.target(source.target)
    unknown = int(np.isnan(values).sum())
    remarks = (f"{unknown:,} compositions have no {source.target}",) if unknown else ()
    card = DatasetCard(
        name=source.name, version="Matbench v0.1", title=source.title, licence=source.licence, doi=source.doi,
        citation=source.citation, description=source.description, count=len(names), units={source.target: column.unit},
        sources=(SourceFile(name=path.name, url="", sha256=file_sha256(path), size=path.stat().st_size),),
        audit=Audit(read=len(names), kept=len(names), remarks=remarks),
    )  # fmt: skip
    return CompositionSet(
        card=card, ids=np.array(names), formulas=np.array(formulas), amounts=np.stack(amounts),
        columns={source.target: np.array(values, dtype=np.float64)}, described={source.target: column},
        classes=source.target if source.classes else "",
    )  # fmt: skip


def composition_set(
    formulas: Iterable[str],
    *,
    values: Mapping[str, ArrayLike],
    name: str = "own",
    units: Mapping[str, str] | None = None,
) -> CompositionSet:
    """Make a set of compositions from formulas and values.

    Args:
        formulas: n texts such as "Ca(OH)2"; amounts may be fractions.
        values: (n,) of each target, NaN where not known.
        name: of the set.
        units: of the targets; not known for those that are not named.

    Raises:
        FileFormatError: a text is no formula.
        UnknownNameError: a symbol is no element's.
        InvalidRequestError: there are no formulas, or not as many values.
    """
    written = list(formulas)
    columns = {target: np.asarray(numbers, dtype=np.float64) for target, numbers in values.items()}
    for target, numbers in columns.items():
        if numbers.shape != (len(written),) or not written:
            raise InvalidRequestError(
                f"{name}: {target!r} needs a number for each of {len(written)} formulas, got shape {numbers.shape}"
            )
    described = {target: Column(name=target, unit=(units or {}).get(target, "")) for target in columns}
    card = DatasetCard(
        name=name, version="1", title="Own compositions", licence="not stated", doi="", citation="",
        description="Made from formulas in memory.", count=len(written), units={t: c.unit for t, c in described.items()},
        audit=Audit(read=len(written), kept=len(written)),
    )  # fmt: skip
    amounts = [_amounts(text, where=f"{name}, row {row}") for row, text in enumerate(written)]
    ids = np.array([f"{name}-{row}" for row in range(len(written))])
    return CompositionSet(
        card=card, ids=ids, formulas=np.array(written), amounts=np.stack(amounts), columns=columns, described=described
    )


def _composition(row: Mapping[str, object], *, where: str) -> tuple[str, NDArray[np.float64]]:
    structure = row.get("structure")
    if isinstance(structure, Mapping):
        from euhedral.core.composition import formula
        from euhedral.data.readers import structure_of

        numbers = structure_of(row, column="structure", name=where).numbers
        return formula(numbers), np.bincount(numbers, minlength=len(SYMBOLS)) / len(numbers)
    text = str(row.get("composition") or row.get("formula") or "")
    return text, _amounts(text, where=where)


def _amounts(text: str, *, where: str) -> NDArray[np.float64]:
    try:
        parts = fractions(parse_formula(text))
    except EuhedralError as error:
        raise type(error)(f"{where}: {error}") from None
    amounts = np.zeros(len(SYMBOLS))
    for symbol, amount in parts.items():
        amounts[atomic_number(symbol)] = amount
    return amounts
