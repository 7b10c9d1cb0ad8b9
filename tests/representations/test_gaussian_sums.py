"""Sums of Gaussians over images and over waves, with widths that are learnt."""

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell, with_cell
from euhedral.representations.gaussian_images import CRYSTALFORMER_WIDEST, GaussianImages, gaussian_waves
from euhedral.representations.gaussian_sums import (
    gaussian_wave_sums,
    image_shares,
    log_gaussian_sums,
    pair_of_edge,
    weighted_image_sums,
)  # fmt: skip
from euhedral.representations.graphs import GraphSpec
from euhedral.representations.lattice_sums import all_pairs
from euhedral.training.graph_set import GraphSet

SMALL = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "isolated", "vacuum")
CENTRES = torch.linspace(0.5, 14.0, 20, dtype=torch.float64)


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


def radial(distance):
    return torch.exp(-0.5 * ((distance[:, None] - CENTRES) / 0.7) ** 2)


def summed(batch, width, *, widest=CRYSTALFORMER_WIDEST, error=1e-4):
    """log Z and psi; width is (P, H) or a number."""
    graph = GaussianImages(widest=widest, error=error).build(batch)
    pair = pair_of_edge(batch, graph=graph)
    n_pairs = int(batch.n_atoms.square().sum())
    width = width if torch.is_tensor(width) else torch.full((n_pairs, 1), width, dtype=batch.dtype)
    squared = graph.vectors(batch).square().sum(1)
    logs, share = log_gaussian_sums(squared, pair=pair, width=width)
    distance = (squared + 1e-20).sqrt()
    return logs, weighted_image_sums(share, basis=radial(distance), pair=pair, n_pairs=n_pairs)


def brute(crystal, width, reach=60.0):
    """Z and psi of each pair, every image within a long reach counted."""
    limits = np.ceil(reach * np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)).astype(int) + 1
    axes = [np.arange(-m, m + 1) for m in limits]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
    lattice = lattice[np.linalg.norm(lattice, axis=1) < reach]
    logs, values = [], []
    for i in range(len(crystal)):
        for j in range(len(crystal)):
            d2 = ((lattice + (crystal.frac[j] - crystal.frac[i]) @ crystal.cell) ** 2).sum(1)
            terms = np.exp(-(d2 - d2.min()) / (2.0 * width**2))
            basis = radial(torch.from_numpy(np.sqrt(d2))).numpy()
            logs.append(np.log(terms.sum()) - d2.min() / (2.0 * width**2))
            values.append(terms @ basis / terms.sum())
    return np.array(logs), np.array(values)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("width", [0.2, 1.0, CRYSTALFORMER_WIDEST])
def test_sums_over_images_have_the_error_that_was_asked_for(crystals, name, width):
    crystal = crystals[name]
    expected, values = brute(crystal, width)
    for error in (1e-2, 1e-4, 1e-8):
        logs, psi = summed(batch_of(crystal), width, error=error)
        assert np.abs(logs[:, 0].numpy() - expected).max() <= error + 1e-12
        # numerator and denominator both lack at most `error` of the largest term
        assert np.abs(psi[:, 0].numpy() - values).max() <= 2.0 * error + 1e-12


def test_images_are_not_many_more_than_needed(crystals):
    # 3.5 widths, the published choice, leave out about 1e-3 of the largest term
    batch = batch_of(crystals["fcc"])
    found = GaussianImages(error=1e-3).build(batch)
    length = found.vectors(batch).norm(dim=1)
    assert 3.5 < length.max() / CRYSTALFORMER_WIDEST < 5.5


def test_far_and_narrow_pairs_do_not_underflow(crystals):
    crystal = crystals["vacuum"].replace(frac=[[0, 0, 0.0], [0.5, 0.5, 0.5]])
    logs, psi = summed(batch_of(crystal), 0.1)
    assert torch.isfinite(logs).all()
    assert logs.min() < -(19.0**2) / (2 * 0.01)
    assert torch.isfinite(psi).all()


def test_edges_are_grouped_by_pair_in_the_order_of_all_pairs(crystals):
    batch = batch_of(crystals["triclinic"], crystals["fcc"], crystals["heusler"])
    spec = GaussianImages()
    assert isinstance(spec, GraphSpec)
    graph = spec.build(batch)
    pair = pair_of_edge(batch, graph=graph)
    source, target = all_pairs(batch)
    assert (pair.diff() >= 0).all()
    assert torch.equal(source[pair], graph.source)
    assert torch.equal(target[pair], graph.target)
    assert torch.equal(pair.unique(), torch.arange(9 + 1 + 16))
    own = (graph.source == graph.target) & (graph.image == 0).all(1)
    assert int(own.sum()) == 8


