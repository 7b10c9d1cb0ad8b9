import math

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    ATOM_ORBIT,
    CondensedAngles,
)
from euhedral.representations.graph_rows import GraphRows, join_graphs
from euhedral.representations.graphs import Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import EdgePairs, EdgePaths
from euhedral.representations.undirected import Undirected

SPECS = {
    "paths": EdgePaths(Undirected(Nearest(k=12)), backtracking=True),
    "pairs": EdgePairs(Nearest(k=12), cutoff=math.inf),
}


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


def sizes(graph):
    return {name: len(graph.extra[name]) for name in (ORBIT_ATOM, MULTIPLICITY, ANGLE_COUNT)}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_numbers_add_up_to_the_whole_graph(crystals, spec):
    batch = batch_of(*(crystals[name] for name in ("triclinic", "heusler", "hexagonal", "isolated", "vacuum")))
    whole, kept = spec.build(batch), CondensedAngles(spec).build(batch)
    extra = kept.extra
    edges = extra[MULTIPLICITY] * extra[ORBIT_COUNT][extra[EDGE_TARGET]]
    assert extra[ORBIT_COUNT].sum() == len(batch.numbers)
    assert edges.sum() == len(whole.source) > len(kept.source)
    n_angles = len(next(iter(whole.extra.values())))
    assert (extra[ANGLE_COUNT] * edges[extra[ANGLE_SECOND]]).sum() == n_angles > len(extra[ANGLE_COUNT])
    assert torch.allclose(kept.vectors(batch).norm(dim=1), extra[DISTANCE])
    assert torch.equal(extra[ATOM_ORBIT][kept.source], extra[EDGE_SOURCE])
    assert torch.equal(kept.target, extra[ORBIT_ATOM][extra[EDGE_TARGET]])


def test_a_face_centred_lattice_has_one_atom_one_edge_and_the_angles_of_its_twelve_neighbours(crystals):
    graph = CondensedAngles(SPECS["paths"]).build(batch_of(crystals["fcc"]))
    assert sizes(graph) == {ORBIT_ATOM: 1, MULTIPLICITY: 1, ANGLE_COUNT: 5}
    found = dict(zip(graph.extra[ANGLE_COSINE].tolist(), graph.extra[ANGLE_COUNT].tolist(), strict=True))
    assert {round(cosine, 9): count for cosine, count in found.items()} == {1.0: 1, 0.5: 4, 0.0: 2, -0.5: 4, -1.0: 1}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_supercell_has_the_orbits_edges_and_angles_of_its_cell(crystals, spec):
    for name in ("triclinic", "hexagonal"):
        once = CondensedAngles(spec).build(batch_of(crystals[name]))
        more = CondensedAngles(spec).build(batch_of(supercell(crystals[name], matrix=(2, 1, 2))))
        assert sizes(once) == sizes(more)
        assert torch.equal(4 * once.extra[ORBIT_COUNT], more.extra[ORBIT_COUNT])


def test_angles_tell_edges_apart_that_lengths_do_not():
    # hexagonal close packing: twelve neighbours at one distance, six of them in the plane
    close = Crystal(
        cell=[[1, 0, 0], [-0.5, math.sqrt(0.75), 0], [0, 0, math.sqrt(8 / 3)]], frac=[[0, 0, 0], [1 / 3, 2 / 3, 0.5]],
        numbers=[12, 12], id="hcp",
    )  # fmt: skip
    graph = CondensedAngles(SPECS["paths"]).build(batch_of(close.replace(cell=3.2 * close.cell)))
    assert graph.extra[DISTANCE].numpy() == pytest.approx(3.2)
    assert sorted(graph.extra[MULTIPLICITY].tolist()) == [6, 6]


def test_a_disordered_crystal_is_kept_whole_although_its_lengths_lie_close_together(crystals):
    batch = batch_of(crystals["large"])
    whole, kept = SPECS["paths"].build(batch), CondensedAngles(SPECS["paths"]).build(batch)
    assert len(kept.source) == len(whole.source)
    assert np.abs(kept.extra[DISTANCE].numpy() - whole.vectors(batch).norm(dim=1).numpy()).max() < 5e-3


def test_values_that_differ_by_more_than_the_tolerance_stay_apart(crystals):
    moved = supercell(crystals["fcc"], matrix=(1, 1, 2))
    moved = moved.replace(frac=np.add(moved.frac, [[0, 0, 0], [0.002, 0.001, 0.0]]))
    assert sizes(CondensedAngles(SPECS["paths"]).build(batch_of(moved)))[MULTIPLICITY] > 1
    coarse = CondensedAngles(SPECS["paths"], length_tolerance=0.05, cosine_tolerance=0.05)
    assert sizes(coarse.build(batch_of(moved)))[MULTIPLICITY] == 1


def test_graphs_are_joined_and_cut(crystals):
    spec = CondensedAngles(SPECS["paths"])
    parts = [batch_of(crystals["hexagonal"]), batch_of(crystals["fcc"], crystals["triclinic"])]
    rows = join_graphs([GraphRows.of(spec.build(batch), batch=batch) for batch in parts])
    cut = rows.select(torch.tensor([2, 0]))
    direct = spec.build(batch_of(crystals["triclinic"], crystals["hexagonal"]))
    for name, tensor in direct.extra.items():
        assert torch.allclose(cut.extra[name], tensor), name
    assert torch.equal(cut.extra[ANGLE_FIRST], direct.extra[ANGLE_FIRST])


def test_negative_tolerances_are_refused(crystals):
    with pytest.raises(InvalidRequestError, match="must not be negative, got -1"):
        CondensedAngles(SPECS["paths"], length_tolerance=-1.0).build(batch_of(crystals["fcc"]))
