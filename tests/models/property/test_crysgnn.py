from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from euhedral.core.batch import CrystalBatch
from euhedral.data import load
from euhedral.models.property.crysgnn import (
    CrysGNN,
    CrysGNNAutoencoder,
    Reconstruction,
    edge_classes,
    likeness_loss,
)
from euhedral.representations.dense import all_pairs
from euhedral.representations.quotient import quotient
from euhedral.tasks.transfer import take_over
from euhedral.training.distillation import Distillation
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit
from euhedral.training.objective import fit_scaling
from euhedral.training.settings import AbsoluteLoss, Adam, Constant, TrainingSettings

SETTINGS = TrainingSettings(
    epochs=15, batch_size=64, optimizer=Adam(learning_rate=3e-2), schedule=Constant(), loss=AbsoluteLoss()
)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def sample():
    """600 real crystals to learn from, 64 others to look at."""
    small = [crystal for crystal in load("mp-20-sample") if len(crystal) <= 8][:664]
    assert len(small) == 664
    return small[64:], small[:64]


@pytest.fixture(scope="module")
def pretrained(sample):
    torch.manual_seed(0)
    teacher = CrysGNNAutoencoder(width=32, n_convolutions=3)
    history = fit(
        teacher, train=GraphSet.from_crystals(sample[0], spec=teacher.graph), settings=SETTINGS, rng=rng(),
        objective=Reconstruction(),
    ).history  # fmt: skip
    return teacher, history


def test_published_hyperparameters_are_the_defaults():
    student, teacher, objective = CrysGNN(), CrysGNNAutoencoder(), Reconstruction()
    assert (len(student.encoder.convolutions), student.output.in_features) == (3, 128)
    assert (len(teacher.encoder.convolutions), teacher.space_group.out_features) == (5, 230)
    assert student.encoder.basis.size == 41
    assert student.encoder.embedding.linear.out_features == teacher.encoder.embedding.linear.out_features == 64
    assert (objective.weights, objective.absent, objective.temperature) == ((0.25,) * 4, 0.1, 0.07)


def test_edge_classes_count_the_edges_of_each_pair(crystals):
    batch = CrystalBatch.from_crystals(
        [crystals[name] for name in ("triclinic", "fcc", "heusler")], dtype=torch.float64
    )
    graph = CrysGNNAutoencoder().graph.build(batch)
    source, target = all_pairs(batch.n_atoms, loops=True)
    counted = [
        int(((graph.source == i) & (graph.target == j)).sum()) for i, j in zip(source.tolist(), target.tolist(), strict=True)
    ]  # fmt: skip
    assert edge_classes(batch, graph).tolist() == [min(count, 5) for count in counted]
    assert max(counted) >= 12
    assert min(counted) == 0


def test_likeness_is_the_loss_written_out_pair_by_pair():
    vectors = torch.randn(6, 4, dtype=torch.float64, generator=rng())
    classes = torch.tensor([0, 1, 0, 2, 1, 0])
    cosine = F.normalize(vectors, dim=1) @ F.normalize(vectors, dim=1).T
    terms = []
    for i in range(6):
        others = sum(torch.exp(cosine[i, k] / 0.1) for k in range(6) if classes[k] != classes[i])
        for j in range(6):
            if i != j and classes[i] == classes[j]:
                one = torch.exp(cosine[i, j] / 0.1)
                terms.append(-torch.log(one / (one + others)))
    assert torch.allclose(likeness_loss(vectors, classes, temperature=0.1), torch.stack(terms).mean())


def test_likeness_of_crystals_of_one_system_alone_is_zero_and_has_a_gradient():
    vectors = torch.randn(3, 4, generator=rng()).requires_grad_()
    loss = likeness_loss(vectors, torch.zeros(3, dtype=torch.int64), temperature=0.07)
    loss.backward()
    assert loss.item() == 0.0
    assert torch.isfinite(vectors.grad).all()


def test_pretraining_makes_its_objective_fall(pretrained):
    _, history = pretrained
    assert history[-1].loss < 0.8 * history[0].loss


