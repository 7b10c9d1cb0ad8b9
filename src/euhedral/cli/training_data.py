"""Which crystals and labels a training command means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from euhedral.cli.reading import check_given
from euhedral.cli.tensor_targets import is_tensor, tensor_target
from euhedral.errors import InvalidRequestError, UnknownNameError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from euhedral.core.crystal import Crystal
    from euhedral.data.dataset import Dataset

# Labels of a class below which one is told: a network can hardly learn it, and a test of it says nothing.
_RARE: Final = 5
# Single precision ends at 3e38, and errors are squared.
_LARGEST: Final = 1e15


def open_data(
    data: str, *, labels: Path | None, targets: Sequence[str] | None, units: Sequence[str] = (),
    classes: Mapping[str, Sequence[str]] | None = None, inputs: Sequence[str] = (),
) -> tuple[Dataset, bool]:  # fmt: skip
    """Open a data set by name, or make one of a user's own data; tells whether it was a name.

    Args:
        data: a name, file, folder or pattern.
        labels: a table of labels for files without.
        targets: the values to carry; all numbers when not given.
        units: of a user's own targets, each as "band_gap=eV".
        classes: of a user's own targets that are words, in order.
        inputs: conditions that a model needs; crystals that lack one are left out, and counted.

    Raises:
        UnknownNameError: it is neither a file nor a data set's name, or has no such target or condition.
        FileFormatError: the file cannot be read, or a table of labels names none of the structures.
        InvalidRequestError: a table of labels is given for data that carry their own, or units for data that state theirs,
            or no crystal has all conditions.
    """
    from euhedral.data.catalogue import SHIPPED, is_known, load
    from euhedral.data.own import TABLES, from_files, from_table
    from euhedral.data.sources import sources

    check_given([data], what="--data")
    path, named = Path(data), is_known(data)
    if not named and not path.exists() and not set(data) & set("*?["):
        raise unknown_name("file, folder or data set", data, [*SHIPPED, *sources()], where="euhedral datasets")
    if labels is not None and (named or path.suffix in TABLES):
        raise InvalidRequestError(
            f"--labels is for structure files; {data} carries its labels itself, leave --labels out"
        )
    stated = dict(_pair(text, option="--unit", example="band_gap=eV") for text in units)
    if stated and named:
        raise InvalidRequestError(f"--unit is for your own data; {data} states its units, leave --unit out")
    carried = None if targets is None else list(dict.fromkeys((*targets, *inputs)))
    if named:
        whole = load(data)
    elif path.suffix in TABLES and path.exists():
        whole = from_table(path, targets=carried, units=stated, classes=classes, of_atoms=inputs)
    else:
        whole = from_files(path, labels=labels, targets=carried, units=stated, classes=classes, of_atoms=inputs)
    return _with_inputs(whole, inputs), named


def _with_inputs(whole: Dataset, inputs: Sequence[str]) -> Dataset:
    """Leave out crystals that lack a condition, and say how many."""
    if not inputs:
        return whole
    import numpy as np

    from euhedral.core.batch import input_fault

    for name in inputs:
        if name not in whole.values:
            raise UnknownNameError(
                f"no {name!r}, which the model needs as an input, in {whole.card.name}; it has {', '.join(whole.values) or 'no values'}"
            )
        if whole.described[name].classes:
            raise InvalidRequestError(
                f"{name!r}, which the model needs as an input, is given in words; give numbers, the same in all data"
            )
    usable = np.array([not any(input_fault(crystal, name=name) for name in inputs) for crystal in whole], dtype=bool)
    lacking = f"{len(whole) - usable.sum():,} of {len(whole):,} crystals lack {' or '.join(inputs)}, which the model needs as an input"
    if not usable.any():
        raise InvalidRequestError(f"{lacking}; add it to each crystal")
    if not usable.all():
        typer.echo(f"note: {lacking}; left out", err=True)
    return whole.select(usable)


def _pair(text: str, *, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequestError(f"{option} {text!r}: expected name=value, as {example}")
    return name, value


def parts_of(whole: Dataset, named: bool, *, split: str) -> Mapping[str, Dataset]:
    """Divide data into train, val and test, by the rule that is asked for or the one that is natural.

    Raises:
        InvalidRequestError: the rule leaves nothing to judge by.
    """
    rule = split or ("official" if "split" in whole.described else "random-0")
    if named and not split and rule != "official":
        typer.echo(f"note: {whole.card.name} has no official split; {rule} is taken (--split names another)", err=True)
    parts = whole.split(rule)
    if "test" not in parts:
        raise InvalidRequestError(
            f"the split {rule!r} of {whole.card.name} has no test part, only {', '.join(parts)}; choose another --split, or mark some "
            "rows as test"
        )
    return parts if "val" in parts else whole.split(f"{rule}+val")


def without_sets(parts: Mapping[str, Dataset], *, names: Sequence[str]) -> Mapping[str, Dataset]:
    """Leave the materials of some data sets out of all parts, and say how many that were.

    Raises:
        UnknownNameError: there is no such set.
        MissingDataError: one is not on this machine.
    """
    from euhedral.data.catalogue import load

    for name in names:
        other = load(name)
        before = sum(len(part) for part in parts.values())
        parts = {part: crystals.without(other) for part, crystals in parts.items()}
        left = sum(len(part) for part in parts.values())
        typer.echo(f"note: {before - left:,} of {before:,} crystals are materials of {name} and are left out", err=True)
    return parts


def pairs_of(texts: Sequence[str], *, option: str) -> dict[str, Any]:
    """Read words of the form "width=128"; a value is JSON, or else a word.

    Raises:
        InvalidRequestError: there is no "=".
    """
    import json

    found: dict[str, Any] = {}
    for text in texts:
        name, value = _pair(text, option=option, example="width=128")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def config_of(settings: Sequence[str], *, system: str) -> dict[str, Any]:
    """Read arguments of a system's network.

    Raises:
        UnknownNameError: the network has no such argument.
        InvalidRequestError: there is no "=", or the value is of another kind than the one that stands where none is given, or below
            zero where that one is above.
    """
    import inspect
    import json

    from euhedral.models.registry import row

    taken = {name: one for name, one in inspect.signature(row(system).load()).parameters.items() if name != "targets"}
    found = pairs_of(settings, option="--set")
    for name, value in found.items():
        if name not in taken:
            raise UnknownNameError(f"--set {name}: {system} has no such argument; it takes {', '.join(taken)}")
        usual = taken[name].default
        kinds = (int, float) if type(usual) is float else type(usual)
        if type(usual) in (int, float, bool, str) and not isinstance(value, kinds):
            raise InvalidRequestError(f"--set {name}={value}: expected a value like {usual!r}")
        # a count of layers may be none; widths, lengths and numbers of neighbours may not
        fewest = "at least 0" if name.startswith("n_") else "above 0"
        if type(usual) in (int, float) and usual > 0 and (value < 0 or (value == 0 and fewest == "above 0")):
            raise InvalidRequestError(f"--set {name}={value}: expected a number {fewest}, as {usual!r} is")
        if isinstance(usual, tuple) and not isinstance(value, list):
            raise InvalidRequestError(f"--set {name}={value}: expected a list, as --set '{name}=[{json.dumps(value)}]'")
    return found


def not_seen(
    crystals: Iterable[Crystal], *, seen: Tensor, what: str, whose: str, only_other_targets: bool = False,
) -> list[Crystal]:  # fmt: skip
    """Leave out what weights learnt from, and say how many that were.

    Args:
        crystals: to calibrate or judge with.
        seen: keys of materials (`training.seen`).
        what: the crystals, in words.
        whose: the weights' name.
        only_other_targets: nothing of what is learnt now was among what the weights learnt: all crystals stay, and it is said.

    Raises:
        InvalidRequestError: none would be left.
    """
    from euhedral.training.seen import unseen

    given = list(crystals)
    left = unseen(given, seen=seen)
    if only_other_targets:
        if len(left) < len(given):
            typer.echo(
                f"note: {len(given) - len(left):,} of {len(given):,} crystals of the {what} are materials that {whose} was trained on, "
                "for other targets; they stay",
                err=True,
            )
        return given
    if not left:
        raise InvalidRequestError(
            f"{whose} was trained on every crystal of the {what}; nothing is left to judge it by: choose another --split or other data"
        )
    if len(left) < len(given):
        typer.echo(
            f"note: {len(given) - len(left):,} of {len(given):,} crystals of the {what} are materials that {whose} was trained on; left out",
            err=True,
        )
    return left


def check_parts(parts: Mapping[str, Dataset], *, targets: Sequence[Mapping[str, Any]]) -> None:
    """Refuse parts that a run would fail on at its end, and say what of them will be weak.

    Args:
        parts: train, val and test.
        targets: as `targets_of` gives them.

    Raises:
        InvalidRequestError: there is nothing to train, calibrate or judge with.
    """
    for part in ("train", "val", "test"):
        if part not in parts or not len(parts[part]):
            raise InvalidRequestError(
                f"the split leaves no crystals for {part}; choose another --split, or give more data"
            )
    for target in targets:
        name = target["name"]
        for part in ("train", "val", "test"):
            if not parts[part].known(name).any():
                raise InvalidRequestError(
                    f"no crystal of the {part} part has a label {name!r}; choose another --target or --split, or label some"
                )
            _check_size(parts[part], name=name)
        if "classes" in target:
            _rare_classes(parts, name=name, classes=target["classes"])


def _check_size(part: Dataset, *, name: str) -> None:
    """Refuse labels that are infinite or beyond what can be computed with."""
    import numpy as np

    values = part.column(name)
    wrong = np.argwhere(np.abs(np.nan_to_num(values, posinf=np.inf, neginf=-np.inf)) > _LARGEST)
    if len(wrong):
        first = tuple(wrong[0])
        whose = "an atom" if part.described[name].kind == "site" else f"crystal {str(part.ids[first[0]])!r}"
        raise InvalidRequestError(
            f"label {name!r} of {whose} is {values[first]:g}; correct its unit or leave it empty (not more than {_LARGEST:g} can be learnt)"
        )


def _rare_classes(parts: Mapping[str, Dataset], *, name: str, classes: Sequence[str]) -> None:
    import numpy as np

    values = parts["train"].column(name)
    for position, one in enumerate(classes):
        count = int(np.count_nonzero(values == position))
        if count < _RARE:
            typer.echo(
                f"note: class {one!r} of {name} is the label of {count} of {len(parts['train']):,} training crystals; it will hardly be learnt",
                err=True,
            )


def classes_of(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read names of classes from texts of the form "metal=no,yes".

    Raises:
        InvalidRequestError: there is no "=".
    """
    pairs = (_pair(text, option="--classes", example="metal=no,yes") for text in texts)
    return {name: [word.strip() for word in listed.split(",")] for name, listed in pairs}


