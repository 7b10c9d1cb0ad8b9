from __future__ import annotations

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.models.property.cgcnn import CGCNN
from euhedral.representations.dense import Dense
from euhedral.representations.graphs import Nearest
from euhedral.representations.lattice_edges import LatticeEdges, LatticeFrame
from euhedral.representations.line_graph import LineGraph
from euhedral.representations.triplets import EdgePairs, EdgePaths
from euhedral.representations.undirected import Undirected
from euhedral.training.graph_set import GraphSet


@pytest.fixture(scope="module")
def chosen(crystals):
    names = ("triclinic", "fcc", "isolated", "heusler", "hexagonal", "one_atom", "vacuum")
    return [crystals[name].replace(props={"a": float(i)}) for i, name in enumerate(names)]


@pytest.mark.parametrize("merge_equal", [False, True])
@pytest.mark.parametrize("chunk", [2, 100])
def test_a_batch_cut_out_is_the_batch_built_from_its_crystals(chosen, merge_equal, chunk):
    torch.manual_seed(0)
    model = CGCNN(atom_width=8, hidden_width=8).double().eval()
    whole = GraphSet.from_crystals(
        chosen, spec=model.graph, targets=("a",), dtype=torch.float64, merge_equal=merge_equal, chunk=chunk
    )
    picked = [6, 0, 2, 3]
    batch, graph = whole.select(torch.tensor(picked))
    direct = CrystalBatch.from_crystals([chosen[i] for i in picked], dtype=torch.float64, targets=("a",))
    direct_graph = model.graph.build(direct)
    assert batch.ids == direct.ids
    assert torch.equal(batch.targets["a"], direct.targets["a"])
    if not merge_equal:
        assert torch.equal(graph.source, direct_graph.source)
        assert torch.equal(graph.target, direct_graph.target)
        assert torch.allclose(graph.vectors(batch), direct_graph.vectors(direct))
    assert torch.allclose(
        model(batch, graph)["formation_energy_per_atom"],
        model(direct, direct_graph)["formation_energy_per_atom"],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "spec",
    [
        LineGraph(cutoff=5.0, bond_cutoff=3.0),
        EdgePaths(LatticeFrame(Undirected(Nearest(6))), backtracking=True),
        EdgePairs(LatticeEdges(), cutoff=3.0),
        Dense(),
    ],
    ids=["chgnet", "alignn with a lattice", "m3gnet with a lattice", "dense"],
)
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_edge_triplet_and_crystal_tensors_are_kept_with_the_set(chosen, spec, chunk):
    whole = GraphSet.from_crystals(chosen, spec=spec, dtype=torch.float64, chunk=chunk)
    picked = [6, 0, 2, 3]
    batch, graph = whole.select(torch.tensor(picked))
    direct_batch = CrystalBatch.from_crystals([chosen[i] for i in picked], dtype=torch.float64)
    direct = spec.build(direct_batch)
    torch.testing.assert_close(graph.vectors(batch), direct.vectors(direct_batch))
    assert graph.extra.keys() == direct.extra.keys()
    for name, tensor in direct.extra.items():
        torch.testing.assert_close(graph.extra[name], tensor)


def test_a_graph_with_extra_tensors_is_not_merged(chosen):
    with pytest.raises(InvalidRequestError, match="cannot be merged"):
        GraphSet.from_crystals(chosen, spec=LatticeEdges(), merge_equal=True)


def test_batches_go_through_every_crystal_once(chosen):
    whole = GraphSet.from_crystals(chosen, spec=CGCNN().graph, targets=("a",))
    seen = [batch.targets["a"] for batch, _ in whole.batches(torch.arange(7).flip(0), size=3)]
    assert [len(part) for part in seen] == [3, 3, 1]
    assert torch.cat(seen).tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_labels_that_the_set_does_not_carry_are_named(chosen):
    whole = GraphSet.from_crystals(chosen, spec=CGCNN().graph, targets=("a",))
    with pytest.raises(InvalidRequestError, match=r"no labels b; it has a"):
        whole.labels(("a", "b"))


def test_an_empty_set_is_refused():
    with pytest.raises(InvalidRequestError, match="at least one crystal"):
        GraphSet.from_crystals([], spec=CGCNN().graph)
