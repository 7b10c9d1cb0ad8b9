from __future__ import annotations

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.data import load
from euhedral.errors import InvalidRequestError
from euhedral.models.property.crysdiff import CrysDiff, CrysDiffDenoiser, Denoising
from euhedral.nn.periodic_egnn import Edges
from euhedral.representations.orbits import ORBIT_ATOM
from euhedral.tasks.transfer import take_over
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors, predict
from euhedral.training.settings import Adam, Constant, SquaredLoss, TrainingSettings

NAMES = ("triclinic", "heusler", "hexagonal")
SETTINGS = TrainingSettings(
    epochs=14, batch_size=64, optimizer=Adam(learning_rate=5e-3), schedule=Constant(), loss=SquaredLoss()
)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def silent() -> CrysDiffDenoiser:
    """A network that says that nothing was disturbed."""
    model = CrysDiffDenoiser(width=8, n_layers=1)
    for head in (model.move, model.strain):
        torch.nn.init.zeros_(head.layers[-1].weight)
        torch.nn.init.zeros_(head.layers[-1].bias)
    return model


@pytest.fixture(scope="module")
def sample():
    """600 real crystals to learn from, 64 others to look at."""
    small = [crystal for crystal in load("mp-20-sample") if len(crystal) <= 8][:664]
    assert len(small) == 664
    return small[64:], small[:64]


@pytest.fixture(scope="module")
def pretrained(sample):
    torch.manual_seed(0)
    denoiser = CrysDiffDenoiser(width=32, n_layers=2)
    train = GraphSet.from_crystals(sample[0], spec=denoiser.graph)
    history = fit(denoiser, train=train, settings=SETTINGS, rng=rng(), objective=Denoising()).history
    return denoiser, history


def test_noise_levels_of_diffcsp_are_the_defaults():
    assert Denoising().displacement == (0.005, 0.5)
    assert len(CrysDiff().encoder.messages) == len(CrysDiffDenoiser().encoder.messages)


def test_scores_stay_and_strains_turn_with_the_crystal(crystals):
    torch.manual_seed(0)
    denoiser = CrysDiffDenoiser(width=16, n_layers=2).double()
    batch = CrystalBatch.from_crystals([crystals[name] for name in NAMES], dtype=torch.float64)
    turn = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0])
    turned = batch.replace(cell=batch.cell @ turn)
    time = torch.full((3,), 0.4, dtype=torch.float64)
    with torch.no_grad():
        scores, strains = denoiser(batch, denoiser.graph.build(batch), time)
        scores_turned, strains_turned = denoiser(turned, denoiser.graph.build(turned), time)
    assert torch.allclose(scores, scores_turned, atol=1e-9)
    assert torch.allclose(turn.T @ strains @ turn, strains_turned, atol=1e-9)
    assert torch.allclose(strains, strains.transpose(1, 2))
    assert scores.abs().max() > 1e-4
    assert strains.abs().amax((1, 2)).min() > 1e-4


def test_atoms_in_centres_of_symmetry_are_not_said_to_have_moved(crystals):
    torch.manual_seed(0)
    denoiser = CrysDiffDenoiser(width=16, n_layers=2).double()
    batch = CrystalBatch.from_crystals([crystals["fcc"]], dtype=torch.float64)
    with torch.no_grad():
        scores, strains = denoiser(batch, denoiser.graph.build(batch), torch.zeros(1, dtype=torch.float64))
    assert scores.abs().max() < 1e-9
    assert torch.allclose(strains[0], strains[0, 0, 0] * torch.eye(3, dtype=torch.float64), atol=1e-9)


def test_a_network_that_says_nothing_is_wrong_by_one(sample):
    model = silent()
    data = GraphSet.from_crystals(sample[0][:300], spec=model.graph)
    batch, _ = data.select(torch.arange(300))
    torch.manual_seed(0)
    with torch.no_grad():
        for time in (0.1, 0.7):
            for part in Denoising().parts(model, batch, torch.full((300,), time)):
                assert abs(part.item() - 1.0) < 0.15


