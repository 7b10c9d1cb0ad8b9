import numpy as np
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.geometry.cells import supercell
from euhedral.representations.graphs import Radius
from euhedral.representations.line_graph import LineGraph

SPEC = LineGraph(cutoff=6.0, bond_cutoff=3.0)


def built(crystals):
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    return batch, SPEC.build(batch)


def test_reverse_edge_has_the_opposite_vector(crystal):
    batch, graph = built([crystal])
    vectors = graph.vectors(batch)
    reverse = graph.extra["reverse"]
    torch.testing.assert_close(vectors[reverse], -vectors)
    assert torch.equal(reverse[reverse], torch.arange(len(reverse)))
    assert not (reverse == torch.arange(len(reverse))).any()


def test_every_bond_is_two_opposite_edges(crystal):
    _, graph = built([crystal])
    bond, edge = graph.extra["bond"], graph.extra["bond_edge"]
    assert len(edge) * 2 == len(bond)
    assert torch.equal(bond[edge], torch.arange(len(edge)))
    assert torch.equal(bond[graph.extra["reverse"][edge]], torch.arange(len(edge)))


def test_short_bonds_come_first(crystal):
    batch, graph = built([crystal])
    length = graph.vectors(batch).norm(dim=1)[graph.extra["bond_edge"]]
    n_short = len(graph.extra["short_edge"]) // 2
    assert (length[:n_short] < 3.0).all()
    assert (length[n_short:] >= 3.0).all()


def test_angles_are_all_ordered_pairs_of_short_edges_at_one_centre(crystal):
    _, graph = built([crystal])
    extra = {name: tensor.numpy() for name, tensor in graph.extra.items()}
    centre = graph.target.numpy()[extra["short_edge"]]
    expected = (
        {(i, j) for i in range(len(centre)) for j in np.flatnonzero(centre == centre[i]) if i != j}
        if len(centre) < 400
        else None
    )
    pairs = list(zip(extra["angle_first"].tolist(), extra["angle_second"].tolist(), strict=True))
    counts = np.bincount(centre, minlength=1)
    assert len(pairs) == int((counts * (counts - 1)).sum())
    assert pairs == sorted(pairs)
    if expected is not None:
        assert set(pairs) == expected


def test_swapped_angle_has_its_bonds_exchanged(crystal):
    _, graph = built([crystal])
    first, second, swap = (graph.extra[f"angle_{name}"] for name in ("first", "second", "swap"))
    assert torch.equal(first[swap], second)
    assert torch.equal(second[swap], first)


def test_batch_holds_the_graphs_of_its_crystals(crystals):
    chosen = [crystals["triclinic"], crystals["isolated"], crystals["heusler"]]
    batch, together = built(chosen)
    parts = [built([crystal])[1] for crystal in chosen]
    assert len(together.source) == sum(len(part.source) for part in parts)
    assert len(together.extra["angle_first"]) == sum(len(part.extra["angle_first"]) for part in parts)
    length = together.vectors(batch).norm(dim=1)
    torch.testing.assert_close(
        length[together.extra["bond_edge"]].sort().values,
        torch.cat(
            [p.vectors(built([c])[0]).norm(dim=1)[p.extra["bond_edge"]] for p, c in zip(parts, chosen, strict=True)]
        )
        .sort()
        .values,
    )


def test_bonds_of_exactly_the_cutoff_in_a_large_cell_are_whole_or_not_there():
    """Rounding may see such a neighbour from one end and not from the other."""
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    cubic = Crystal(cell=3.1 * turned, frac=[[0.123, 0.456, 0.789]], numbers=[6])
    batch = CrystalBatch.from_crystals([supercell(cubic, matrix=[5, 5, 5])], dtype=torch.float64)
    one_ended = Radius(6.2).build(batch)
    graph = LineGraph(cutoff=6.2, bond_cutoff=3.5).build(batch)
    assert 0 < len(one_ended.source) - len(graph.source) < 200
    vectors, reverse = graph.vectors(batch), graph.extra["reverse"]
    torch.testing.assert_close(vectors[reverse], -vectors)
    assert torch.equal(graph.extra["bond"][reverse], graph.extra["bond"])
    assert torch.equal(graph.extra["bond"].bincount(), torch.full((len(graph.source) // 2,), 2))
