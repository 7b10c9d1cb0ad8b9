import math

import numpy as np
import pytest
import torch
from torch import nn

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.cegann import CEGANN
from euhedral.models.property.cgcnn import CGCNN
from euhedral.nn.scaling import TargetScaling
from euhedral.representations.graphs import Nearest
from euhedral.training.dropout import DropoutNetwork
from euhedral.training.ensemble import Ensemble
from euhedral.training.evidential import Evidence, Evidential, EvidentialError
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit
from euhedral.training.opinion import Opinion
from euhedral.training.predictor import Predictor
from euhedral.training.recipes import EnsembleRecipe, judge, train_ensemble
from euhedral.training.settings import AdamW, TrainingSettings

CONFIG = {"atom_width": 8, "n_convolutions": 1, "hidden_width": 24, "step": 0.5}


def cells(n: int, seed: int) -> list[Crystal]:
    """A label of a length, three times as noisy for one element as for the other two."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        side, metal = rng.uniform(3.5, 6.5), int(rng.choice([3, 11, 19]))
        value = side - 5.0 + (0.6 if metal == 19 else 0.05) * rng.normal() if i % 5 else math.nan
        made.append(Crystal(cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=[metal, 17], id=f"c{i}", props={"y": value}))  # fmt: skip
    return made


class Linear(nn.Module):
    """A linear map of what is dropped out, beside a normalisation that must stay as it is."""

    targets, scale, graph = ("y",), "intensive", Nearest(k=1)

    def __init__(self, share: float) -> None:
        super().__init__()
        self.features = torch.arange(1.0, 9.0, dtype=torch.float64)
        self.weights = torch.linspace(-1.0, 1.0, 8, dtype=torch.float64)
        self.dropout, self.norm = nn.Dropout(share), nn.BatchNorm1d(1)
        self.scaling = TargetScaling(1)

    def forward(self, batch, graph):
        assert not self.norm.training
        return {"y": torch.stack([self.dropout(self.features) @ self.weights for _ in range(len(batch))])}


def test_the_spread_of_a_linear_layer_under_dropout_is_that_of_the_formula(crystals):
    batch = CrystalBatch.from_crystals([crystals["fcc"]] * 40)
    for share in (0.1, 0.5):
        network = Linear(share).eval()
        opinion = DropoutNetwork(network, draws=400).opinion(batch, network.graph.build(batch))
        terms = network.features * network.weights
        # each term is kept with probability 1 - p and divided by it: its variance is p / (1 - p) of its square
        expected = math.sqrt(share / (1.0 - share) * terms.square().sum().item())
        assert opinion.spread["y"].square().mean().sqrt().item() == pytest.approx(expected, rel=0.03)
        assert torch.allclose(opinion.mean["y"], terms.sum().expand(40))
        assert not network.dropout.training


def test_dropout_gives_a_real_network_a_spread_and_leaves_the_generator_alone(crystals):
    torch.manual_seed(0)
    network = CEGANN(targets=["y"], width=12, n_layers=1, hidden_width=8).eval()
    batch = CrystalBatch.from_crystals([crystals["fcc"], crystals["triclinic"]])
    graph = network.graph.build(batch)
    before, wrapped = torch.get_rng_state(), DropoutNetwork(network, draws=8)
    with torch.no_grad():
        one, other = wrapped.opinion(batch, graph), wrapped.opinion(batch, graph)
        assert torch.equal(one.mean["y"], network(batch, graph)["y"])
    assert torch.equal(one.spread["y"], other.spread["y"])
    assert (one.spread["y"] > 0.0).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_network_without_dropout_is_refused():
    with pytest.raises(InvalidRequestError, match="CGCNN has no dropout, so that it always says the same"):
        DropoutNetwork(CGCNN(targets=("y",)))
    with pytest.raises(InvalidRequestError, match="at least 2 draws, got 1"):
        DropoutNetwork(Linear(0.5), draws=1)
    recipe = EnsembleRecipe(targets=("y",), draws=8)
    with pytest.raises(InvalidRequestError, match="CGCNN has no dropout"):
        train_ensemble(recipe, train=cells(40, 0), validation=cells(40, 1), work="nowhere")


def test_surprise_is_that_of_students_t():
    torch.manual_seed(0)
    gamma, nu, alpha, beta, value = (torch.rand(50, dtype=torch.float64) * 3.0 + 0.1 for _ in range(5))
    evidence = Evidence(gamma=gamma, nu=nu, alpha=1.0 + alpha, beta=beta)
    scale = (beta * (1.0 + nu) / (nu * (1.0 + alpha))).sqrt()
    expected = -torch.distributions.StudentT(2.0 * (1.0 + alpha), loc=gamma, scale=scale).log_prob(value)
    assert torch.allclose(evidence.surprise(value), expected)
    # and its deviation that of Student's t
    assert torch.allclose(evidence.spread, torch.distributions.StudentT(2.0 * (1.0 + alpha), scale=scale).stddev)


def network(seed: int = 0) -> Evidential:
    torch.manual_seed(seed)
    return Evidential(lambda names: CGCNN(targets=names, **CONFIG), targets=["y"])


def test_labels_that_are_not_known_take_no_part():
    model = network()
    known = [crystal for crystal in cells(10, 0) if not math.isnan(crystal.props["y"])]
    losses = []
    for crystals in (known, [*known, cells(1, 0)[0]]):
        data = GraphSet.from_crystals(crystals, spec=model.graph, targets=("y",))
        model.eval().zero_grad()
        loss = EvidentialError(0.01)(model, data.batch, data.graph)
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_network_learns_where_it_is_unsure():
    model = network()
    data = GraphSet.from_crystals(cells(400, 0), spec=model.graph, targets=("y",), merge_equal=True)
    settings = TrainingSettings(epochs=25, batch_size=32, optimizer=AdamW(learning_rate=1e-2))
    fit(model, train=data, settings=settings, rng=torch.Generator().manual_seed(0))
    test = cells(200, 1)
    held = GraphSet.from_crystals(test, spec=model.graph, merge_equal=True)
    with torch.no_grad():
        spread = model.opinion(held.batch, held.graph).spread["y"]
    noisy = torch.tensor([crystal.numbers[0] == 19 for crystal in test])
    assert spread[noisy].mean() > 3.0 * spread[~noisy].mean()
    assert spread[noisy].mean().item() == pytest.approx(0.6, rel=0.5)


def test_spreads_of_members_add_to_that_between_them():
    class Sure(nn.Module):
        targets, scale, graph = ("y",), "intensive", Nearest(k=1)

        def __init__(self, value: float, spread: float) -> None:
            super().__init__()
            self.said = Opinion(mean={"y": torch.tensor([value])}, spread={"y": torch.tensor([spread])})

        def opinion(self, batch, graph):
            return self.said

    opinion = Ensemble([Sure(1.0, 0.3), Sure(2.0, 0.5)]).opinion(None, None)
    assert opinion.mean["y"].item() == 1.5
    assert opinion.spread["y"].item() == pytest.approx(math.sqrt(0.5 + (0.09 + 0.25) / 2.0))


@pytest.mark.parametrize(
    "changes",
    [
        {"config": CONFIG, "evidence": 0.01},
        {"system": "cegann", "config": {"width": 12, "n_layers": 1, "hidden_width": 8, "dropout": 0.2}, "draws": 8},
    ],
    ids=["evidence", "dropout"],
)
def test_one_network_gives_calibrated_intervals_of_different_widths(changes, tmp_path):
    settings = TrainingSettings(epochs=15, batch_size=32, optimizer=AdamW(learning_rate=1e-2))
    recipe = EnsembleRecipe(targets=("y",), members=1, settings=settings, **changes)
    predictor = train_ensemble(recipe, train=cells(200, 0), validation=cells(200, 1), work=tmp_path / "work")
    test = cells(200, 2)
    report = judge(predictor, test, coverage=0.8)["y"]
    assert report["interval_coverage"] == pytest.approx(0.8, abs=0.12)
    found = predictor.predict(test)["y"]
    assert np.std(found.upper - found.lower) > 0.0
    again = Predictor.load(predictor.save(tmp_path / "saved")).predict(test)["y"]
    assert np.array_equal(again.value, found.value)
    assert again.upper == pytest.approx(found.upper, rel=1e-4)
