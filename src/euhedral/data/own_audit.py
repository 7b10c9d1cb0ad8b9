"""What is odd about a user's data, and the data set that comes of it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from euhedral.core.crystal import Crystal
from euhedral.core.files.extxyz import NAMING
from euhedral.core.values import ValueShape, value_shapes
from euhedral.data.audit import check_apart
from euhedral.data.card import Audit, DatasetCard
from euhedral.data.columnar import Column, Columns
from euhedral.data.dataset import Dataset
from euhedral.data.encoding import content_hash, encode
from euhedral.errors import EuhedralError, FileFormatError, InvalidRequestError, unknown_name

_log = logging.getLogger(__name__)

_NAMED: Final = 3  # examples in a remark
_CLASSES: Final = 6  # different words that may be meant as classes, however few crystals have them
_PARTS: Final = ("train", "val", "test")
# interquartile ranges beyond the quartiles; of normal values not one in 10^40 is there
_FAR: Final = 10.0


@dataclass
class Collected:
    """What has been read so far, and what was left out."""

    crystals: list[Crystal] = field(default_factory=list)
    texts: dict[str, dict[str, str]] = field(default_factory=dict)  # by crystal
    rejects: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    no_values: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # crystal and cell, by column
    read: int = 0

    def keep(self, crystal: Crystal, *, text: Mapping[str, str] | None = None) -> None:
        """Take a crystal, unless its id is taken or atoms overlap."""
        self.read += 1
        if crystal.id in self.texts:
            self.reject("repeated id", f"{crystal.id!r} is there twice; the first is kept", count=False)
            return
        try:
            check_apart(crystal)
        except EuhedralError as error:
            self.reject("invalid structure", str(error), count=False)
            return
        self.crystals.append(crystal)
        self.texts[crystal.id] = dict(text or {})

    def reject(self, kind: str, reason: str, *, count: bool = True) -> None:
        """Leave a row out, for a reason; `count` it as read unless it was."""
        self.read += count
        self.rejects[kind] += 1
        self.reasons.setdefault(kind, []).append(reason)


def some(names: Sequence[str]) -> str:
    """Name the first few."""
    return ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


def finished(
    made: Collected, *, name: str, targets: Sequence[str] | None, units: Mapping[str, str] | None,
    classes: Mapping[str, Sequence[str]] | None = None, of_atoms: Sequence[str] = (),
) -> Dataset:  # fmt: skip
    """Make the data set, with its audit.

    Args:
        made: at least one crystal.
        name: of the set.
        targets: the values to carry; every number and array when None.
        units: of the targets, as far as they are known.
        classes: of the targets that are words, in order.
        of_atoms: as in `values_of_atoms`.

    Raises:
        InvalidRequestError: a target of which no crystal has a value, or whose values differ in shape, or a word that is not
            among its classes.
        UnknownNameError: a unit of something that is no target.
        FileFormatError: the column "split" says something else than train, val or test.
    """
    crystals, loose = values_of_atoms(made.crystals, known=of_atoms)
    crystals, classes = _numbered(crystals, made=made, targets=targets or (), classes=classes or {}, name=name)
    shapes = _shapes(crystals, targets=targets, loose=loose, name=name, made=made)
    units = units or {}
    for stated in units:
        if stated not in shapes:
            raise unknown_name(f"target in {name!r}", stated, shapes, where="units")
    columns = [
        Column(
            name=target, kind="site" if shape.per_atom else "array" if shape.shape else "float", unit=units.get(target, ""),
            shape=shape.shape, note="" if target in units or target in classes else "unit not stated", classes=classes.get(target, ()),
        )
        for target, shape in shapes.items()
    ]  # fmt: skip
    texts = list(dict.fromkeys(key for text in made.texts.values() for key in text if key not in shapes))
    columns += [Column(name=text, kind="text") for text in texts]
    text = {key: [made.texts[crystal.id].get(key, "") for crystal in crystals] for key in texts}
    kept = [_only(crystal, shapes) for crystal in crystals]
    table = encode(kept, columns=columns, text=text, decimals=None)
    remarks = (*_left_out(made), *made.remarks, *_odd(kept, columns))
    for remark in remarks:
        _log.warning("%s: %s", name, remark)
    splits = _parts(text.get("split", []), name=name)
    card = DatasetCard(
        name=name, version="1", title="Own data", licence="not stated", doi="", citation="",
        description="Made from a user's own files or table.", count=len(kept), units={c.name: c.unit for c in columns if c.kind != "text"},
        sha256=content_hash(kept, columns=[c.name for c in columns if c.kind != "text"]), splits=dict(splits),
        audit=Audit(read=made.read, kept=len(kept), rejects=dict(sorted(made.rejects.items())), remarks=remarks),
    )  # fmt: skip
    return Dataset(Columns(table), card=card)


def _parts(split: Sequence[str], *, name: str) -> Counter[str]:
    """Count the crystals of each part; a part of another name would be left out without a word."""
    parts = Counter(split)
    wrong = []
    for part, count in parts.items():
        if part not in (*_PARTS, ""):
            close = get_close_matches(part.lower(), _PARTS, n=1, cutoff=0.4)
            wrong.append(f"{part!r} in {count:,} rows" + (f" (did you mean {close[0]!r}?)" if close else ""))
    if wrong:
        raise FileFormatError(
            f"{name}: the column 'split' says {', '.join(wrong[:_NAMED])}; expected {', '.join(_PARTS)} or nothing: "
            "correct the cells, or call the column something else"
        )
    return parts


def values_of_atoms(crystals: Sequence[Crystal], *, known: Sequence[str] = ()) -> tuple[list[Crystal], set[str]]:
    """Move arrays that have as many rows as each crystal has atoms, of different numbers, to `site`.

    Args:
        crystals: all of a set.
        known: names that are moved too where all crystals have as many atoms.

    Returns:
        The crystals, and the names of arrays that have neither one shape nor a row for each atom.
    """
    shapes: dict[str, set[tuple[int, ...]]] = {}
    of_atoms: dict[str, bool] = {}
    for crystal in crystals:
        for key, value in crystal.props.items():
            shape = np.shape(value)
            shapes.setdefault(key, set()).add(shape)
            of_atoms[key] = of_atoms.get(key, True) and shape[:1] == (len(crystal),)
    several = {key for key, found in shapes.items() if len(found) > 1}
    moved = {key for key in shapes if of_atoms[key] and (key in several or key in known)}
    made = [
        crystal.replace(
            props={key: value for key, value in crystal.props.items() if key not in moved},
            site={**crystal.site, **{key: np.asarray(value) for key, value in crystal.props.items() if key in moved}},
        )
        for crystal in crystals
    ]
    return made, several - moved


def _numbered(
    crystals: list[Crystal], *, made: Collected, targets: Sequence[str], classes: Mapping[str, Sequence[str]], name: str
) -> tuple[list[Crystal], dict[str, tuple[str, ...]]]:
    """Put in the place of words their positions among the classes of their target; gives the classes, too."""
    found = {}
    for target in dict.fromkeys((*targets, *classes)):
        cells = ((crystal.id, made.texts[crystal.id].get(target) or crystal.props.get(target)) for crystal in crystals)
        words = {label: cell for label, cell in cells if isinstance(cell, str)}
        if not words:
            continue
        named = tuple(classes.get(target) or sorted(set(words.values())))
        if target not in classes:
            if len(named) > max(_CLASSES, len(words) // 2):
                raise InvalidRequestError(
                    f"{name}: the cells of {target!r} are no numbers or arrays, and {len(named):,} different words in {len(words):,} cells "
                    f"are no classes ({_examples([*words.items()])}); correct them, or name the classes with --classes"
                )
            made.remarks.append(f"the words of {target} are its classes, in sorted order: {', '.join(named)}")
        wrong = next((label for label, word in words.items() if word not in named), "")
        if wrong:
            raise InvalidRequestError(
                f"{name}: {target!r} of crystal {wrong!r} is {words[wrong]!r}, which is none of the classes {', '.join(named)}; name it "
                "with the others, or correct or empty its cell"
            )
        crystals = [
            crystal.replace(props={**crystal.props, target: float(named.index(words[crystal.id]))}) if crystal.id in words else crystal
            for crystal in crystals
        ]  # fmt: skip
        found[target] = named
    return crystals, found


def _shapes(
    crystals: Sequence[Crystal], *, targets: Sequence[str] | None, loose: set[str], name: str, made: Collected
) -> dict[str, ValueShape]:
    carried = dict.fromkeys(key for c in crystals for key in (*c.props, *c.site) if key not in NAMING)
    if targets is not None:
        for target in targets:
            if target not in carried and target in made.no_values:
                raise InvalidRequestError(f"{name}: {_no_numbers(target, made.no_values[target])}")
            if target not in carried:
                raise InvalidRequestError(
                    f"{name}: not one of {len(crystals):,} crystals has a value of {target!r}; known are {', '.join(carried) or 'none'}"
                )
        return value_shapes(crystals, names=list(targets))
    if loose:
        made.remarks.append(
            f"values of {some(sorted(loose))} differ in shape and are left out; ask for them by name to see where"
        )
    numbers = [key for key in carried if key not in loose and _numeric(crystals, key)]
    return value_shapes(crystals, names=numbers)


def _no_numbers(target: str, cells: Sequence[tuple[str, str]]) -> str:
    return f"not one cell of {target!r} is a number or array ({_examples(cells)}); write numbers, or words for classes"


def _examples(cells: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name!r}: {cell!r}" for name, cell in cells[:_NAMED]) + ("; ..." if len(cells) > _NAMED else "")


def _numeric(crystals: Sequence[Crystal], key: str) -> bool:
    values = (crystal.props.get(key, crystal.site.get(key)) for crystal in crystals)
    return all(np.asarray(value).dtype.kind in "fiub" for value in values if value is not None)


def _only(crystal: Crystal, shapes: Mapping[str, ValueShape]) -> Crystal:
    def plain(value: Any) -> Any:
        return float(value) if np.ndim(value) == 0 else np.asarray(value, dtype=np.float64)

    return crystal.replace(
        props={key: plain(value) for key, value in crystal.props.items() if key in shapes and not shapes[key].per_atom},
        site={key: value for key, value in crystal.site.items() if key in shapes and shapes[key].per_atom},
    )


def _left_out(made: Collected) -> list[str]:
    left_out = [
        f"{len(reasons):,} left out ({kind}): {'; '.join(reasons[:_NAMED])}{'; ...' if len(reasons) > _NAMED else ''}"
        for kind, reasons in made.reasons.items()
    ]
    return left_out + [
        f"{len(cells):,} cells of {column} are no number or array and count as not known: {_examples(cells)}"
        for column, cells in made.no_values.items()
    ]


def _odd(crystals: Sequence[Crystal], columns: Sequence[Column]) -> list[str]:
    """Find labels that are missing, not finite, far from all others, or all the same."""
    remarks = []
    for column in columns:
        if column.kind == "text":
            continue
        values = [c.site.get(column.name) if column.kind == "site" else c.props.get(column.name) for c in crystals]
        known = [
            (c.id, np.asarray(v, dtype=np.float64)) for c, v in zip(crystals, values, strict=True) if v is not None
        ]
        known = [(name, value) for name, value in known if not np.isnan(value).all()]
        if len(known) < len(crystals):
            labelled = {label for label, _ in known}
            without = [crystal.id for crystal in crystals if crystal.id not in labelled]
            remarks.append(f"{len(without):,} crystals have no {column.name}: {some(without)}")
        infinite = [name for name, value in known if np.isinf(value).any()]
        if infinite:
            remarks.append(f"{len(infinite):,} values of {column.name} are infinite: {some(infinite)}")
        remarks += _far(column, known)
    return remarks


def _far(column: Column, known: Sequence[tuple[str, NDArray[np.float64]]]) -> list[str]:
    # an array counts by its size
    sizes = np.array([float(v) if v.ndim == 0 else float(np.linalg.norm(v[np.isfinite(v)])) for _, v in known])
    finite = sizes[np.isfinite(sizes)]
    if finite.size < 4:
        return []
    if np.ptp(finite) == 0.0 and column.kind == "float":
        return [f"all values of {column.name} are {finite[0]:g}"]
    low, high = np.quantile(finite, [0.25, 0.75])
    far = ((sizes < low - _FAR * (high - low)) | (sizes > high + _FAR * (high - low))) & np.isfinite(sizes)
    if high == low or not far.any():
        return []
    rows = np.flatnonzero(far)
    examples = "; ".join(f"{known[i][0]!r}: {sizes[i]:g}" for i in rows[:_NAMED])
    remark = (
        f"{len(rows):,} values of {column.name} are far from all others ({examples}{'; ...' if len(rows) > _NAMED else ''}), "
        f"half of which lie between {low:g} and {high:g}; check their unit. They are kept"
    )
    return [remark]
