import math

import numpy as np
import pytest
import torch

from euhedral.core.batch import CrystalBatch
from euhedral.core.crystal import Crystal
from euhedral.models.property.cegann import CEGANN
from euhedral.models.property.cgcnn import CGCNN
from euhedral.representations.condensed_angles import (
    ANGLE_COSINE,
    ANGLE_COUNT,
    ANGLE_FIRST,
    ANGLE_SECOND,
    ATOM_ORBIT,
)
from euhedral.representations.graphs import Graph, Nearest
from euhedral.representations.orbits import EDGE_SOURCE, EDGE_TARGET, ORBIT_ATOM, ORBIT_COUNT
from euhedral.representations.quotient import DISTANCE, MULTIPLICITY
from euhedral.representations.triplets import PAIR_FIRST, PAIR_SECOND, EdgePairs, pair_cosines
from euhedral.training.graph_set import GraphSet
from euhedral.training.loop import fit
from euhedral.training.settings import Adam, TrainingSettings

PACKING = {"kind": "category", "name": "packing", "classes": ["cubic", "hexagonal"], "per_atom": True}


def small(**changes):
    torch.manual_seed(0)
    return CEGANN(**({"width": 16, "n_layers": 2, "hidden_width": 8, "targets": ["gap"]} | changes)).double().eval()


def batch_of(*chosen):
    return CrystalBatch.from_crystals(chosen, dtype=torch.float64)


@torch.no_grad()
def latent(model, *crystals):
    batch = batch_of(*crystals)
    return model.latent(batch, model.graph.build(batch))


def layers(stacking, *, number=12, spacing=3.2):
    """Close-packed layers in the order of a word of A, B and C."""
    places = {"A": (0.0, 0.0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    height = len(stacking) * math.sqrt(2 / 3)
    cell = spacing * np.array([[1.0, 0.0, 0.0], [-0.5, math.sqrt(0.75), 0.0], [0.0, 0.0, height]])
    frac = np.array([[*places[layer], i / len(stacking)] for i, layer in enumerate(stacking)])
    return Crystal(cell=cell, frac=frac, numbers=np.full(len(stacking), number), id=stacking)


def packing(stacking):
    """1 for an atom between two equal layers, which is packed hexagonally, else 0."""
    neighbours = zip(stacking[-1] + stacking[:-1], stacking[1:] + stacking[0], strict=True)
    return np.array([float(below == above) for below, above in neighbours])


def test_angles_tell_packings_apart_that_have_the_same_distances():
    cubic, hexagonal = layers("ABC"), layers("AB")
    torch.manual_seed(0)
    blind = CGCNN(neighbours=12).double().eval()
    assert (latent(blind, cubic) - latent(blind, hexagonal)).abs().max() < 1e-12
    assert (latent(small(), cubic) - latent(small(), hexagonal)).abs().max() > 1e-3


def test_each_atom_has_classes_and_they_go_with_it():
    model, crystal = small(targets=[PACKING, "gap"]), layers("ABCACB")
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = crystal.replace(frac=crystal.frac[order])
    with torch.no_grad():
        before, after = (model(batch_of(one), model.graph.build(batch_of(one))) for one in (crystal, moved))
    assert before["packing"].shape == (6, 2)
    assert torch.allclose(after["packing"], before["packing"][order])
    assert torch.allclose(after["gap"], before["gap"])
    same = packing("ABCACB")[:, None] == packing("ABCACB")
    alike = torch.cdist(before["packing"], before["packing"]) < 1e-9
    assert not alike[torch.from_numpy(~same)].any()


def test_classes_of_atoms_are_learnt_and_hold_in_stackings_not_seen():
    def labelled(*words):
        return [layers(word).replace(site={"packing": packing(word)}) for word in words]

    torch.manual_seed(0)
    model = CEGANN(targets=[PACKING], width=16, n_layers=2, hidden_width=16, dropout=0.0)
    data = [
        GraphSet.from_crystals(chosen, spec=model.graph, targets=["packing"])
        for chosen in (labelled("AB", "ABC", "ABAC"), labelled("ABCB", "ABCACB", "ABABC"))
    ]
    settings = TrainingSettings(epochs=60, batch_size=3, optimizer=Adam(learning_rate=1e-2))
    fit(model, train=data[0], settings=settings, rng=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model(data[1].batch, data[1].graph)["packing"].argmax(1)
    assert torch.equal(found.to(torch.float32), data[1].batch.targets["packing"])


def test_lengths_and_angles_alone_treat_all_elements_alike():
    magnesium, zinc = layers("AB"), layers("AB", number=30)
    published, seeing = small(elements=False), small()
    assert torch.equal(latent(published, magnesium), latent(published, zinc))
    assert (latent(seeing, magnesium) - latent(seeing, zinc)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["triclinic", "heusler", "hexagonal"])
def test_keeping_one_of_all_equal_atoms_edges_and_angles_changes_nothing(crystals, name):
    batch, model = batch_of(crystals[name], crystals["fcc"]), small()
    whole = EdgePairs(Nearest(k=12), cutoff=math.inf).build(batch)
    atoms, edges, pairs = len(batch.numbers), len(whole.source), len(whole.extra[PAIR_FIRST])
    one = torch.ones(pairs, dtype=torch.float64)
    extra = {
        ORBIT_ATOM: torch.arange(atoms), ORBIT_COUNT: one[:atoms], ATOM_ORBIT: torch.arange(atoms), EDGE_SOURCE: whole.source,
        EDGE_TARGET: whole.target, MULTIPLICITY: one[:edges], DISTANCE: whole.vectors(batch).norm(dim=1),
        ANGLE_FIRST: whole.extra[PAIR_FIRST], ANGLE_SECOND: whole.extra[PAIR_SECOND], ANGLE_COUNT: one,
        ANGLE_COSINE: pair_cosines(whole, batch),
    }  # fmt: skip
    kept = model.graph.build(batch)
    assert len(kept.extra[ANGLE_COUNT]) < 0.8 * pairs
    with torch.no_grad():
        expected = model.latent(batch, Graph(whole.source, whole.target, whole.image, extra=extra))
        assert torch.allclose(model.latent(batch, kept), expected, rtol=0.0, atol=1e-9)


def test_attention_of_an_edge_adds_up_to_one_over_all_equal_angles(crystals):
    """A constant score makes the attention one over the number of angles, however many stand for each other."""
    model, batch = small(), batch_of(crystals["heusler"])
    layer = model.edge_updates[0]
    with torch.no_grad():
        layer.mix.linear.weight.zero_()
        layer.mix.linear.bias.zero_()
        layer.mix.linear.bias[0] = 1.0
        graph = model.graph.build(batch)
        n_angles = torch.zeros(len(graph.source), dtype=torch.float64).index_add(
            0, graph.extra[ANGLE_SECOND], graph.extra[ANGLE_COUNT]
        )
        seen = {}
        layer.message_norm.register_forward_pre_hook(lambda _, args: seen.update(value=args[0][:, 0]))
        model.environments(batch, graph)
    assert torch.allclose(seen["value"], 1.0 / n_angles[graph.extra[ANGLE_SECOND]])
