from __future__ import annotations

import pytest

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.tasks.generation import Request, check_capable


def test_a_request_names_the_conditions_that_are_set():
    request = Request(n=2, chemical_system=("Li", "O"), conditions={"band_gap": 1.5})
    assert request.names == {"chemical_system", "band_gap"}


@pytest.mark.parametrize(
    "fields", [{"n": 0}, {"n": 1, "space_group": 231}, {"n": 1, "n_atoms": 0}, {"n": 1, "composition": {"Li": 1}, "chemical_system": ("O",)}]
)  # fmt: skip
def test_a_request_that_contradicts_itself_is_refused(fields):
    with pytest.raises(InvalidRequestError):
        Request(**fields)


def test_a_request_for_an_unknown_element_is_refused():
    with pytest.raises(UnknownNameError, match="Xx"):
        Request(n=1, chemical_system=("Xx",))


def test_a_generator_is_not_asked_for_what_it_cannot_do():
    class Fixed:
        capabilities = frozenset({"composition"})

        def sample(self, request, *, rng):
            raise AssertionError

    check_capable(Fixed(), Request(n=1, composition={"Li": 1}))
    with pytest.raises(InvalidRequestError, match="space_group"):
        check_capable(Fixed(), Request(n=1, space_group=225))
