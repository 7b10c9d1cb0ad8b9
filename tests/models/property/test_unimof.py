import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.unimof import MaskedDenoising, Pretraining, UniMOF
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.settings import AbsoluteLoss, Adam, TrainingSettings

SMALL = {
    "width": 16, "n_layers": 2, "heads": 4, "hidden_width": 32, "n_gaussians": 16, "condition_width": 16, "dropout": 0.0,
    "head_dropout": 0.0, "cutoff": 3.6,
}  # fmt: skip


def isotherms(rng, *, count):
    """Rock salts, each at one pressure; they take up the more the wider they are, and half of that at 1 bar."""
    made = []
    for number in range(count):
        side, pressure = rng.uniform(3.9, 5.2), 10 ** rng.uniform(-2, 1.5)
        uptake = (side - 3.0) * pressure / (1.0 + pressure)
        made.append(Crystal(
            cell=0.5 * side * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.5, 0.5, 0.5]],
            numbers=[int(rng.choice([3, 11, 12])), int(rng.choice([8, 9]))], id=f"salt {number}",
            props={"pressure": pressure, "uptake": uptake},
        ))  # fmt: skip
    return made


def train(inputs, crystals, test):
    torch.manual_seed(1)
    model = UniMOF(targets=("uptake",), inputs=inputs, **SMALL)
    sets = [
        GraphSet.from_crystals(part, spec=model.graph, targets=model.targets, inputs=inputs)
        for part in (crystals, test)
    ]
    settings = TrainingSettings(epochs=20, batch_size=32, optimizer=Adam(learning_rate=5e-3), loss=AbsoluteLoss())
    fit(model, train=sets[0], settings=settings, rng=torch.Generator().manual_seed(0))
    return model, mean_errors(model, sets[1])["uptake"]


def test_uptake_rises_with_pressure_and_a_network_without_it_is_blind():
    rng = np.random.default_rng(0)
    crystals, test = isotherms(rng, count=160), isotherms(rng, count=48)
    model, knowing = train(("pressure",), crystals, test)
    _, blind = train((), crystals, test)
    assert knowing < 0.4 * blind
    one = [test[0].replace(props={"pressure": pressure}) for pressure in (0.02, 0.3, 3.0)]
    batch = CrystalBatch.from_crystals(one, inputs=("pressure",))
    uptake = model(batch, model.graph.build(batch))["uptake"].detach().numpy()
    assert (np.diff(uptake) > 0).all()


def test_pre_training_learns_elements_and_where_atoms_belong():
    torch.manual_seed(0)
    crystals = isotherms(np.random.default_rng(2), count=96)
    model = Pretraining(UniMOF(targets=("uptake",), **SMALL))
    data = GraphSet.from_crystals(crystals, spec=model.network.graph)
    objective = MaskedDenoising()

    def mean_loss():
        with torch.no_grad():
            torch.manual_seed(5)
            return float(np.mean([float(objective(model, data.batch, data.graph)) for _ in range(4)]))

    before = mean_loss()
    settings = TrainingSettings(epochs=40, batch_size=16, optimizer=Adam(learning_rate=5e-3), loss=AbsoluteLoss())
    fit(model, train=data, settings=settings, rng=torch.Generator().manual_seed(0), objective=objective)
    after = mean_loss()
    # the entropy of what cannot be known, of three and two elements, is below 1.1
    assert before > 5.0
    assert after < 0.5 * before


def test_the_moves_back_turn_with_the_crystal():
    torch.manual_seed(0)
    salt = isotherms(np.random.default_rng(3), count=1)[0]
    crystal = salt.replace(frac=[[0, 0, 0], [0.41, 0.53, 0.48]])
    model = Pretraining(UniMOF(targets=("uptake",), **SMALL)).double()
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    found = []
    for cell in (crystal.cell, crystal.cell @ turn):
        batch = CrystalBatch.from_crystals([crystal.replace(cell=cell)], dtype=torch.float64)
        graph = model.network.graph.build(batch)
        vectors = graph.vectors(batch)
        _, scores, first = model.network.encoded(batch, graph, vectors=vectors)
        pull = model.pull(scores - first) * vectors
        found.append(pull[graph.target == 0].sum(0).detach().numpy())
    assert np.linalg.norm(found[0]) > 1e-3
    np.testing.assert_allclose(found[1], found[0] @ turn, atol=1e-9)


def test_a_hidden_element_is_not_seen():
    model = UniMOF(targets=("uptake",), **SMALL).double().eval()
    crystal = isotherms(np.random.default_rng(3), count=1)[0]
    values = []
    for number in (3, 12):
        numbers = crystal.numbers.copy()
        numbers[0] = number
        batch = CrystalBatch.from_crystals([crystal.replace(numbers=numbers)], dtype=torch.float64)
        graph = model.graph.build(batch)
        plain = model.encoded(batch, graph, vectors=graph.vectors(batch))[0]
        hidden = batch.replace(numbers=torch.tensor([0, int(numbers[1])]))
        values.append((plain, model.encoded(hidden, graph, vectors=graph.vectors(batch))[0]))
    assert torch.equal(values[0][1], values[1][1])
    assert not torch.allclose(values[0][0], values[1][0])


def test_conditions_outside_their_ranges_count_as_at_the_ends():
    torch.manual_seed(0)
    model = UniMOF(targets=("uptake",), inputs=("pressure", "temperature", "gas"), **SMALL).double().eval()
    crystal = isotherms(np.random.default_rng(3), count=1)[0]

    def value(pressure, temperature, gas):
        props = {"pressure": pressure, "temperature": temperature, "gas": gas}
        batch = CrystalBatch.from_crystals([crystal.replace(props=props)], dtype=torch.float64, inputs=model.inputs)
        return float(model(batch, model.graph.build(batch))["uptake"].detach())

    assert value(0.0, 50.0, 1) == value(1e-4, 100.0, 1)
    assert len({value(1.0, 298.0, 0), value(1.0, 298.0, 1), value(1.0, 273.0, 0), value(2.0, 298.0, 0)}) == 4


def test_a_condition_that_it_does_not_know_is_refused():
    with pytest.raises(InvalidRequestError, match="humidity"):
        UniMOF(inputs=("humidity",))
