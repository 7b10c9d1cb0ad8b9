import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.megnet import MEGNet, Set2Set
from euhedral.nn.row_index import RowIndex
from euhedral.tasks.transfer import freeze, take_over
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.settings import AbsoluteLoss, Adam, TrainingSettings

SMALL = {"n_blocks": 2, "hidden_width": 16, "width": 12, "readout_width": 8, "embedding_width": 6, "n_radial": 20}


def salts(rng, *, count):
    """Rock salts of several elements whose free energy falls with temperature, the faster the wider the cell is."""
    made = []
    for number in range(count):
        side, heat = rng.uniform(3.9, 5.2), rng.uniform(100.0, 1000.0)
        crystal = Crystal(
            cell=0.5 * side * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]]), frac=[[0, 0, 0], [0.5, 0.5, 0.5]],
            numbers=[int(rng.choice([3, 11, 12, 20])), int(rng.choice([8, 9, 17]))], id=f"salt {number}",
        )  # fmt: skip
        energy = -1.0 - 1e-3 * heat * (side - 3.0)
        made.append(crystal.replace(props={"temperature": heat, "free_energy": energy}))
    return made


def train(inputs, crystals, test, *, epochs=25):
    torch.manual_seed(1)
    model = MEGNet(targets=("free_energy",), inputs=inputs, **SMALL)
    sets = [
        GraphSet.from_crystals(part, spec=model.graph, targets=model.targets, inputs=inputs)
        for part in (crystals, test)
    ]
    settings = TrainingSettings(epochs=epochs, batch_size=32, optimizer=Adam(learning_rate=5e-3), loss=AbsoluteLoss())
    fit(model, train=sets[0], settings=settings, rng=torch.Generator().manual_seed(0))
    return model, mean_errors(model, sets[1])["free_energy"]


def test_temperature_is_used_when_it_matters():
    rng = np.random.default_rng(0)
    crystals, test = salts(rng, count=256), salts(rng, count=64)
    model, knowing = train(("temperature",), crystals, test)
    _, blind = train((), crystals, test)
    spread = np.std([crystal.props["free_energy"] for crystal in test])
    assert knowing < 0.25 * blind
    assert blind > 0.4 * spread
    one = [test[0].replace(props={"temperature": heat}) for heat in (150.0, 550.0, 950.0)]
    batch = CrystalBatch.from_crystals(one, inputs=("temperature",))
    falling = model(batch, model.graph.build(batch))["free_energy"]
    assert falling[0] > falling[1] > falling[2]


def test_conditions_change_bonds_and_atoms_and_not_only_the_state(crystals):
    torch.manual_seed(0)
    model = MEGNet(inputs=("temperature",), **SMALL).double().eval()
    seen = []
    model.read_atoms.register_forward_pre_hook(lambda _, rows: seen.append(rows[0]))
    model.read_bonds.register_forward_pre_hook(lambda _, rows: seen.append(rows[0]))
    for heat in (0.0, 1.0):
        crystal = crystals["hexagonal"].replace(props={"temperature": heat})
        batch = CrystalBatch.from_crystals([crystal], dtype=torch.float64, inputs=("temperature",))
        model(batch, model.graph.build(batch))
    for cold, warm in zip(seen[:2], seen[2:], strict=True):
        assert ((cold - warm).abs().amax(1) > 1e-6).all()


def test_a_crystal_without_the_condition_is_an_error(crystals):
    model = MEGNet(inputs=("temperature",), **SMALL)
    with pytest.raises(InvalidRequestError, match="crystal 'fcc': no 'temperature', which the model needs"):
        GraphSet.from_crystals([crystals["fcc"]], spec=model.graph, inputs=model.inputs)


def test_embeddings_of_elements_are_taken_over_into_another_network_and_may_stay():
    crystals = salts(np.random.default_rng(2), count=48)
    first, _ = train(("temperature",), crystals, crystals, epochs=2)
    learnt = {name: value for name, value in first.state_dict().items() if name.startswith("embedding.")}
    torch.manual_seed(5)
    other = MEGNet(targets=("free_energy", "temperature"), **(SMALL | {"width": 10, "n_blocks": 1}))
    assert not torch.equal(other.embedding.weight, first.embedding.weight)
    report = take_over(other, tensors=learnt)
    assert report.loaded == ("embedding.weight",)
    assert not report.misfit
    assert freeze(other, patterns=("embedding.*",)) == first.embedding.weight.numel()
    data = GraphSet.from_crystals(crystals, spec=other.graph, targets=other.targets)
    before = other.output.weight.clone()
    fit(other, train=data, settings=TrainingSettings(epochs=1), rng=torch.Generator().manual_seed(0))
    assert torch.equal(other.embedding.weight, first.embedding.weight)
    assert not torch.equal(other.output.weight, before)


@torch.no_grad()
def test_set2set_counts_equal_rows_and_knows_no_order():
    torch.manual_seed(0)
    read = Set2Set(5, hidden_width=4, n_passes=3).double()
    rows = torch.randn(3, 5, dtype=torch.float64)
    counted = read(rows, weight=torch.tensor([2.0, 1.0, 3.0]).double(), owner=RowIndex(torch.zeros(3).long(), n=1))
    each = rows[[2, 0, 1, 2, 0, 2]]
    whole = read(each, weight=torch.ones(6).double(), owner=RowIndex(torch.zeros(6).long(), n=1))
    once = read(rows, weight=torch.ones(3).double(), owner=RowIndex(torch.zeros(3).long(), n=1))
    assert torch.allclose(counted, whole)
    assert not torch.allclose(counted, once)
