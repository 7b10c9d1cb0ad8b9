"""The contract of generators: a request in, exactly that many results out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from euhedral.core.crystal import Crystal
from euhedral.core.elements import atomic_number
from euhedral.core.failure import Failure
from euhedral.errors import InvalidRequestError


@dataclass(frozen=True)
class Request:
    """What to generate.

    Args:
        n: how many results.
        composition: exact formula, atoms by symbol; a multiple of it may fill the cell.
        chemical_system: symbols that may occur; every result uses at least one and no other.
        space_group: number, 1 to 230, or None for any.
        n_atoms: most atoms in the primitive cell, or None.
        conditions: wanted property values by name, in the property's unit.

    Raises:
        InvalidRequestError: a count below one, a space group that does not exist, or composition and system disagree.
        UnknownNameError: a symbol is no element's.
    """

    n: int
    composition: Mapping[str, int] | None = None
    chemical_system: tuple[str, ...] | None = None
    space_group: int | None = None
    n_atoms: int | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InvalidRequestError(f"a request needs n of at least 1, got {self.n}")
        if self.space_group is not None and not 1 <= self.space_group <= 230:
            raise InvalidRequestError(f"space group {self.space_group} does not exist; expected 1 to 230")
        if self.n_atoms is not None and self.n_atoms < 1:
            raise InvalidRequestError(f"n_atoms must be at least 1, got {self.n_atoms}")
        symbols = set(self.composition or ()) | set(self.chemical_system or ())
        for symbol in sorted(symbols):
            atomic_number(symbol)
        if self.composition and self.chemical_system and set(self.composition) - set(self.chemical_system):
            extra = ", ".join(sorted(set(self.composition) - set(self.chemical_system)))
            raise InvalidRequestError(f"the composition holds {extra}, which the chemical system leaves out")

    @property
    def names(self) -> frozenset[str]:
        """The kinds of condition that are set: what a generator must be capable of."""
        set_fields = {
            name for name in ("composition", "chemical_system", "space_group", "n_atoms") if getattr(self, name)
        }
        return frozenset(set_fields | set(self.conditions))


@runtime_checkable
class Generator(Protocol):
    """A source of new crystals."""

    #: the conditions that it obeys, by their names in `Request`
    capabilities: frozenset[str]

    def sample(self, request: Request, *, rng: torch.Generator) -> list[Crystal | Failure]:
        """Generate exactly `request.n` results; one that could not be made is a `Failure`.

        Raises:
            InvalidRequestError: the request asks for a condition that is not among the capabilities.
        """
        ...


def check_capable(generator: Generator, request: Request) -> None:
    """Refuse a request that a generator would not obey.

    Raises:
        InvalidRequestError: names the condition and the generator.
    """
    missing = request.names - generator.capabilities
    if missing:
        raise InvalidRequestError(
            f"{type(generator).__name__} cannot be asked for {', '.join(sorted(missing))}; "
            f"it obeys {', '.join(sorted(generator.capabilities)) or 'nothing'}"
        )
