from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.models.property.etgnn import ETGNN, arrangements, legendre
from euhedral.nn.irreps import spherical_harmonics
from euhedral.representations.equal_edges import CLASS_EDGE, CLASS_REVERSE, EDGE_CLASS

TENSORS = (
    {"kind": "tensor", "name": "dielectric", "rank": 2, "symmetry": "ij=ji"},
    {"kind": "tensor", "name": "piezoelectric", "rank": 3, "symmetry": "ijk=ikj"},
    {"kind": "tensor", "name": "elastic", "rank": 4, "symmetry": "ijkl=jikl=klij"},
)
TINY = {"width": 8, "n_blocks": 2, "narrow": 6, "basis_width": 4, "n_degrees": 4, "n_radial": 3, "cutoff": 4.0}


def tiny(**changes: object) -> ETGNN:
    torch.manual_seed(0)
    return ETGNN(**{"targets": TENSORS, **TINY, **changes}).double().eval()


def run(model: ETGNN, crystals: list[Crystal]) -> dict[str, np.ndarray]:
    batch = CrystalBatch.from_crystals(crystals, dtype=torch.float64)
    with torch.no_grad():
        return {name: value.numpy() for name, value in model(batch, model.graph.build(batch)).items()}


def test_the_dielectric_tensor_is_symmetric_and_all_tensors_turn_with_the_crystal(crystals):
    model, crystal = tiny(), crystals["triclinic"]
    turn = -torch.linalg.qr(
        torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ).Q.numpy()
    before, after = run(model, [crystal]), run(model, [crystal.replace(cell=crystal.cell @ turn.T)])
    for kind in TENSORS:
        expected = before[kind["name"]][0]
        assert np.abs(expected).max() > 1e-4
        for index in range(kind["rank"]):
            expected = np.moveaxis(np.tensordot(turn, expected, axes=(1, index)), 0, index)
        assert np.abs(after[kind["name"]][0] - expected).max() < 1e-10 * np.abs(expected).max()
    dielectric, piezoelectric, elastic = (before[kind["name"]][0] for kind in TENSORS)
    assert np.allclose(dielectric, dielectric.T)
    assert np.allclose(piezoelectric, piezoelectric.transpose(0, 2, 1))
    assert np.allclose(elastic, elastic.transpose(1, 0, 2, 3))
    assert np.allclose(elastic, elastic.transpose(2, 3, 0, 1))


def test_clusters_of_one_edge_alone_obey_the_cauchy_relations_and_those_of_two_do_not(crystals):
    both, single = tiny(), tiny(pair_cutoff=0.5)
    for model, obeys in ((both, False), (single, True)):
        elastic = run(model, [crystals["triclinic"]])["elastic"][0]
        error = np.abs(elastic - elastic.transpose(0, 2, 1, 3)).max() / np.abs(elastic).max()
        assert bool(error < 1e-9) == obeys


def test_a_tensor_is_the_mean_over_atoms_of_edges_and_pairs_along_their_directions(crystals):
    """Equations 1 and 2, written as loops over edges and pairs."""
    model = tiny(targets=TENSORS[:1])
    batch = CrystalBatch.from_crystals([crystals["hexagonal"]], dtype=torch.float64)
    graph = model.graph.build(batch)
    vectors = graph.vectors(batch)
    direction = vectors / vectors.norm(dim=1, keepdim=True)
    messages, _, length = model._messages(batch, graph, vectors)
    which, expansion = graph.extra[EDGE_CLASS], model.expansions[0]
    edge_length = length[which]

    def near(r: float, cutoff: float) -> float:
        x = r / cutoff
        return 0.0 if x >= 1.0 else 1.0 - 21.0 * x**5 + 35.0 * x**6 - 15.0 * x**7

    total = torch.zeros(3, 3, dtype=torch.float64)
    for e, u in enumerate(direction):
        total += expansion.edge(messages[which[e]])[0] * near(float(edge_length[e]), 4.0) * torch.outer(u, u)
    for one in range(len(direction)):
        for other in range(len(direction)):
            apart = one != other and graph.target[one] == graph.target[other]
            if apart and edge_length[one] < 3.0 and edge_length[other] < 3.0:
                u, v = direction[one], direction[other]
                features = expansion.first(messages[which[one]]) + expansion.second(messages[which[other]])
                features = features + expansion.angle(legendre((u @ v)[None], lmax=3)[0])
                strength = expansion.pair(torch.nn.functional.silu(features))[0]
                strength = strength * near(float(edge_length[one]), 3.0) * near(float(edge_length[other]), 3.0)
                total += strength * 0.5 * (torch.outer(u, v) + torch.outer(v, u))
    found = model(batch, graph)["dielectric"][0]
    assert torch.allclose(found, total / len(crystals["hexagonal"]), atol=1e-12)