def test_a_pretrained_teacher_tells_edges_elements_and_symmetry_of_crystals_that_it_has_not_seen(pretrained, sample):
    """Losses are below those of the best answer that is the same for every pair or atom; of six classes a guess finds one in six."""
    teacher, _ = pretrained
    data = GraphSet.from_crystals(sample[1], spec=teacher.graph)
    batch, graph = data.select(torch.arange(len(data)))
    with torch.no_grad():
        parts = Reconstruction().parts(teacher, batch, graph)
    weight = torch.tensor([0.1, 1.0, 1.0, 1.0, 1.0, 1.0])
    share = torch.bincount(edge_classes(batch, graph), minlength=6) * weight
    share = share / share.sum()
    properties = teacher.encoder.embedding.properties[batch.numbers]
    often = properties.mean(0).clamp(1e-6, 1.0 - 1e-6).expand_as(properties)
    assert parts["edges"] < torch.special.entr(share).sum()
    assert parts["elements"] < 0.92 * F.binary_cross_entropy(often, properties)
    classes = edge_classes(batch, graph)
    with torch.no_grad():
        found = teacher.edge_logits(teacher(batch, graph), batch=batch).argmax(1)
    accuracy = sum((found[classes == k] == k).double().mean().item() for k in range(6)) / 6.0
    assert accuracy > 0.22


def test_distillation_draws_the_students_atoms_to_the_teachers(pretrained, sample):
    teacher, _ = pretrained
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    distances = {}
    for share in (0.0, 0.9):
        torch.manual_seed(1)
        student = CrysGNN(width=32, n_convolutions=2)
        train = GraphSet.from_crystals(sample[0][:200], spec=student.graph, targets=student.targets, merge_equal=True)
        fit_scaling(student, labels=train.labels(student.targets))
        objective = Distillation(teacher, loss=AbsoluteLoss(), share=share)
        fit(student, train=train, settings=SETTINGS, rng=rng(), objective=objective)
        held = GraphSet.from_crystals(sample[1], spec=student.graph)
        batch, graph = held.select(torch.arange(len(held)))
        with torch.no_grad():
            distances[share] = objective.distance(student.encoder(batch, graph), batch=batch, graph=graph).item()
    assert distances[0.9] < 0.6 * distances[0.0]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_equal_atoms_kept_once_are_as_far_from_the_teacher(pretrained, crystals):
    teacher = pretrained[0].double()
    student = CrysGNN(width=32).double().eval()
    batch = CrystalBatch.from_crystals([crystals["heusler"], crystals["hexagonal"]], dtype=torch.float64)
    graph = student.graph.build(batch)
    objective = Distillation(teacher, loss=AbsoluteLoss())
    with torch.no_grad():
        whole = objective.distance(student.encoder(batch, graph), batch=batch, graph=graph)
        small, merged = quotient(batch, graph)
        assert len(small.numbers) < len(batch.numbers)
        less = objective.distance(student.encoder(small, merged), batch=small, graph=merged)
    teacher.float()
    assert torch.allclose(whole, less)


def test_a_teachers_layers_fit_a_student_to_be_fine_tuned(pretrained):
    teacher, _ = pretrained
    student = CrysGNN(width=32, n_convolutions=3)
    report = take_over(student, tensors=teacher.state_dict())
    assert all(name.startswith("encoder.") for name in report.loaded)
    assert all(not name.startswith("encoder.") for name in report.missing)
    assert torch.equal(student.encoder.convolutions[2].gate_and_core.weight, teacher.encoder.convolutions[2].gate_and_core.weight)  # fmt: skip


def test_edges_are_told_by_the_bilinear_form_of_both_atoms(crystals):
    teacher = CrysGNNAutoencoder(width=8, n_convolutions=1).double().eval()
    batch = CrystalBatch.from_crystals([crystals["fcc"], crystals["triclinic"]], dtype=torch.float64)
    atoms = torch.randn(4, 8, dtype=torch.float64, generator=rng())
    source, target = all_pairs(batch.n_atoms, loops=True)
    with torch.no_grad():
        expected = teacher.pair_output(teacher.pair(atoms[target], atoms[source]))
        assert torch.allclose(teacher.edge_logits(atoms, batch=batch), expected)
