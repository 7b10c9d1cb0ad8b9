from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from euhedral.core.crystal import Crystal
from euhedral.errors import DivergedError, FileFormatError, InvalidRequestError, RunFolderError
from euhedral.models.property.cgcnn import CGCNN
from euhedral.tasks.targets import read_targets
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import Epoch, fit, mean_errors, predict, settle_normalisation
from euhedral.training.objective import masked_loss
from euhedral.training.schedules import MomentumCycle, Plateau, Polynomial
from euhedral.training.settings import (
    AbsoluteLoss,
    Adam,
    AdamW,
    Constant,
    HuberLoss,
    OneCycle,
    SquaredLoss,
    Steps,
    StochasticGradient,
    TrainingSettings,
)

TARGETS = ("volume", "size")


def rock_salts(n: int, seed: int) -> list[Crystal]:
    """Cells whose labels follow from their size, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        side = rng.uniform(3.5, 6.5)
        numbers = [int(rng.choice([3, 11, 19])), int(rng.choice([9, 17]))]
        props = {"volume": side - 5.0, "size": 10.0 * (numbers[0] - 11) if i % 3 else math.nan}
        made.append(Crystal(cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=numbers, id=f"cell-{i}", props=props))  # fmt: skip
    return made


@pytest.fixture(scope="module")
def train():
    return GraphSet.from_crystals(rock_salts(48, 0), spec=CGCNN().graph, targets=TARGETS)


@pytest.fixture(scope="module")
def validation():
    return GraphSet.from_crystals(rock_salts(16, 1), spec=CGCNN().graph, targets=TARGETS)


def small(seed: int = 0) -> CGCNN:
    torch.manual_seed(seed)
    return CGCNN(targets=TARGETS, atom_width=8, n_convolutions=1, hidden_width=16)


def quick(**changes) -> TrainingSettings:
    return TrainingSettings(**{"epochs": 6, "batch_size": 16, "optimizer": AdamW(learning_rate=1e-2), **changes})


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_a_network_learns_and_its_errors_are_in_the_targets_units(train, validation):
    model = small()
    done = fit(model, train=train, validation=validation, settings=quick(epochs=60), rng=rng())
    assert len(done.history) == done.epoch == 60
    assert done.history[-1].loss < 0.3 * done.history[0].loss
    errors = mean_errors(model, validation)
    labels = validation.labels(TARGETS)
    for name in TARGETS:
        assert errors[name] < 0.4 * labels[name].sub(labels[name].nanmedian()).abs().nanmean().item()
    assert not model.training


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": StochasticGradient()},
        {"optimizer": Adam(amsgrad=True), "schedule": MomentumCycle()},
        {"schedule": Plateau(patience=0.0, factor=0.1)},
        {"averaged": 0.7},
    ],
    ids=["adamw", "sgd", "amsgrad", "plateau", "averaged"],
)
def test_a_run_killed_after_any_epoch_ends_with_the_same_bits(train, validation, tmp_path, changes):
    class Killed(Exception):  # noqa: N818
        pass

    settings = quick(epochs=4, **changes)
    whole = small()
    history = fit(whole, train=train, validation=validation, settings=settings, rng=rng()).history
    for last in (1, 3):
        path = tmp_path / f"run-{last}.safetensors"

        def kill(epoch: Epoch, last: int = last) -> None:
            if epoch.epoch == last:
                raise Killed

        with pytest.raises(Killed):
            fit(
                small(),
                train=train,
                validation=validation,
                settings=settings,
                rng=rng(),
                checkpoint=path,
                on_epoch=kill,
            )
        # the second start begins from other weights and another generator: all must come from the file
        resumed = small(seed=9)
        other = torch.Generator().manual_seed(77)
        done = fit(resumed, train=train, validation=validation, settings=settings, rng=other, checkpoint=path)
        assert [e.loss for e in done.history] == [e.loss for e in history]
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name]), name


def test_random_layers_are_part_of_what_is_resumed(train, tmp_path):
    def with_dropout(seed: int) -> CGCNN:
        model = small(seed)
        model.hidden[0] = nn.Sequential(model.hidden[0], nn.Dropout(0.3))
        return model

    whole = with_dropout(0)
    fit(whole, train=train, settings=quick(epochs=3), rng=rng())
    path = tmp_path / "run.safetensors"
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        fit(with_dropout(0), train=train, settings=quick(epochs=3), rng=rng(), checkpoint=path, on_epoch=interrupt)
    resumed = with_dropout(1)
    fit(resumed, train=train, settings=quick(epochs=3), rng=torch.Generator(), checkpoint=path)
    assert torch.equal(whole.output.weight, resumed.output.weight)
    with_dropout(0)
    assert before.shape == torch.get_rng_state().shape


def interrupt(epoch: Epoch) -> None:
    raise KeyboardInterrupt


def test_training_leaves_the_global_generator_alone(train):
    model = small()
    before = torch.get_rng_state()
    fit(model, train=train, settings=quick(epochs=1), rng=rng())
    assert torch.equal(before, torch.get_rng_state())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train):
    results = []
    for seed in (1, 1, 2):
        model = small()
        fit(model, train=train, settings=quick(epochs=1), rng=torch.Generator().manual_seed(seed))
        results.append(model.output.weight.detach().clone())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_early_stopping_puts_the_best_weights_back(train, validation):
    model = small()
    settings = quick(epochs=200, patience=3, optimizer=AdamW(learning_rate=5e-2), schedule=Constant())
    done = fit(model, train=train, validation=validation, settings=settings, rng=rng())
    assert len(done.history) < 200
    assert len(done.history) - done.epoch == 3
    first = done.history[0].validation
    scores = [sum(e.validation[name] / first[name] for name in TARGETS) for e in done.history]
    assert min(scores) == scores[done.epoch - 1]


def test_patience_without_a_validation_set_is_refused(train):
    with pytest.raises(InvalidRequestError, match="patience needs a validation set"):
        fit(small(), train=train, settings=quick(patience=3), rng=rng())


def test_labels_that_are_not_known_give_no_gradient():
    predicted = {name: torch.zeros(4, requires_grad=True) for name in TARGETS}
    labels = {
        "volume": torch.tensor([1.0, math.nan, 3.0, math.nan]),
        "size": torch.tensor([math.nan, 2.0, math.nan, math.nan]),
    }
    scales = {"volume": torch.tensor([1.0]), "size": torch.tensor([2.0])}
    loss = masked_loss(predicted, labels, kinds=read_targets(TARGETS), scales=scales, loss=AbsoluteLoss())
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * ((1 + 3) / 2 + 2 / 2))
    assert predicted["volume"].grad.tolist() == [-0.25, 0.0, -0.25, 0.0]
    assert predicted["size"].grad.tolist() == [0.0, -0.25, 0.0, 0.0]


def test_a_target_without_any_label_in_the_batch_does_not_dilute_the_others():
    predicted = {name: torch.zeros(2) for name in TARGETS}
    labels = {"volume": torch.tensor([1.0, 3.0]), "size": torch.full((2,), math.nan)}
    scales = dict.fromkeys(TARGETS, torch.ones(1))
    loss = masked_loss(predicted, labels, kinds=read_targets(TARGETS), scales=scales, loss=AbsoluteLoss())
    assert loss.item() == 2.0


def test_divergence_names_the_batch(train):
    model = small()
    bad = GraphSet(batch=train.batch.replace(cell=train.batch.cell.clone()), rows=train.rows)
    bad.batch.cell[7] = math.nan
    with pytest.raises(DivergedError, match=r"epoch 1, batch [123] of 3 \(cell-.*lower the learning rate"):
        fit(model, train=bad, settings=quick(), rng=rng())


def test_a_checkpoint_of_another_run_is_refused(train, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(small(), train=train, settings=quick(epochs=1), rng=rng(), checkpoint=path)
    with pytest.raises(RunFolderError, match="belongs to another run") as caught:
        fit(small(), train=train, settings=quick(epochs=2), rng=rng(), checkpoint=path)
    said = str(caught.value).removeprefix(str(path))
    assert (
        said
        == " belongs to another run: the settings differ (epochs=1, here epochs=2); choose another --out folder or delete it"
    )
    relabelled = GraphSet(
        batch=train.batch.replace(targets={k: v + 1 for k, v in train.batch.targets.items()}), rows=train.rows
    )
    with pytest.raises(RunFolderError, match="the data differ; choose"):
        fit(small(), train=relabelled, settings=quick(epochs=1), rng=rng(), checkpoint=path)


def test_a_file_that_is_no_checkpoint_is_named(train, tmp_path):
    path = tmp_path / "run.safetensors"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(FileFormatError, match=r"run\.safetensors is not a training checkpoint"):
        fit(small(), train=train, settings=quick(epochs=1), rng=rng(), checkpoint=path)


def test_a_model_without_target_scaling_is_refused(train):
    with pytest.raises(InvalidRequestError, match="Linear cannot be trained here"):
        fit(nn.Linear(2, 2), train=train, settings=quick(), rng=rng())


def test_scaling_starts_from_the_labels_that_are_known(train):
    model = small()
    fit(model, train=train, settings=quick(epochs=1), rng=rng())
    labels = torch.stack(list(train.labels(TARGETS).values()), dim=1).double().numpy()
    assert model.scaling.mean.numpy() == pytest.approx(np.nanmean(labels, axis=0), rel=1e-5)
    assert model.scaling.std.numpy() == pytest.approx(np.nanstd(labels, axis=0), rel=1e-5)


def test_prediction_does_not_depend_on_the_batch_size_and_keeps_the_mode(train):
    model = small().train()
    one, many = predict(model, train, batch_size=5), predict(model, train, batch_size=48)
    assert torch.allclose(one["volume"], many["volume"], atol=1e-6)
    assert model.training


def test_settled_normalisation_makes_evaluation_agree_with_training_statistics(train):
    model = small()
    batch = train.select(torch.arange(len(train)))
    with torch.no_grad():
        unsettled = model.eval()(*batch)["volume"]
        training = model.train()(*batch)["volume"]
        settle_normalisation(model, train, batch_size=len(train), most=len(train))
        assert model.training
        settled = model.eval()(*batch)["volume"]
    # the variance over 96 atoms is divided by 95 in one and by 96 in the other
    assert (settled - training).abs().max() < 0.1 * (unsettled - training).abs().max()
    assert torch.allclose(settled, training, atol=5e-3)
    assert all(layer.momentum == 0.1 for layer in model.modules() if isinstance(layer, nn.BatchNorm1d))


def test_normalisation_is_settled_on_so_many_crystals_at_most(train):
    seen = []

    class Noted(CGCNN):
        def forward(self, batch, graph):
            seen.append(len(batch))
            return super().forward(batch, graph)

    model = Noted(targets=TARGETS, atom_width=8, n_convolutions=1, hidden_width=16)
    for most in (32, 10_000):
        settle_normalisation(model, train, batch_size=10, most=most)
    assert seen == [10] * 3 + [10] * 4  # of 48, and never a rest that would count as much as a whole batch


@pytest.mark.parametrize(("loss", "expected"), [(AbsoluteLoss(), [2, 0.05]), (SquaredLoss(), [4, 0.0025]), (HuberLoss(0.1), [0.195, 0.00125])])  # fmt: skip
def test_losses_are_their_formulas(loss, expected):
    assert loss(torch.tensor([-2.0, 0.05], dtype=torch.float64)).tolist() == pytest.approx(expected)


def test_schedules_rise_and_fall():
    cycle = OneCycle(warmup=0.2, floor=0.01)
    assert cycle(0.0) == pytest.approx(0.01)
    assert cycle(0.2) == pytest.approx(1.0)
    assert cycle(0.6) == pytest.approx(0.505)
    assert cycle(1.0) == pytest.approx(0.01)
    steps = Steps((0.5, 0.8))
    assert [steps(p) for p in (0.4, 0.5, 0.9)] == pytest.approx([1.0, 0.1, 0.01])


def test_a_run_of_so_many_steps_ends_amid_an_epoch_with_the_schedule_at_its_end(train):
    seen = []

    class Noted(Constant):
        def __call__(self, progress: float) -> float:
            seen.append(progress)
            return 1.0

    done = fit(small(), train=train, settings=quick(steps=4, schedule=Noted()), rng=rng())
    assert seen == [0.25, 0.5, 0.75, 1.0]
    assert len(done.history) == 2  # three batches an epoch


def test_a_learning_rate_falls_when_the_validation_error_does_not(train, validation):
    settings = quick(epochs=12, optimizer=AdamW(learning_rate=0.3), schedule=Plateau(patience=0.0, factor=0.1))
    history = fit(small(), train=train, validation=validation, settings=settings, rng=rng()).history
    rates = [record.learning_rate for record in history]
    assert rates[0] == 0.3
    assert rates[-1] < 0.1
    with pytest.raises(InvalidRequestError, match="Plateau needs a validation set"):
        fit(small(), train=train, settings=settings, rng=rng())


def test_averaged_weights_are_the_mean_over_the_last_steps(train):
    seen = []

    class Noted(CGCNN):
        def forward(self, batch, graph):
            if torch.is_grad_enabled():
                seen.append(self.output.weight.detach().clone())
            return super().forward(batch, graph)

    def run(epochs: int, **changes) -> nn.Module:
        torch.manual_seed(0)
        model = Noted(targets=TARGETS, atom_width=8, n_convolutions=1, hidden_width=16)
        fit(model, train=train, settings=quick(epochs=epochs, schedule=Constant(), **changes), rng=rng())
        return model

    last = run(4).output.weight.detach()
    passed = [*seen[1:], last]  # weights after each of the twelve steps
    averaged = run(4, averaged=0.5)
    assert torch.allclose(averaged.output.weight, torch.stack(passed[6:]).mean(0), atol=1e-6)
    assert not torch.allclose(averaged.output.weight, last, atol=1e-4)


def test_while_weights_are_averaged_the_learning_rate_stays(train):
    settings = quick(epochs=8, schedule=Polynomial(), averaged=0.5)
    rates = [record.learning_rate for record in fit(small(), train=train, settings=settings, rng=rng()).history]
    assert rates[1] > rates[2] > rates[3]
    assert rates[3:] == pytest.approx([0.005] * 5)


def test_settings_that_contradict_each_other_are_refused(train, validation):
    for changes, match in (({"averaged": 1.0}, "share"), ({"averaged": 0.2, "patience": 2}, "exclude each other")):
        with pytest.raises(InvalidRequestError, match=match):
            fit(small(), train=train, validation=validation, settings=quick(**changes), rng=rng())


def test_a_network_that_cannot_change_is_not_trained(train):
    model = small().requires_grad_(requires_grad=False)
    with pytest.raises(InvalidRequestError, match="no parameter that training may change"):
        fit(model, train=train, settings=quick(), rng=rng())


def test_an_objective_of_its_own_needs_no_labels(train, validation):
    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.tensor(3.5))

        def loss(self, batch):
            return (batch.volume.log().mean() - self.value).square()

    model = Autoencoder()
    done = fit(
        model, train=train, validation=validation, settings=quick(epochs=80), rng=rng(),
        objective=lambda model, batch, graph: model.loss(batch),
    )  # fmt: skip
    first, last = (done.history[i].validation["objective"] for i in (0, -1))
    assert last < 0.2 * first


def test_errors_on_the_way_are_those_that_the_finished_network_has(train, validation):
    """In a run of few steps the running statistics of batch normalisation would still be near their start."""
    model = CGCNN(targets=("volume",), atom_width=8, n_convolutions=1, hidden_width=8)
    done = fit(
        model,
        train=train,
        validation=validation,
        settings=TrainingSettings(epochs=3, batch_size=len(train)),
        rng=torch.Generator().manual_seed(0),
    )
    assert done.history[-1].validation["volume"] == pytest.approx(mean_errors(model, validation)["volume"], rel=1e-4)
