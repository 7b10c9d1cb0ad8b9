from __future__ import annotations

import pytest
import torch

from euhedral.nn.cartesian_irreps import CartesianIrreps, index_orders
from euhedral.nn.irreps import (
    Gate,
    IrrepsLinear,
    coupling,
    irreps,
    join_irreps,
    representation,
    spherical_harmonics,
    split_irreps,
)

SYMMETRIES = {"ij=ji": 6, "ijk=ikj": 18, "ijkl=jikl=klij": 21}


@pytest.fixture
def rotation() -> torch.Tensor:
    matrix = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    turn = torch.linalg.qr(matrix).Q
    return -turn * torch.linalg.det(turn)  # improper


def draws(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_harmonics_of_degree_one_are_the_direction_itself():
    vector = torch.tensor([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    found = spherical_harmonics(vector, lmax=1)
    assert torch.allclose(found[0], torch.tensor([1.0, 0.0, 0.6 * 3**0.5, 0.8 * 3**0.5], dtype=torch.float64))
    assert found[1].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_representations_are_those_of_e3nn_in_our_layout(rotation):
    kind = irreps("2x0o+3x1o+2x1e+1x4e")
    own = representation(kind, rotation)
    with_theirs = kind.D_from_matrix(rotation)  # parts as (mul, 2l + 1)
    order = torch.cat(
        [
            torch.arange(s.start, s.stop).view(p.mul, p.ir.dim).T.flatten()
            for s, p in zip(kind.slices(), kind, strict=True)
        ]
    )
    assert torch.allclose(own, with_theirs[order][:, order].double(), atol=1e-5)
    assert torch.allclose(own @ own.T, torch.eye(kind.dim, dtype=torch.float64), atol=1e-12)


def test_coupling_is_invariant(rotation):
    c = coupling(2, 1, 2)
    d2, d1 = (representation(irreps(name), rotation) for name in ("2e", "1e"))
    assert torch.allclose(torch.einsum("ijk,ia,jb,kc->abc", c, d2, d1, d2), c, atol=1e-12)


@pytest.mark.parametrize("attributes", [None, 4])
def test_linear_maps_commute_with_rotations_and_mirrors(rotation, attributes):
    torch.manual_seed(0)
    layer = IrrepsLinear("4x0e+2x1o+2x1e+3x1o", "3x0e+2x1o+1x2e", attributes=attributes).double()
    extra = () if attributes is None else (draws(3, 4), torch.tensor([0, 2, 1, 1, 0]))
    features = draws(5, layer.kind_in.dim)
    d_in, d_out = representation(layer.kind_in, rotation), representation(layer.kind_out, rotation)
    assert torch.allclose(layer(features @ d_in.T, *extra), layer(features, *extra) @ d_out.T, atol=1e-12)
    assert not layer(features, *extra)[:, 9:].any()  # the input has no 2e
    assert layer(features, *extra)[:, :9].all()


def test_a_linear_map_with_attributes_is_e3nn_s_fully_connected_product():
    from e3nn import o3

    torch.manual_seed(0)
    layer = IrrepsLinear("4x0e+2x1o", "3x0e+5x1o", attributes=6).double()
    theirs = o3.FullyConnectedTensorProduct("4x0e+2x1o", "6x0e", "3x0e+5x1o").double()
    with torch.no_grad():  # their weights are (channels in, attributes, channels out)
        theirs.weight.copy_(torch.cat([layer.weights[name].transpose(0, 1).flatten() for name in ("0", "1")]))
    features, table, rows = draws(7, 10), draws(3, 6), torch.tensor([0, 1, 2, 0, 1, 2, 2])
    scalars, vectors = split_irreps(features, layer.kind_in)
    theirs_out = theirs(torch.cat([scalars.flatten(1), vectors.transpose(1, 2).flatten(1)], 1), table[rows])
    own = split_irreps(layer(features, table, rows), layer.kind_out)
    assert torch.allclose(own[0].flatten(1), theirs_out[:, :3], atol=1e-12)
    assert torch.allclose(own[1].transpose(1, 2).flatten(1), theirs_out[:, 3:], atol=1e-12)


def test_gates_commute_with_mirrors_only_because_odd_scalars_have_an_odd_activation(rotation):
    gate = Gate("3x0e+2x0o+2x1o+1x2e", even=torch.nn.functional.silu)
    features = draws(6, gate.kind_in.dim)
    d_in, d_out = representation(gate.kind_in, rotation), representation(gate.kind_out, rotation)
    assert torch.allclose(gate(features @ d_in.T), gate(features) @ d_out.T, atol=1e-12)
    broken = Gate("3x0e+2x0o+2x1o+1x2e", even=torch.nn.functional.silu, odd=torch.nn.functional.silu)
    assert not torch.allclose(broken(features @ d_in.T), broken(features) @ d_out.T, atol=1e-3)


def test_activations_of_normal_numbers_have_a_second_moment_of_one():
    gate = Gate("100000x0e", even=torch.nn.functional.silu)
    assert abs(gate(draws(1, 100000)).square().mean().item() - 1.0) < 0.02


def test_parts_are_joined_as_they_were_split():
    kind = irreps("2x0e+3x1o")
    features = draws(4, kind.dim)
    assert torch.equal(join_irreps(split_irreps(features, kind)), features)


@pytest.mark.parametrize("symmetry", list(SYMMETRIES))
def test_cartesian_tensors_survive_the_way_to_irreps_and_back(symmetry):
    rank = len(symmetry.split("=")[0])
    basis = CartesianIrreps(rank, symmetry=symmetry)
    assert basis.kind.dim == SYMMETRIES[symmetry]
    tensor = draws(2, *(3,) * rank)
    orders = index_orders(rank, symmetry=symmetry)
    tensor = torch.stack([tensor.permute(0, *(1 + i for i in order)) for order in orders]).mean(0)
    assert torch.allclose(basis.to_cartesian(basis.from_cartesian(tensor)), tensor, atol=1e-12)


@pytest.mark.parametrize("symmetry", list(SYMMETRIES))
def test_irreps_of_a_tensor_are_those_of_e3nn_and_turn_as_they_say(symmetry, rotation):
    from e3nn.io import CartesianTensor

    rank = len(symmetry.split("=")[0])
    basis = CartesianIrreps(rank, symmetry=symmetry)
    assert basis.kind == CartesianTensor(symmetry)
    features = draws(3, basis.kind.dim)
    turned = basis.to_cartesian(features @ representation(basis.kind, rotation).T)
    expected = basis.to_cartesian(features)
    for index in range(rank):
        expected = torch.tensordot(expected, rotation, dims=([1 + index], [1])).movedim(-1, 1 + index)
    assert torch.allclose(turned, expected, atol=1e-12)


def test_elastic_tensors_have_eight_equal_index_orders():
    assert len(index_orders(4, symmetry="ijkl=jikl=klij")) == 8
    assert index_orders(3, symmetry="") == [(0, 1, 2)]
