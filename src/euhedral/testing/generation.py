"""What every generator must do: each check takes a generator and raises `AssertionError`.

@pytest.mark.parametrize("check", GENERATOR_CHECKS)
def test_my_generator(check):
    check(MyGenerator())
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import gcd
from typing import Final

import numpy as np
import torch

from euhedral.core.crystal import Crystal
from euhedral.core.elements import SYMBOLS, atomic_number
from euhedral.core.failure import Failure
from euhedral.errors import InvalidRequestError
from euhedral.geometry.symmetry import symmetry
from euhedral.geometry.wyckoff import primitive_basis, wyckoff_positions
from euhedral.tasks.generation import Generator, Request

SEED: Final = 20


def _sample(generator: Generator, request: Request, *, seed: int = SEED) -> list[Crystal | Failure]:
    return generator.sample(request, rng=torch.Generator().manual_seed(seed))


def _crystals(generator: Generator, request: Request) -> list[Crystal]:
    crystals = [result for result in _sample(generator, request) if isinstance(result, Crystal)]
    assert crystals, f"{request} gave failures only"
    return crystals


def exactly_as_many_as_asked(generator: Generator) -> None:
    """Every request gets n results, each a crystal or a failure with a reason."""
    for n in (1, 7):
        results = _sample(generator, Request(n=n))
        assert len(results) == n
        for result in results:
            assert isinstance(result, (Crystal, Failure))
            assert not isinstance(result, Failure) or result.reason


def same_seed_same_crystals(generator: Generator) -> None:
    """The rng decides everything."""
    first, again, other = (_sample(generator, Request(n=6), seed=seed) for seed in (SEED, SEED, SEED + 1))
    assert [_key(result) for result in first] == [_key(result) for result in again]
    assert [_key(result) for result in first] != [_key(result) for result in other]


def global_randomness_is_left_alone(generator: Generator) -> None:
    """Sampling neither uses nor moves torch's own random state."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = _sample(generator, Request(n=3))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert [_key(result) for result in first] == [_key(result) for result in _sample(generator, Request(n=3))]


def chemical_system_is_obeyed(generator: Generator) -> None:
    """No other element occurs."""
    wanted = {atomic_number(symbol) for symbol in ("Li", "Mn", "O")}
    for crystal in _crystals(generator, Request(n=12, chemical_system=("Li", "Mn", "O"))):
        assert set(crystal.numbers.tolist()) <= wanted


def composition_is_obeyed(generator: Generator) -> None:
    """Every crystal holds a whole number of formula units."""
    for formula in ({"Na": 1, "Cl": 1}, {"Sr": 1, "Ti": 1, "O": 3}):
        for crystal in _crystals(generator, Request(n=8, composition=formula)):
            counts = Counter(SYMBOLS[number] for number in crystal.numbers.tolist())
            divisor = gcd(*counts.values())
            assert {symbol: count // divisor for symbol, count in counts.items()} == formula


def space_group_is_contained(generator: Generator) -> None:
    """The crystal is unchanged by every operation of the group asked for, and the primitive cell is primitive."""
    for number in (2, 62, 139, 166, 225):
        for crystal in _crystals(generator, Request(n=5, space_group=number)):
            assert contains_group(crystal, number=number)


def atoms_are_no_more_than_asked(generator: Generator) -> None:
    """`n_atoms` bounds the primitive cell."""
    for crystal in _crystals(generator, Request(n=12, n_atoms=6)):
        assert len(crystal.numbers) <= 6


def unknown_conditions_are_refused(generator: Generator) -> None:
    """A condition that the generator does not know is refused by name, not passed over."""
    message = ""
    try:
        _sample(generator, Request(n=1, conditions={"colour": 1.0}))
    except InvalidRequestError as error:
        message = str(error)
    assert "colour" in message, "a condition that no generator knows was passed over"


def contains_group(crystal: Crystal, *, number: int, tolerance: float = 1e-3) -> bool:
    """Tell whether every operation of a space group leaves the crystal as it is.

    The operations are those of the standard setting; the crystal's cell may be the conventional one of that setting or
    the primitive one of `primitive_basis`. In any other cell the crystal must have exactly this group.

    Args:
        crystal: what to look at.
        number: of the group, 1 to 230.
        tolerance: Angstrom.
    """
    operators = wyckoff_positions(number)[-1].operators
    metric = crystal.cell @ crystal.cell.T
    for basis in (primitive_basis(number), np.eye(3)):
        back = np.linalg.inv(basis.T)
        rotations, shifts = back @ operators[:, :, :3] @ basis.T, operators[:, :, 3] @ back.T
        kept = rotations.transpose(0, 2, 1) @ metric @ rotations
        if not (np.allclose(rotations, np.round(rotations)) and np.allclose(kept, metric, atol=1e-6 * metric.max())):
            continue
        images = np.einsum("kij,nj->kni", rotations, crystal.frac) + shifts[:, None]
        difference = images[:, :, None] - crystal.frac
        distance = np.linalg.norm((difference - np.round(difference)) @ crystal.cell, axis=-1)
        same = crystal.numbers[:, None] == crystal.numbers
        if ((distance < tolerance) & same).any(-1).all():
            return True
    return symmetry(crystal).number == number


def _key(result: Crystal | Failure) -> tuple:
    if isinstance(result, Failure):
        return ("failure", result.reason)
    return (result.numbers.tobytes(), result.frac.tobytes(), result.cell.tobytes())


#: Checks of every generator, and those of generators that obey the condition of that name.
GENERATOR_CHECKS: Final[tuple[Callable[[Generator], None], ...]] = (
    exactly_as_many_as_asked, same_seed_same_crystals, global_randomness_is_left_alone, unknown_conditions_are_refused,
)  # fmt: skip
CONDITION_CHECKS: Final[dict[str, Callable[[Generator], None]]] = {
    "chemical_system": chemical_system_is_obeyed,
    "composition": composition_is_obeyed,
    "space_group": space_group_is_contained,
    "n_atoms": atoms_are_no_more_than_asked,
}
