"""Fitting by likelihood: it learns, keeps the best, and goes on after a kill."""

from __future__ import annotations

import pytest
import torch

from euhedral.errors import DivergedError, RunFolderError
from euhedral.geometry.wyckoff_form import from_crystal
from euhedral.models.generation.crystalformer import CrystalFormer
from euhedral.models.registry import row
from euhedral.representations.wyckoff_sequences import encode
from euhedral.representations.wyckoff_tokens import count_tokens
from euhedral.training.generator_recipe import GeneratorRecipe, train_crystalformer
from euhedral.training.likelihood import Schedule, fit_likelihood, mean_log_prob

NAMES = ("triclinic", "fcc", "heusler", "hexagonal", "one_atom", "vacuum")
SCHEDULE = Schedule(
    seconds=600.0, epochs=15, rate=5e-3, warmup_steps=5, batch_tokens=30, checkpoint_seconds=0.0, average=0.9
)


@pytest.fixture(scope="module")
def sequences(crystals):
    return encode([from_crystal(crystals[name]) for name in NAMES])


def model() -> CrystalFormer:
    return CrystalFormer(**row("crystalformer").tiny)


def fit(each: CrystalFormer, sequences, folder, schedule: Schedule = SCHEDULE):
    lengths = count_tokens(sequences)
    return fit_likelihood(
        each, sequences, lengths=lengths, validation=sequences, validation_lengths=lengths, schedule=schedule, folder=folder
    )  # fmt: skip


def test_the_likelihood_rises_and_the_best_weights_are_kept(tmp_path, sequences):
    each = model()
    before = mean_log_prob(each, sequences, lengths=count_tokens(sequences))
    progress = fit(each, sequences, tmp_path)
    after = mean_log_prob(each, sequences, lengths=count_tokens(sequences))
    assert after["total"] > before["total"] + 5
    assert -after["total"] == pytest.approx(progress.best, abs=1e-3)
    assert (
        progress.best == min(entry["validation_nll"] for entry in progress.history)
        or progress.best <= min(entry["validation_nll"] for entry in progress.history) + 1e-3
    )  # history is rounded


def test_a_killed_fit_goes_on_where_it_stopped(tmp_path, sequences):
    class Killed(Exception):  # noqa: N818 - it is not an error
        pass

    def kill(progress):
        if progress.step == 12:
            raise Killed

    each, lengths = model(), count_tokens(sequences)
    with pytest.raises(Killed):
        fit_likelihood(
            each, sequences, lengths=lengths, validation=sequences, validation_lengths=lengths, schedule=SCHEDULE,
            folder=tmp_path, on_validation=kill,
        )  # fmt: skip
    again = fit(model(), sequences, tmp_path)
    steps = [entry["step"] for entry in again.history]
    assert steps == list(range(1, len(steps) + 1))
    assert again.step > 12


def test_a_checkpoint_of_another_model_is_refused(tmp_path, sequences):
    fit(model(), sequences, tmp_path, Schedule(seconds=600.0, epochs=1, checkpoint_seconds=0.0))
    other = CrystalFormer(**{**row("crystalformer").tiny, "layers": 2})
    with pytest.raises(RunFolderError, match="another model"):
        fit(other, sequences, tmp_path)


def test_a_loss_that_is_not_finite_stops_the_fit(tmp_path, sequences):
    each = model()
    with torch.no_grad():
        next(each.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError, match="learning rate"):
        fit(each, sequences, tmp_path)


def test_the_recipe_makes_a_card_and_reads_its_encoded_set_again(tmp_path, crystals):
    chosen = [crystals[name] for name in NAMES]
    recipe = GeneratorRecipe(
        config=row("crystalformer").tiny, schedule=Schedule(seconds=60.0, epochs=2, checkpoint_seconds=0.0)
    )
    made, card = train_crystalformer(recipe, train=chosen, validation=chosen, work=tmp_path, card={"data": "fixed"})
    assert card["data"] == "fixed"
    assert card["training"]["training_crystals"] == 6
    assert set(card["training"]["validation_nll_nats_per_crystal"]) == {
        "letter", "number", "x", "y", "z", "lattice", "total",
    }  # fmt: skip
    assert made.elements.nonzero()[:, 0].tolist() == sorted({int(n) for each in chosen for n in each.numbers})
    with pytest.raises(RunFolderError, match="other crystals"):
        train_crystalformer(recipe, train=chosen[:3], validation=chosen, work=tmp_path)
