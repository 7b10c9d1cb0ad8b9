import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import with_cell
from euhedral.models.property.crystalformer_aaai import ConformalCrystalFormer, Paths
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    EDGE_SOURCE,
    EDGE_TARGET,
    ORBIT_ATOM,
)  # fmt: skip
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import PATH_FIRST, PATH_SECOND, path_cosines
from euhedral.training.graph_set import GraphSet


def small(**changes):
    torch.manual_seed(0)
    chosen = {"width": 12, "n_blocks": 2, "heads": 3, "channels": 5} | changes
    return ConformalCrystalFormer(**chosen).double().eval()


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, *chosen):
    batch = batch_of(*chosen)
    return model.latent(batch, model.graph.build(batch))


def net(angle):
    """One layer of carbon in which each atom has four neighbours at 2.2 Angstrom and the fifth out of reach."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    cell = np.array([[2.2, 0, 0], [2.2 * cosine, 2.2 * sine, 0], [0, 0, 12.0]])
    return Crystal(cell=cell, frac=[[0, 0, 0]], numbers=[6], id=f"net-{angle}")


def test_angles_tell_apart_what_elements_and_bond_lengths_do_not():
    square, sheared = net(90.0), net(75.0)
    graph = small().graph.angles.build(batch_of(square, sheared))
    assert torch.bincount(graph.target).tolist() == [4, 4]
    blind, seeing = small(channels=0), small()
    assert (latent(blind, square) - latent(blind, sheared)).abs().max() < 1e-12
    assert (latent(seeing, square) - latent(seeing, sheared)).abs().max() > 1e-6


def test_where_the_cell_boundary_lies_does_not_matter(crystals):
    crystal, model = crystals["triclinic"], small()
    moved = with_cell(crystal, matrix=((1, 2, 0), (0, 1, -1), (0, 0, 1)))
    moved = moved.replace(frac=moved.frac + np.array([0.31, 0.77, 0.52]))
    assert not np.allclose(np.round(moved.frac @ moved.cell, 6), np.round(crystal.frac @ crystal.cell, 6))
    assert (latent(model, crystal) - latent(model, moved)).abs().max() < 1e-10


def whole(graph, batch):
    """The paths of a graph in which nothing was merged."""
    first, second = graph.extra[PATH_FIRST], graph.extra[PATH_SECOND]
    nothing, none = torch.zeros(len(graph.source), dtype=torch.float64), torch.zeros(len(first), dtype=torch.float64)
    return Paths(
        source=graph.source, target=graph.target, log_count=nothing, first=first, second=second,
        cosine=path_cosines(graph, batch), log_path_count=none,
    )  # fmt: skip


@torch.no_grad()
def by_hand(model, atoms, edges, batch, mapping):
    """Attention over paths with the directions of edges written out and mapped, one atom and head at a time."""
    graph, attention = model.graph.angles.build(batch), model.blocks[0].over_paths
    heads, size, n = attention.heads, attention.size, len(atoms)
    query = (attention.of_centre(atoms)[graph.target] + attention.of_last(edges)).view(len(edges), heads, -1)
    rest = (attention.of_start(atoms)[graph.source] + attention.of_first(edges)).view(len(edges), heads, -1)
    a, b = query[:, :, size:], rest[:, :, size : size + attention.channels]
    value = rest[:, :, size + attention.channels :]
    # j to i along the last edge, k to j along the first: the angle at j is between the reversed last and the first
    directions = torch.nn.functional.normalize(graph.vectors(batch), dim=1) @ mapping.T
    out = torch.zeros(n, heads, size, dtype=atoms.dtype)
    paths = list(zip(graph.extra[PATH_FIRST].tolist(), graph.extra[PATH_SECOND].tolist(), strict=True))
    for i in range(n):
        own = [(first, second) for first, second in paths if graph.target[second] == i]
        for h in range(heads):
            logits, messages = [], []
            for first, second in own:
                mapped_query = torch.outer(a[second, h], -directions[second]).flatten()
                mapped_key = torch.outer(b[first, h], directions[first]).flatten()
                logits.append((query[second, h, :size] @ rest[first, h, :size] + mapped_query @ mapped_key) / size**0.5)
                cosine = -directions[second] @ directions[first]
                messages.append(value[first, h, :size] + cosine * value[first, h, size:])
            out[i, h] = torch.softmax(torch.stack(logits), dim=0) @ torch.stack(messages)
    return attention.output(out.flatten(1))


def test_any_map_that_keeps_angles_gives_the_same_attention_and_no_other(crystals):
    model, batch = small(), batch_of(crystals["hexagonal"])
    graph = model.graph.angles.build(batch)
    rng = torch.Generator().manual_seed(1)
    atoms, edges = (torch.randn(rows, 12, generator=rng, dtype=torch.float64) for rows in (4, len(graph.source)))
    isometry, _ = torch.linalg.qr(torch.randn(7, 3, generator=rng, dtype=torch.float64))
    with torch.no_grad():
        got = model.blocks[0].over_paths(atoms, edges, whole(graph, batch))
    assert (by_hand(model, atoms, edges, batch, isometry) - got).abs().max() < 1e-10
    assert (by_hand(model, atoms, edges, batch, torch.eye(3).double()) - got).abs().max() < 1e-10
    bent = isometry * torch.tensor([1.0, 0.8, 1.2], dtype=torch.float64)
    assert (by_hand(model, atoms, edges, batch, bent) - got).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["triclinic", "fcc", "heusler", "hexagonal", "vacuum"])
def test_a_block_gives_merged_atoms_what_it_gives_each_of_them(crystals, name):
    model, batch = small(), batch_of(crystals[name])
    table = torch.randn(40, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    graph, merged = model.graph.angles.build(batch), model.graph.build(batch).extra
    second = merged[ANGLE_SECOND]
    paths = Paths(
        source=merged[EDGE_SOURCE], target=merged[EDGE_TARGET], log_count=merged[MULTIPLICITY].log(), first=merged[ANGLE_FIRST],
        second=second, cosine=merged[ANGLE_COSINE], log_path_count=(merged[MULTIPLICITY][second] * merged[ANGLE_COUNT]).log(),
    )  # fmt: skip
    atom = merged[ORBIT_ATOM]
    with torch.no_grad():
        each = model.blocks[0](
            table[batch.numbers], model.edges(model.basis(graph.vectors(batch).norm(dim=1))), whole(graph, batch)
        )
        one = model.blocks[0](table[batch.numbers[atom]], model.edges(model.basis(merged[DISTANCE])), paths)
    assert torch.allclose(one, each[atom], atol=1e-10)


def test_a_block_looks_at_neighbours_of_neighbours(crystals):
    """It reaches two bonds by paths and one by edges; with the paths silent it reaches one."""
    model, batch = small(n_blocks=1), batch_of(crystals["hexagonal"])
    graph = model.graph.angles.build(batch)
    atoms = torch.zeros(4, 12, dtype=torch.float64, requires_grad=True)
    block, edges = model.blocks[0], torch.zeros(len(graph.source), 12, dtype=torch.float64)
    (by_paths,) = torch.autograd.grad(block(atoms, edges, whole(graph, batch))[0].sum(), atoms)
    block.over_paths.output.weight.data.zero_()
    (by_edges,) = torch.autograd.grad(block(atoms, edges, whole(graph, batch))[0].sum(), atoms)
    assert bool((by_paths[1].abs() > 0.0).any())
    assert not bool(by_edges[1].any())


def test_the_graph_of_a_set_is_cut_without_being_built_again(crystals):
    chosen = [crystals[name] for name in ("triclinic", "isolated", "heusler", "hexagonal")]
    model = small()
    whole = GraphSet.from_crystals(chosen, spec=model.graph, dtype=torch.float64)
    batch, graph = whole.select(torch.tensor([2, 1, 0]))
    with torch.no_grad():
        assert torch.allclose(model.latent(batch, graph), latent(model, chosen[2], chosen[1], chosen[0]))


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(InvalidRequestError, match="cannot be shared by 4 heads"):
        ConformalCrystalFormer(width=30)
