import math

import numpy as np
import pytest
import torch
from torch import nn

from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.models.property.cgcnn import CGCNN
from euhedral.models.property.schnet import SchNet
from euhedral.training.distillation import Distillation
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.objective import fit_scaling
from euhedral.training.settings import AbsoluteLoss, AdamW, TrainingSettings


def cells(n: int, seed: int) -> list[Crystal]:
    """A label that depends on a length and on elements in a way that few crystals do not show."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        side = rng.uniform(3.5, 6.5)
        numbers = [int(rng.choice([3, 11, 19, 37, 12, 20])), int(rng.choice([9, 17, 35, 8, 16]))]
        value = np.sin(2.0 * side) + 0.3 * np.cos(numbers[0]) + 0.3 * np.sin(numbers[1])
        made.append(Crystal(cell=np.eye(3) * side, frac=[[0, 0, 0], [0.5, 0.5, 0.5]], numbers=numbers, props={"y": value}))  # fmt: skip
    return made


def network(seed: int, width: int = 16) -> CGCNN:
    torch.manual_seed(seed)
    return CGCNN(targets=("y",), atom_width=width, n_convolutions=2, hidden_width=24, step=0.5)


def graphs(crystals: list[Crystal]) -> GraphSet:
    return GraphSet.from_crystals(crystals, spec=network(0).graph, targets=("y",), merge_equal=True)


def settings(epochs: int) -> TrainingSettings:
    return TrainingSettings(epochs=epochs, batch_size=16, optimizer=AdamW(learning_rate=1e-2))


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def teacher() -> CGCNN:
    model = network(1)
    fit(model, train=graphs(cells(400, 0)), settings=settings(12), rng=rng())
    return model


def test_a_student_learns_from_its_teacher_of_crystals_without_labels(teacher):
    unlabelled = [crystal.replace(props={"y": math.nan}) for crystal in cells(200, 5)]
    few, test = graphs([*cells(24, 1), *unlabelled]), graphs(cells(200, 2))
    held = {name: value.clone() for name, value in teacher.state_dict().items()}
    errors, distances = {0.0: [], 0.97: []}, {0.0: [], 0.97: []}
    for seed in (2, 3):
        for share in (0.0, 0.97):
            student = network(seed)
            fit_scaling(student, labels=few.labels(("y",)))
            objective = Distillation(teacher, loss=AbsoluteLoss(), share=share)
            fit(student, train=few, settings=settings(20), rng=rng(), objective=objective)
            errors[share].append(mean_errors(student, test)["y"])
            with torch.no_grad():
                atoms = student.atom_features(test.batch, test.graph)
                distances[share].append(objective.distance(atoms, batch=test.batch, graph=test.graph).item())
    assert max(distances[0.97]) < 0.1 * min(distances[0.0])
    assert sum(errors[0.97]) < 0.85 * sum(errors[0.0])
    assert all(torch.equal(value, held[name]) for name, value in teacher.state_dict().items())


def test_the_loss_is_the_labels_share_and_the_teachers(teacher):
    data, student = graphs(cells(8, 3)), network(3).eval()
    fit_scaling(student, labels=data.labels(("y",)))
    with torch.no_grad():
        alone, taught, both = (
            Distillation(teacher, loss=AbsoluteLoss(), share=share)(student, data.batch, data.graph)
            for share in (0.0, 1.0, 0.25)
        )
        error = (student(data.batch, data.graph)["y"] - data.batch.targets["y"]).abs().mean() / student.scaling.std
        mine, theirs = (
            nn.functional.normalize(model.atom_features(data.batch, data.graph), dim=1) for model in (student, teacher)
        )
    assert alone.item() == pytest.approx(error.item(), rel=1e-5)
    assert taught.item() == pytest.approx((mine - theirs).square().mean().item(), rel=1e-5)
    assert both.item() == pytest.approx(0.75 * alone.item() + 0.25 * taught.item(), rel=1e-5)


def test_who_cannot_be_taught_or_teach_is_named(teacher):
    data = graphs(cells(4, 3))
    with pytest.raises(InvalidRequestError, match="SchNet cannot be taught"):
        Distillation(teacher, loss=AbsoluteLoss())(SchNet(targets=("y",)), data.batch, data.graph)
    with pytest.raises(InvalidRequestError, match="Linear cannot teach"):
        Distillation(nn.Linear(1, 1), loss=AbsoluteLoss())(network(0), data.batch, data.graph)
    with pytest.raises(InvalidRequestError, match="have 16 numbers, the student's 8"):
        Distillation(teacher, loss=AbsoluteLoss())(network(0, width=8), data.batch, data.graph)
