"""The table of systems: strings only, so that nothing is imported until it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final, Literal

from euhedral.errors import unknown_name

Status = Literal["implemented", "parity", "reproduced"]
Wing = Literal["property", "generation", "characterization", "potential", "electronic"]


@dataclass(frozen=True)
class Row:
    """One published system.

    Args:
        name: what the command line calls it.
        wing: the task whose contract it keeps.
        where: "module:Class".
        title: the paper's title.
        authors: first author and "et al.", or all.
        year: of publication.
        doi: the paper's DOI or arXiv identifier.
        representation: the review's column "data representation".
        model: the review's column "fundamental model".
        physics: the review's column "physical knowledge".
        predicts: the review's column "predicted property".
        symmetry: the symmetry that it claims.
        tiny: constructor arguments for a small instance, for tests.
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
    symmetry: Literal["E(3)", "SE(3)", "space group"]
    tiny: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    weights: tuple[str, ...] = ()
    status: Status = "implemented"
    evidence: str = ""
    licence: str = ""

    def load(self) -> type:
        """Import the system's class."""
        module, _, attribute = self.where.partition(":")
        return getattr(import_module(module), attribute)


ROWS: Final[tuple[Row, ...]] = ()


def row(name: str) -> Row:
    """Return one system's row.

    Raises:
        UnknownNameError: no system has this name.
    """
    for candidate in ROWS:
        if candidate.name == name:
            return candidate
    raise unknown_name("system", name, (candidate.name for candidate in ROWS), where="euhedral systems")
