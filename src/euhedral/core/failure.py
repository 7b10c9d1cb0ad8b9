"""A result that could not be computed, as a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Stands where a result would have stood, so that a batch keeps its length.

    Args:
        reason: one line, in the user's words, that names the cause.
        id: the crystal, file or sample that failed.
        stage: the step that failed ("decode", "relax", ...).
    """

    reason: str
    id: str = ""
    stage: str = ""

    def __str__(self) -> str:
        whose = f"{self.id}: " if self.id else ""
        return f"{whose}{self.reason}"
