import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.models.property.potnet import PotNet
from euhedral.representations.graphs import Nearest
from euhedral.representations.lattice_sums import POTENTIAL_SUMS
from euhedral.training.graph_set import GraphSet


def small(**changes):
    torch.manual_seed(0)
    return PotNet(**({"width": 12, "n_layers": 2, "n_infinite": 16} | changes)).double().eval()


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, crystal):
    batch = batch_of(crystal)
    return model.latent(batch, model.graph.build(batch))


def slabs(height):
    """Two slabs of two square layers each in a long cell, the second slab at a height; the nearest ones are 7.5 Angstrom apart."""
    return Crystal(
        cell=np.diag([2.5, 2.5, 24.0]), frac=[[0, 0, z / 24.0] for z in (0.0, 2.5, height, height + 2.5)],
        numbers=[12, 8, 12, 8], id="slabs",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["triclinic", "hexagonal"])
def test_edge_features_are_what_direct_sums_over_the_lattice_come_to(crystals, name):
    crystal = crystals[name]
    sums = small().graph.graph.build(batch_of(crystal)).extra[POTENTIAL_SUMS].numpy()
    errors = []
    for reach in (6.0, 12.0, 48.0):
        limits = np.ceil(reach * np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)).astype(int) + 1
        axes = [np.arange(-limit, limit + 1) for limit in limits]
        lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
        cartesian = crystal.frac @ crystal.cell
        direct = []
        for target in cartesian:
            for source in cartesian:
                distance = np.linalg.norm(lattice + source - target, axis=1)
                distance = distance[(distance > 1e-6) & (distance < reach)]
                direct.append([(distance**-6).sum(), np.exp(-3.0 * distance).sum()])
        errors.append(np.abs(np.array(direct) - sums[:, 1:]).max())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


def test_only_the_sums_tell_crystals_apart_that_differ_beyond_the_near_neighbours():
    even, uneven = slabs(12.0), slabs(10.0)
    blind, seeing = small(infinite=False), small()
    for crystal in (even, uneven):
        assert Nearest(k=16).build(batch_of(crystal)).vectors(batch_of(crystal)).norm(dim=1).max() < 7.0
    assert (latent(blind, even) - latent(blind, uneven)).abs().max() < 1e-12
    assert (latent(seeing, even) - latent(seeing, uneven)).abs().max() > 1e-4


def test_training_does_not_see_a_supercell_either(crystals):
    crystal, other = crystals["hexagonal"], crystals["triclinic"]
    values = []
    for chosen in ([crystal, other], [supercell(crystal, matrix=(2, 1, 1)), supercell(other, matrix=(1, 1, 2))]):
        model, batch = small().train(), batch_of(*chosen)
        value = model(batch, model.graph.build(batch))["formation_energy_per_atom"]
        value.square().sum().backward()
        values.append([value.detach(), model.layers[0].first.weight.grad, model.layers[1].norm.running_mean])
    for one, many in zip(*values, strict=True):
        assert torch.allclose(one, many, atol=1e-7)


def test_the_graph_of_a_set_is_cut_without_being_built_again(crystals):
    chosen = [crystals[name] for name in ("triclinic", "fcc", "heusler", "hexagonal")]
    model = small()
    whole = GraphSet.from_crystals(chosen, spec=model.graph, dtype=torch.float64)
    batch, graph = whole.select(torch.tensor([2, 0]))
    direct = batch_of(chosen[2], chosen[0])
    with torch.no_grad():
        expected = model(direct, model.graph.build(direct))["formation_energy_per_atom"]
        assert torch.allclose(model(batch, graph)["formation_energy_per_atom"], expected)


def test_a_batch_of_one_atom_can_be_trained_on(crystals):
    model = small().train()
    batch = batch_of(crystals["fcc"])
    value = model(batch, model.graph.build(batch))["formation_energy_per_atom"]
    value.sum().backward()
    assert torch.isfinite(value).all()


def test_a_coefficient_for_each_sum_is_needed():
    with pytest.raises(InvalidRequestError, match=r"3 coefficients, .* got 2"):
        PotNet(coefficients=(1.0, 2.0))
