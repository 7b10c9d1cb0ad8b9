"""Every row of the registry is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from euhedral.errors import InvalidRequestError, UnknownNameError
from euhedral.models.registry import ROWS, row
from euhedral.training.network import network_of

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("candidate", ROWS, ids=lambda candidate: candidate.name)
def test_the_row_loads_its_system_and_its_status_has_a_file(candidate):
    loaded = candidate.load()
    assert callable(loaded) if candidate.wing == "simulation" else isinstance(loaded, type)
    assert candidate.title
    assert candidate.doi
    if candidate.status != "implemented":
        assert (ROOT / candidate.evidence).is_file(), (
            f"{candidate.name} claims {candidate.status} without {candidate.evidence!r}"
        )


@pytest.mark.parametrize("candidate", ROWS, ids=lambda candidate: candidate.name)
def test_shipped_weights_carry_a_card(candidate):
    for name in candidate.weights:
        folder = ROOT / "src" / "euhedral" / "models" / "weights" / name
        assert list(folder.rglob("*.safetensors"))
        assert list(folder.rglob("card.json"))


OTHERS = {
    "tensors": {"kind": "tensor", "name": "dielectric_tensor", "rank": 2, "symmetry": "ij=ji"},
    "values of atoms": {"kind": "scalar", "name": "charge", "per_atom": True},
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize(
    "candidate", [one for one in ROWS if one.wing == "property"], ids=lambda candidate: candidate.name
)
def test_a_system_learns_what_its_row_says_and_others_name_those_that_do(candidate, what):
    arguments = {**candidate.tiny, "targets": [OTHERS[what]]}
    if what in candidate.learns:
        assert network_of(candidate.name, config=arguments).targets == (OTHERS[what]["name"],)
        return
    with pytest.raises(InvalidRequestError, match="cannot learn"):
        candidate.load()(**arguments)
    able = ", ".join(one.name for one in ROWS if what in one.learns)
    with pytest.raises(InvalidRequestError, match=f"; systems that learn {what}: {able}$"):
        network_of(candidate.name, config=arguments)


def test_names_are_unique():
    names = [candidate.name for candidate in ROWS]
    assert len(set(names)) == len(names)


def test_an_unknown_system_names_the_closest():
    with pytest.raises(UnknownNameError, match="did you mean cgcnn"):
        row("cgccn")
