import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.registry import ROWS
from euhedral.testing.potential import POTENTIAL_CHECKS

POTENTIALS = [row for row in ROWS if row.wing == "potential"]
VARIANTS = [(row, None) for row in POTENTIALS] + [(row, weights) for row in POTENTIALS for weights in row.weights[:1]]


@pytest.fixture(scope="module", params=VARIANTS, ids=[f"{row.name}-{weights or 'tiny'}" for row, weights in VARIANTS])
def potential(request):
    row, weights = request.param
    if weights:
        return row.load().load().double()
    torch.manual_seed(0)
    return row.load()(**row.tiny).double().requires_grad_(requires_grad=False).eval()


@pytest.fixture(scope="module")
def known(potential, crystals):
    """The fixed crystals, with copper in place of an element that the potential does not know."""
    return {
        name: crystal.replace(numbers=[n if int(n) in potential.elements else 29 for n in crystal.numbers])
        for name, crystal in crystals.items()
    }


@pytest.mark.parametrize("check", POTENTIAL_CHECKS, ids=lambda check: check.__name__)
def test_potential_keeps_the_contract(check, potential, known):
    check(potential, known)


def test_unknown_element_is_refused_by_name(potential):
    crystal = Crystal(cell=[[4, 0, 0], [0, 4, 0], [0, 0, 4.0]], frac=[[0, 0, 0]], numbers=[118], id="og")
    with pytest.raises(InvalidRequestError, match=r"'og'.*Og"):
        potential.evaluate(CrystalBatch.from_crystals([crystal], dtype=torch.float64))


def test_derivatives_that_are_not_asked_for_are_not_made(potential, known):
    batch = CrystalBatch.from_crystals([known["triclinic"]], dtype=torch.float64)
    everything = potential.evaluate(batch)
    energy = potential.evaluate(batch, forces=False, stress=False)
    assert energy.forces is None
    assert energy.stress is None
    assert torch.allclose(energy.energy, everything.energy, rtol=1e-12)
    assert potential.evaluate(batch, stress=False).stress is None
    assert potential.evaluate(batch, forces=False).forces is None
