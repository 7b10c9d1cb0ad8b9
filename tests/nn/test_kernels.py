import numpy as np
import pytest
import torch

from euhedral.nn.bases import BesselBasis, FourierBasis
from euhedral.nn.bases_kernels import bessel_and_slope, fourier_and_slope
from euhedral.nn.kernels import add_product, compiled, cosine_of_turns, product, sigmoid, sine_of_turns


@compiled
def _apply(x, gate, sine, cosine):
    for i in range(x.size):
        gate[i] = sigmoid(np.float32(x[i]))
        turns = x[i] - np.floor(x[i] + 0.5)
        sine[i], cosine[i] = sine_of_turns(turns), cosine_of_turns(turns)


def test_compiled_functions_are_the_ones_they_are_named_after():
    x = np.concatenate([np.linspace(-30.0, 30.0, 10001), [-1e4, 1e4]])
    gate, sine, cosine = np.empty((3, x.size))
    _apply(x, gate, sine, cosine)
    np.testing.assert_allclose(gate, 1.0 / (1.0 + np.exp(np.minimum(-x, 700.0))), atol=2e-7)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * (x - np.round(x))), atol=1e-10)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * (x - np.round(x))), atol=1e-10)


@pytest.mark.parametrize("rows", [0, 1, 31, 32, 77])
def test_products_in_blocks_are_products(rows):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(rows, 31)).astype(np.float32), rng.normal(size=(31, 24)).astype(np.float32)
    out = np.empty((rows, 24), dtype=np.float32)
    product(a, b, out)
    np.testing.assert_allclose(out, a @ b, atol=1e-5)
    add_product(a, b, out)
    np.testing.assert_allclose(out, 2 * (a @ b), atol=1e-5)


def test_compiled_bases_and_slopes_are_those_of_the_modules():
    lengths = torch.tensor([0.6, 1.9, 2.99, 3.01, 5.7, 6.2], dtype=torch.float64, requires_grad=True)
    basis = BesselBasis(size=9, cutoff=6.0, exponent=8).double()
    expected = basis(lengths)
    values, slopes = np.empty((2, 6, 9), dtype=np.float32)
    bessel_and_slope(lengths.detach().numpy(), basis.frequencies.detach().numpy(), 6.0, 8, values, slopes)
    np.testing.assert_allclose(values, expected.detach().numpy(), atol=1e-6)
    for k in range(9):
        (slope,) = torch.autograd.grad(expected[:, k].sum(), lengths, retain_graph=True)
        np.testing.assert_allclose(slopes[:, k], slope.numpy(), atol=1e-5)
    angle = torch.tensor([0.4, 1.3, 2.9], dtype=torch.float64, requires_grad=True)
    fourier = FourierBasis(size=7).double()
    unit = np.array([[1.0, 0.0, 0.0], *[[np.cos(a), np.sin(a), 0.0] for a in angle.tolist()]])
    values, slopes, sine = np.empty((3, 7), dtype=np.float32), np.empty((3, 7), dtype=np.float32), np.empty(3)
    first, second = np.zeros(3, dtype=np.int32), np.arange(1, 4, dtype=np.int32)
    fourier_and_slope(unit, first, second, fourier.frequencies.detach().numpy(), values, slopes, sine)
    expected = fourier(angle)
    np.testing.assert_allclose(values, expected.detach().numpy(), atol=1e-4)  # angles are shrunk a little
    np.testing.assert_allclose(sine, np.sin(angle.detach().numpy()), atol=1e-4)
    for k in range(7):
        (slope,) = torch.autograd.grad(expected[:, k].sum(), angle, retain_graph=True)
        np.testing.assert_allclose(slopes[:, k], slope.numpy(), atol=1e-4)
