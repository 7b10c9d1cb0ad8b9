import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import supercell
from euhedral.geometry.symmetrise import atom_permutations
from euhedral.geometry.symmetry import symmetry
from euhedral.models.property.ecn import ECN, OrbitEdges, OrbitLayer
from euhedral.representations.edge_orbits import ORBIT_RANK, SAME_ORBIT, WithEdgeOrbits
from euhedral.representations.graphs import Nearest
from euhedral.representations.quotient import DISTANCE

WIDTH, ORBITS = 6, 4


def permutations(crystal):
    group = symmetry(crystal)
    return torch.as_tensor(
        atom_permutations(crystal, rotations=group.rotations, translations=group.translations, tolerance=0.05)
    )


def zincblende():
    """16 zinc and 16 oxygen atoms in another arrangement than wurtzite, zinc first."""
    face = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    small = Crystal(
        cell=np.eye(3) * 4.6, frac=np.concatenate([face, face + 0.25]), numbers=[30] * 4 + [8] * 4, id="zincblende"
    )
    large = supercell(small, matrix=(2, 2, 1))
    order = np.argsort(-large.numbers, kind="stable")
    return large.replace(frac=large.frac[order], numbers=large.numbers[order])


@pytest.fixture
def wurtzite(crystals):
    large = supercell(crystals["hexagonal"], matrix=(2, 2, 2))
    order = np.argsort(-large.numbers, kind="stable")
    return large.replace(frac=large.frac[order], numbers=large.numbers[order])


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return OrbitLayer(WIDTH, edge_width=3, n_orbits=ORBITS).double().eval()


def edges_of(crystal, *, rank=None):
    """Every edge for itself, with features of its length and, if wanted, other ranks than those of its orbit."""
    batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64)
    graph = WithEdgeOrbits(Nearest(k=12), merged=False).build(batch)
    if rank is not None:
        graph.extra[ORBIT_RANK].copy_(rank(graph))
    features = torch.stack([graph.extra[DISTANCE] ** power for power in range(3)], dim=1)
    return graph, OrbitEdges(graph, features=features, n_orbits=ORBITS)


@torch.no_grad()
def failures(layer, edges, onto):
    """For each permutation how far the layer is from commuting with it, on features that obey no symmetry."""
    atoms = torch.randn(onto.shape[1], WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    after = layer(atoms, edges)
    found = []
    for one in onto:
        moved, expected = torch.empty_like(atoms), torch.empty_like(after)
        moved[one], expected[one] = atoms, after
        found.append(float((layer(moved, edges) - expected).abs().max()))
    return np.array(found)


def test_a_layer_commutes_with_the_crystals_own_group(layer, wurtzite):
    onto = permutations(wurtzite)
    assert len(torch.unique(onto, dim=0)) == 96  # 12 operations of P6_3mc times 8 translations
    assert failures(layer, edges_of(wurtzite)[1], onto).max() < 1e-12


def test_a_layer_does_not_commute_with_the_group_of_another_crystal(layer, wurtzite):
    other = permutations(zincblende())
    assert (wurtzite.numbers == zincblende().numbers).all()
    own = {tuple(one) for one in permutations(wurtzite).tolist()}
    foreign = torch.stack([one for one in torch.unique(other, dim=0) if tuple(one.tolist()) not in own])
    assert len(foreign) > 100
    assert failures(layer, edges_of(wurtzite)[1], foreign).min() > 1e-3
    assert failures(layer, edges_of(zincblende())[1], other).max() < 1e-12


def test_without_sharing_over_orbits_a_layer_does_not_commute_with_the_group(layer, wurtzite):
    def one_by_one(graph):
        return torch.randint(ORBITS, graph.source.shape, generator=torch.Generator().manual_seed(2))

    found = failures(layer, edges_of(wurtzite, rank=one_by_one)[1], permutations(wurtzite))
    assert np.median(found) > 1e-3


@torch.no_grad()
def test_orbits_of_one_length_have_weights_of_their_own():
    crystal = Crystal(cell=np.eye(3) * 3.5, frac=[[0, 0, 0], [0, 0, 0.5]], numbers=[11, 8], id="tetragonal")
    torch.manual_seed(0)
    model = ECN(width=WIDTH, edge_width=3, n_layers=1, hidden_width=6, n_orbits=8, n_radial=6).double().eval()
    batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64)
    graph = model.graph.build(batch)
    before = model.latent(batch, graph)
    flat = (graph.extra[DISTANCE] - 3.5).abs() < 1e-6
    ranks = graph.extra[ORBIT_RANK][flat]
    assert len(torch.unique(ranks)) > 1
    graph.extra[ORBIT_RANK][flat] = ranks.min()  # as if the fourfold axis were all that distances know
    assert (model.latent(batch, graph) - before).abs().max() > 1e-6


@torch.no_grad()
def test_merged_orbits_give_the_numbers_of_all_atoms_and_edges(crystals):
    torch.manual_seed(0)
    model = ECN(width=WIDTH, edge_width=3, n_layers=2, hidden_width=6, n_orbits=ORBITS, n_radial=6).double().eval()
    chosen = [crystals[name] for name in ("triclinic", "heusler", "hexagonal", "vacuum", "isolated")]
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    whole = WithEdgeOrbits(Nearest(k=12), merged=False).build(batch)
    assert torch.allclose(model.latent(batch, model.graph.build(batch)), model.latent(batch, whole), atol=1e-12)


@torch.no_grad()
def test_pairs_within_an_orbit_have_a_second_set_of_weights(layer, wurtzite):
    graph, edges = edges_of(wurtzite)
    assert edges.n_within == int(graph.extra[SAME_ORBIT].sum()) > 0
    assert edges.n_within < len(graph.source)
    atoms = torch.randn(len(wurtzite), WIDTH, dtype=torch.float64)
    before = layer(atoms, edges)
    layer.first.weight[ORBITS:].zero_()
    assert (layer(atoms, edges) - before).abs().max() > 1e-6
