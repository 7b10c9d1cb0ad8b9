from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import with_cell
from euhedral.representations.dense import Dense, all_pairs, padded_atoms, padded_pairs, shortest_images
from euhedral.representations.graph_rows import GraphRows, join_graphs

SMALL = ["triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum"]
SKEWED = [[1, 7, 0], [0, 1, 0], [5, -3, 1]]


def batch_of(crystals):
    return CrystalBatch.from_crystals(crystals, dtype=torch.float64)


def lengths(crystal):
    batch = batch_of([crystal])
    graph = Dense().build(batch)
    return graph.vectors(batch).norm(dim=1).numpy()


@pytest.mark.parametrize("name", SMALL)
def test_every_pair_is_as_short_as_the_shortest_of_all_images(crystals, name):
    crystal = with_cell(crystals[name], matrix=SKEWED)
    batch = batch_of([crystal])
    graph = Dense().build(batch)
    n = len(crystal)
    assert list(zip(graph.target.tolist(), graph.source.tolist(), strict=True)) == list(
        itertools.permutations(range(n), 2)
    )
    straight = crystals[name]
    images = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    for edge, (i, j) in enumerate(itertools.permutations(range(n), 2)):
        shortest = np.linalg.norm((straight.frac[j] - straight.frac[i] + images) @ straight.cell, axis=1).min()
        assert graph.vectors(batch)[edge].norm().item() == pytest.approx(shortest, abs=1e-9)


def test_random_differences_in_random_cells_have_no_shorter_image():
    rng = np.random.default_rng(2)
    images = np.array(list(itertools.product(range(-7, 8), repeat=3)))
    for _ in range(200):
        cell = rng.normal(size=(3, 3)) * rng.uniform(1.0, 8.0, size=(3, 1))
        if abs(np.linalg.det(cell)) < 0.05 * np.prod(np.linalg.norm(cell, axis=1)):
            continue
        difference = rng.uniform(-1.5, 1.5, size=(20, 3))
        found = shortest_images(
            torch.from_numpy(difference), cell=torch.from_numpy(cell)[None], crystal=torch.zeros(20, dtype=torch.int64)
        )
        mine = np.linalg.norm((difference + found.numpy()) @ cell, axis=1)
        every = np.linalg.norm((difference[:, None] + images) @ cell, axis=2).min(1)
        assert (mine <= every + 1e-9).all()


def test_lengths_do_not_depend_on_the_cell_or_on_wrapping(crystals):
    crystal = crystals["hexagonal"]
    expected = lengths(crystal)
    np.testing.assert_allclose(lengths(with_cell(crystal, matrix=SKEWED)), expected, atol=1e-9)
    batch = batch_of([crystal])
    moved = batch.replace(frac=batch.frac + torch.tensor([[2, -3, 0], [0, 1, 1], [5, 0, 0], [-1, -1, -1]]))
    np.testing.assert_allclose(Dense().build(moved).vectors(moved).norm(dim=1).numpy(), expected, atol=1e-9)


def test_the_flat_pairs_of_a_batch_are_those_of_its_crystals():
    source, target = all_pairs(torch.tensor([2, 1, 3]))
    assert list(zip(target.tolist(), source.tolist(), strict=True)) == [
        (0, 1), (1, 0), (3, 4), (3, 5), (4, 3), (4, 5), (5, 3), (5, 4),
    ]  # fmt: skip
    source, target = all_pairs(torch.tensor([2, 1]), loops=True)
    assert list(zip(target.tolist(), source.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)]


def test_padded_pairs_are_the_flat_ones_in_their_places(crystals):
    chosen = [crystals[name] for name in SMALL]
    batch = batch_of(chosen)
    vectors, there = padded_pairs(batch)
    assert vectors.shape == (len(chosen), 4, 4, 3)
    assert there.sum((1, 2)).tolist() == [len(c) ** 2 for c in chosen]
    assert (vectors[~there] == 0).all()
    graph = Dense(loops=True).build(batch)
    torch.testing.assert_close(vectors[there], graph.vectors(batch))
    numbers, mask = padded_atoms(batch.numbers, batch=batch)
    assert torch.equal(numbers[mask], batch.numbers)
    assert mask.sum(1).tolist() == batch.n_atoms.tolist()


def test_displacements_are_differentiable_in_positions_and_cells(crystals):
    batch = batch_of([crystals["triclinic"], crystals["isolated"]])
    cell, frac = batch.cell.clone().requires_grad_(), batch.frac.clone().requires_grad_()

    def loss(x, h):
        return (padded_pairs(batch.replace(frac=x, cell=h))[0] ** 3).sum()

    assert torch.autograd.gradcheck(loss, (frac, cell))


def test_atoms_half_a_cell_apart_take_the_same_image_again_and_again():
    crystal = Crystal(cell=np.eye(3) * 4.0, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[55, 17])
    first = Dense().build(batch_of([crystal]))
    noisy = batch_of([crystal])
    noisy = noisy.replace(frac=noisy.frac + 1e-16)
    assert torch.equal(first.image, Dense().build(noisy).image)
    np.testing.assert_allclose(lengths(crystal), 2.0 * np.sqrt(3.0))


def test_single_precision_finds_the_same_lengths(crystals):
    chosen = [with_cell(crystals[name], matrix=SKEWED) for name in SMALL]
    double, single = batch_of(chosen), CrystalBatch.from_crystals(chosen)
    one, other = Dense().build(double).vectors(double), Dense().build(single).vectors(single)
    torch.testing.assert_close(one.norm(dim=1), other.norm(dim=1).double(), atol=3e-4, rtol=0)


def test_dense_graphs_are_joined_and_cut(crystals):
    chosen = [crystals[name] for name in SMALL]
    parts = [GraphRows.of(Dense().build(batch), batch=batch) for batch in (batch_of([c]) for c in chosen)]
    cut = join_graphs(parts).select(torch.tensor([3, 0, 5]))
    direct = Dense().build(batch_of([chosen[i] for i in (3, 0, 5)]))
    assert torch.equal(cut.source, direct.source)
    assert torch.equal(cut.image, direct.image)


def test_what_cannot_be_is_refused(crystals):
    with pytest.raises(InvalidRequestError, match=r"are 4.0e\+08, at most 5e\+07 fit"):
        all_pairs(torch.tensor([20_000]))
    batch = batch_of([crystals["heusler"]])
    with pytest.raises(InvalidRequestError, match="NaN or infinite"):
        Dense().build(batch.replace(frac=batch.frac * float("nan")))
    with pytest.raises(InvalidRequestError, match="padded to 500 atoms"):
        padded_pairs(batch_of([crystals["large"]] + [crystals["fcc"]] * 1000))