def test_crystals_of_a_batch_do_not_see_each_other(crystals):
    chosen = [crystals[name] for name in ("triclinic", "one_atom", "vacuum")]
    together, psi = summed(batch_of(*chosen), 1.3)
    alone = [summed(batch_of(crystal), 1.3) for crystal in chosen]
    torch.testing.assert_close(together, torch.cat([logs for logs, _ in alone]))
    torch.testing.assert_close(psi, torch.cat([values for _, values in alone]))


def test_images_are_kept_with_a_data_set_and_cut_with_its_batches(crystals):
    chosen = [crystals[name] for name in ("triclinic", "one_atom", "heusler", "vacuum")]
    batch, graph = GraphSet.from_crystals(chosen, spec=GaussianImages(), dtype=torch.float64).select(
        torch.tensor([3, 0])
    )
    logs, _ = log_gaussian_sums(
        graph.vectors(batch).square().sum(1),
        pair=pair_of_edge(batch, graph=graph),
        width=torch.full((4 + 9, 1), 1.3, dtype=torch.float64),
    )
    torch.testing.assert_close(logs, summed(batch_of(chosen[3], chosen[0]), 1.3)[0])


@pytest.mark.parametrize("name", ["triclinic", "heusler", "vacuum"])
def test_copies_in_a_supercell_add_up_to_the_cell(crystals, name):
    crystal = crystals[name]
    large = supercell(crystal, matrix=[2, 1, 2])
    logs, psi = summed(batch_of(large), 1.5, error=1e-10)
    n = len(crystal)
    parts = logs.exp().reshape(len(large), n, 4)
    logs_once, psi_once = summed(batch_of(crystal), 1.5, error=1e-10)
    torch.testing.assert_close(parts.sum(2)[::4].reshape(-1, 1), logs_once.exp(), rtol=1e-8, atol=1e-12)
    values = (psi.reshape(len(large), n, 4, -1) * parts[..., None]).sum(2) / parts.sum(2, keepdim=True)
    torch.testing.assert_close(values[::4].reshape(n * n, 1, -1), psi_once, rtol=1e-7, atol=1e-9)


