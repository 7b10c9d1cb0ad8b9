from __future__ import annotations

import pytest
import torch

from euhedral.errors import InvalidRequestError
from euhedral.training.novelty import UNSEEN_ELEMENT, Novelty


@pytest.fixture(scope="module")
def novelty():
    rng = torch.Generator().manual_seed(0)
    stretch = torch.tensor([10.0, 1.0, 0.1, 5.0])
    train = torch.randn(3000, 4, generator=rng) * stretch
    validation = torch.randn(1000, 4, generator=rng) * stretch
    return Novelty.fit(
        train, validation=validation, elements=torch.tensor([3, 8, 26]), rng=rng, n_axes=4, n_references=1000
    ), validation


def of(novelty, features, numbers=None):
    numbers = torch.full((features.shape[0],), 8) if numbers is None else numbers
    return novelty.of(features, numbers=numbers, crystal_idx=torch.arange(features.shape[0]))


def test_five_percent_of_the_validation_crystals_are_beyond_one(novelty):
    fitted, validation = novelty
    assert (of(fitted, validation) > 1.0).float().mean().item() == pytest.approx(0.05, abs=0.002)


def test_all_directions_count_by_their_own_spread(novelty):
    """Five deviations along the narrowest direction are as novel as along the widest, though a hundred times shorter."""
    fitted, _ = novelty
    wide = of(fitted, torch.tensor([[50.0, 0.0, 0.0, 0.0]]))
    narrow = of(fitted, torch.tensor([[0.0, 0.0, 0.5, 0.0]]))
    assert wide.item() > 2.0
    assert narrow.item() == pytest.approx(wide.item(), rel=0.25)
    assert of(fitted, torch.zeros(1, 4)).item() < 1.0


def test_an_element_that_no_training_crystal_had_is_novel_whatever_the_features_say(novelty):
    fitted, _ = novelty
    values = fitted.of(torch.zeros(2, 4), numbers=torch.tensor([8, 26, 8, 92]), crystal_idx=torch.tensor([0, 0, 1, 1]))
    assert values[0] < 1.0
    assert values[1] == UNSEEN_ELEMENT


def test_too_few_crystals_are_refused():
    with pytest.raises(InvalidRequestError, match="more than 16 training crystals, got 3"):
        Novelty.fit(torch.randn(3, 4), validation=torch.randn(3, 4), elements=torch.tensor([8]), rng=torch.Generator())


def test_features_that_never_vary_are_left_out():
    rng = torch.Generator().manual_seed(0)
    train = torch.cat([torch.randn(100, 2, generator=rng), torch.ones(100, 3)], dim=1)
    fitted = Novelty.fit(train, validation=train, elements=torch.tensor([8]), rng=rng, n_axes=5)
    assert fitted.axes.shape == (5, 2)
    assert torch.isfinite(of(fitted, train)).all()
