"""What a run was asked; two runs are the same when their questions are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from euhedral.core.elements import atomic_number
from euhedral.errors import InvalidRequestError


@dataclass(frozen=True)
class Question:
    """What to look for.

    Args:
        elements: symbols of the chemical system.
        targets: goals as the user wrote them.
        candidates: how many new crystals to relax.
        seed: of everything that is drawn.
        subsystems: allow candidates that lack some of the elements.
        max_atoms: most atoms in a candidate's primitive cell.
        space_group: of the proposals, or None for any.
        fmax: eV/Angstrom, where relaxation stops.
        steps: most evaluations in one relaxation.

    Raises:
        InvalidRequestError: no elements, or a number that makes no sense.
        UnknownNameError: a symbol is no element's.
    """

    elements: tuple[str, ...]
    targets: tuple[str, ...] = ()
    candidates: int = 64
    seed: int = 0
    subsystems: bool = False
    max_atoms: int = 20
    space_group: int | None = None
    fmax: float = 0.05
    steps: int = 200

    def __post_init__(self) -> None:
        if not self.elements:
            raise InvalidRequestError("no elements to work with; write them like --elements Li,Mn,O")
        for symbol in self.elements:
            atomic_number(symbol)
        object.__setattr__(self, "elements", tuple(sorted(set(self.elements))))
        for name, low in (("candidates", 1), ("max_atoms", 1), ("steps", 1)):
            if getattr(self, name) < low:
                raise InvalidRequestError(f"{name} must be at least {low}, got {getattr(self, name)}")
        if not self.fmax > 0.0:
            raise InvalidRequestError(f"fmax must be positive, got {self.fmax}")
        if self.max_atoms < len(self.elements) and not self.subsystems:
            raise InvalidRequestError(
                f"{self.max_atoms} atoms cannot hold {len(self.elements)} elements; raise --max-atoms"
            )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Question:
        """Rebuild from JSON values; unknown keys are left out."""
        known = {field.name for field in fields(cls)}
        built = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known
        }
        return cls(**built)

    def differences(self, other: Question) -> list[str]:
        """Say in what two questions differ, one phrase for each field."""
        return [
            f"{field.name} is {getattr(self, field.name)!r} there and {getattr(other, field.name)!r} here"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]

    @property
    def text(self) -> str:
        """The question in one sentence."""
        goal = f" with {' and '.join(self.targets)}" if self.targets else ""
        return f"New crystals of {'-'.join(self.elements)}{goal}"
