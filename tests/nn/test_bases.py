import math

import torch

from euhedral.nn.bases import BesselBasis, FourierBasis
from euhedral.nn.cutoff import polynomial_envelope


def test_envelope_is_one_at_zero_and_flat_zero_at_the_cutoff():
    distance = torch.tensor([0.0, 6.0 - 1e-4, 6.0, 7.0], dtype=torch.float64, requires_grad=True)
    value = polynomial_envelope(distance, cutoff=6.0, exponent=8)
    (slope,) = torch.autograd.grad(value.sum(), distance)
    assert value[0] == 1.0
    assert abs(value[1]) < 1e-11
    assert value[2] == value[3] == 0.0
    assert abs(slope[1]) < 1e-6


def test_bessel_function_is_the_spherical_one():
    basis = BesselBasis(size=2, cutoff=5.0, exponent=6).double()
    distance = torch.tensor([1.7], dtype=torch.float64)
    x = 1.7 / 5.0
    envelope = 1 - 28 * x**6 + 48 * x**7 - 21 * x**8
    expected = math.sqrt(2 / 5.0) * math.sin(2 * math.pi * x) / 1.7 * envelope
    assert abs(float(basis(distance)[0, 1]) - expected) < 1e-6


def test_fourier_functions_are_orthonormal_over_the_circle():
    basis = FourierBasis(size=7).double()
    angle = torch.arange(4096, dtype=torch.float64) * (2 * math.pi / 4096)
    values = basis(angle)
    torch.testing.assert_close(
        values.T @ values * (2 * math.pi / 4096), torch.eye(7, dtype=torch.float64), atol=1e-9, rtol=0
    )