def targets_of(
    whole: Dataset, *, names: Sequence[str], classes: Sequence[str], default: Sequence[str], start: str = "",
    inputs: Sequence[str] = (),
) -> tuple[dict[str, Any], ...]:  # fmt: skip
    """Say what each target is, by the kind of its column.

    Args:
        whole: what is learnt from.
        names: of the targets that are asked for.
        classes: names of classes, as "metal=no,yes".
        default: targets to take of those that are there when none is asked for; all of them when none of these is.
        start: weights that training begins from; empty for none.
        inputs: conditions that the model is given, which are not learnt unless they are named.

    Raises:
        UnknownNameError: the data have no such target.
        InvalidRequestError: there is nothing to learn, or it is of a shape that cannot be learnt.
    """
    stated = classes_of(classes)
    found: list[dict[str, Any]] = []
    chosen = (
        list(names)
        or [name for name in default if name in whole.described]
        or [name for name in whole.targets if name not in inputs]
    )
    for name in chosen:
        column = whole.described.get(name)
        if column is None or column.kind == "text":
            raise UnknownNameError(
                f"no target named {name!r} in {whole.card.name}; it has {', '.join(whole.targets) or 'none'}"
            )
        if name in stated or column.classes:
            kind = {"kind": "category", "classes": stated.get(name, column.classes), "per_atom": column.kind == "site"}
        elif is_tensor(column):
            kind = tensor_target(whole, name=name, start=start)
        elif column.kind == "array" and len(column.shape) == 1:
            kind = {"kind": "spectrum", "size": column.shape[0]}
        elif column.kind == "array":
            raise InvalidRequestError(
                f"target {name!r} holds arrays of shape {column.shape}; give a spectrum (n,), a Cartesian tensor (3, 3), (3, 3, 3) or "
                "(3, 3, 3, 3), or one in Voigt's order, (3, 6) or (6, 6)"
            )
        else:
            kind = {"kind": "scalar", "per_atom": column.kind == "site"}
        found.append({**kind, "name": name})
    if not found:
        raise InvalidRequestError(
            "there is no number to learn in these data; give --labels labels.csv (a column 'id' with the names of the files, and one "
            "for each value), or structures that carry numbers (extxyz, a table)"
        )
    return tuple(found)