def test_sums_do_not_see_the_choice_of_cell(crystals):
    crystal = crystals["triclinic"]
    skewed = with_cell(crystal, matrix=[[1, 4, -3], [0, 1, 5], [0, 0, 1]])
    for ours, theirs in zip(
        summed(batch_of(skewed), 1.5, error=1e-9), summed(batch_of(crystal), 1.5, error=1e-9), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", SMALL)
def test_waves_and_images_give_equal_sums(crystals, name):
    batch = batch_of(crystals[name])
    n_pairs = len(crystals[name]) ** 2
    width = torch.linspace(1.5, 4.0, n_pairs * 2, dtype=torch.float64).reshape(n_pairs, 2)
    logs, _ = summed(batch, width, widest=4.0, error=1e-12)
    for error in (1e-3, 1e-6, 1e-10):
        sums = gaussian_wave_sums(batch, waves=gaussian_waves(batch, narrowest=1.5, error=error), width=width)
        assert (sums - logs.exp()).abs().max() <= error + 1e-11 * logs.exp().max()


def test_waves_of_a_batch_are_those_of_each_crystal(crystals):
    chosen = [with_cell(crystals["triclinic"], matrix=[[1, 2, 0], [0, 1, -3], [0, 0, 1]]), crystals["vacuum"]]
    batch = batch_of(*chosen)
    together = gaussian_wave_sums(
        batch, waves=gaussian_waves(batch, narrowest=2.0, error=1e-9), width=torch.full((13, 1), 2.0).double()
    )
    alone = [
        gaussian_wave_sums(
            batch_of(one), waves=gaussian_waves(batch_of(one), narrowest=2.0, error=1e-9),
            width=torch.full((len(one) ** 2, 1), 2.0).double(),
        )
        for one in chosen
    ]  # fmt: skip
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", ["triclinic", "heusler", "vacuum"])
def test_wide_gaussians_need_images_only_within_reach_of_the_basis(crystals, name):
    batch = batch_of(crystals[name])
    n_pairs = len(crystals[name]) ** 2
    width = torch.full((n_pairs, 1), 6.0, dtype=torch.float64)
    near = CENTRES < 4.0
    _, expected = summed(batch, width, widest=6.0, error=1e-9)
    graph = GaussianImages(widest=6.0, error=1e-9, reach=9.0).build(batch)
    whole = GaussianImages(widest=6.0, error=1e-9).build(batch)
    assert graph.source.numel() < whole.source.numel() / 20
    pair = pair_of_edge(batch, graph=graph)
    squared = graph.vectors(batch).square().sum(1)
    total = gaussian_wave_sums(batch, waves=gaussian_waves(batch, narrowest=6.0, error=1e-12), width=width)
    share = image_shares(squared, pair=pair, width=width, total=total)
    psi = weighted_image_sums(share, basis=radial((squared + 1e-20).sqrt()), pair=pair, n_pairs=n_pairs)
    torch.testing.assert_close(psi[:, :, near], expected[:, :, near], atol=1e-7, rtol=1e-6)


def test_pair_out_of_reach_has_no_image_and_no_value(crystals):
    batch = batch_of(crystals["vacuum"].replace(frac=[[0, 0, 0.0], [0, 0, 0.5]]))
    graph = GaussianImages(reach=5.0).build(batch)
    pair = pair_of_edge(batch, graph=graph)
    assert pair.unique().tolist() == [0, 3]
    ones = torch.ones(len(pair), 1, dtype=torch.float64)
    assert (weighted_image_sums(ones, basis=ones, pair=pair, n_pairs=4)[[1, 2]] == 0).all()


def test_gradients_by_width_position_and_cell_are_those_of_finite_differences(crystals):
    batch = batch_of(crystals["triclinic"], crystals["fcc"])
    graph = GaussianImages(error=1e-6).build(batch)
    pair = pair_of_edge(batch, graph=graph)
    waves = gaussian_waves(batch, narrowest=1.0, error=1e-6)

    def function(width, frac, cell):
        moved = batch.replace(frac=frac, cell=cell)
        squared = graph.vectors(moved).square().sum(1)
        per_pair = width[all_pairs(batch)[1]]
        logs, share = log_gaussian_sums(squared, pair=pair, width=per_pair)
        basis = torch.exp(-0.1 * (squared[:, None] - CENTRES[:3]) ** 2)
        psi = weighted_image_sums(share, basis=basis, pair=pair, n_pairs=10)
        return logs, psi, gaussian_wave_sums(moved, waves=waves, width=per_pair)

    width = torch.tensor([[1.1, 1.4], [1.2, 1.9], [1.3, 1.5], [1.7, 1.2]], dtype=torch.float64)
    inputs = [tensor.clone().requires_grad_() for tensor in (width, batch.frac, batch.cell)]
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


def test_each_query_has_its_own_width(crystals):
    batch = batch_of(crystals["triclinic"])
    narrow, wide = (summed(batch, width)[0] for width in (0.8, 1.6))
    _, target = all_pairs(batch)
    per_atom = torch.tensor([[0.8], [1.6], [0.8]], dtype=torch.float64)
    mixed, _ = summed(batch, per_atom[target])
    torch.testing.assert_close(mixed, torch.where(target[:, None] == 1, wide, narrow))


def test_large_cell_lists_every_pair(crystals):
    batch = batch_of(crystals["large"])
    graph = GaussianImages(error=1e-2).build(batch)
    assert pair_of_edge(batch, graph=graph).unique().numel() == 500**2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda batch: GaussianImages(widest=0.0), "from 0.01 to 100 Angstrom"),
        (lambda batch: GaussianImages(widest=float("nan")), "got nan"),
        (lambda batch: GaussianImages(error=2.0), "error of sums of Gaussians"),
        (lambda batch: GaussianImages(reach=0.0), "reach of the images"),
        (lambda batch: gaussian_waves(batch, narrowest=-1.0, error=1e-3), "narrowest Gaussian"),
        (lambda batch: GaussianImages().build(batch.replace(frac=batch.frac * torch.nan)), "NaN"),
        (lambda batch: GaussianImages(widest=90.0, error=1e-14).build(batch), "need about"),
    ],
)
def test_wrong_requests_are_refused_in_one_line(crystals, make, message):
    tiny = crystals["fcc"].replace(cell=crystals["fcc"].cell * 0.2)
    with pytest.raises(InvalidRequestError, match=message) as caught:
        make(batch_of(tiny))
    assert "\n" not in str(caught.value)


def test_an_image_counts_as_often_as_it_says(crystals):
    batch = batch_of(crystals["fcc"])
    graph = GaussianImages().build(batch)
    squared = graph.vectors(batch).square().sum(1).round(decimals=9)
    width = torch.full((1, 1), 1.3, dtype=torch.float64)
    logs, share = log_gaussian_sums(squared, pair=torch.zeros_like(graph.source), width=width)
    once, count = squared.unique(return_counts=True)
    fewer, shares = log_gaussian_sums(once, pair=torch.zeros_like(count), width=width, count=count.double())
    assert torch.allclose(fewer, logs)
    assert torch.allclose(shares.sum(), share.sum())
    assert len(once) < 0.2 * len(squared)
