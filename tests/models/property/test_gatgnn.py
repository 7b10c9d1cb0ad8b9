import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.models.property.gatgnn import GATGNN, GlobalAttention, composition
from euhedral.nn.row_index import RowIndex
from euhedral.nn.segments import segment_sum
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY

NAMES = ("triclinic", "heusler", "hexagonal", "vacuum", "isolated")


@pytest.fixture
def model(crystals):
    torch.manual_seed(0)
    network = GATGNN(width=8, n_layers=2, heads=3, global_width=6).double()
    batch = CrystalBatch.from_crystals([crystals[name] for name in NAMES], dtype=torch.float64)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm1d):
            layer.momentum = 1.0
    for _ in range(4):  # statistics of these crystals; without them all features are nearly alike
        network(batch, network.graph.build(batch))
    return network.eval()


@pytest.fixture
def given(model, crystals):
    batch = CrystalBatch.from_crystals([crystals[name] for name in NAMES], dtype=torch.float64)
    return batch, model.graph.build(batch)


@torch.no_grad()
def local_weights(model, batch, graph):
    extra = graph.extra
    atoms = model.atoms(batch.numbers[extra[ORBIT_ATOM]])
    source, target = (RowIndex(extra[name], n=len(atoms)) for name in (EDGE_SOURCE, EDGE_TARGET))
    count, edges = extra[MULTIPLICITY].double(), model.edges(model.basis(extra[DISTANCE]))
    weights, _ = model.layers[0].weights(
        atoms, edges, source=source, target=target, count=count, total=count * extra[ORBIT_COUNT][target.index]
    )
    return weights


def test_local_weights_add_up_to_one_for_each_atom_and_head(model, given):
    batch, graph = given
    weights = local_weights(model, batch, graph)
    target = graph.extra[EDGE_TARGET]
    total = segment_sum(weights, owner=target, n=len(graph.extra[ORBIT_ATOM]))
    assert total.shape[1] == 3
    assert torch.allclose(total, torch.ones_like(total))
    each = weights / graph.extra[MULTIPLICITY][:, None]
    assert len(each[target == 0]) > 2
    assert each[target == 0].std(0).min() > 1e-6  # attention, not an average


def test_global_weights_add_up_to_one_for_each_crystal(model, given):
    batch, graph = given
    with torch.no_grad():
        weights = model.atom_weights(model.atom_features(batch, graph), batch, graph)
    owner = batch.crystal_idx[graph.extra[ORBIT_ATOM]]
    total = segment_sum(weights, owner=owner, n=len(batch))
    assert torch.allclose(total, torch.ones_like(total))
    first = weights[owner == 0]
    assert first.std() > 1e-6


@torch.no_grad()
def test_what_an_atom_counts_depends_on_the_composition_around_it(model):
    attention = GlobalAttention(8, hidden_width=6).double()
    atoms, owner = torch.randn(4, 8, dtype=torch.float64).repeat(2, 1), torch.tensor([0] * 4 + [1] * 4)
    share = torch.zeros(2, 119, dtype=torch.float64)
    share[0, 8], share[1, 26] = 1.0, 1.0
    weights = attention(atoms, share=share, owner=owner, size=torch.ones(8, dtype=torch.float64))
    assert (weights[:4] - weights[4:]).abs().max() > 1e-4
    attention.from_composition.weight.zero_()
    weights = attention(atoms, share=share, owner=owner, size=torch.ones(8, dtype=torch.float64))
    assert torch.allclose(weights[:4], weights[4:])


@torch.no_grad()
def test_without_global_attention_the_sum_is_the_mean_over_atoms(model, given):
    batch, graph = given
    attended = model.latent(batch, graph)
    model.global_attention.score.weight.zero_()
    atoms, size = model.atom_features(batch, graph), graph.extra[ORBIT_COUNT].double()
    owner = batch.crystal_idx[graph.extra[ORBIT_ATOM]]
    mean = segment_sum(atoms * size[:, None], owner=owner, n=len(batch)) / batch.n_atoms[:, None]
    assert torch.allclose(model.latent(batch, graph), model.hidden(mean))
    assert (model.latent(batch, graph)[:3] - attended[:3]).abs().amax(1).min() > 1e-6


def test_the_composition_counts_atoms_by_element(crystals):
    batch = CrystalBatch.from_crystals([crystals["heusler"], crystals["hexagonal"]], dtype=torch.float64)
    share = composition(batch, dtype=torch.float64)
    assert share[0, [13, 25, 29]].tolist() == [0.25, 0.25, 0.5]
    assert share.sum(1).tolist() == [1.0, 1.0]
