"""Which processor or accelerator a command computes on."""

from __future__ import annotations

import typer


def device_of(name: str) -> str:
    """Check that a device is there, and say where a faster one is idle.

    Raises:
        InvalidRequestError: torch knows no such device, or finds none on this machine.
    """
    import torch

    from euhedral.errors import InvalidRequestError

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch says "not compiled for it" in both ways
        why = str(error).splitlines()[0]
        raise InvalidRequestError(f"--device {name}: {why}; cpu is always there") from error
    if name == "cpu" and torch.cuda.is_available():
        typer.echo(f"note: {torch.cuda.get_device_name()} is idle; --device cuda trains on it", err=True)
    return name
