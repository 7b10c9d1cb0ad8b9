import pytest
import torch
from torch import nn

from euhedral.errors import InvalidRequestError
from euhedral.tasks.transfer import freeze, output_layer, take_over


def network(width: int = 4, outputs: int = 1) -> nn.Module:
    module = nn.Module()
    module.body = nn.Linear(3, width)
    module.head = nn.Linear(width, outputs)
    return module


def test_what_fits_is_loaded_and_the_rest_is_named():
    source, model = network(outputs=2), network(outputs=1)
    head = model.head.weight.clone()
    given = {f"old.{name}": value for name, value in source.state_dict().items()} | {"old.extra": torch.zeros(1)}
    report = take_over(model, tensors=given, prefix="old.")
    assert torch.equal(model.body.weight, source.body.weight)
    assert torch.equal(model.head.weight, head)
    assert report.loaded == ("body.bias", "body.weight")
    assert report.misfit == ("head.bias", "head.weight")
    assert report.unused == ("extra",)
    assert report.values == (16, 21)
    assert "loaded 2 tensors, 76%" in str(report)


def test_what_was_asked_to_stay_stays():
    source, model = network(), network()
    before = model.head.weight.clone()
    report = take_over(model, tensors=source.state_dict(), leave=("head.*",))
    assert torch.equal(model.head.weight, before)
    assert report.loaded == ("body.bias", "body.weight")
    assert report.left == ("head.bias", "head.weight")
    assert "left out: head.bias, head.weight" in str(report)


@pytest.mark.parametrize(
    ("output", "pattern"),
    [
        (nn.Linear(2, 1), ("output.*",)),
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), ("output.2.*",)),
        (None, ()),
    ],
)
def test_the_last_layer_is_the_last_map_of_the_output(output, pattern):
    model = nn.Module()
    model.output = output
    assert output_layer(model) == pattern


def test_weights_of_another_system_are_refused():
    with pytest.raises(InvalidRequestError, match="none of the 2 tensors fits"):
        take_over(network(), tensors=nn.Linear(7, 7).state_dict())


def test_frozen_parameters_get_no_gradient():
    model = network()
    assert freeze(model, patterns=["body.*"]) == 16
    model.head(model.body(torch.ones(1, 3))).sum().backward()
    assert model.body.weight.grad is None
    assert model.head.weight.grad is not None


def test_a_pattern_that_names_nothing_or_everything_is_refused():
    with pytest.raises(InvalidRequestError, match="it has body, head"):
        freeze(network(), patterns=["bodies.*"])
    with pytest.raises(InvalidRequestError, match="leaves nothing"):
        freeze(network(), patterns=["*"])
