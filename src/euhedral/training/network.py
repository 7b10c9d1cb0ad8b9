"""A system's network from its name and configuration, with a spread of its own where the configuration asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import nn

from euhedral.errors import InvalidRequestError
from euhedral.models.registry import ROWS, row
from euhedral.tasks.targets import CartesianTensor, Target, target_of
from euhedral.training.dropout import DropoutNetwork
from euhedral.training.evidential import Evidential


def inputs_of(network: object) -> tuple[str, ...]:
    """Names of the conditions that a property model, or an ensemble, is given: of a crystal first, then of its atoms."""
    return (*getattr(network, "inputs", ()), *getattr(network, "site_inputs", ()))


def network_of(system: str, *, config: Mapping[str, Any]) -> nn.Module:
    """Make a property model.

    Args:
        system: the registry's name.
        config: constructor arguments; beside them "draws", how often a network with dropout is asked (`training.dropout`), or
            "evidence", the weight of wrong evidence of an evidential network (`training.evidential`).

    Raises:
        UnknownNameError: no system has this name.
        InvalidRequestError: the system cannot be made so, cannot learn such a target, or both are asked for.
    """
    for target in config.get("targets", ()):
        _check_learns(system, target_of(target))
    arguments = dict(config)
    draws, evidence = arguments.pop("draws", 0), arguments.pop("evidence", None)
    make = row(system).load()
    if draws and evidence is not None:
        raise InvalidRequestError(f"{system}: an evidential network has its spread already; set draws to 0")
    if evidence is not None:
        targets = list(arguments.pop("targets"))
        return Evidential(
            lambda names: cast("nn.Module", make(targets=names, **arguments)), targets=targets, weight=float(evidence)
        )
    network = cast("nn.Module", make(**arguments))
    return DropoutNetwork(network, draws=int(draws)) if draws else network


def _check_learns(system: str, target: Target) -> None:
    what = "values of atoms" if target.per_atom else "tensors" if isinstance(target, CartesianTensor) else ""
    if what and what not in row(system).learns:
        able = ", ".join(one.name for one in ROWS if what in one.learns)
        raise InvalidRequestError(f"{system} cannot learn {target.name!r}; systems that learn {what}: {able}")
