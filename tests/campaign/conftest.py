"""A proposer that swaps elements in real crystals, and a small trained predictor."""

from __future__ import annotations

import pytest

from euhedral.core.elements import atomic_number
from euhedral.data.catalogue import load
from euhedral.data.references import reference_phases
from euhedral.training.predictor import Predictor
from euhedral.training.recipes import EnsembleRecipe, train_ensemble
from euhedral.training.settings import TrainingSettings


class Swap:
    """Gives the phases of one chemical system with their elements exchanged for others, in their own order."""

    capabilities = frozenset({"chemical_system", "n_atoms"})

    def __init__(self, system, *, into):
        table = {atomic_number(a): atomic_number(b) for a, b in zip(system, into, strict=True)}
        self.crystals = [
            phase.replace(numbers=[table[int(number)] for number in phase.numbers], id=f"from-{phase.id}")
            for phase in reference_phases().within(system)
            if set(phase.numbers.tolist()) == set(table)
        ]

    def sample(self, request, *, rng):
        import euhedral

        spare = euhedral.Failure("no more phases to swap", stage="swap")
        return (self.crystals + [spare] * request.n)[: request.n]


@pytest.fixture(scope="session")
def swap():
    return Swap


@pytest.fixture(scope="session")
def small_predictor(tmp_path_factory) -> Predictor:
    parts = load("mp-20-sample").split("official")
    recipe = EnsembleRecipe(
        members=2, config={"atom_width": 8, "n_convolutions": 1, "hidden_width": 8}, settings=TrainingSettings(epochs=2)
    )
    labelled = {
        name: [c for c in part if c.props.get("band_gap") == c.props.get("band_gap")][:120]
        for name, part in parts.items()
    }
    work = tmp_path_factory.mktemp("predictor")
    return train_ensemble(recipe, train=labelled["train"], validation=labelled["val"], work=work)
