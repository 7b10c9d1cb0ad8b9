from __future__ import annotations

import math

import pytest
import torch

from euhedral.nn.edge_products import EdgeProduct
from euhedral.nn.equivariant_convolution import EquivariantConvolution, NeighbourProduct, RadialNetwork, useful_irreps
from euhedral.nn.irreps import irreps, representation, spherical_harmonics, split_irreps
from euhedral.nn.tensor_field import TensorFieldLayer

SOURCE, TARGET = torch.tensor([1, 2, 0, 3, 1, 0, 2]), torch.tensor([0, 0, 1, 1, 2, 3, 3])


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def draws(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=rng)


def improper(rng: torch.Generator) -> torch.Tensor:
    turn = torch.linalg.qr(draws(3, 3, rng=rng)).Q
    return -turn * torch.linalg.det(turn)


def test_products_are_those_of_e3nn(rng):
    from e3nn import o3

    kind = irreps("4x0e+4x1o+4x2e")
    product = EdgeProduct(kind, lmax=2, wanted=irreps("0e+1o+2e"))
    features, harmonics = draws(3, kind.dim, rng=rng), spherical_harmonics(draws(7, 3, rng=rng), lmax=2)
    (paths,) = product.paths
    mid = irreps("+".join(f"4x{path.result}" for path in paths))
    theirs = o3.TensorProduct(
        kind, "0e+1o+2e", mid, [(p.part, p.degree, i, "uvu", False) for i, p in enumerate(paths)]
    ).double()  # fmt: skip
    source = torch.tensor([0, 1, 2, 2, 1, 0, 0])
    (own,) = product(features, harmonics, source=source)
    flipped = torch.cat([part.transpose(1, 2).flatten(1) for part in split_irreps(features, kind)], 1)
    expected = theirs(flipped[source], harmonics)
    found = torch.cat([part.transpose(1, 2).flatten(1) for part in split_irreps(own.flatten(1), mid)], 1)
    assert len(paths) == 11
    assert torch.allclose(found, expected, atol=1e-6)  # their coefficients are rounded to single precision


def test_messages_are_weighted_path_by_path_and_summed(rng):
    product = NeighbourProduct("2x0e+2x1o", lmax=1, wanted="0e+1o", radial=lambda n: torch.nn.Linear(3, n).double())
    features, vectors = draws(4, 8, rng=rng), draws(7, 3, rng=rng)
    harmonics, basis = spherical_harmonics(vectors, lmax=1), draws(7, 3, rng=rng)
    weight = product.radial(basis)
    assert product.n_weights == 8  # 0e from 0e 0e and 1o 1o, 1o from 0e 1o and 1o 0e, two channels each
    assert str(product.kind_out) == "2x0e+2x0e+2x1o+2x1o"
    total = torch.zeros(4, product.kind_out.dim, dtype=torch.float64)
    scalars, moving = split_irreps(features, irreps("2x0e+2x1o"))
    for e, (j, i) in enumerate(zip(SOURCE.tolist(), TARGET.tolist(), strict=True)):
        y, s, v, w = harmonics[e, 1:], scalars[j, 0], moving[j], weight[e].view(4, 2)
        parts = [s, y @ v / math.sqrt(3), torch.outer(y, s), v]
        total[i] += torch.cat([(w[k] * part).flatten() for k, part in enumerate(parts)])
    found = product(features, harmonics, basis, source=SOURCE, target=TARGET)
    assert torch.allclose(found, total, atol=1e-12)


@pytest.mark.parametrize("layer", ["convolution", "field"])
def test_layers_commute_with_rotations_and_mirrors(layer, rng):
    torch.manual_seed(0)
    features, vectors, edges = draws(4, 20, rng=rng), draws(7, 3, rng=rng), draws(7, 3, rng=rng)
    turn = improper(rng)
    if layer == "field":
        model = TensorFieldLayer("2x0e+2x1o+4x1e", "2x0e+2x1o+3x0o+2x2e+2x2o", lmax=2, edge_width=3).double()
        extra = {}
    else:
        model = EquivariantConvolution(
            "2x0e+2x1o+4x1e", "3x0o+2x0e+2x1o+2x2e", attributes=5, lmax=2, radial=[3, 8], neighbours=2.0
        ).double()
        extra = {"attributes": draws(3, 5, rng=rng), "rows": torch.tensor([0, 2, 1, 1])}
    kind_in, kind_out = irreps("2x0e+2x1o+4x1e"), model.kind_out if layer == "field" else model.itself.kind_out

    def run(x, v):
        return model(x, spherical_harmonics(v, lmax=2), edges, source=SOURCE, target=TARGET, **extra)

    d_in, d_out = representation(kind_in, turn), representation(kind_out, turn)
    expected = run(features, vectors) @ d_out.T
    assert torch.allclose(run(features @ d_in.T, vectors @ turn.T), expected, atol=1e-12)
    assert expected.abs().sum(0).all()


