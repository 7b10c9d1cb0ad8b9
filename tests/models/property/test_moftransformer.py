from dataclasses import replace

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.errors import InvalidRequestError
from euhedral.geometry.cells import supercell
from euhedral.models.property.moftransformer import (
    FrameworkTasks,
    MOFTransformer,
    Pretraining,
    metal_part,
)
from euhedral.representations.probe_patches import PATCH, PATCH_VOLUME, SITE_ATOM, VOID_FRACTION
from euhedral.tasks.transfer import output_layer, take_over
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit, mean_errors
from euhedral.training.settings import AbsoluteLoss, Adam, TrainingSettings

SMALL = {"width": 16, "n_layers": 2, "heads": 2, "ratio": 2, "atom_width": 16, "n_convolutions": 2, "dropout": 0.0}


def sheet(gap, *, numbers=(6, 6), side=2.46):
    """Flat sheets of honeycombs; the twelve nearest neighbours of an atom are in its own sheet."""
    cell = np.array([[side, 0, 0], [-0.5 * side, 0.75**0.5 * side, 0], [0, 0, gap]])
    return Crystal(cell=cell, frac=[[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0]], numbers=numbers, id=f"sheets {gap:.2f}")


def sheets(rng, *, count):
    """Sheets of three kinds; a guest finds place between them in proportion to the gap that it leaves over."""
    made = []
    for _ in range(count):
        gap, kind = rng.uniform(4.0, 12.0), int(rng.integers(3))
        crystal = sheet(gap, numbers=((6, 6), (5, 7), (12, 8))[kind], side=(2.46, 2.51, 3.2)[kind])
        made.append(crystal.replace(props={"uptake": gap + 0.5 * kind}))
    return made


def prepared(model, *crystals):
    batch = CrystalBatch.from_crystals(list(crystals), dtype=torch.float64)
    return batch, model.graph.build(batch)


def without_pores(graph):
    """The same graph with patches that say nothing."""
    blank = {
        PATCH: torch.full_like(graph.extra[PATCH], 1 / 128),
        PATCH_VOLUME: torch.full_like(graph.extra[PATCH_VOLUME], 20.0),
    }
    return replace(graph, extra={**graph.extra, **blank})


def test_crystals_that_differ_in_their_pores_alone_are_told_apart_by_the_patches_alone():
    torch.manual_seed(0)
    model = MOFTransformer(targets=("uptake",), **SMALL).double().eval()
    batch, graph = prepared(model, sheet(7.0), sheet(9.0))
    lengths = graph.vectors(batch).norm(dim=1).view(2, -1)
    assert torch.allclose(lengths[0], lengths[1])
    narrow, wide = model(batch, graph)["uptake"].detach()
    assert abs(float(narrow - wide)) > 1e-4
    narrow, wide = model(batch, without_pores(graph))["uptake"].detach()
    assert abs(float(narrow - wide)) < 1e-12


def test_atoms_are_seen_beside_the_patches():
    torch.manual_seed(0)
    model = MOFTransformer(targets=("uptake",), **SMALL).double().eval()
    batch, graph = prepared(model, sheet(7.0))
    other = batch.replace(numbers=torch.tensor([5, 7]))
    values = [float(model(given, graph)["uptake"].detach()) for given in (batch, other)]
    assert abs(values[0] - values[1]) > 1e-4


def test_uptake_between_sheets_is_learnt_from_the_patches():
    rng = np.random.default_rng(0)
    crystals, test = sheets(rng, count=128), sheets(rng, count=48)
    errors = {}
    for blind in (False, True):
        torch.manual_seed(1)
        model = MOFTransformer(targets=("uptake",), **SMALL)
        sets = [GraphSet.from_crystals(part, spec=model.graph, targets=model.targets) for part in (crystals, test)]
        if blind:
            sets = [replace(one, rows=replace(one.rows, graph=without_pores(one.graph))) for one in sets]
        settings = TrainingSettings(epochs=25, batch_size=16, optimizer=Adam(learning_rate=2e-3), loss=AbsoluteLoss())
        fit(model, train=sets[0], settings=settings, rng=torch.Generator().manual_seed(0))
        errors[blind] = mean_errors(model, sets[1])["uptake"]
    assert errors[False] < 0.3 * errors[True]


def test_pre_training_learns_the_void_and_which_atoms_are_metal_and_is_taken_over():
    torch.manual_seed(0)
    crystals = sheets(np.random.default_rng(2), count=96)
    model = Pretraining(MOFTransformer(targets=("uptake",), **SMALL))
    data = GraphSet.from_crystals(crystals, spec=model.network.graph)
    objective = FrameworkTasks(weights=(10.0, 1.0))
    with torch.no_grad():
        before = float(objective(model, data.batch, data.graph))
    settings = TrainingSettings(epochs=25, batch_size=16, optimizer=Adam(learning_rate=2e-3), loss=AbsoluteLoss())
    fit(model, train=data, settings=settings, rng=torch.Generator().manual_seed(0), objective=objective)
    with torch.no_grad():
        model.eval()
        assert float(objective(model, data.batch, data.graph)) < 0.1 * before
        void, logits = model(data.batch, data.graph)
    known = data.graph.extra[VOID_FRACTION]
    assert float((void - known).square().mean()) < 0.1 * float(known.var())
    # one sheet in three has a metal; all its atoms are metal or bonded to it
    metal = metal_part(data.batch, data.graph)[data.graph.extra[SITE_ATOM]]
    assert 0 < int(metal.sum()) < len(metal)
    assert torch.equal(logits > 0, metal)
    tuned = MOFTransformer(targets=("other",), **SMALL)
    take_over(tuned, tensors=model.state_dict(), prefix="network.", leave=(*output_layer(tuned), "scaling.*"))
    assert torch.equal(tuned.patch.weight, model.network.patch.weight)
    assert not torch.equal(tuned.output.weight, model.network.output.weight)


def test_metal_clusters_are_metals_and_what_is_bonded_to_them():
    chain = Crystal(
        cell=np.diag([30.0, 30.0, 30.0]), numbers=[30, 8, 6, 1], id="chain",
        frac=np.array([[0, 0, 0], [2.0, 0, 0], [3.3, 0, 0], [4.4, 0, 0]]) / 30.0,
    )  # fmt: skip
    batch, graph = prepared(MOFTransformer(**SMALL), chain)
    assert metal_part(batch, graph).tolist() == [True, True, False, False]


def test_atoms_that_hardly_differ_count_as_equal_ones():
    torch.manual_seed(0)
    model = MOFTransformer(targets=("uptake",), **SMALL).double().eval()
    whole = supercell(sheet(7.0), matrix=[2, 2, 1])
    moved = whole.frac.copy()
    moved[0, 2] += 0.1 / 7.0
    batch, graph = prepared(model, whole, whole.replace(frac=moved))
    # one class of atoms in the first, several in the second
    assert len(graph.extra[PATCH]) > 3
    equal, nearly = model(batch, graph)["uptake"].detach()
    assert abs(float(equal - nearly)) < 0.02 * abs(float(equal))


def test_an_uneven_number_of_heads_is_refused():
    with pytest.raises(InvalidRequestError, match="5 heads"):
        MOFTransformer(heads=5)
