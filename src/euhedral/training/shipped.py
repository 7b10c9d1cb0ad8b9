"""Which property predictors are shipped, how well each did on a test, and which one answers a question.

The table `shipped.toml` is small and committed; a test holds each of its numbers equal to the recorded result that it names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from euhedral.errors import FileFormatError, InvalidRequestError, unknown_name

#: The committed table.
TABLE: Final = Path(str(files("euhedral.training"))) / "shipped.toml"


@dataclass(frozen=True)
class Shipped:
    """One shipped predictor.

    Args:
        name: as `training.predictor.Predictor.load` takes it.
        system: the registry's name of its networks.
        sees_structure: False where it answers from the composition alone.
        test: what its errors were measured on.
        source: the committed file of results that they are from.
        errors: mean absolute error of each target, in the target's unit.
        where: keys, joined by dots, that lead to each error in the source.
    """

    name: str
    system: str
    sees_structure: bool
    test: str
    source: str
    errors: Mapping[str, float]
    where: Mapping[str, str]


@dataclass(frozen=True)
class Choice:
    """The predictor that answers, and why.

    Args:
        shipped: the predictor.
        reason: in words.
    """

    shipped: Shipped
    reason: str


def read_shipped(table: Path | None = None) -> tuple[Shipped, ...]:
    """Read the table of shipped predictors.

    Args:
        table: the file; the committed one when None.

    Raises:
        FileFormatError: it is no such table.
    """
    path = TABLE if table is None else table
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["predictor"]
        return tuple(Shipped(**{key: _frozen(value) for key, value in row.items()}) for row in rows)
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise FileFormatError(f"{path} is no table of shipped predictors ({error})") from error


def choose(target: str, *, structure: bool, known: tuple[Shipped, ...]) -> Choice:
    """Take the predictor that answers best what is asked.

    Of those that see the whole of what is given, the one of the least measured error; errors are compared where they are
    of one test. A structure is answered by a network of the composition only where no other knows the target, since to such
    a network all structures of one formula are the same.

    Args:
        target: the property.
        structure: whether a structure is given, or a formula alone.
        known: the shipped ones.

    Raises:
        UnknownNameError: no shipped predictor knows the target.
        InvalidRequestError: those that do need a structure, and a formula is given.
    """
    able = [one for one in known if target in one.errors]
    if not able:
        targets = dict.fromkeys(name for one in known for name in one.errors)
        raise unknown_name("property that a shipped model predicts", target, targets, where="euhedral predict --list")
    fitting = [one for one in able if one.sees_structure == structure]
    if structure and not fitting:
        fitting = able
    if not fitting:
        raise InvalidRequestError(
            f"no shipped model predicts {target} from a formula alone; give a structure file, or train one: "
            f"euhedral train roost --data mp-20 --target {target} --out mine, then --model mine"
        )
    rivals = [one for one in fitting if one.test == fitting[0].test]
    best = min(rivals, key=lambda one: one.errors[target])
    what = "structures" if best.sees_structure else "compositions"
    reason = (
        f"the best of {len(rivals)} shipped models of {what}"
        if len(rivals) > 1
        else f"the only shipped model of {what} for it"
    )
    return Choice(best, reason)


def _frozen(value: Any) -> Any:
    return MappingProxyType(value) if isinstance(value, dict) else value
