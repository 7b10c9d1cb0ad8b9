import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.condensed import Condensed
from euhedral.representations.graphs import Nearest
from euhedral.representations.lattice_edges import LatticeEdges
from euhedral.representations.lattice_sums import POTENTIAL_SUMS, PotentialSums
from euhedral.representations.merged_sums import PAIR_SHARE, PAIR_SOURCE, PAIR_TARGET, WithMergedSums
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY

SUMS = WithMergedSums(edges=Nearest(k=8), sums=PotentialSums(accuracy=1e-10))


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


def gathered(weight, value, *, sender, target, state):
    """What each target gets from a message that is no linear function of anything."""
    message = weight[:, None] * torch.sin(1.7 * value.sum(1, keepdim=True) + 0.3 * state[sender])
    return torch.zeros_like(state).index_add(0, target, message)


def states(batch, graph, rounds=3):
    """Three rounds of messages on the whole graph, by atom, and on the condensed one, by orbit and then by atom."""
    whole = batch.numbers[:, None].double()
    distance = graph.vectors(batch).norm(dim=1)[:, None]
    extra = graph.extra
    for _ in range(rounds):
        near = gathered(torch.ones(len(distance)), distance, sender=graph.source, target=graph.target, state=whole)
        far = gathered(
            extra[PAIR_SHARE], extra[POTENTIAL_SUMS], sender=extra[PAIR_SOURCE], target=extra[PAIR_TARGET], state=whole
        )
        whole = whole + near + far
    return whole


def condensed_states(batch, graph, rounds=3):
    extra = graph.extra
    one = batch.numbers[extra[ORBIT_ATOM]][:, None].double()
    for _ in range(rounds):
        near = gathered(
            extra[MULTIPLICITY],
            extra[DISTANCE][:, None],
            sender=extra[EDGE_SOURCE],
            target=extra[EDGE_TARGET],
            state=one,
        )
        far = gathered(
            extra[PAIR_SHARE], extra[POTENTIAL_SUMS], sender=extra[PAIR_SOURCE], target=extra[PAIR_TARGET], state=one
        )
        one = one + near + far
    return one


@pytest.mark.parametrize("name", ["triclinic", "fcc", "heusler", "hexagonal", "isolated", "vacuum"])
def test_messages_give_every_orbit_what_its_atoms_get(crystals, name):
    batch = batch_of(crystals["fcc"], supercell(crystals[name], matrix=(2, 1, 1)), crystals["triclinic"])
    whole = states(batch, SUMS.build(batch))
    graph = Condensed(SUMS).build(batch)
    assert torch.allclose(condensed_states(batch, graph), whole[graph.extra[ORBIT_ATOM]], atol=1e-7)


def test_equal_atoms_are_one_orbit_and_different_ones_are_not(crystals):
    batch = batch_of(supercell(crystals["hexagonal"], matrix=(2, 1, 1)), crystals["triclinic"], crystals["heusler"])
    extra = Condensed(SUMS).build(batch).extra
    assert extra[ORBIT_COUNT].tolist() == [4, 4, 1, 1, 1, 1, 1, 2]
    assert batch.numbers[extra[ORBIT_ATOM]].tolist() == [30, 8, 3, 25, 8, 25, 13, 29]
    assert len(extra[DISTANCE]) < 0.25 * len(Nearest(k=8).build(batch).source)


def test_sums_tell_atoms_apart_that_near_neighbours_do_not(crystals):
    # three sheets 8, 12 and 20 Angstrom apart: all atoms of a sheet see the same near neighbours
    sheet = crystals["vacuum"]
    heights = np.array([0.0, 8.0, 20.0])
    frac = np.concatenate([sheet.frac * [1, 1, 0] + [0, 0, height / 40.0] for height in heights])
    stack = sheet.replace(frac=frac, numbers=[6] * 6)
    near = Nearest(k=12)
    assert Condensed(near).build(batch_of(stack)).extra[ORBIT_COUNT].tolist() == [6]
    assert len(Condensed(WithMergedSums(edges=near)).build(batch_of(stack)).extra[ORBIT_COUNT]) > 1


def test_extra_tensors_that_may_tell_more_apart_are_refused(crystals):
    with pytest.raises(InvalidRequestError, match=r"lattice_edge.* cannot be condensed"):
        Condensed(LatticeEdges()).build(batch_of(crystals["fcc"]))
