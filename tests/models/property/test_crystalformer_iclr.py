import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.crystalformer_iclr import PAIR, PAIR_SOURCE, PAIR_TARGET, Crystalformer, Images
from euhedral.representations.orbits import EDGE_TARGET, ORBIT_ATOM
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.training.graph_set import GraphSet

FAR = 14.0  # widths of the widest Gaussian, 28 Angstrom
BCC = Crystal(cell=1.62 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1.0]]), frac=[[0, 0, 0]], numbers=[13], id="bcc")


def small(**changes):
    torch.manual_seed(0)
    chosen = {"width": 12, "n_layers": 2, "heads": 3, "feedforward": 16, "hidden_width": 8, "n_radial": 20} | changes
    model = Crystalformer(**chosen).double().eval()
    for block in model.blocks:  # as a first batch of training leaves them, so that widths differ among queries
        block.attention.width_shift.fill_(0.1)
        block.attention.width_scale.fill_(0.2)
    return model


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, *chosen):
    batch = batch_of(*chosen)
    return model.latent(batch, model.graph.build(batch))


@torch.no_grad()
def attended(model, crystal, table):
    """What the first block's attention gives to one atom of each orbit, before its last linear map; and these atoms."""
    batch, attention = batch_of(crystal), model.blocks[0].attention
    extra = model.graph.build(batch).extra
    images = Images(
        squared=extra[DISTANCE].square(), radial=model.basis(extra[DISTANCE]), count=extra[MULTIPLICITY],
        target=extra[EDGE_TARGET], pair=extra[PAIR], pair_source=extra[PAIR_SOURCE], pair_target=extra[PAIR_TARGET],
    )  # fmt: skip
    attention.output.weight.copy_(torch.eye(table.shape[1]))
    attention.output.bias.zero_()
    atom = extra[ORBIT_ATOM]
    return attention(table[batch.numbers[atom]], images).numpy(), atom.numpy()


@torch.no_grad()
def by_hand(model, crystal, atoms, reach):
    """The same as a plain softmax over every atom and image within reach, with the published formulae written out."""
    attention = model.blocks[0].attention
    heads, size = attention.heads, attention.size
    query, key, value = (
        f(atoms).view(-1, heads, size).numpy() for f in (attention.query, attention.key, attention.value)
    )
    score = ((query * attention.width_score.numpy()).sum(2) - 0.1) / 0.2
    rho = np.where(score > 0.0, 1.0 + 0.1 * score, 1.0 + 0.5 * (np.exp(0.2 * score) - 1.0))
    limits = np.ceil(reach * np.linalg.norm(np.linalg.inv(crystal.cell), axis=0)).astype(int) + 1
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ crystal.cell
    cartesian, n = crystal.frac @ crystal.cell, len(crystal)
    centres = np.arange(1, 21) * 14.0 / 20
    out = np.zeros((n, heads, size))
    for i in range(n):
        distance = np.linalg.norm(lattice[None] + (cartesian - cartesian[i])[:, None], axis=2)
        seen = distance < reach
        for h in range(heads):
            logit = (key[:, h] @ query[i, h] / np.sqrt(size))[:, None] - rho[i, h] * distance**2 / (2.0 * 1.4**2)
            weight = np.where(seen, np.exp(logit), 0.0)
            weight /= weight.sum()
            basis = np.exp(-((distance[:, :, None] - centres) ** 2) / (2.0 * (14.0 / 20) ** 2))
            out[i, h] = weight.sum(1) @ value[:, h]
            out[i, h] += attention.radial[h].numpy() @ np.einsum("jn,jnk->k", weight, basis)
    return out.reshape(n, -1)


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal", "vacuum"])
def test_attention_is_a_softmax_over_all_atoms_and_all_their_images(crystals, name):
    crystal = crystals[name]
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 12)))
    expected = by_hand(small(), crystal, table[torch.tensor(crystal.numbers)], 22.0)
    got, atom = attended(small(reach=FAR), crystal, table)
    assert set(crystal.numbers[atom]) == set(crystal.numbers)
    assert np.abs(got - expected[atom]).max() < 1e-10
    # the images that the published reach leaves out
    got, atom = attended(small(), crystal, table)
    assert np.abs(got - expected[atom]).max() < 0.01 * np.abs(expected).max()


def test_each_query_and_head_choose_how_far_they_look():
    model = small()
    query = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    widths = model.blocks[0].attention.widths(query)
    assert widths.shape == (5, 3)
    assert len(widths.unique()) == 15
    assert bool((widths < 1.4 * 2**0.5).all())
    (gradient,) = torch.autograd.grad(widths.sum(), query)
    assert bool((gradient.abs() > 0.0).all())


def test_structures_of_one_element_are_told_apart_by_the_value_encoding_alone(crystals):
    blind, seeing = small(n_radial=0), small()
    fcc = crystals["fcc"]
    assert (latent(blind, fcc) - latent(blind, BCC)).abs().max() < 1e-12
    assert (latent(seeing, fcc) - latent(seeing, BCC)).abs().max() > 1e-4


def test_an_atom_attends_to_itself_and_to_every_image_within_reach(crystals):
    crystal = crystals["fcc"]
    model = small()
    extra = model.graph.build(batch_of(crystal)).extra
    # the sixth shell, at 7.01 Angstrom, lies beyond 3.5 times 1.98
    assert extra[DISTANCE].numpy() == pytest.approx(2.025 * np.sqrt(2.0 * np.arange(6)))
    assert extra[MULTIPLICITY].tolist() == [1, 12, 6, 24, 12, 24]


def test_the_scores_of_widths_are_centred_once_by_the_first_batch_of_a_training(crystals):
    torch.manual_seed(0)
    model = Crystalformer(width=12, n_layers=1, heads=3, feedforward=16, hidden_width=8, n_radial=8).double()
    attention = model.blocks[0].attention
    first, second = batch_of(crystals["triclinic"], crystals["hexagonal"]), batch_of(crystals["heusler"])
    model.eval()(first, model.graph.build(first))
    assert attention.width_scale == 0.0
    model.train()(first, model.graph.build(first))
    kept = attention.width_scale.clone()
    with torch.no_grad():
        atom = model.graph.build(first).extra[ORBIT_ATOM]
        query = attention.query(model.atoms(first.numbers[atom])).view(-1, 3, 4)
        scores = (query * attention.width_score).sum(2)
    assert torch.allclose(attention.width_shift, scores.mean())
    assert torch.allclose(kept, scores.std())
    model(second, model.graph.build(second))
    assert attention.width_scale == kept


def test_the_graph_of_a_set_is_cut_without_being_built_again(crystals):
    chosen = [crystals[name] for name in ("triclinic", "isolated", "heusler", "hexagonal")]
    model = small()
    whole = GraphSet.from_crystals(chosen, spec=model.graph, dtype=torch.float64)
    batch, graph = whole.select(torch.tensor([2, 1, 0]))
    with torch.no_grad():
        assert torch.allclose(model.latent(batch, graph), latent(model, chosen[2], chosen[1], chosen[0]))


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(InvalidRequestError, match="cannot be shared by 8 heads"):
        Crystalformer(width=20)
    with pytest.raises(InvalidRequestError, match="between 0 and 1, got 2"):
        Crystalformer(floor=2.0)