def test_a_tensor_field_layer_is_e3nn_s_product_averaged_over_neighbours(rng):
    from e3nn import o3

    torch.manual_seed(0)
    layer = TensorFieldLayer("4x0e+2x1o", "4x0e+2x1o+2x2e", lmax=2, edge_width=3, residual=True).double()
    theirs = o3.FullyConnectedTensorProduct("4x0e+2x1o", "0e+1o+2e", "4x0e+2x1o+2x2e", shared_weights=False).double()
    assert layer.matrices.out_features == theirs.weight_numel
    features, vectors, edges = draws(4, 10, rng=rng), draws(7, 3, rng=rng), draws(7, 3, rng=rng)
    harmonics = spherical_harmonics(vectors, lmax=2)
    matrices = layer.matrices(torch.nn.functional.softplus(layer.hidden(edges)))
    (paths,) = layer.product.paths[:1]
    ordered, first = {}, 0
    for part in layer.kind_out:  # ours are sorted by the result, then the group of the input
        for group in layer.product.paths:
            for path in group:
                if path.result == part.ir:
                    size = layer.kind_in[path.part].mul * part.mul
                    ordered[path.part, path.degree, str(part.ir)] = matrices[:, first : first + size]
                    first += size
    assert paths
    weights = torch.cat(
        [ordered[i.i_in1, i.i_in2, str(theirs.irreps_out[i.i_out].ir)] for i in theirs.instructions], dim=1
    )
    flipped = torch.cat([part.transpose(1, 2).flatten(1) for part in split_irreps(features, layer.kind_in)], 1)
    edge_values = theirs(flipped[SOURCE], harmonics, weights)
    expected = torch.zeros(4, edge_values.shape[1], dtype=torch.float64).index_add(0, TARGET, edge_values)
    expected = expected / torch.bincount(TARGET)[:, None] + torch.nn.functional.pad(flipped, (0, 10))
    found = layer(features, harmonics, edges, source=SOURCE, target=TARGET)
    found = torch.cat([part.transpose(1, 2).flatten(1) for part in split_irreps(found, layer.kind_out)], 1)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_convolution_is_e3nn_s_with_its_weights(rng):
    from e3nn.nn.models.gate_points_2101 import Convolution

    torch.manual_seed(0)
    own = EquivariantConvolution("4x0e", "3x0e+2x1o", attributes=5, lmax=1, radial=[3, 8], neighbours=7.0)
    theirs = Convolution("4x0e", "5x0e", "0e+1o", "3x0e+2x1o", 3, 1, 8, 7.0)
    with torch.no_grad():
        for mine, other in ((own.itself, theirs.sc), (own.before, theirs.lin1), (own.after, theirs.lin2)):
            other.weight.copy_(torch.cat([mine.weights[k].transpose(0, 1).flatten() for k in mine.weights]))
        theirs.fc.layer0.weight.copy_(own.product.radial.weights[0])
        theirs.fc.layer1.weight.copy_(own.product.radial.weights[1])
    assert abs(own.product.radial.scale / theirs.fc.layer0.act.cst - 1.0) < 0.01  # theirs is a random estimate
    own.product.radial.scale = theirs.fc.layer0.act.cst
    own, theirs = own.double(), theirs.double()
    features, vectors, basis, table = (draws(*s, rng=rng) for s in ((4, 4), (7, 3), (7, 3), (3, 5)))
    rows = torch.tensor([0, 2, 1, 1])
    harmonics = spherical_harmonics(vectors, lmax=1)
    expected = theirs(features, table[rows], SOURCE, TARGET, harmonics, basis)
    found = own(features, harmonics, basis, source=SOURCE, target=TARGET, attributes=table, rows=rows)
    scalars, moving = split_irreps(found, own.itself.kind_out)
    found = torch.cat([scalars.flatten(1), moving.transpose(1, 2).flatten(1)], 1)
    assert torch.allclose(found, expected, atol=1e-6)  # their coefficients are rounded to single precision


def test_radial_networks_keep_the_variance_of_normal_inputs(rng):
    torch.manual_seed(0)
    network = RadialNetwork([64, 128, 64]).double()
    assert abs(network(draws(2000, 64, rng=rng)).square().mean().item() - 1.0) < 0.1


def test_irreps_that_lead_nowhere_are_left_out():
    hidden = [irreps("32x0e+32x1o"), irreps("32x0e+32x1e+32x1o")]
    assert [str(kind) for kind in useful_irreps(hidden, lmax=1, target=irreps("51x0e"))] == [
        "32x0e+32x1o",
        "32x0e+32x1o",
    ]
    assert str(useful_irreps(hidden, lmax=1, target=irreps("1x1e"))[1]) == "32x1e+32x1o"
