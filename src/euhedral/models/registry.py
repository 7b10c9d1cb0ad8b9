"""The table of systems: plain text, so that nothing is imported until it is asked for."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from euhedral.errors import InvalidRequestError, unknown_name

if TYPE_CHECKING:
    from euhedral.tasks.pretraining import PretrainingTask

Status = Literal["implemented", "parity", "reproduced"]
Wing = Literal["property", "generation", "characterization", "potential", "simulation", "electronic"]


@dataclass(frozen=True)
class Row:
    """One published system.

    Args:
        name: what the command line calls it.
        wing: the task whose contract it keeps.
        where: "module:Class"; of a workflow of `simulation` "module:function".
        title: the paper's title.
        authors: first author and "et al.", or all.
        year: of publication.
        doi: the paper's DOI or arXiv identifier.
        representation: the review's column "data representation".
        model: the review's column "fundamental model".
        physics: the review's column "physical knowledge".
        predicts: the review's column "predicted property".
        symmetry: the symmetry that it claims.
        learns: what it learns beside numbers, classes and spectra of crystals: "tensors", "values of atoms".
        tiny: constructor arguments for a small instance, for tests.
        training: the paper's way of training, as `training.settings.settings_of` reads it.
        pretraining: "module:function" that makes what it learns without labels (`tasks.pretraining`); empty without one.
        pretraining_settings: the paper's way of doing that.
        weights: names of shipped weight folders, the default first.
        status: what has been shown.
        evidence: the committed file that shows it (a test or benchmark result).
        licence: of the weights.
    """

    name: str
    wing: Wing
    where: str
    title: str
    authors: str
    year: int
    doi: str
    representation: str
    model: str
    physics: str
    predicts: str
    symmetry: Literal["E(3)", "SE(3)", "space group", "as the potential"]
    learns: tuple[str, ...] = ()
    tiny: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    training: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    pretraining: str = ""
    pretraining_settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    weights: tuple[str, ...] = ()
    status: Status = "implemented"
    evidence: str = ""
    licence: str = ""

    def load(self) -> Any:
        """Import the system's class, or the function of a workflow."""
        return _imported(self.where)

    def load_pretraining(self) -> Callable[[Mapping[str, Any]], PretrainingTask]:
        """Import what makes its pre-training from arguments of the network with labels.

        Raises:
            InvalidRequestError: the system has none.
        """
        if not self.pretraining:
            able = ", ".join(other.name for other in ROWS if other.pretraining)
            raise InvalidRequestError(f"{self.name} has no pre-training without labels; {able} have")
        return _imported(self.pretraining)


def _imported(where: str) -> Any:
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)


def _read() -> tuple[Row, ...]:
    folder = files("euhedral.models") / "rows"
    found = []
    for wing in get_args(Wing):
        table = folder / f"{wing}.toml"
        if table.is_file():
            rows = tomllib.loads(table.read_text(encoding="utf-8"))["system"]
            found += [Row(wing=wing, **_frozen(row)) for row in rows]
    return tuple(found)


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    frozen = {dict: MappingProxyType, list: tuple}
    return {key: frozen.get(type(value), lambda same: same)(value) for key, value in row.items()}


#: Every system, by wing, in the order of its table under `models/rows`.
ROWS: Final[tuple[Row, ...]] = _read()


def row(name: str) -> Row:
    """Return one system's row.

    Raises:
        UnknownNameError: no system has this name.
    """
    for candidate in ROWS:
        if candidate.name == name:
            return candidate
    raise unknown_name("system", name, (candidate.name for candidate in ROWS), where="euhedral systems")


def load_trained(name: str, *, wing: Wing) -> Any:
    """Load a system with the weights that it ships with.

    Args:
        name: of the system.
        wing: the task that it must serve.

    Raises:
        UnknownNameError: no system of this wing has this name.
    """
    known = [candidate for candidate in ROWS if candidate.wing == wing]
    for candidate in known:
        if candidate.name == name:
            return candidate.load().load()
    raise unknown_name(f"{wing} system", name, (candidate.name for candidate in known), where="euhedral systems")
