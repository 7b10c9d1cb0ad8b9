import pytest
import torch
from torch import nn

from euhedral.models.registry import ROWS
from euhedral.testing.property import PROPERTY_CHECKS, chirality, property_checks
from euhedral.training.predictor import Predictor

MODELS = [row for row in ROWS if row.wing == "property"]
VARIANTS = [(row, None) for row in MODELS] + [(row, weights) for row in MODELS for weights in row.weights[:1]]


@pytest.fixture(scope="module", params=VARIANTS, ids=[f"{row.name}-{weights or 'tiny'}" for row, weights in VARIANTS])
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def model(variant):
    row, weights = variant
    if weights:
        return Predictor.load(weights).ensemble.double().eval()
    torch.manual_seed(0)
    tiny = row.load()(**row.tiny).double()
    for layer in tiny.modules():  # away from the identity, which would hide a wrong use of the statistics
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_(0.1, 0.1)
            layer.running_var.uniform_(0.5, 2.0)
    return tiny.eval()


@pytest.mark.parametrize("check", [*PROPERTY_CHECKS, chirality], ids=lambda check: check.__name__)
def test_property_model_keeps_the_contract(check, variant, model, crystals):
    row, _ = variant
    if check not in property_checks(row.symmetry):
        pytest.skip(f"{row.name} claims {row.symmetry}")
    check(model, crystals)


class Broken(nn.Module):
    """A model that breaks one promise, to show that the checks can fail."""

    targets = ("value",)
    scale = "intensive"

    def __init__(self, flaw):
        super().__init__()
        good = MODELS[0].load()(targets=self.targets, **MODELS[0].tiny)
        self.good, self.flaw, self.graph = good, flaw, good.graph
        self.unused = nn.Parameter(torch.ones(1)) if flaw == "gradient_reaches_every_parameter" else None

    def forward(self, batch, graph):
        value = self.good(batch, graph)["value"]
        first = batch.offsets[:-1]
        wrong = {
            "batch_independence": value.mean().expand_as(value),
            "permutation": batch.numbers[first] * value,
            "translation": value + batch.frac[first].sum(1),
            "rotation": value + batch.cell[:, 0, 0],
            "mirror": value + torch.linalg.det(batch.cell).sign(),
            "unimodular_cell_change": value + batch.cell.norm(dim=2).sum(1),
            "supercell": value * batch.n_atoms,
            "structure_matters": torch.ones_like(value) * self.good.output.bias,
            "isolated_atom": value / torch.bincount(batch.crystal_idx[graph.target], minlength=len(batch)),
            "outputs_are_named": value * torch.nan,
        }
        if self.flaw == "no_mutation":
            batch.frac.add_(0.1)
        if self.flaw == "save_and_load":
            value = value + torch.rand(())
        return {"value": wrong.get(self.flaw, value)}


@pytest.mark.parametrize("check", PROPERTY_CHECKS, ids=lambda check: check.__name__)
def test_each_check_fails_on_a_model_that_breaks_it(check, crystals):
    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        check(Broken(check.__name__).double().eval(), crystals)


def test_chirality_fails_on_a_model_that_claims_only_rotations_and_sees_no_hand(crystals):
    torch.manual_seed(0)
    assert property_checks("SE(3)") != property_checks("E(3)") == PROPERTY_CHECKS
    handed = Broken("mirror").double().eval()
    chirality(handed, crystals)
    with pytest.raises(AssertionError, match="do not tell the two crystals apart"):
        chirality(handed.good, crystals)
