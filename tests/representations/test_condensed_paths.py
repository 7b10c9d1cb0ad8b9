import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import supercell
from euhedral.representations.condensed import Condensed
from euhedral.representations.condensed_paths import PATH_COSINE, PATH_COUNT, CondensedPaths
from euhedral.representations.graphs import Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE
from euhedral.representations.triplets import PATH_FIRST, PATH_SECOND, EdgePaths, path_cosines
from euhedral.training.graph_set import GraphSet

PATHS = EdgePaths(Nearest(k=5))


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


def round_of(state, *, lengths, source, target, first, second, cosine, count):
    """One round of messages along paths that is no linear function of anything."""
    message = torch.sin(lengths[first] + 2.0 * lengths[second] * cosine + state[source[first]] + 0.2 * cosine)
    return state + torch.zeros_like(state).index_add(0, target[second], count * message)


@pytest.mark.parametrize("name", ["triclinic", "fcc", "heusler", "hexagonal", "isolated", "vacuum"])
def test_messages_along_paths_give_every_orbit_what_its_atoms_get(crystals, name):
    batch = batch_of(crystals["fcc"], supercell(crystals[name], matrix=(2, 1, 1)), crystals["triclinic"])
    graph, merged = PATHS.build(batch), CondensedPaths(PATHS).build(batch).extra
    whole = batch.numbers.double()
    one = whole[merged[ORBIT_ATOM]]
    for _ in range(3):
        whole = round_of(
            whole, lengths=graph.vectors(batch).norm(dim=1), source=graph.source, target=graph.target,
            first=graph.extra[PATH_FIRST], second=graph.extra[PATH_SECOND], cosine=path_cosines(graph, batch), count=1.0,
        )  # fmt: skip
        one = round_of(
            one, lengths=merged[DISTANCE], source=merged[EDGE_SOURCE], target=merged[EDGE_TARGET], first=merged[PATH_FIRST],
            second=merged[PATH_SECOND], cosine=merged[PATH_COSINE], count=merged[PATH_COUNT],
        )  # fmt: skip
    assert torch.allclose(one, whole[merged[ORBIT_ATOM]], atol=1e-7)
    assert len(merged[PATH_COUNT]) < len(graph.extra[PATH_FIRST])


def test_a_crystal_without_symmetry_keeps_all_its_atoms_and_paths(crystals):
    frac = np.random.default_rng(0).random((6, 3))
    crystal = crystals["triclinic"].replace(frac=frac, numbers=[6] * 6)
    graph, merged = PATHS.build(batch_of(crystal)), CondensedPaths(PATHS).build(batch_of(crystal)).extra
    assert merged[ORBIT_COUNT].tolist() == [1.0] * len(crystal)
    assert merged[PATH_COUNT].sum() == len(graph.extra[PATH_FIRST])


def test_angles_tell_apart_atoms_that_distances_do_not():
    # a bent and a straight chain of carbon in one cell, far from each other
    bend = np.radians(110.0)
    along, across = 1.5 * np.sin(bend / 2), 1.5 * np.cos(bend / 2)
    straight, bent = [[0.0, 0, 0], [1.5, 0, 0]], [[0, 10.0, 0], [along, 10.0 + across, 0]]
    cells = [np.diag([length, 20.0, 20.0]) for length in (3.0, 2.0 * along)]
    chains = [
        Crystal(cell=cell, frac=np.array(place) @ np.linalg.inv(cell), numbers=[6, 6], id="chain")
        for cell, place in zip(cells, (straight, bent), strict=True)
    ]
    batch = batch_of(*chains)
    near = Nearest(k=2)
    distances = [Condensed(near).build(batch_of(chain)).extra[DISTANCE] for chain in chains]
    assert torch.allclose(distances[0], distances[1])
    cosines = CondensedPaths(EdgePaths(near)).build(batch).extra[PATH_COSINE]
    assert cosines.tolist() == pytest.approx([-1.0, np.cos(bend)])


def test_the_graph_of_a_set_is_cut_without_being_built_again(crystals):
    spec = CondensedPaths(PATHS)
    chosen = [crystals[name] for name in ("triclinic", "isolated", "heusler", "hexagonal")]
    whole = GraphSet.from_crystals(chosen, spec=spec, dtype=torch.float64)
    _, cut = whole.select(torch.tensor([3, 1, 0]))
    direct = spec.build(batch_of(chosen[3], chosen[1], chosen[0]))
    for name, value in direct.extra.items():
        assert torch.equal(cut.extra[name], value) or torch.allclose(cut.extra[name], value)
