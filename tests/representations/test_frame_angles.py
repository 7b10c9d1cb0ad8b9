import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.geometry.cells import supercell
from euhedral.representations.distinct_lengths import EDGE_LENGTH, LENGTH_EDGE
from euhedral.representations.frame_angles import (
    AXIS_COSINE,
    AXIS_COUNT,
    AXIS_EDGE,
    AXIS_NUMBER,
    EDGE_KIND,
    KIND_ANGLES,
    KIND_COUNT,
    KIND_EDGE,
    FrameAngles,
)
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.lattice_edges import frame_cosines


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "isolated"])
def test_every_edge_finds_its_angles(crystals, name):
    batch = batch_of(crystals[name], crystals["fcc"])
    graph = FrameAngles().build(batch)
    extra = graph.extra
    cosines = frame_cosines(graph, batch)
    found = extra[AXIS_COSINE][extra[KIND_ANGLES][extra[EDGE_KIND]]]
    assert torch.allclose(found, cosines, rtol=0.0, atol=1e-6)
    own = extra[AXIS_COSINE], cosines[extra[AXIS_EDGE], extra[AXIS_NUMBER]]
    assert torch.allclose(*own, rtol=0.0, atol=1e-6)
    assert torch.equal(extra[EDGE_KIND][extra[KIND_EDGE]], torch.arange(len(extra[KIND_EDGE])))
    assert extra[AXIS_COUNT].sum() == 3 * len(graph.source)
    assert extra[KIND_COUNT].sum() == len(graph.source)
    assert torch.equal(torch.bincount(extra[EDGE_KIND]).double(), extra[KIND_COUNT])


def test_edges_of_different_lengths_share_no_angle(crystals):
    graph = FrameAngles().build(batch_of(crystals["heusler"]))
    of_angle = graph.extra[EDGE_LENGTH][graph.extra[AXIS_EDGE]]
    of_edge = of_angle[graph.extra[KIND_ANGLES][graph.extra[EDGE_KIND]]]
    assert torch.equal(of_edge, graph.extra[EDGE_LENGTH][:, None].expand(-1, 3))


def test_a_cubic_crystal_has_few_angles_and_a_supercell_has_no_more(crystals):
    sizes = {}
    for name, crystal in {"once": crystals["fcc"], "more": supercell(crystals["fcc"], matrix=(2, 1, 3))}.items():
        extra = FrameAngles().build(batch_of(crystal)).extra
        sizes[name] = tuple(len(extra[key]) for key in (LENGTH_EDGE, AXIS_COUNT, KIND_COUNT))
    assert sizes["once"] == sizes["more"]
    assert sizes["once"][0] == 1
    assert sizes["once"][1] <= 15  # five cosines to each of three vectors


def test_graphs_are_joined_and_cut(crystals):
    spec = FrameAngles()
    parts = [batch_of(crystals["hexagonal"]), batch_of(crystals["fcc"], crystals["triclinic"])]
    rows = join_graphs([GraphRows.of(spec.build(batch), batch=batch) for batch in parts])
    cut = rows.select(torch.tensor([2, 0]))
    direct = spec.build(batch_of(crystals["triclinic"], crystals["hexagonal"]))
    for name, tensor in direct.extra.items():
        assert torch.allclose(cut.extra[name], tensor), name
