"""Settings that can grow: what was added later is named only where it is not at its default."""

from __future__ import annotations

from dataclasses import fields


class Choice:
    """A frozen dataclass whose text leaves out fields with `repr=False` that are at their defaults.

    A checkpoint names its run by this text, so that one written before a setting existed still belongs to its run.
    """

    def __repr__(self) -> str:
        shown = [field for field in fields(self) if field.repr or getattr(self, field.name) != field.default]  # type: ignore[arg-type]
        return (
            f"{type(self).__qualname__}({', '.join(f'{field.name}={getattr(self, field.name)!r}' for field in shown)})"
        )
