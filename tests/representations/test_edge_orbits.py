import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.condensed import Condensed
from euhedral.representations.edge_orbits import ORBIT_RANK, SAME_ORBIT, WithEdgeOrbits
from euhedral.representations.graphs import Nearest, Radius
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.training.graph_set import GraphSet


def extra_of(*crystals, edges=None, merged=True):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return WithEdgeOrbits(edges or Nearest(), merged=merged).build(batch).extra


def tetragonal():
    """A cell with three equal edges whose atoms leave only the fourfold axis along c."""
    return Crystal(cell=np.eye(3) * 3.5, frac=[[0, 0, 0], [0, 0, 0.5]], numbers=[11, 8], id="tetragonal")


def test_the_neighbours_in_a_close_packing_are_one_orbit(crystals):
    extra = extra_of(crystals["fcc"])
    assert extra[MULTIPLICITY].tolist() == [12.0]
    assert extra[ORBIT_RANK].tolist() == [0]
    assert extra[SAME_ORBIT].tolist() == [True]
    second = extra_of(crystals["fcc"], edges=Nearest(k=18))
    assert second[MULTIPLICITY].tolist() == [12.0, 6.0]
    assert second[ORBIT_RANK].tolist() == [0, 1]


def test_equal_lengths_that_the_group_does_not_map_on_each_other_are_two_orbits():
    extra = extra_of(tetragonal(), edges=Radius(cutoff=3.6))
    sodium = (extra[EDGE_TARGET] == 0) & (extra[EDGE_SOURCE] == 0)
    assert torch.allclose(extra[DISTANCE][sodium], torch.full((2,), 3.5, dtype=torch.float64))
    assert sorted(extra[MULTIPLICITY][sodium].tolist()) == [2.0, 4.0]
    assert len(set(extra[ORBIT_RANK][sodium].tolist())) == 2
    batch = CrystalBatch.from_crystals([tetragonal()], dtype=torch.float64)
    blind = Condensed(Radius(cutoff=3.6)).build(batch).extra  # by distances the two are one
    assert 6.0 in blind[MULTIPLICITY].tolist()


def test_atoms_of_one_wyckoff_orbit_are_one_node_however_many_cells_there_are(crystals):
    for name, orbits in (("hexagonal", [2.0, 2.0]), ("heusler", [1.0, 1.0, 2.0]), ("triclinic", [1.0, 1.0, 1.0])):
        assert extra_of(crystals[name])[ORBIT_COUNT].tolist() == orbits
        larger = extra_of(supercell(crystals[name], matrix=(2, 1, 3)))
        assert larger[ORBIT_COUNT].tolist() == [6.0 * count for count in orbits]


def test_ranks_do_not_depend_on_the_cell(crystals):
    for name in ("triclinic", "heusler", "hexagonal", "vacuum"):
        small, large = (extra_of(one) for one in (crystals[name], supercell(crystals[name], matrix=(1, 2, 3))))
        for key in (ORBIT_RANK, MULTIPLICITY, DISTANCE):
            assert torch.allclose(small[key].double(), large[key].double())


def test_merged_edges_stand_for_all_edges(crystals):
    names = ("triclinic", "heusler", "hexagonal")
    chosen = [crystals[name] for name in names]
    merged, whole = extra_of(*chosen), extra_of(*chosen, merged=False)
    every = merged[MULTIPLICITY] * merged[ORBIT_COUNT][merged[EDGE_TARGET]]
    assert float(every.sum()) == len(whole[DISTANCE])
    assert whole[ORBIT_ATOM].tolist() == list(range(sum(len(one) for one in chosen)))
    assert float((every * merged[DISTANCE]).sum()) == pytest.approx(float(whole[DISTANCE].sum()))


def test_graphs_of_a_set_are_cut_out_with_their_orbits(crystals):
    chosen = [crystals[name] for name in ("triclinic", "fcc", "isolated", "hexagonal")]
    whole = GraphSet.from_crystals(chosen, spec=WithEdgeOrbits(Radius(cutoff=4.0)), dtype=torch.float64)
    _, graph = whole.select(torch.tensor([3, 2, 0]))
    direct = extra_of(chosen[3], chosen[2], chosen[0], edges=Radius(cutoff=4.0))
    for name, value in direct.items():
        assert torch.equal(graph.extra[name], value), name


def test_a_graph_with_extra_tensors_is_refused(crystals):
    with pytest.raises(InvalidRequestError, match="without extra tensors"):
        extra_of(crystals["fcc"], edges=Condensed(Nearest()))
