import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.models.property.roost import Roost
from euhedral.representations.composition_graph import CompositionGraph
from euhedral.training.graph_set import GraphSet


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Roost(width=8, n_layers=2, heads=2, hidden_width=8, readout=(12, 8)).double().eval()


def test_each_element_is_one_node_and_meets_all_others(crystals):
    batch = CrystalBatch.from_crystals([crystals["heusler"], crystals["fcc"]], dtype=torch.float64)
    extra = CompositionGraph().build(batch).extra
    assert extra["element_number"].tolist() == [13, 25, 29, 13]
    assert extra["element_share"].tolist() == [0.25, 0.25, 0.5, 1.0]
    assert extra["element_crystal"].tolist() == [0, 0, 0, 1]
    pairs = list(zip(extra["pair_target"].tolist(), extra["pair_source"].tolist(), strict=True))
    assert pairs == [(i, j) for i in range(3) for j in range(3)] + [(3, 3)]


def test_the_graph_of_a_set_is_cut_without_being_built_again(crystals, model):
    chosen = [crystals[name] for name in ("triclinic", "fcc", "heusler", "hexagonal")]
    whole = GraphSet.from_crystals(chosen, spec=model.graph, dtype=torch.float64)
    batch, graph = whole.select(torch.tensor([2, 0]))
    direct = CrystalBatch.from_crystals([chosen[2], chosen[0]], dtype=torch.float64)
    expected = model(direct, model.graph.build(direct))["formation_energy_per_atom"]
    assert torch.allclose(model(batch, graph)["formation_energy_per_atom"], expected)


def test_only_the_composition_matters(crystals, model):
    crystal = crystals["hexagonal"]
    other = crystal.replace(cell=np.eye(3) * 9.0, frac=np.random.default_rng(0).random((4, 3)))
    batch = CrystalBatch.from_crystals([crystal, other], dtype=torch.float64)
    values = model(batch, model.graph.build(batch))["formation_energy_per_atom"]
    assert values[0] == values[1]


@torch.no_grad()
def test_amounts_and_not_only_elements_matter(crystals, model):
    crystal = crystals["hexagonal"]
    richer = crystal.replace(numbers=[30, 30, 30, 8])
    batch = CrystalBatch.from_crystals([crystal, richer], dtype=torch.float64)
    values = model(batch, model.graph.build(batch))["formation_energy_per_atom"]
    assert abs(float(values[0] - values[1])) > 1e-9


@torch.no_grad()
def test_elements_with_the_same_properties_are_told_apart(crystals, model):
    crystal = crystals["fcc"]
    batch = CrystalBatch.from_crystals(
        [crystal.replace(numbers=[57]), crystal.replace(numbers=[58])], dtype=torch.float64
    )
    values = model(batch, model.graph.build(batch))["formation_energy_per_atom"]
    assert abs(float(values[0] - values[1])) > 1e-9