def test_pretraining_finds_displacements_and_strains_of_crystals_that_it_has_not_seen(pretrained, sample):
    denoiser, history = pretrained
    assert history[-1].loss < 0.95 * history[0].loss
    held = GraphSet.from_crystals(sample[1], spec=denoiser.graph)
    batch, _ = held.select(torch.arange(len(held)).repeat(4))
    errors = []
    for model in (denoiser, silent()):
        torch.manual_seed(0)  # the same noise for both
        with torch.no_grad():
            errors.append(Denoising().parts(model, batch, torch.full((len(batch),), 0.5)))
    (moved, strained), (unmoved, unstrained) = errors
    assert moved < 0.8 * unmoved
    assert strained < 0.93 * unstrained


def test_the_encoder_goes_on_as_it_was_taught(pretrained, crystals):
    denoiser = pretrained[0]
    model = CrysDiff(width=32, n_layers=2).eval()
    report = take_over(model, tensors=denoiser.state_dict())
    assert set(report.loaded) == {f"encoder.{name}" for name in denoiser.encoder.state_dict()}
    assert all(name.startswith("denoiser.") for name in report.missing)
    batch = CrystalBatch.from_crystals([crystals["hexagonal"]])
    graph = model.graph.build(batch)
    assert len(graph.extra[ORBIT_ATOM]) == 2  # equal atoms are there once and count twice
    vectors = denoiser.graph.build(batch)
    edges = Edges.of(vectors.source, vectors.target, distance=vectors.vectors(batch).norm(dim=1), n=4)
    with torch.no_grad():
        atoms, _ = denoiser.encoder(batch.numbers, edges=edges, time=torch.zeros(4))
        assert torch.allclose(model.latent(batch, graph)[0], atoms.mean(0), atol=1e-4)


def test_labels_are_seen_in_training_and_never_in_a_prediction(crystals):
    torch.manual_seed(0)
    model = CrysDiff(targets=["energy"], width=16, n_layers=2)
    batch = CrystalBatch.from_crystals([crystals[name] for name in NAMES])
    graph = model.graph.build(batch)
    labelled = [batch.replace(targets={"energy": torch.full((3,), value)}) for value in (-3.0, 3.0)]

    def answers() -> list[torch.Tensor]:
        found = []
        for one in labelled:
            torch.manual_seed(1)
            with torch.no_grad():
                found.append(model(one, graph)["energy"])
        return found

    model.train()
    low, high = answers()
    assert (low - high).abs().min() > 1e-4
    model.eval()
    low, high = answers()
    assert torch.equal(low, high)


def test_a_class_is_refused():
    with pytest.raises(InvalidRequestError, match="cannot learn 'metal'"):
        CrysDiff(targets=[{"kind": "category", "name": "metal"}])


def test_it_learns_a_property_from_noise_and_beats_the_mean(pretrained, sample):
    model = CrysDiff(width=32, n_layers=2)
    take_over(model, tensors=pretrained[0].state_dict())
    sets = [
        GraphSet.from_crystals(part, spec=model.graph, targets=model.targets) for part in (sample[0][:300], sample[1])
    ]
    settings = TrainingSettings(
        epochs=15, batch_size=32, optimizer=Adam(learning_rate=2e-3), schedule=Constant(), loss=SquaredLoss()
    )
    fit(model, train=sets[0], settings=settings, rng=rng())
    labels = [data.labels(model.targets)["formation_energy_per_atom"] for data in sets]
    error = mean_errors(model, sets[1])["formation_energy_per_atom"]
    assert error < 0.6 * (labels[1] - labels[0].mean()).abs().mean().item()
    assert torch.equal(*(predict(model, sets[1])["formation_energy_per_atom"] for _ in range(2)))
