import math

import pytest
import torch

from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.scaling import TargetScaling


def test_scaling_brings_numbers_to_the_unit_of_each_output():
    scaling = TargetScaling(3)
    scaling.set(mean=torch.tensor([2.0, 5.0, 5.0]), std=torch.tensor([1.0, 3.0, 1.0]))
    assert scaling(torch.tensor([[1.0, -1.0, 0.0]])).tolist() == [[3.0, 2.0, 5.0]]


def test_scaling_is_part_of_the_weights():
    assert set(TargetScaling(1).state_dict()) == {"mean", "std"}


def test_gaussians_have_the_step_as_width():
    basis = GaussianBasis(start=0.0, stop=8.0, step=0.2)
    values = basis(torch.tensor([1.0, 1.2], dtype=torch.float64))
    assert basis.size == 41
    assert values[0, 5].item() == pytest.approx(1.0)
    assert values[0, 6].item() == pytest.approx(math.exp(-1.0))
    assert values[1, 6].item() == pytest.approx(1.0)
    assert basis.state_dict() == {}
