import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.models.property.matformer import Matformer, Unmarked
from euhedral.representations.graphs import Graph, Nearest
from euhedral.representations.lattice_edges import LatticeEdges
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.undirected import Undirected


def small(**changes):
    torch.manual_seed(0)
    return Matformer(**({"width": 12, "n_layers": 2, "heads": 2} | changes)).double().eval()


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, crystal):
    batch = batch_of(crystal)
    return model.latent(batch, model.graph.build(batch))


def molecules(height):
    """Square prisms of eight atoms, far apart: along a the next one is at 20 Angstrom, along c at a height."""
    corner = np.array([[x, y, z] for x in (0.0, 2.0) for y in (0.0, 2.0) for z in (0.0, 2.4)])
    cell = np.diag([20.0, 20.0, height])
    return Crystal(cell=cell, frac=corner / np.diag(cell), numbers=[1] * 8, id=f"molecules at {height}")


def test_only_the_lattice_edges_tell_lattices_apart_whose_near_neighbours_are_the_same():
    near, far = molecules(16.0), molecules(18.0)
    blind, seeing = small(lattice_edges=False, neighbours=7), small(neighbours=7, reach=30.0)
    for crystal in (near, far):
        assert Nearest(k=7).build(batch_of(crystal)).vectors(batch_of(crystal)).norm(dim=1).max() < 4.0
    assert (latent(blind, near) - latent(blind, far)).abs().max() < 1e-12
    assert (latent(seeing, near) - latent(seeing, far)).abs().max() > 1e-6


def test_packings_with_the_same_distances_are_told_apart_by_their_lattices():
    side = 3.2 / np.sqrt(2.0)
    cubic = Crystal(cell=side * (np.ones((3, 3)) - np.eye(3)), frac=[[0, 0, 0]], numbers=[12], id="cubic")
    cell = 3.2 * np.array([[1.0, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, np.sqrt(8 / 3)]])
    hexagonal = Crystal(cell=cell, frac=[[0, 0, 0], [1 / 3, 2 / 3, 0.5]], numbers=[12, 12], id="hexagonal")
    assert (
        latent(small(lattice_edges=False), cubic) - latent(small(lattice_edges=False), hexagonal)
    ).abs().max() < 1e-12
    assert (latent(small(), cubic) - latent(small(), hexagonal)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal"])
def test_the_boundary_of_the_cell_may_be_anywhere(crystals, name):
    crystal, model = crystals[name], small()
    batch, before = batch_of(crystal), latent(model, crystal)
    for shift in ([0.31, 0.0, 0.0], [0.47, 0.71, 0.93]):
        moved = crystal.replace(frac=crystal.frac + shift)
        assert torch.allclose(latent(model, moved), before, rtol=0.0, atol=1e-9)
    # cut apart: atoms given by images in other cells
    images = batch.frac + torch.tensor([[k, -k, 2 * k] for k in range(len(crystal))])
    parted = batch.replace(frac=images)
    with torch.no_grad():
        assert torch.allclose(model.latent(parted, model.graph.build(parted)), before, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal"])
def test_keeping_one_of_all_equal_atoms_and_edges_changes_nothing(crystals, name):
    batch, model = batch_of(crystals[name], crystals["fcc"]), small()
    whole = Unmarked(LatticeEdges(Undirected(Nearest(k=12)))).build(batch)
    one = torch.ones(len(whole.source), dtype=torch.float64)
    atoms = len(batch.numbers)
    extra = {
        ORBIT_ATOM: torch.arange(atoms), ORBIT_COUNT: one[:atoms], EDGE_SOURCE: whole.source, EDGE_TARGET: whole.target,
        MULTIPLICITY: one, DISTANCE: whole.vectors(batch).norm(dim=1),
    }  # fmt: skip
    kept = model.graph.build(batch)
    assert len(kept.source) < 0.8 * len(whole.source)
    assert kept.extra[MULTIPLICITY].max() > 2
    for training in (False, True):  # batch normalisation counts equal atoms
        model.train(training)
        with torch.no_grad():
            expected = model.latent(batch, Graph(whole.source, whole.target, whole.image, extra=extra))
            assert torch.allclose(model.latent(batch, kept), expected, rtol=0.0, atol=1e-9)


def test_published_sizes_are_the_defaults():
    model = Matformer()
    assert len(model.layers) == 5
    assert model.layers[0].key.weight.shape == (4 * 128, 128)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(2.8e6, rel=0.02)
