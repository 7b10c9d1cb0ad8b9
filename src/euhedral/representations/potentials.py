"""Pair potentials whose sums over a lattice can be made exact: powers of the distance, screened Coulomb, exponentials.

Each is a mixture of Gaussians, V(r) = int_0^inf w(t) exp(-t r^2) dt with w >= 0. That is what the sums need: wide Gaussians
are summed over the reciprocal lattice, narrow ones over the lattice itself, and what is left out of either is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar, Final

from euhedral.errors import InvalidRequestError

# Above this power a pair at 0.1 Angstrom would pass what a double can add up.
_LARGEST_EXPONENT: Final = 30.0
# Nearer to a whole number than this, the two series of the incomplete gamma function cancel each other.
_FROM_WHOLE: Final = 0.01 * (1.0 - 1e-9)
# With a longer screening the mean of the sum, 4 pi l^2 / V, would drown the rest in rounding.
_LONGEST_SCREENING: Final = 1000.0
_SLOWEST_DECAY: Final = 0.01
_FASTEST: Final = 1000.0


def _number(what: str, value: float, *, lowest: float, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise InvalidRequestError(f"the {what} must be a finite number, got {value!r}")
    if not lowest <= value <= highest:
        raise InvalidRequestError(f"the {what} must be from {lowest:g} to {highest:g}, got {value:g}")
    return float(value)


@dataclass(frozen=True)
class Power:
    """1 / r^n: Coulomb for n = 1, London's dispersion for n = 6.

    Below n = 3 the sum diverges; it then stands for its analytic continuation in n (Epstein's zeta function), which is the sum
    with a neutralising uniform background and zero mean over the cell: Ewald's.

    Args:
        exponent: n, positive and not 3; a whole number or at least 0.01 away from one.

    Raises:
        InvalidRequestError: no such sum exists or it cannot be computed.
    """

    kind: ClassVar[int] = 0
    itself: ClassVar[bool] = False
    shrinks_with_cell: ClassVar[bool] = False

    exponent: float = 1.0

    def __post_init__(self) -> None:
        n = _number("exponent of a power", self.exponent, lowest=0.01, highest=_LARGEST_EXPONENT)
        if abs(n - 3.0) < _FROM_WHOLE:
            raise InvalidRequestError(
                f"the sum of 1/r^{n:g} over a lattice has no value, not even by continuation; choose an exponent other than 3"
            )
        if n != round(n) and abs(n - round(n)) < _FROM_WHOLE:
            raise InvalidRequestError(f"the exponent {n} is too near a whole number; choose {round(n)}")

    @property
    def parameter(self) -> float:
        """What the compiled loops are given."""
        return float(self.exponent)


@dataclass(frozen=True)
class Screened:
    """exp(-r / l) / r: Coulomb screened (Yukawa).

    As l grows it comes to the Coulomb sum of `Power(1)` plus its mean, 4 pi l^2 / V.

    Args:
        length: l, Angstrom.

    Raises:
        InvalidRequestError: the length is not positive, or outside of what double precision can sum.
    """

    kind: ClassVar[int] = 1
    itself: ClassVar[bool] = False
    shrinks_with_cell: ClassVar[bool] = False

    length: float

    def __post_init__(self) -> None:
        _number("screening length in Angstrom", self.length, lowest=1.0 / _FASTEST, highest=_LONGEST_SCREENING)

    @property
    def parameter(self) -> float:
        """What the compiled loops are given: 1 / l."""
        return 1.0 / float(self.length)


@dataclass(frozen=True)
class Exponential:
    """exp(-k r): Pauli repulsion.

    Args:
        decay: k, 1/Angstrom.
        itself: count an atom at no distance from itself, exp(0) = 1.
        shrinks_with_cell: divide k by the sixth root of the cell's volume. The sums then depend on the cell that was chosen
            to describe the crystal: a supercell has others.

    Raises:
        InvalidRequestError: the decay is not positive, or outside of what double precision can sum.
    """

    kind: ClassVar[int] = 2

    decay: float = 3.0
    itself: bool = False
    shrinks_with_cell: bool = False

    def __post_init__(self) -> None:
        _number("decay of an exponential in 1/Angstrom", self.decay, lowest=_SLOWEST_DECAY, highest=_FASTEST)

    @property
    def parameter(self) -> float:
        """What the compiled loops are given."""
        return float(self.decay)


PairPotential = Power | Screened | Exponential

#: Coulomb, London dispersion and Pauli repulsion as PotNet's paper defines them (Lin et al. 2023, arXiv:2306.10045).
POTNET: Final[tuple[PairPotential, ...]] = (Power(1.0), Power(6.0), Exponential(3.0))

#: The same as the authors' program computes them, with which their figures were obtained: it measures lengths in units of
#: V^(1/3) but multiplies the decay by V^(1/6) only, and it counts each atom's repulsion of itself.
POTNET_PROGRAM: Final[tuple[PairPotential, ...]] = (
    Power(1.0), Power(6.0), Exponential(3.0, itself=True, shrinks_with_cell=True),
)  # fmt: skip
