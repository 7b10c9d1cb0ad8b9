"""Weights that were learnt on one task, taken over for another: what fits is loaded, and it is said what was and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from euhedral.errors import InvalidRequestError


@dataclass(frozen=True)
class TransferReport:
    """Which tensors of a network were taken over.

    Args:
        loaded: names that were given and fit.
        misfit: names that were given in another shape, and stay as they were.
        missing: names that were not given, and stay as they were.
        unused: names that were given and that the network does not have.
        values: how many numbers were loaded, and how many the network has.
        left: names that were asked to stay as they were.
    """

    loaded: tuple[str, ...]
    misfit: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    values: tuple[int, int]
    left: tuple[str, ...] = ()

    def __str__(self) -> str:
        share = self.values[0] / max(self.values[1], 1)
        kept = _listed("as they were", [*self.misfit, *self.missing]) + _listed("left out", self.left)
        unused = f"; not used: {len(self.unused)}" if self.unused else ""
        return f"loaded {len(self.loaded)} tensors, {share:.0%} of the network's numbers{kept}{unused}"


def _listed(what: str, names: Sequence[str]) -> str:
    return f"; {what}: {', '.join(sorted(names)[:6])}{', ...' if len(names) > 6 else ''}" if names else ""


def take_over(
    model: nn.Module, *, tensors: Mapping[str, Tensor], prefix: str = "", leave: Sequence[str] = ("scaling.*",),
) -> TransferReport:  # fmt: skip
    """Load into a network the tensors whose name and shape fit.

    Args:
        model: changed in place.
        tensors: by name, as `tasks.weights.load_weights` gives them.
        prefix: of the names to take, cut off; "members.0." for the first network of a predictor.
        leave: patterns of names that stay as they are.

    Raises:
        InvalidRequestError: nothing fits.
    """
    given = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    own = model.state_dict()
    wanted = {name for name in own if not any(fnmatchcase(name, pattern) for pattern in leave)}
    fitting = {name: given[name] for name in wanted & given.keys() if given[name].shape == own[name].shape}
    if not any(value.is_floating_point() for value in fitting.values()):
        raise InvalidRequestError(
            f"none of the {len(given)} tensors fits {type(model).__name__}, for example {next(iter(given), 'none')!r}; "
            "the weights are of another system or another size"
        )
    model.load_state_dict(fitting, strict=False)
    return TransferReport(
        loaded=tuple(sorted(fitting)),
        misfit=tuple(sorted(wanted & given.keys() - fitting.keys())),
        missing=tuple(sorted(wanted - given.keys())),
        unused=tuple(sorted(given.keys() - own.keys())),
        values=(sum(value.numel() for value in fitting.values()), sum(value.numel() for value in own.values())),
        left=tuple(sorted(own.keys() & given.keys() - wanted)),
    )


def output_layer(model: nn.Module) -> tuple[str, ...]:
    """Pattern of the names of a property model's last layer: the last linear map of its `output`; none without one."""
    output = getattr(model, "output", None)
    if not isinstance(output, nn.Module):
        return ()
    maps = [name for name, module in output.named_modules(prefix="output") if isinstance(module, nn.Linear)]
    return (f"{maps[-1] if maps else 'output'}.*",)


def freeze(model: nn.Module, *, patterns: Sequence[str]) -> int:
    """Keep parameters as they are in training; returns how many numbers stay.

    Args:
        model: changed in place.
        patterns: of parameter names, "embedding.*".

    Raises:
        InvalidRequestError: a pattern names nothing, or nothing would be left to train.
    """
    named = dict(model.named_parameters())
    frozen: set[str] = set()
    for pattern in patterns:
        found = {name for name in named if fnmatchcase(name, pattern)}
        if not found:
            raise InvalidRequestError(
                f"no parameter of {type(model).__name__} is named {pattern!r}; it has {', '.join(sorted({n.split('.')[0] for n in named}))}"
            )
        frozen |= found
    if frozen == named.keys():
        raise InvalidRequestError(f"freezing {', '.join(patterns)} leaves nothing of {type(model).__name__} to train")
    for name in frozen:
        named[name].requires_grad = False
    return sum(named[name].numel() for name in frozen)
