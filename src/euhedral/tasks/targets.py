"""What kind of thing is learnt: a number, a class, a spectrum or a tensor, of a crystal or of each of its atoms.

A kind knows the shape of a label, how many numbers a network must give for it, how these are scaled, and how an error counts.
A label that is NaN, wholly or in part, is not known and takes no part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any, Final, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from euhedral.errors import InvalidRequestError, unknown_name

#: Maps errors (...) in units of the target's scale to penalties (...).
Penalty = Callable[[Tensor], Tensor]


@runtime_checkable
class Target(Protocol):
    """One thing to learn."""

    @property
    def name(self) -> str:
        """As in `Crystal.props`, or in `Crystal.site` for what every atom has."""
        ...

    @property
    def per_atom(self) -> bool:
        """Whether every atom has one."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one label."""
        ...

    @property
    def outputs(self) -> int:
        """Numbers that a network gives for one crystal or atom."""
        ...

    def scale(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation (outputs,) that bring a network's numbers of order one to the labels (M, *shape)."""
        ...

    def shaped(self, outputs: Tensor) -> Tensor:
        """Give scaled outputs (M, outputs) the form in which a model returns them."""
        ...

    def penalty(self, predicted: Tensor, labels: Tensor, *, scale: Tensor, loss: Penalty) -> Tensor:
        """Mean penalty over what is known of the labels; 0 where nothing is.

        Args:
            predicted: (M, ...) as a model returns it.
            labels: (M, *shape).
            scale: (outputs,) deviation.
            loss: maps scaled errors to penalties, where the kind has errors at all.
        """
        ...

    def error(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """(M,) how wrong each prediction is, in the target's unit; NaN where the label is not known."""
        ...

    def combined(self, predictions: Tensor) -> Tensor:
        """(M, ...) what K networks (K, M, ...) say together."""
        ...


@dataclass(frozen=True)
class Scalar:
    """A number; its error is absolute.

    Args:
        name: of the property.
        per_atom: whether each atom has one.
    """

    name: str
    per_atom: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one label."""
        return ()

    @property
    def outputs(self) -> int:
        """Numbers that a network gives."""
        return 1

    def scale(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the known labels; a constant target keeps deviation 1."""
        return _mean_and_deviation(labels.reshape(len(labels), 1), centred=True)

    def shaped(self, outputs: Tensor) -> Tensor:
        """(M,)."""
        return outputs.squeeze(-1)

    def penalty(self, predicted: Tensor, labels: Tensor, *, scale: Tensor, loss: Penalty) -> Tensor:
        """Mean penalty over the known labels."""
        return _known_mean((predicted - labels) / scale, labels, loss=loss)

    def error(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """Absolute error."""
        return (predicted - labels).abs()

    def combined(self, predictions: Tensor) -> Tensor:
        """Mean over the networks."""
        return predictions.mean(0)


@dataclass(frozen=True)
class Category:
    """One of several classes: labels are their positions, models return logits, and an error is a wrong first choice.

    Args:
        name: of the property.
        classes: their names.
        per_atom: whether each atom has one.

    Raises:
        InvalidRequestError: there are fewer than two classes, or two of one name.
    """

    name: str
    classes: tuple[str, ...] = ("no", "yes")
    per_atom: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(str(one) for one in self.classes))
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise InvalidRequestError(
                f"target {self.name!r}: expected two or more different classes, got {self.classes}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one label."""
        return ()

    @property
    def outputs(self) -> int:
        """One logit a class."""
        return len(self.classes)

    def scale(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Leave logits as they are.

        Raises:
            InvalidRequestError: a label is no class's position.
        """
        known = labels[~torch.isnan(labels)]
        wrong = known[(known < 0) | (known >= len(self.classes)) | (known != known.round())]
        if wrong.numel():
            raise InvalidRequestError(
                f"target {self.name!r}: {wrong[0].item():g} is no class; expected 0 to {len(self.classes) - 1} for {', '.join(self.classes)}"
            )
        return labels.new_zeros(self.outputs), labels.new_ones(self.outputs)

    def shaped(self, outputs: Tensor) -> Tensor:
        """(M, classes) logits."""
        return outputs

    def penalty(self, predicted: Tensor, labels: Tensor, *, scale: Tensor, loss: Penalty) -> Tensor:  # noqa: ARG002
        """Mean cross entropy over the known labels."""
        known = ~torch.isnan(labels)
        if not bool(known.any()):
            return predicted.sum() * 0.0
        return F.cross_entropy(predicted[known], labels[known].long())

    def error(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """1 where the likeliest class is not the true one, else 0."""
        wrong = (predicted.argmax(-1) != labels.nan_to_num(-1.0).long()).to(labels.dtype)
        return torch.where(torch.isnan(labels), labels, wrong)

    def combined(self, predictions: Tensor) -> Tensor:
        """Logarithm of the mean probability (Lakshminarayanan et al. 2017, arXiv:1612.01474, section 2.4)."""
        return torch.logsumexp(predictions.log_softmax(-1), dim=0) - torch.log(torch.tensor(float(len(predictions))))


@dataclass(frozen=True)
class Spectrum:
    """Values on a fixed grid; an error is the mean absolute one over the grid.

    Args:
        name: of the property.
        size: points of the grid.
        per_atom: whether each atom has one.
    """

    name: str
    size: int
    per_atom: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one label."""
        return (self.size,)

    @property
    def outputs(self) -> int:
        """One number a point."""
        return self.size

    def scale(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """No shift, and one deviation for all points, so that zero stays zero and the form of a spectrum is kept."""
        mean, deviation = _mean_and_deviation(labels.reshape(-1, 1), centred=False)
        return mean.expand(self.size).clone(), deviation.expand(self.size).clone()

    def shaped(self, outputs: Tensor) -> Tensor:
        """(M, size)."""
        return outputs

    def penalty(self, predicted: Tensor, labels: Tensor, *, scale: Tensor, loss: Penalty) -> Tensor:
        """Mean penalty over the known points."""
        return _known_mean((predicted - labels) / scale, labels, loss=loss)

    def error(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """Mean absolute error over the known points."""
        return (predicted - labels).abs().nanmean(-1)

    def combined(self, predictions: Tensor) -> Tensor:
        """Mean over the networks."""
        return predictions.mean(0)


@dataclass(frozen=True)
class CartesianTensor:
    """A tensor in the Cartesian frame of the crystal's cell; it turns with the crystal. An error is a Frobenius norm.

    Args:
        name: of the property.
        rank: number of Cartesian indices.
        symmetry: equal index orders, as "ij=ji" for a dielectric and "ijkl=jikl=klij" for an elastic tensor; empty for none.
        per_atom: whether each atom has one.

    Raises:
        InvalidRequestError: the rank is not 1 to 4, or the symmetry does not speak of that many indices.
    """

    name: str
    rank: int
    symmetry: str = ""
    per_atom: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 4:
            raise InvalidRequestError(f"target {self.name!r}: expected a rank from 1 to 4, got {self.rank}")
        orders = self.symmetry.split("=") if self.symmetry else []
        if any(len(order) != self.rank or sorted(order) != sorted(orders[0]) for order in orders):
            raise InvalidRequestError(
                f"target {self.name!r}: the symmetry {self.symmetry!r} does not name {self.rank} indices; 'ij=ji' is one of rank 2"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one label."""
        return (3,) * self.rank

    @property
    def outputs(self) -> int:
        """Components, symmetric ones counted each time."""
        return prod(self.shape)

    def scale(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """No shift, and one deviation for all components: anything else would not turn with the crystal."""
        mean, deviation = _mean_and_deviation(labels.reshape(-1, 1), centred=False)
        return mean.expand(self.outputs).clone(), deviation.expand(self.outputs).clone()

    def shaped(self, outputs: Tensor) -> Tensor:
        """(M, 3, ...)."""
        return outputs.reshape(*outputs.shape[:-1], *self.shape)

    def penalty(self, predicted: Tensor, labels: Tensor, *, scale: Tensor, loss: Penalty) -> Tensor:
        """Mean penalty over the known components."""
        return _known_mean((predicted - labels) / scale[0], labels, loss=loss)

    def error(self, predicted: Tensor, labels: Tensor) -> Tensor:
        """Frobenius norm of the difference."""
        return (predicted - labels).flatten(1).square().sum(1).sqrt()

    def combined(self, predictions: Tensor) -> Tensor:
        """Mean over the networks."""
        return predictions.mean(0)


KINDS: Final[Mapping[str, type]] = {
    "scalar": Scalar, "category": Category, "spectrum": Spectrum, "tensor": CartesianTensor,
}  # fmt: skip

#: Kinds that do not change when the crystal is turned.
INVARIANT: Final = (Scalar, Category, Spectrum)

#: What a constructor takes for a target: the name of a scalar, a kind's plain form, or a kind.
TargetLike = str | Mapping[str, Any] | Target


def target_of(given: TargetLike) -> Target:
    """Read a target from what a configuration may hold.

    Args:
        given: a name means a scalar of each crystal; a mapping has "kind" and that kind's arguments.

    Raises:
        UnknownNameError: there is no such kind.
        InvalidRequestError: the mapping has no kind or arguments that the kind does not take.
    """
    if isinstance(given, str):
        return Scalar(given)
    if not isinstance(given, Mapping):
        return given
    kind = str(given.get("kind", ""))
    if kind not in KINDS:
        raise unknown_name("kind of target", kind, KINDS, where="tasks.targets")
    try:
        return KINDS[kind](**{key: value for key, value in given.items() if key != "kind"})
    except TypeError as error:
        raise InvalidRequestError(f"target {dict(given)}: {error}") from error


def plain(target: Target) -> str | dict[str, Any]:
    """Write a target so that JSON can hold it; `target_of` reads it."""
    if target == Scalar(target.name):
        return target.name
    kind = next(name for name, cls in KINDS.items() if isinstance(target, cls))
    arguments = {field.name: getattr(target, field.name) for field in fields(KINDS[kind])}
    return {"kind": kind} | {
        key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()
    }


def kinds_of(model: object) -> dict[str, Target]:
    """Return what each target of a model is; targets of a model that does not say are scalars."""
    kinds: Mapping[str, Target] = getattr(model, "kinds", {})
    return {name: kinds.get(name, Scalar(name)) for name in model.targets}  # type: ignore[attr-defined]


def read_targets(
    given: Sequence[TargetLike], *, system: str = "a model", kinds: tuple[type, ...] = INVARIANT, per_atom: bool = False,
) -> dict[str, Target]:  # fmt: skip
    """Read a constructor's targets, by name and in order.

    Args:
        given: as the constructor got them.
        system: for errors.
        kinds: those that the system can learn; a network on invariants cannot learn a tensor.
        per_atom: whether it can learn a value of each atom.

    Raises:
        InvalidRequestError: there is none, two have one name, or the system cannot learn one.
    """
    found = [target_of(one) for one in given]
    if not found or len({one.name for one in found}) != len(found):
        raise InvalidRequestError(f"{system} needs targets with different names, got {[one.name for one in found]}")
    for one in found:
        if not isinstance(one, kinds) or (one.per_atom and not per_atom):
            what = f"a {type(one).__name__} of each {'atom' if one.per_atom else 'crystal'}"
            raise InvalidRequestError(
                f"{system} cannot learn {one.name!r}, {what}; `euhedral systems` says what each predicts"
            )
    return {one.name: one for one in found}


def split_outputs(outputs: Tensor, *, kinds: Mapping[str, Target]) -> dict[str, Tensor]:
    """Part a network's numbers among its targets.

    Args:
        outputs: (M, sum of outputs) in the targets' units.
        kinds: the targets, in order.
    """
    parts = outputs.split([kind.outputs for kind in kinds.values()], dim=-1)
    return {name: kind.shaped(part) for (name, kind), part in zip(kinds.items(), parts, strict=True)}


def _mean_and_deviation(values: Tensor, *, centred: bool) -> tuple[Tensor, Tensor]:
    known = ~torch.isnan(values)
    count = known.sum(0).clamp(min=1)
    clean = torch.where(known, values, torch.zeros_like(values)).double()
    mean = clean.sum(0) / count if centred else torch.zeros_like(clean[0])
    spread = torch.where(known, clean - mean, torch.zeros_like(clean))
    deviation = (spread.square().sum(0) / count).sqrt()
    return mean, torch.where(deviation > 0.0, deviation, torch.ones_like(deviation))


def _known_mean(error: Tensor, labels: Tensor, *, loss: Penalty) -> Tensor:
    known = ~torch.isnan(labels)  # not of the error: a NaN that the network made must not hide
    penalty = torch.where(known, loss(torch.where(known, error, torch.zeros_like(error))), 0.0)
    return penalty.sum() / known.sum().clamp(min=1)
