from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special

from euhedral.nn.directional_messages import DirectionalInteraction, message_graph
from euhedral.nn.irreps import spherical_harmonics
from euhedral.nn.spherical_bessel import SphericalBesselBasis, bessel_zeros, spherical_bessel


def test_a_block_is_the_sum_over_pairs_of_messages_with_their_angle():
    """Four atoms, all joined; what is said of harmonics is said of every pair k -> j -> i, k not i, by its angle."""
    torch.manual_seed(0)
    places = torch.randn(4, 3, dtype=torch.float64)
    target, source = (i.flatten() for i in torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij"))
    target, source = target[target != source], source[target != source]
    vectors = places[source] - places[target]
    reverse = torch.tensor(
        [int(((source == t) & (target == s)).nonzero()[0]) for s, t in zip(source, target, strict=True)]
    )
    block = DirectionalInteraction(5, narrow=3, n_radial=2, basis_width=4, n_degrees=3, before=1, after=1).double()
    messages, radial, spherical = (torch.randn(12, *shape, dtype=torch.float64) for shape in ((5,), (2,), (3, 2)))
    graph = message_graph(
        target=target, harmonics=spherical_harmonics(vectors, lmax=2), message=torch.arange(12), reverse=reverse
    )
    sent = F.silu(block.down(F.silu(block.other(messages)) * block.radial(radial)))
    met = torch.zeros(12, 3, dtype=torch.float64)
    for ji in range(12):
        for kj in range(12):
            if target[kj] == source[ji] and source[kj] != target[ji]:
                to_i, to_k = -vectors[ji], vectors[kj]
                cosine = float(to_i @ to_k / (to_i.norm() * to_k.norm()))
                angular = [math.sqrt((2 * n + 1) / (4 * math.pi)) * special.eval_legendre(n, cosine) for n in range(3)]
                basis = spherical[kj] * torch.tensor(angular, dtype=torch.float64)[:, None]
                met[ji] += sent[kj] * block.angular_second(block.angular_first(basis.flatten()))
    assert torch.allclose(block._met(sent, spherical, graph), met, atol=1e-12)
    mixed = F.silu(block.own(messages)) + F.silu(block.up(met))
    expected = block.after(F.silu(block.skip(block.before(mixed))) + messages)
    assert torch.allclose(block(messages, radial, spherical, graph=graph), expected, atol=1e-12)


def test_spherical_bessel_functions_are_those_of_scipy():
    value = torch.tensor([1e-6, 0.1, 1.0, 3.3, 6.999, 7.0, 7.1, 20.0, 40.0], dtype=torch.float64)
    for degree in range(8):
        expected = special.spherical_jn(degree, value.numpy())
        assert np.abs(spherical_bessel(degree, value).numpy() - expected).max() < 1e-13, degree


def test_zeros_are_where_the_functions_vanish_and_none_is_left_out():
    zeros = bessel_zeros(7, n_zeros=6)
    for degree, row in enumerate(zeros):
        assert np.abs(special.spherical_jn(degree, row.numpy())).max() < 1e-13
        grid = np.linspace(1e-3, float(row[-1]) + 0.1, 4000)
        signs = np.sign(special.spherical_jn(degree, grid))
        assert (np.diff(signs) != 0).sum() == 6


def test_the_basis_is_orthonormal_in_the_sphere_before_its_envelope():
    basis = SphericalBesselBasis(n_degrees=3, n_zeros=4, cutoff=1.0, exponent=6)
    ratio = torch.linspace(1e-4, 1.0 - 1e-9, 20001, dtype=torch.float64)
    p = 6
    envelope = (1 - 28 * ratio**p + 48 * ratio ** (p + 1) - 21 * ratio ** (p + 2)) / ratio
    inside = ratio < 0.9  # the envelope goes to zero at the end
    values = basis(ratio)[inside] / envelope[inside, None, None]
    expected = special.spherical_jn(2, np.outer(ratio[inside], bessel_zeros(3, n_zeros=4)[2]))
    norm = np.sqrt(
        (
            special.spherical_jn(2, np.outer(ratio, bessel_zeros(3, n_zeros=4)[2])) ** 2 * ratio.numpy()[:, None] ** 2
        ).mean(0)
    )
    assert np.abs(values[:, 2].numpy() - expected / norm).max() < 1e-3


def test_the_basis_has_a_slope_at_small_distances_too():
    basis = SphericalBesselBasis(n_degrees=4, n_zeros=2, cutoff=5.0, exponent=6)
    distance = torch.tensor([0.4, 2.0, 4.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(basis, (distance,))
