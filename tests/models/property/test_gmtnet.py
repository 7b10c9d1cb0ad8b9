from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal, cell_from_parameters
from euhedral.geometry.cells import supercell
from euhedral.geometry.point_group import cartesian_point_group
from euhedral.geometry.space_groups import space_group
from euhedral.geometry.wyckoff import WyckoffCrystal, complete_lattice_parameters, to_crystal, wyckoff_positions
from euhedral.models.property.gmtnet import GMTNet, invariant_part
from euhedral.nn.cartesian_irreps import index_orders

#: One space group of each of the 32 crystal classes, and the order of its point group.
CLASSES = {
    1: 1, 2: 2, 3: 2, 6: 2, 10: 4, 16: 4, 25: 4, 47: 8, 75: 4, 81: 4, 83: 8, 89: 8, 99: 8, 111: 8, 123: 16, 143: 3, 147: 6,
    149: 6, 156: 6, 162: 12, 168: 6, 174: 6, 175: 12, 177: 12, 183: 12, 187: 12, 191: 24, 195: 12, 200: 24, 207: 24, 215: 24,
    221: 48,
}  # fmt: skip
TENSORS = (
    {"kind": "tensor", "name": "dielectric", "rank": 2, "symmetry": "ij=ji"},
    {"kind": "tensor", "name": "piezoelectric", "rank": 3, "symmetry": "ijk=ikj"},
    {"kind": "tensor", "name": "elastic", "rank": 4, "symmetry": "ijkl=jikl=klij"},
)
TINY = {"width": 8, "n_basis": 12, "neighbours": 8, "scalars": 6}


def of_class(number: int) -> Crystal:
    """Two elements on general positions: a crystal with no symmetry beyond its space group's."""
    letter = wyckoff_positions(number)[-1].letter
    lengths = complete_lattice_parameters(np.array([8.0, 9.1, 10.3, 81.0, 97.0, 112.0]), space_group=number)
    points = np.array([[0.11, 0.23, 0.38], [0.17, 0.31, 0.06]])
    described = WyckoffCrystal(
        space_group=number, cell=cell_from_parameters(lengths[:3], lengths[3:]), letters=(letter, letter),
        numbers=np.array([22, 8]), frac=points, id=f"group {number}",
    )  # fmt: skip
    return to_crystal(described)


def shaken(crystal: Crystal, *, by: float) -> Crystal:
    rng = np.random.default_rng(3)
    return crystal.replace(
        frac=crystal.frac + rng.normal(scale=by, size=crystal.frac.shape) @ np.linalg.inv(crystal.cell)
    )


def exact_group(number: int, crystal: Crystal) -> np.ndarray:
    columns = crystal.cell.T
    return columns @ space_group(number).point_rotations @ np.linalg.inv(columns)


def projector(group: np.ndarray, rank: int) -> np.ndarray:
    """(3^rank, 3^rank) what the group leaves of a tensor, written out as Kronecker products."""
    total = np.zeros((3**rank, 3**rank))
    for rotation in group:
        matrix = np.ones((1, 1))
        for _ in range(rank):
            matrix = np.kron(matrix, rotation)
        total += matrix
    return total / len(group)


def of_symmetry(kind: dict) -> np.ndarray:
    """(3^rank, 3^rank) mean over equal index orders: it leaves no piezoelectric tensor of class 432, for instance."""
    places = np.arange(3 ** kind["rank"]).reshape((3,) * kind["rank"])
    orders = index_orders(kind["rank"], symmetry=kind["symmetry"])
    return np.mean([np.eye(places.size)[places.transpose(order).ravel()] for order in orders], axis=0)


def build(**changes: object) -> GMTNet:
    torch.manual_seed(0)
    return GMTNet(targets=TENSORS, **{**TINY, **changes}).double().eval()


def tensors_of(model: GMTNet, crystals: list[Crystal]) -> dict[str, np.ndarray]:
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    with torch.no_grad():
        return {name: value.numpy() for name, value in model(batch, model.graph.build(batch)).items()}


def worst(model: GMTNet, crystals: dict[int, Crystal]) -> float:
    """The largest forbidden component over the largest component of its kind, over all classes and ranks."""
    found = tensors_of(model, list(crystals.values()))
    ratio = 0.0
    for kind in TENSORS:
        values = found[kind["name"]]
        for (number, crystal), value in zip(crystals.items(), values, strict=True):
            allowed = projector(exact_group(number, crystal), kind["rank"]) @ of_symmetry(kind)
            forbidden = np.abs(allowed).max(1) < 1e-9
            largest = np.abs(value).max() if not forbidden.all() else np.abs(values).max()
            ratio = max(ratio, float(np.abs(value.ravel()[forbidden]).max(initial=0.0) / largest))
            # components that symmetry makes equal, or each other's opposite, are so too
            ratio = max(ratio, float(np.abs(allowed @ value.ravel() - value.ravel()).max() / largest))
    return ratio


@pytest.fixture(scope="module")
def classes() -> dict[int, Crystal]:
    return {number: of_class(number) for number in CLASSES}


