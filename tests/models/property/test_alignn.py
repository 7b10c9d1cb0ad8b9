import math

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.models.property.alignn import ALIGNN
from euhedral.models.property.cgcnn import CGCNN
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    ATOM_ORBIT,
)
from euhedral.representations.graphs import Graph, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import PATH_FIRST, PATH_SECOND, EdgePaths, path_cosines
from euhedral.representations.undirected import Undirected


def small(**changes):
    torch.manual_seed(0)
    arguments = {"width": 12, "n_angle_layers": 2, "n_layers": 1, "embedding_width": 8} | changes
    return ALIGNN(**arguments).double().eval()


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, *crystals):
    batch = batch_of(*crystals)
    return model.latent(batch, model.graph.build(batch))


def alloys(first, second):
    """Two alloys, close-packed as CuAu (cubic) and MgCd (hexagonal): 12 neighbours at 3 Angstrom, 4 like and 8 unlike, in both."""
    side = 3.0 * math.sqrt(2.0)
    cubic = Crystal(
        cell=np.diag([3.0, 3.0, side]), frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[first, second], id="cubic"
    )
    hexagonal = Crystal(
        cell=3.0 * np.diag([1.0, math.sqrt(3.0), math.sqrt(8.0 / 3.0)]), numbers=[first, first, second, second],
        frac=[[0, 0, 0], [0, 1 / 3, 0.5], [0.5, 0.5, 0], [0.5, 5 / 6, 0.5]], id="hexagonal",
    )  # fmt: skip
    return cubic, hexagonal


def difference(model, pair):
    one, other = (latent(model, crystal) for crystal in pair)
    return float((one - other).abs().max())


def test_angles_tell_crystals_apart_that_have_the_same_distances():
    pair = alloys(29, 79)
    torch.manual_seed(0)
    assert difference(CGCNN(neighbours=12).double().eval(), pair) < 1e-12
    assert difference(small(n_angle_layers=0), pair) < 1e-12
    assert difference(small(), pair) > 1e-6


def test_one_element_at_one_distance_is_beyond_gates_that_only_weigh():
    # angles decide how much of each other edge an edge takes; where all edges are alike there is nothing to choose from
    assert difference(small(), alloys(12, 12)) < 1e-12


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "vacuum"])
def test_keeping_one_of_all_equal_atoms_edges_and_angles_changes_nothing(crystals, name):
    batch, model = batch_of(crystals[name], crystals["fcc"]), small()
    whole = EdgePaths(Undirected(Nearest(k=12)), backtracking=True).build(batch)
    atoms, edges, paths = len(batch.numbers), len(whole.source), len(whole.extra[PATH_FIRST])
    one = torch.ones(paths, dtype=torch.float64)
    extra = {
        ORBIT_ATOM: torch.arange(atoms), ORBIT_COUNT: one[:atoms], ATOM_ORBIT: torch.arange(atoms), EDGE_SOURCE: whole.source,
        EDGE_TARGET: whole.target, MULTIPLICITY: one[:edges], DISTANCE: whole.vectors(batch).norm(dim=1),
        ANGLE_FIRST: whole.extra[PATH_FIRST], ANGLE_SECOND: whole.extra[PATH_SECOND], ANGLE_COUNT: one,
        ANGLE_COSINE: path_cosines(whole, batch),
    }  # fmt: skip
    kept = model.graph.build(batch)
    assert len(kept.extra[ANGLE_COUNT]) < 0.8 * paths
    with torch.no_grad():
        expected = model.latent(batch, Graph(whole.source, whole.target, whole.image, extra=extra))
        assert torch.allclose(model.latent(batch, kept), expected, rtol=0.0, atol=1e-9)


def test_training_sees_no_other_crystal_of_the_batch(crystals):
    model = small().train()
    alone, together = latent(model, crystals["hexagonal"]), latent(model, crystals["triclinic"], crystals["hexagonal"])
    assert torch.allclose(alone[0], together[1])


def test_published_configuration_is_the_default():
    assert sum(parameter.numel() for parameter in ALIGNN().parameters()) == pytest.approx(4.03e6, rel=0.01)