@pytest.mark.parametrize("name", ["fcc", "heusler", "hexagonal"])
def test_equal_edges_computed_once_give_what_every_edge_alone_gives(name, crystals):
    model = tiny(targets=["energy", *TENSORS])
    batch = CrystalBatch.from_crystals([crystals[name]], dtype=torch.float64)
    graph = model.graph.build(batch)
    every = torch.arange(len(graph.source))
    vectors = graph.vectors(batch)
    reverse = torch.tensor([
        int(((graph.source == t) & (graph.target == s) & ((vectors + v).norm(dim=1) < 1e-9)).nonzero()[0])
        for s, t, v in zip(graph.source, graph.target, vectors, strict=True)
    ])  # fmt: skip
    alone = {**graph.extra, CLASS_EDGE: every, EDGE_CLASS: every, CLASS_REVERSE: reverse}
    whole = type(graph)(graph.source, graph.target, graph.image, extra=alone, kinds=graph.kinds)
    assert len(graph.extra[CLASS_EDGE]) < len(every) / 4
    for target, value in model(batch, graph).items():
        assert torch.allclose(model(batch, whole)[target], value, atol=1e-10), target


def test_a_rank_has_as_many_ways_to_set_two_edges_on_its_indices_as_its_symmetry_leaves():
    assert len(arrangements(2, symmetry="ij=ji")) == 1
    assert len(arrangements(3, symmetry="ijk=ikj")) == 2
    assert len(arrangements(4, symmetry="ijkl=jikl=klij")) == 3
    assert arrangements(1, symmetry="") == []


def test_legendre_polynomials_are_what_harmonics_of_two_directions_add_up_to():
    directions = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    directions = directions / directions.norm(dim=1, keepdim=True)
    harmonics = spherical_harmonics(directions, lmax=4)
    found = legendre(directions @ directions[0], lmax=4)
    for degree in range(5):
        rows = slice(degree**2, (degree + 1) ** 2)
        expected = harmonics[:, rows] @ harmonics[0, rows] / (4 * np.pi * (2 * degree + 1)) ** 0.5
        assert torch.allclose(found[:, degree], expected)


def test_published_hyperparameters_are_the_defaults():
    model = ETGNN()
    block = model.blocks[0]
    assert len(model.blocks) == 4
    assert (block.own.in_features, block.down.out_features, block.angular_second.in_features) == (128, 64, 8)
    assert (len(block.before), len(block.after), block.n_degrees) == (1, 2, 7)
    assert (model.radial.frequencies.numel(), model.cutoff, model.pair_cutoff, model.exponent) == (6, 6.0, 3.0, 5)


def test_it_learns_the_tensors_of_cubic_crystals_and_an_axis(crystals):
    chosen = [crystals[name] for name in ("fcc", "heusler", "hexagonal")]
    diagonals = torch.tensor([[2.0, 2.0, 2.0], [3.0, 3.0, 3.0], [2.0, 2.0, -4.0]], dtype=torch.float64)
    model = tiny(targets=TENSORS[:1]).train()
    batch = CrystalBatch.from_crystals(chosen, dtype=torch.float64)
    graph = model.graph.build(batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = (model(batch, graph)["dielectric"] - torch.diag_embed(diagonals)).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
