from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.data import load
from euhedral.errors import InvalidRequestError, MissingDataError
from euhedral.models.property.dostransformer import DOSTransformer, Padded
from euhedral.nn.cutoff import cosine_envelope
from euhedral.representations.orbits import ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.space_groups import CRYSTAL_SYSTEM
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.settings import AdamW, OneCycle, SquaredLoss, TrainingSettings

NAMES = ("triclinic", "fcc", "heusler", "hexagonal", "isolated")
SPECTRUM = {"kind": "spectrum", "name": "phonon_dos", "size": 12}


def tiny(**changes) -> DOSTransformer:
    torch.manual_seed(0)
    settings = {"targets": [SPECTRUM], "width": 16, "n_layers": 2, "n_attentions": 2}
    return DOSTransformer(**{**settings, **changes}).double().eval()


@pytest.fixture(scope="module")
def batch(crystals):
    return CrystalBatch.from_crystals([crystals[name] for name in NAMES], dtype=torch.float64)


def test_published_hyperparameters_are_the_defaults():
    model = DOSTransformer()
    assert model.levels.shape == (51, 256)
    assert model.prompts.weight.shape == (7, 128)
    assert len(model.network.edge_updates) == len(model.network.atom_updates) == 3
    assert [len(stack.layers) for stack in (model.first, model.among_levels, model.last)] == [2, 2, 2]
    assert (model.network.cutoff, model.beta) == (4.0, 1.0)


def test_each_level_attends_to_the_atoms_of_its_own_crystal_with_weights_that_add_to_one(batch):
    model = tiny()
    graph = model.graph.build(batch)
    with torch.no_grad():
        weights = model.level_attention(batch, graph)
    crystal = batch.crystal_idx[graph.extra[ORBIT_ATOM]]
    assert weights.shape == (len(crystal), 12)
    assert (weights > 0.0).all()
    total = torch.zeros(len(batch), 12, dtype=torch.float64).index_add(0, crystal, weights)
    assert torch.allclose(total, torch.ones_like(total))
    assert weights[crystal == 0].std(dim=1).max() > 1e-4  # levels look at different atoms


def test_a_level_sees_all_atoms_of_an_orbit_as_often_as_they_are_there(batch):
    """Two Cu of a Heusler cell are one orbit; taken for a single atom they would weigh less."""
    model = tiny()
    graph = model.graph.build(batch)
    one = torch.ones_like(graph.extra[ORBIT_COUNT])
    with torch.no_grad():
        before = model.level_attention(batch, graph)
        after = model.level_attention(batch, replace(graph, extra={**graph.extra, ORBIT_COUNT: one}))
    copper = (graph.extra[ORBIT_COUNT] == 2.0) & (batch.numbers[graph.extra[ORBIT_ATOM]] == 29)
    assert copper.sum() == 1
    assert (before[copper] > after[copper]).all()


def test_the_prompt_of_another_crystal_system_changes_the_spectrum(batch):
    model = tiny()
    graph = model.graph.build(batch)
    other = (graph.extra[CRYSTAL_SYSTEM] + 1) % 7
    with torch.no_grad():
        before = model(batch, graph)["phonon_dos"]
        after = model(batch, replace(graph, extra={**graph.extra, CRYSTAL_SYSTEM: other}))["phonon_dos"]
        model.prompts.weight.zero_()
        without = model(batch, graph)["phonon_dos"]
    assert ((before - after).abs().amax(1) > 1e-3).all()
    assert ((before - without).abs().amax(1) > 1e-3).all()


def test_training_goes_with_and_without_a_prompt_as_often_as_the_losses_weigh(batch):
    model = tiny(beta=3.0).train()
    graph = model.graph.build(batch)
    many = 400
    first = torch.zeros(many, dtype=torch.int64)
    copies = batch.select(first)
    with torch.no_grad():
        given = model(copies, model.graph.build(copies))["phonon_dos"]
        prompted = model.eval()(batch, graph)["phonon_dos"][0]
    share = (torch.isclose(given, prompted).all(dim=1)).double().mean().item()
    assert abs(share - 0.75) < 4.0 * (0.75 * 0.25 / many) ** 0.5


def test_levels_attend_to_each_other(batch):
    """Another vector for one level changes what the others say."""
    model = tiny()
    graph = model.graph.build(batch)
    with torch.no_grad():
        before = model(batch, graph)["phonon_dos"]
        model.levels[0] *= -1.0
        after = model(batch, graph)["phonon_dos"]
    assert ((before - after)[:, 1:].abs().amax(1) > 1e-6).all()


def test_padding_puts_each_row_in_its_place_and_nothing_elsewhere():
    rows = torch.arange(8.0).view(4, 2)
    padded = Padded.of(rows, count=torch.tensor([1.0, 2.0, 1.0, 4.0]), owner=torch.tensor([0, 1, 1, 1]), n=2)
    assert padded.rows.tolist() == [[[0, 1], [0, 0], [0, 0]], [[2, 3], [4, 5], [6, 7]]]
    assert padded.log_count.exp().tolist() == [[[1.0, 0.0, 0.0]], [[2.0, 1.0, 4.0]]]


def test_a_neighbour_at_the_cutoff_weighs_nothing():
    ratio = torch.tensor([0.0, 0.5, 0.75, 1.0], dtype=torch.float64)
    assert torch.allclose(cosine_envelope(ratio), torch.tensor([1.0, 1.0, 0.5, 0.0], dtype=torch.float64), atol=1e-12)


def test_a_number_is_refused():
    with pytest.raises(InvalidRequestError, match="cannot learn 'band_gap'"):
        DOSTransformer(targets=["band_gap"])


def test_it_learns_spectra_and_beats_their_mean(batch):
    labels = torch.rand(len(batch), 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = tiny().train()
    graph = model.graph.build(batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        (model(batch, graph)["phonon_dos"] - labels).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        error = (model.eval()(batch, graph)["phonon_dos"] - labels).square().mean()
    assert float(error) < 0.5 * float((labels - labels.mean(0)).square().mean())


@pytest.mark.slow
def test_it_beats_the_mean_spectrum_on_the_published_test_set_of_phonons():
    try:
        split = load("phonon-dos").split("official")
    except MissingDataError as error:
        pytest.skip(str(error))
    torch.manual_seed(0)
    model = DOSTransformer(width=64, n_layers=2, n_attentions=1)
    train, test = (
        GraphSet.from_crystals(list(part), spec=model.graph, targets=model.targets)
        for part in (split["train"][:400], split["test"])
    )
    settings = TrainingSettings(
        epochs=8, batch_size=16, optimizer=AdamW(learning_rate=1e-3), schedule=OneCycle(), loss=SquaredLoss()
    )
    fit(model, train=train, settings=settings, rng=torch.Generator().manual_seed(0))
    mean = train.batch.targets["phonon_dos"].mean(0)
    constant = (test.batch.targets["phonon_dos"] - mean).abs().mean().item()
    assert mean_errors(model, test)["phonon_dos"] < 0.85 * constant
