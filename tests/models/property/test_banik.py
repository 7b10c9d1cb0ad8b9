import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.banik import StructureTransfer
from euhedral.tasks.weights import load_weights
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.recipes import EnsembleRecipe, train_ensemble
from euhedral.training.settings import Adam, TrainingSettings

SMALL = {
    "width": 16, "n_angle_layers": 1, "n_layers": 1, "hidden_width": 16, "embedding_width": 12, "n_lengths": 24, "n_cosines": 12,
}  # fmt: skip


def salts(rng, *, count):
    """Rock salts with an energy that cell and elements make, and a hardness that follows from it."""
    made = []
    for number in range(count):
        side = rng.uniform(3.9, 5.2)
        metal, other = int(rng.choice([3, 11, 12, 20, 30])), int(rng.choice([8, 9, 16, 17]))
        energy = -3.0 / (side - 3.0) + 0.05 * metal * np.sin(other) / side
        made.append(Crystal(
            cell=0.5 * side * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.5, 0.5, 0.5]],
            numbers=[metal, other], id=f"salt {number}", props={"energy": energy, "hardness": 40.0 - 12.0 * energy},
        ))  # fmt: skip
    return made


def settings(epochs, rate):
    return TrainingSettings(epochs=epochs, batch_size=16, optimizer=Adam(learning_rate=rate))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A network that learnt the energy of many salts, saved as any predictor is."""
    folder = tmp_path_factory.mktemp("source")
    recipe = EnsembleRecipe(system="banik", targets=("energy",), config=SMALL, members=1, settings=settings(12, 5e-3))
    rng = np.random.default_rng(0)
    predictor = train_ensemble(recipe, train=salts(rng, count=160), validation=salts(rng, count=24), work=folder)
    return predictor.save(folder / "weights")


def hardness_error(start, *, folder, seed, freeze=(), labels=20):
    rng = np.random.default_rng(100 + seed)
    few, validation, test = salts(rng, count=labels), salts(rng, count=12), salts(rng, count=64)
    recipe = EnsembleRecipe(
        system="banik", targets=("hardness",), config=SMALL, members=1, seed=seed, settings=settings(80, 3e-3), start=str(start),
        freeze=freeze,
    )  # fmt: skip
    predictor = train_ensemble(recipe, train=few, validation=validation, work=folder / f"{seed}-{bool(start)}-{freeze}")
    truth = np.array([crystal.props["hardness"] for crystal in test])
    return predictor, float(np.abs(predictor.predict(test)["hardness"].value - truth).mean())


def test_with_few_labels_what_was_learnt_before_beats_a_network_from_scratch(source, tmp_path):
    scratch, tuned, extracted = (
        np.array([hardness_error(start, folder=tmp_path, seed=seed, freeze=freeze)[1] for seed in (0, 2)])
        for start, freeze in (("", ()), (source, ()), (source, ("encoder.*",)))
    )
    assert (tuned < 0.8 * scratch).all()
    assert (extracted < 0.5 * scratch).all()


def test_extracted_features_stay_as_they_were_learnt(source, tmp_path):
    predictor, _ = hardness_error(source, folder=tmp_path, seed=0, freeze=("encoder.*",))
    before = load_weights(source).tensors
    assert "members.0.outputs.energy.weight" in before
    after = predictor.ensemble.members[0].state_dict()
    assert "loaded" in predictor.card["training"]["start"]
    for name, value in after.items():
        if name.startswith(("scaling.", "outputs.")):
            continue
        same = torch.equal(value, before[f"members.0.{name}"])
        assert same == name.startswith("encoder."), name


@torch.no_grad()
def test_a_crystals_features_are_means_over_atoms_bonds_and_angles(crystals):
    torch.manual_seed(0)
    model = StructureTransfer(**SMALL).double().eval()
    batch = CrystalBatch.from_crystals([crystals["hexagonal"], crystals["vacuum"]], dtype=torch.float64)
    features = model.encoder(batch, model.graph.build(batch))
    assert features.shape == (2, 48)
    for part in features.split(16, dim=1):
        assert (part[0] - part[1]).abs().max() > 1e-3


def test_a_network_cut_at_a_checkpoint_has_the_layers_up_to_it():
    whole, cut = StructureTransfer(**SMALL), StructureTransfer(**SMALL, checkpoint=1)
    assert len(whole.encoder.on_bonds) == 2
    assert len(cut.encoder.on_bonds) == len(cut.encoder.on_angles) == 1
    names = set(cut.encoder.state_dict())
    assert names < set(whole.encoder.state_dict())
    with pytest.raises(InvalidRequestError, match="checkpoints 1 to 2, got 3"):
        StructureTransfer(**SMALL, checkpoint=3)


def test_it_learns_from_scratch_too():
    crystals = salts(np.random.default_rng(3), count=96)
    torch.manual_seed(0)
    model = StructureTransfer(targets=("energy",), **SMALL)
    data = GraphSet.from_crystals(crystals, spec=model.graph, targets=model.targets)
    fit(model, train=data, settings=settings(12, 5e-3), rng=torch.Generator().manual_seed(0))
    spread = np.std([crystal.props["energy"] for crystal in crystals])
    assert mean_errors(model, data)["energy"] < 0.3 * spread
