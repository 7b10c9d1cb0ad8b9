"""What features do when their crystal is turned, mirrored, moved, permuted or repeated: said once, then tested.

A behaviour predicts the features after a `Change` from those before it; anything with its two methods is one.

    {"energy": Extensive(), "forces": PerAtom(CartesianTensor(rank=1)), "stress": CartesianTensor(rank=2)}
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from euhedral.errors import InvalidRequestError
from euhedral.testing.transforms import Change

# Rows beyond which unordered sets that disagree are not matched one by one: the matching takes the third power of them.
_MOST_MATCHED: Final = 2000


class Behaviour(Protocol):
    """How one kind of features follows a change of the crystal."""

    def expected(self, before: Any, change: Change) -> Any:
        """Predict the features after a change from those before it."""
        ...

    def deviation(self, after: Any, expected: Any) -> float:
        """Measure how far features are from what was predicted: 0 where they agree, infinite where they cannot be compared."""
        ...


class _Numbers:
    """Features that are arrays: the largest difference, over one plus the largest number expected."""

    def deviation(self, after: Any, expected: Any) -> float:
        """Measure the largest difference of two arrays, relative where they are large."""
        got, wanted = _array(after), _array(expected)
        if got.shape != wanted.shape:
            return float("inf")
        if not got.size:
            return 0.0
        with np.errstate(invalid="ignore"):  # infinite minus infinite is NaN, which no tolerance holds
            return float(np.abs(got - wanted).max() / (1.0 + np.abs(wanted).max()))


@dataclass(frozen=True)
class Invariant(_Numbers):
    """Numbers that stay: band gaps, fingerprints, spectra of an amount of substance."""

    def expected(self, before: Any, change: Change) -> Any:  # noqa: ARG002 - that is the point
        """Predict the same."""
        return before


@dataclass(frozen=True)
class Extensive(_Numbers):
    """Numbers that grow with the number of cells: total energies, counts."""

    def expected(self, before: Any, change: Change) -> Any:
        """Predict a multiple."""
        return change.cells * _array(before)


@dataclass(frozen=True)
class CartesianTensor(_Numbers):
    """Components along x, y, z in the last `rank` axes, which turn with the crystal.

    T'_{ij...} = Q_{ia} Q_{jb} ... T_{ab...}; an axial tensor also changes sign in a mirror (a magnetic field, or with rank 0
    a handedness), a polar one does not (a force, a stress).

    Args:
        rank: how many of the last axes are Cartesian.
        parity: polar or axial.
    """

    rank: int
    parity: Literal["polar", "axial"] = "polar"

    def expected(self, before: Any, change: Change) -> Any:
        """Predict the turned tensor.

        Raises:
            InvalidRequestError: an axis has not three components.
        """
        tensor = _array(before)
        if tensor.ndim < self.rank or set(tensor.shape[tensor.ndim - self.rank :]) - {3}:
            raise InvalidRequestError(f"a Cartesian tensor of rank {self.rank} was declared, got shape {tensor.shape}")
        for axis in range(tensor.ndim - self.rank, tensor.ndim):
            tensor = np.moveaxis(np.moveaxis(tensor, axis, -1) @ change.turn, -1, axis)
        return tensor * (np.sign(np.linalg.det(change.turn)) if self.parity == "axial" else 1.0)


@dataclass(frozen=True)
class PerAtom(_Numbers):
    """One entry an atom, in the order of the atoms: it is permuted and repeated with them.

    Args:
        of: what each entry does.
    """

    of: Behaviour

    def expected(self, before: Any, change: Change) -> Any:
        """Predict the entries of the atoms as they stand now.

        Raises:
            InvalidRequestError: the first axis is not that of the atoms.
        """
        entries = _array(self.of.expected(before, change))
        n_atoms = len(change.atoms) // change.cells
        if entries.shape[:1] != (n_atoms,):
            raise InvalidRequestError(f"features per atom were declared, got shape {entries.shape} for {n_atoms} atoms")
        return entries[change.atoms]


@dataclass(frozen=True)
class Unordered:
    """Rows in no particular order: distances, edge vectors, angles.

    Args:
        of: what each row does.
        repeated: whether each row comes once for each cell of a larger one.
    """

    of: Behaviour
    repeated: bool = True

    def expected(self, before: Any, change: Change) -> Any:
        """Predict the rows, repeated where they are."""
        rows = _array(self.of.expected(before, change))
        return np.repeat(rows, change.cells, axis=0) if self.repeated else rows

    def deviation(self, after: Any, expected: Any) -> float:
        """Measure the largest difference between rows that belong together."""
        got, wanted = _array(after), _array(expected)
        if got.shape != wanted.shape:
            return float("inf")
        if not got.size:
            return 0.0
        got, wanted = got.reshape(len(got), -1), wanted.reshape(len(wanted), -1)
        scale = 1.0 + np.abs(wanted).max()
        # along a direction that no axis of the rows shares, equal rows come in equal order
        direction = np.sqrt(np.arange(2, got.shape[1] + 2))
        first, second = np.argsort(got @ direction), np.argsort(wanted @ direction)
        worst = float(np.abs(got[first] - wanted[second]).max())
        if worst <= 1e-9 * scale or len(got) > _MOST_MATCHED or got.shape[1] == 1:
            return worst / scale
        return min(worst, _matched(got, wanted)) / scale


@dataclass(frozen=True)
class Text:
    """A string, or several: they stay to the letter."""

    def expected(self, before: Any, change: Change) -> Any:  # noqa: ARG002 - that is the point
        """Predict the same."""
        return before

    def deviation(self, after: Any, expected: Any) -> float:
        """Count the characters that differ in place."""
        got, wanted = _strings(after), _strings(expected)
        if len(got) != len(wanted):
            return float("inf")
        pairs = zip(got, wanted, strict=True)
        return float(sum(abs(len(a) - len(b)) + sum(x != y for x, y in zip(a, b, strict=False)) for a, b in pairs))


def _matched(got: NDArray, wanted: NDArray) -> float:
    """Pair rows so that their differences are smallest in sum; the largest of them."""
    from scipy.optimize import linear_sum_assignment

    cost = np.abs(got[:, None] - wanted[None]).max(-1)
    return float(cost[linear_sum_assignment(cost)].max())


def _strings(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(cast("tuple[str, ...]", value))


def _array(value: Any) -> NDArray:
    """Read numbers from an array or from a tensor on any device."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