def test_each_class_has_its_point_group_in_a_supercell_too(classes):
    for number, crystal in classes.items():
        group = cartesian_point_group(crystal)
        assert len(group) == CLASSES[number], number
        assert np.allclose(group @ group.transpose(0, 2, 1), np.eye(3), atol=1e-12)
        if CLASSES[number] <= 12:
            assert len(cartesian_point_group(supercell(crystal, matrix=[2, 1, 1]))) == CLASSES[number], number


def train(model: GMTNet, crystals: list[Crystal]) -> None:
    rng = torch.Generator().manual_seed(0)
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    graph = model.graph.build(batch)
    labels = {
        k["name"]: torch.randn(len(batch), *(3,) * k["rank"], dtype=torch.float64, generator=rng) for k in TENSORS
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(5):
        optimizer.zero_grad()
        sum((value - labels[name]).square().mean() for name, value in model(batch, graph).items()).backward()
        optimizer.step()
    model.eval()


def test_what_the_point_group_forbids_is_zero_in_all_32_classes_before_and_after_training(classes):
    model = build()
    assert worst(model, classes) < 1e-6
    before = tensors_of(model, [classes[16]])["elastic"]
    train(model, [classes[number] for number in (1, 3, 16, 75, 143)])
    assert np.abs(tensors_of(model, [classes[16]])["elastic"] - before).max() > 1e-3 * np.abs(before).max()
    assert worst(model, classes) < 1e-6


def test_noise_in_the_positions_breaks_the_symmetry_of_the_network_but_not_of_the_tensor(classes):
    noisy = {number: shaken(crystal, by=5e-4) for number, crystal in classes.items() if number > 2}
    assert worst(build(), noisy) < 1e-6
    assert worst(build(enforce=False), noisy) > 1e-4


def test_the_projection_is_the_mean_of_the_tensor_over_the_group(classes):
    group = torch.from_numpy(cartesian_point_group(classes[149]))
    tensor = torch.randn(1, 3, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = invariant_part(tensor, operations=group, owner=torch.zeros(len(group), dtype=torch.int64))
    expected = projector(group.numpy(), 4) @ tensor.numpy().ravel()
    assert np.allclose(found.numpy().ravel(), expected, atol=1e-12)


def test_tensors_turn_with_the_crystal_and_have_the_index_symmetry_of_their_kind(classes):
    model, crystal = build(), classes[1]
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).Q.numpy()
    before = tensors_of(model, [crystal])
    after = tensors_of(model, [crystal.replace(cell=crystal.cell @ turn.T)])
    for kind in TENSORS:
        expected = before[kind["name"]][0]
        for index in range(kind["rank"]):
            expected = np.moveaxis(np.tensordot(turn, expected, axes=(1, index)), 0, index)
        assert np.abs(after[kind["name"]][0] - expected).max() < 1e-10 * np.abs(expected).max()
    elastic, piezoelectric = before["elastic"][0], before["piezoelectric"][0]
    assert np.allclose(elastic, elastic.transpose(1, 0, 2, 3))
    assert np.allclose(elastic, elastic.transpose(2, 3, 0, 1))
    assert np.allclose(piezoelectric, piezoelectric.transpose(0, 2, 1))
    assert not np.allclose(elastic, elastic.transpose(0, 2, 1, 3))  # no Cauchy relations


def cubic(points: list[list[float]]) -> Crystal:
    cell = 2.8 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    return Crystal(cell=cell, frac=points, numbers=[30, 16], id="cubic")


@pytest.mark.parametrize("lmax", [2, 3, 4])
def test_harmonics_of_a_degree_see_what_sites_of_high_symmetry_have_of_that_degree(lmax):
    """Zinc blende has a piezoelectric tensor of degree 3 alone, rock salt an elastic anisotropy of degree 4 alone."""
    model = build(lmax=lmax)
    blende, salt = cubic([[0, 0, 0], [0.25, 0.25, 0.25]]), cubic([[0, 0, 0], [0.5, 0.5, 0.5]])
    found = tensors_of(model, [blende, salt])
    scale = np.abs(found["elastic"]).max()
    elastic = found["elastic"][1]
    anisotropy = elastic[0, 0, 0, 0] - elastic[0, 0, 1, 1] - 2.0 * elastic[1, 2, 1, 2]
    assert bool(np.abs(found["piezoelectric"][0]).max() > 1e-8 * scale) == (lmax >= 3)
    assert bool(abs(anisotropy) > 1e-8 * scale) == (lmax >= 4)


def test_published_hyperparameters_are_the_defaults():
    model = GMTNet()
    assert (model.edges.in_features, model.edges.out_features) == (512, 128)
    assert [str(layer.kind_out) for layer in model.fields] == [
        "16x0e+2x1o+2x2e",
        "16x0e+2x1o+2x1e+2x2e+2x2o",
        "2x0e+2x2e",
    ]
    assert len(model.layers) == 2
    assert model.graph.edges.edges.edges.k == 16


def test_numbers_are_learnt_beside_tensors(classes):
    torch.manual_seed(0)
    model = GMTNet(targets=["band_gap", TENSORS[0]], **TINY).double().eval()
    found = tensors_of(model, [classes[3], classes[16]])
    assert found["band_gap"].shape == (2,)
    assert found["dielectric"].shape == (2, 3, 3)
