import math

import pytest
import torch

from euhedral.nn.activations import shifted_softplus
from euhedral.nn.dense import MLP
from euhedral.nn.gaussian import GaussianBasis
from euhedral.nn.segments import segment_max, segment_mean, segment_softmax, segment_sum

OWNER = torch.tensor([0, 2, 2, 0, 2])
VALUES = torch.tensor([[1.0], [2.0], [-4.0], [3.0], [8.0]])


def test_sums_means_and_maxima_are_taken_by_owner_and_are_zero_for_none():
    assert segment_sum(VALUES, owner=OWNER, n=3).ravel().tolist() == [4.0, 0.0, 6.0]
    assert segment_mean(VALUES, owner=OWNER, n=3).ravel().tolist() == [2.0, 0.0, 2.0]
    assert segment_max(-VALUES, owner=OWNER, n=3).ravel().tolist() == [-1.0, 0.0, 4.0]


def test_softmax_adds_up_to_one_for_each_owner_and_survives_large_scores():
    weights = segment_softmax(VALUES * 500.0, owner=OWNER, n=3)
    assert torch.isfinite(weights).all()
    assert segment_sum(weights, owner=OWNER, n=3).ravel().tolist() == pytest.approx([1.0, 0.0, 1.0])


def test_softmax_and_its_gradient_are_torchs():
    scores = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.arange(10.0, dtype=torch.float64).reshape(5, 2)
    ours = segment_softmax(scores, owner=torch.zeros(5, dtype=torch.int64), n=1)
    theirs = scores.softmax(0)
    assert torch.allclose(ours, theirs)
    gradients = [torch.autograd.grad((one * weights).sum(), scores)[0] for one in (ours, theirs)]
    assert torch.allclose(*gradients)


def test_shifted_softplus_is_zero_at_zero():
    assert shifted_softplus(torch.zeros(1)).item() == pytest.approx(0.0, abs=1e-7)
    assert shifted_softplus(torch.tensor([3.0])).item() == pytest.approx(math.log(0.5 * math.exp(3.0) + 0.5))


def test_a_sharper_gaussian_falls_faster():
    basis = GaussianBasis(start=0.0, stop=2.0, step=1.0, gamma=10.0)
    assert basis(torch.tensor([1.1], dtype=torch.float64))[0].tolist() == pytest.approx(
        [math.exp(-10 * 1.21), math.exp(-0.1), math.exp(-8.1)]
    )


def test_the_last_layer_is_linear_unless_asked_otherwise():
    torch.manual_seed(0)
    linear, bounded = (MLP([3, 5, 2], activation=torch.tanh, last=last) for last in (False, True))
    bounded.load_state_dict(linear.state_dict())
    x = torch.randn(4, 3) * 10
    assert torch.allclose(torch.tanh(linear(x)), bounded(x))
